package index

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// posting is the slots that have one value: most often one, else a short list,
// else a bitmap. A posting is never empty.
type posting struct {
	only uint32
	more *slotSet // nil for only
}

type slotSet struct {
	few  []uint32 // sorted
	many *roaring.Bitmap
	size int64 // bytes of the bitmap when it was last looked at
}

const (
	// fewSlots is the longest list that is kept as one: about where a bitmap
	// takes no more memory.
	fewSlots = 32
	// sizeEvery is how many slots share one look at the size of a bitmap.
	sizeEvery = 64
)

// add puts a slot in, and returns by how many bytes the posting has grown.
func (p *posting) add(slot uint32) (grown int64) {
	if p.more == nil {
		if slot == p.only {
			return 0
		}
		p.more = &slotSet{few: []uint32{min(p.only, slot), max(p.only, slot)}}
		return slotSetBytes + 2*4
	}
	s := p.more
	if s.many != nil {
		s.many.Add(slot)
		return s.measure(slot)
	}
	at, found := slices.BinarySearch(s.few, slot)
	if found {
		return 0
	}
	before := cap(s.few)
	s.few = slices.Insert(s.few, at, slot)
	if len(s.few) <= fewSlots {
		return 4 * int64(cap(s.few)-before)
	}
	s.many = roaring.BitmapOf(s.few...)
	s.few = nil
	s.size = s.bitmapSize()
	return s.size - 4*int64(before)
}

// remove takes a slot out. It says whether none is left, and then changes
// nothing.
func (p *posting) remove(slot uint32) (grown int64, empty bool) {
	if p.more == nil {
		return 0, p.only == slot
	}
	s := p.more
	if s.many != nil {
		s.many.Remove(slot)
		if s.many.IsEmpty() {
			return 0, true
		}
		return s.measure(slot), false
	}
	if at, found := slices.BinarySearch(s.few, slot); found {
		s.few = slices.Delete(s.few, at, at+1)
	}
	return 0, len(s.few) == 0
}

// bitmapSize allows for the room that lists in a bitmap have to grow.
func (s *slotSet) bitmapSize() int64 { return bitmapBytes(s.many) * 7 / 5 }

func (s *slotSet) measure(slot uint32) (grown int64) {
	if slot%sizeEvery != 0 {
		return 0
	}
	before := s.size
	s.size = s.bitmapSize()
	return s.size - before
}

// bytes is what the posting takes beside itself.
func (p *posting) bytes() int64 {
	if p.more == nil {
		return 0
	}
	return slotSetBytes + 4*int64(cap(p.more.few)) + p.more.size
}

// bitmap returns the slots. It must not be changed.
func (p *posting) bitmap() *roaring.Bitmap {
	switch {
	case p.more == nil:
		return roaring.BitmapOf(p.only)
	case p.more.many != nil:
		return p.more.many
	default:
		return roaring.BitmapOf(p.more.few...)
	}
}

// count returns how many of the slots are among some; nil is all.
func (p *posting) count(among *roaring.Bitmap) int {
	switch {
	case p.more == nil && (among == nil || among.Contains(p.only)):
		return 1
	case p.more == nil:
		return 0
	case p.more.many != nil && among == nil:
		return int(p.more.many.GetCardinality())
	case p.more.many != nil:
		return int(p.more.many.AndCardinality(among))
	case among == nil:
		return len(p.more.few)
	}
	n := 0
	for _, slot := range p.more.few {
		if among.Contains(slot) {
			n++
		}
	}
	return n
}

// collect adds the slots to those that are few and the bitmap to those that are
// many.
func (p *posting) collect(few []uint32, many []*roaring.Bitmap) ([]uint32, []*roaring.Bitmap) {
	switch {
	case p.more == nil:
		few = append(few, p.only)
	case p.more.many != nil:
		many = append(many, p.more.many)
	default:
		few = append(few, p.more.few...)
	}
	return few, many
}

// What the parts take, headers and the allocator's rounding included.
const (
	slotSetBytes      = 48
	bitmapHeaderBytes = 160
)

func bitmapBytes(b *roaring.Bitmap) int64 { return bitmapHeaderBytes + int64(b.GetSizeInBytes()) }
