package sparse

import (
	"cmp"
	"math/bits"
	"slices"
	"sync/atomic"
)

// Doc is the vector of a slot. Its indices ascend.
type Doc struct {
	Slot    uint32
	Indices []uint32
	Values  []float32
}

// segment is the inverted lists of some documents. But for gone it never changes.
type segment struct {
	slots []uint32        // of the documents, ascending; a document's number is its place here
	gone  []atomic.Uint64 // a bit for each document that no view sees any more
	dims  []uint32        // ascending
	lists []list          // by place in dims
}

// list is the documents that have a dimension, by number, with their values.
type list struct {
	docs        []uint32
	values      []float32
	least, most float32 // of the values
}

func newSegment(slots []uint32, dims []uint32) *segment {
	return &segment{slots: slots, gone: make([]atomic.Uint64, (len(slots)+63)/64), dims: dims, lists: make([]list, len(dims))}
}

// build makes a segment of documents, which it sorts.
func build(docs []Doc) *segment {
	slices.SortFunc(docs, func(a, b Doc) int { return cmp.Compare(a.Slot, b.Slot) })
	slots := make([]uint32, len(docs))
	counts := map[uint32]uint32{}
	total := 0
	for i, d := range docs {
		slots[i] = d.Slot
		total += len(d.Indices)
		for _, dim := range d.Indices {
			counts[dim]++
		}
	}
	dims := make([]uint32, 0, len(counts))
	for dim := range counts {
		dims = append(dims, dim)
	}
	slices.Sort(dims)
	s := newSegment(slots, dims)
	docNumbers, values := make([]uint32, 0, total), make([]float32, 0, total)
	end := 0
	for i, dim := range dims {
		from := end
		end += int(counts[dim])
		s.lists[i].docs, s.lists[i].values = docNumbers[from:from:end], values[from:from:end]
		counts[dim] = uint32(i)
	}
	for n, d := range docs {
		for i, dim := range d.Indices {
			s.lists[counts[dim]].add(uint32(n), d.Values[i])
		}
	}
	return s
}

func (l *list) add(doc uint32, value float32) {
	if len(l.docs) == 0 {
		l.least, l.most = value, value
	}
	l.least, l.most = min(l.least, value), max(l.most, value)
	l.docs, l.values = append(l.docs, doc), append(l.values, value)
}

// merge makes one segment of several, without the documents that are gone. It returns
// the new numbers by segment and old number, none for those.
func merge(segments []*segment) (merged *segment, numbers [][]uint32) {
	type place struct{ slot, segment, doc uint32 }
	var places []place
	var dims []uint32
	numbers = make([][]uint32, len(segments))
	for i, s := range segments {
		numbers[i] = make([]uint32, len(s.slots))
		for doc, slot := range s.slots {
			numbers[i][doc] = none
			if !s.isGone(uint32(doc)) {
				places = append(places, place{slot, uint32(i), uint32(doc)})
			}
		}
		dims = append(dims, s.dims...)
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.slot, b.slot) })
	slots := make([]uint32, len(places))
	for n, p := range places {
		slots[n] = p.slot
		numbers[p.segment][p.doc] = uint32(n)
	}
	slices.Sort(dims)
	merged = newSegment(slots, slices.Compact(dims))
	next := make([]int, len(segments)) // place in dims, by segment
	for i, dim := range merged.dims {
		size := 0
		for k, s := range segments {
			if next[k] < len(s.dims) && s.dims[next[k]] == dim {
				size += len(s.lists[next[k]].docs)
			}
		}
		l := list{docs: make([]uint32, 0, size), values: make([]float32, 0, size)}
		for k, s := range segments {
			if next[k] >= len(s.dims) || s.dims[next[k]] != dim {
				continue
			}
			from := &s.lists[next[k]]
			next[k]++
			for j, doc := range from.docs {
				if n := numbers[k][doc]; n != none {
					l.add(n, from.values[j])
				}
			}
		}
		l.sort()
		merged.lists[i] = l
	}
	merged.dropEmpty()
	return merged, numbers
}

// none is the number of no document.
const none = ^uint32(0)

func (l *list) sort() {
	if slices.IsSorted(l.docs) {
		return
	}
	type entry struct {
		doc   uint32
		value float32
	}
	entries := make([]entry, len(l.docs))
	for i, doc := range l.docs {
		entries[i] = entry{doc, l.values[i]}
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.doc, b.doc) })
	for i, e := range entries {
		l.docs[i], l.values[i] = e.doc, e.value
	}
}

// dropEmpty leaves out the dimensions that no document has any more.
func (s *segment) dropEmpty() {
	n := 0
	for i, l := range s.lists {
		if len(l.docs) > 0 {
			s.dims[n], s.lists[n] = s.dims[i], l
			n++
		}
	}
	clear(s.lists[n:])
	s.dims, s.lists = s.dims[:n], s.lists[:n]
}

func (s *segment) isGone(doc uint32) bool { return s.gone[doc/64].Load()>>(doc%64)&1 != 0 }

func (s *segment) setGone(doc uint32) { s.gone[doc/64].Or(1 << (doc % 64)) }

// left counts the documents that are not gone.
func (s *segment) left() int {
	n := len(s.slots)
	for i := range s.gone {
		n -= bits.OnesCount64(s.gone[i].Load())
	}
	return n
}

// find returns the document of a slot.
func (s *segment) find(slot uint32) (doc uint32, ok bool) {
	if len(s.slots) == 0 || slot < s.slots[0] || slot > s.slots[len(s.slots)-1] {
		return none, false
	}
	i, ok := slices.BinarySearch(s.slots, slot)
	return uint32(i), ok && !s.isGone(uint32(i))
}

// list returns the list of a dimension, nil if there is none.
func (s *segment) list(dim uint32) *list {
	if i, ok := slices.BinarySearch(s.dims, dim); ok {
		return &s.lists[i]
	}
	return nil
}

// entries counts what the lists hold.
func (s *segment) entries() int {
	n := 0
	for i := range s.lists {
		n += len(s.lists[i].docs)
	}
	return n
}
