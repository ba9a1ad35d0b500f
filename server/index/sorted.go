package index

import (
	"slices"
	"sort"
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
}

type block[K any] struct {
	keys  []K
	slots []uint32
}

type pair[K any] struct {
	key  K
	slot uint32
}

// blockLength is the most pairs of a block: moving half of them costs about as
// much as finding the block among those of a million pairs.
const blockLength = 512

func newSorted[K any](compare func(a, b K) int) *sorted[K] { return &sorted[K]{compare: compare} }

func sizeOf[T any](T) uintptr {
	var zero T
	return unsafe.Sizeof(zero)
}

func (s *sorted[K]) before(a K, aSlot uint32, b K, bSlot uint32) bool {
	if c := s.compare(a, b); c != 0 {
		return c < 0
	}
	return aSlot < bSlot
}

// blockOf returns the block that has the pair, or would.
func (s *sorted[K]) blockOf(key K, slot uint32) int {
	after := sort.Search(len(s.firsts), func(i int) bool { return s.before(key, slot, s.firsts[i].key, s.firsts[i].slot) })
	return max(after-1, 0)
}

func (s *sorted[K]) placeIn(b *block[K], key K, slot uint32) int {
	return sort.Search(len(b.keys), func(i int) bool { return !s.before(b.keys[i], b.slots[i], key, slot) })
}

func (s *sorted[K]) add(key K, slot uint32) {
	s.n++
	if len(s.blocks) == 0 {
		s.blocks = []*block[K]{{keys: []K{key}, slots: []uint32{slot}}}
		s.firsts = []pair[K]{{key, slot}}
		return
	}
	i := s.blockOf(key, slot)
	b := s.blocks[i]
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
	next := &block[K]{keys: slices.Clone(b.keys[half:]), slots: slices.Clone(b.slots[half:])}
	b.keys, b.slots = b.keys[:half], b.slots[:half]
	s.blocks = slices.Insert(s.blocks, i+1, next)
	s.firsts = slices.Insert(s.firsts, i+1, pair[K]{next.keys[0], next.slots[0]})
}

func (s *sorted[K]) remove(key K, slot uint32) {
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
	b.keys = slices.Delete(b.keys, at, at+1)
	b.slots = slices.Delete(b.slots, at, at+1)
	if len(b.keys) > 0 {
		s.firsts[i] = pair[K]{b.keys[0], b.slots[0]}
	}
	if len(b.keys) >= blockLength/4 && len(b.keys) > 0 {
		return
	}
	if i+1 < len(s.blocks) && len(b.keys)+len(s.blocks[i+1].keys) <= blockLength*3/4 {
		next := s.blocks[i+1]
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

// span is the pairs from one place to another.
type span struct{ from, fromAt, to, toAt int }

// between returns the pairs whose keys are neither below nor above: low says
// whether a key is too small, high whether it is too large.
func (s *sorted[K]) between(low, high func(K) bool) span {
	from, fromAt := s.first(func(k K) bool { return !low(k) })
	to, toAt := s.first(high)
	if to < from || to == from && toAt < fromAt {
		to, toAt = from, fromAt
	}
	return span{from, fromAt, to, toAt}
}

// first returns the place of the first pair for whose key is holds; it holds
// for all that follow.
func (s *sorted[K]) first(is func(K) bool) (i, at int) {
	i = max(sort.Search(len(s.firsts), func(i int) bool { return is(s.firsts[i].key) })-1, 0)
	if len(s.blocks) == 0 {
		return 0, 0
	}
	b := s.blocks[i]
	at = sort.Search(len(b.keys), func(at int) bool { return is(b.keys[at]) })
	if at == len(b.keys) {
		return i + 1, 0
	}
	return i, at
}

// each calls visit for the pieces of a span.
func (s *sorted[K]) each(r span, visit func(keys []K, slots []uint32)) {
	for i := r.from; i <= r.to && i < len(s.blocks); i++ {
		b := s.blocks[i]
		from, to := 0, len(b.keys)
		if i == r.from {
			from = r.fromAt
		}
		if i == r.to {
			to = r.toAt
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

// outside returns the pairs before and after a span.
func (s *sorted[K]) outside(r span) [2]span {
	return [2]span{{0, 0, r.from, r.fromAt}, {r.to, r.toAt, len(s.blocks), 0}}
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

// within returns the slots with a key that is neither low nor high. Where each
// slot of the index has one key and most are in, it looks at those that are not.
func (s *sorted[K]) within(ix *Index, low, high func(K) bool) *roaring.Bitmap {
	r := s.between(low, high)
	if s.count(r) > s.n/2 && ix.several.IsEmpty() {
		out := s.outside(r)
		return roaring.AndNot(ix.indexed, s.slots(ix.most, out[:]...))
	}
	return s.slots(ix.most, r)
}

// collector makes a set of slots that come in any order: of many by a bit each.
type collector struct {
	bits []uint64
	list []uint32
}

// newCollector expects about n slots below universe.
func newCollector(n int, universe uint32) *collector {
	if n > 64 && n > int(universe/512) {
		return &collector{bits: make([]uint64, (universe>>16+1)<<10)}
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
	for _, slot := range slots {
		c.bits[slot>>6] |= 1 << (slot & 63)
	}
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
	return n + int64(len(s.blocks))*(64+8) + int64(cap(s.firsts))*int64(sizeOf(pair[K]{}))
}
