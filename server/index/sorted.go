package index

import (
	"slices"
	"sort"
	"sync/atomic"
	"unsafe"

	"github.com/RoaringBitmap/roaring/v2"
)

// sorted holds pairs of a key and a slot in order, in blocks: keys in one array
// and slots in another, so that the slots of a range are read as they lie.
type sorted[K any] struct {
	compare func(a, b K) int
	blocks  []*block[K] // none is empty
	firsts  []pair[K]   // of the blocks
	n       int
	several int  // slots with more than one pair
	ranges  bool // large ranges are asked for
	stairs  stairs[K]
	copies  atomic.Uint64 // how often the list of blocks was copied for a reader
}

// block is changed only by who made it after the last copy of the list: a reader may
// have an older one.
type block[K any] struct {
	keys  []K
	slots []uint32
	made  uint64 // sorted.copies when it was made
}

type pair[K any] struct {
	key  K
	slot uint32
}

// blockLength is the most pairs of a block: moving half of them costs about as
// much as finding the block among those of a million pairs.
const blockLength = 512

// newSorted returns an empty list. ranges says whether to keep what makes large
// ranges fast.
func newSorted[K any](compare func(a, b K) int, ranges bool) *sorted[K] {
	return &sorted[K]{compare: compare, ranges: ranges}
}

func sizeOf[T any](T) uintptr {
	var zero T
	return unsafe.Sizeof(zero)
}

func (s *sorted[K]) less(a K, aSlot uint32, b K, bSlot uint32) bool {
	if c := s.compare(a, b); c != 0 {
		return c < 0
	}
	return aSlot < bSlot
}

// blockOf returns the block that has the pair, or would.
func (s *sorted[K]) blockOf(key K, slot uint32) int {
	after := sort.Search(len(s.firsts), func(i int) bool { return s.less(key, slot, s.firsts[i].key, s.firsts[i].slot) })
	return max(after-1, 0)
}

// blocksNow returns the blocks as of now, for a reader that goes on while the list is
// changed. Several readers may call it at once.
func (s *sorted[K]) blocksNow() []*block[K] {
	s.copies.Add(1)
	return slices.Clone(s.blocks)
}

// own returns a block that may be changed.
func (s *sorted[K]) own(i int) *block[K] {
	b := s.blocks[i]
	if now := s.copies.Load(); b.made != now {
		b = &block[K]{keys: slices.Clone(b.keys), slots: slices.Clone(b.slots), made: now}
		s.blocks[i] = b
	}
	return b
}

func (s *sorted[K]) placeIn(b *block[K], key K, slot uint32) int {
	return sort.Search(len(b.keys), func(i int) bool { return !s.less(b.keys[i], b.slots[i], key, slot) })
}

func (s *sorted[K]) add(keys []K, slot uint32) {
	if len(keys) > 1 {
		s.several++
		s.stairs = stairs[K]{}
	}
	for _, key := range keys {
		s.insert(key, slot)
		s.changed(key, slot, (*roaring.Bitmap).Add)
	}
}

func (s *sorted[K]) remove(keys []K, slot uint32) {
	for _, key := range keys {
		s.delete(key, slot)
		s.changed(key, slot, (*roaring.Bitmap).Remove)
	}
	if len(keys) > 1 {
		s.several--
	}
}

func (s *sorted[K]) insert(key K, slot uint32) {
	s.n++
	if len(s.blocks) == 0 {
		s.blocks = []*block[K]{{keys: []K{key}, slots: []uint32{slot}, made: s.copies.Load()}}
		s.firsts = []pair[K]{{key, slot}}
		return
	}
	i := s.blockOf(key, slot)
	b := s.own(i)
	at := s.placeIn(b, key, slot)
	b.keys = slices.Insert(b.keys, at, key)
	b.slots = slices.Insert(b.slots, at, slot)
	if at == 0 {
		s.firsts[i] = pair[K]{key, slot}
	}
	if len(b.keys) <= blockLength {
		return
	}
	// Values that rise with time are appended to the last block: it is left full.
	half := blockLength / 2
	if i == len(s.blocks)-1 && at == len(b.keys)-1 {
		half = at
	}
	next := &block[K]{keys: slices.Clone(b.keys[half:]), slots: slices.Clone(b.slots[half:]), made: b.made}
	b.keys, b.slots = b.keys[:half], b.slots[:half]
	s.blocks = slices.Insert(s.blocks, i+1, next)
	s.firsts = slices.Insert(s.firsts, i+1, pair[K]{next.keys[0], next.slots[0]})
}

func (s *sorted[K]) delete(key K, slot uint32) {
	if len(s.blocks) == 0 {
		return
	}
	i := s.blockOf(key, slot)
	b := s.blocks[i]
	at := s.placeIn(b, key, slot)
	if at == len(b.keys) || b.slots[at] != slot || s.compare(b.keys[at], key) != 0 {
		return
	}
	s.n--
	b = s.own(i)
	b.keys = slices.Delete(b.keys, at, at+1)
	b.slots = slices.Delete(b.slots, at, at+1)
	if len(b.keys) > 0 {
		s.firsts[i] = pair[K]{b.keys[0], b.slots[0]}
	}
	if len(b.keys) >= blockLength/4 && len(b.keys) > 0 {
		return
	}
	if i+1 < len(s.blocks) && len(b.keys)+len(s.blocks[i+1].keys) <= blockLength*3/4 {
		next := s.own(i + 1)
		next.keys = append(b.keys, next.keys...)
		next.slots = append(b.slots, next.slots...)
		s.firsts[i+1] = pair[K]{next.keys[0], next.slots[0]}
		b.keys = nil
	}
	if len(b.keys) == 0 {
		s.blocks = slices.Delete(s.blocks, i, i+1)
		s.firsts = slices.Delete(s.firsts, i, i+1)
	}
}

// place is where a pair is, or one would be.
type place struct{ block, at int }

// span is the pairs from one place to another.
type span struct{ from, to place }

func (s *sorted[K]) end() place { return place{len(s.blocks), 0} }

// between returns the pairs whose keys are neither below nor above: low says
// whether a key is too small, high whether it is too large.
func (s *sorted[K]) between(low, high func(K) bool) span {
	from, to := s.first(func(k K) bool { return !low(k) }), s.first(high)
	if to.block < from.block || to.block == from.block && to.at < from.at {
		to = from
	}
	return span{from, to}
}

// first returns the place of the first pair for whose key is holds; it holds
// for all that follow.
func (s *sorted[K]) first(is func(K) bool) place {
	if len(s.blocks) == 0 {
		return place{}
	}
	i := max(sort.Search(len(s.firsts), func(i int) bool { return is(s.firsts[i].key) })-1, 0)
	b := s.blocks[i]
	at := sort.Search(len(b.keys), func(at int) bool { return is(b.keys[at]) })
	if at == len(b.keys) {
		return place{i + 1, 0}
	}
	return place{i, at}
}

// each calls visit for the pieces of a span.
func (s *sorted[K]) each(r span, visit func(keys []K, slots []uint32)) {
	for i := r.from.block; i <= r.to.block && i < len(s.blocks); i++ {
		b := s.blocks[i]
		from, to := 0, len(b.keys)
		if i == r.from.block {
			from = r.from.at
		}
		if i == r.to.block {
			to = r.to.at
		}
		if from < to {
			visit(b.keys[from:to], b.slots[from:to])
		}
	}
}

// count returns how many pairs a span has.
func (s *sorted[K]) count(r span) (n int) {
	s.each(r, func(_ []K, slots []uint32) { n += len(slots) })
	return n
}

// slots returns the slots of some spans, all below universe, as a set.
func (s *sorted[K]) slots(universe uint32, spans ...span) *roaring.Bitmap {
	n := 0
	for _, r := range spans {
		n += s.count(r)
	}
	set := newCollector(n, universe)
	for _, r := range spans {
		s.each(r, func(_ []K, slots []uint32) { set.addAll(slots) })
	}
	return set.bitmap()
}

// equal returns the slots with one of the keys.
func (s *sorted[K]) equal(keys []K, universe uint32) *roaring.Bitmap {
	spans := make([]span, len(keys))
	for i, key := range keys {
		spans[i] = s.between(func(k K) bool { return s.compare(k, key) < 0 }, func(k K) bool { return s.compare(k, key) > 0 })
	}
	return s.slots(universe, spans...)
}

// within returns the slots with a key that is neither low nor high.
func (s *sorted[K]) within(ix *Index, low, high func(K) bool) *roaring.Bitmap {
	r := s.between(low, high)
	if len(s.stairs.steps) == 0 || s.count(r) < s.n/stepCount {
		return s.slots(ix.most, r)
	}
	bits, below := newBits(ix.most), newBits(ix.most)
	s.before(bits, high, ix.indexed)
	s.before(below, func(k K) bool { return !low(k) }, ix.indexed)
	for i, word := range below {
		bits[i] &^= word
	}
	return roaring.FromDense(bits, false)
}

// collector makes a set of slots that come in any order: of many by a bit each.
type collector struct {
	bits []uint64
	list []uint32
}

// newCollector expects about n slots below universe.
func newCollector(n int, universe uint32) *collector {
	if n > 64 && n > int(universe/512) {
		return &collector{bits: newBits(universe)}
	}
	return &collector{}
}

func (c *collector) add(slot uint32) {
	if c.bits != nil {
		c.bits[slot>>6] |= 1 << (slot & 63)
	} else {
		c.list = append(c.list, slot)
	}
}

func (c *collector) addAll(slots []uint32) {
	if c.bits == nil {
		c.list = append(c.list, slots...)
		return
	}
	setAll(c.bits, slots)
}

func (c *collector) bitmap() *roaring.Bitmap {
	if c.bits != nil {
		return roaring.FromDense(c.bits, false)
	}
	slices.Sort(c.list)
	return roaring.BitmapOf(c.list...)
}

func (s *sorted[K]) bytes() int64 {
	var key K
	var n int64
	for _, b := range s.blocks {
		n += int64(cap(b.keys))*int64(sizeOf(key)) + 4*int64(cap(b.slots))
	}
	for _, step := range s.stairs.steps {
		n += bitmapBytes(step.below)
	}
	return n + int64(len(s.blocks))*(64+8) + int64(cap(s.firsts))*int64(sizeOf(pair[K]{}))
}
