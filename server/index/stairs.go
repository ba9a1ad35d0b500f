package index

import "github.com/RoaringBitmap/roaring/v2"

// stairs make large ranges fast where each slot has one key: every step is the
// set of the slots whose keys are below the step's. A range is then the
// difference of two steps, but for the pairs between these and its ends.
type stairs[K any] struct {
	steps   []step[K] // by key, nil while there are none
	changes int       // of pairs since the steps were laid
}

type step[K any] struct {
	key   K
	below *roaring.Bitmap
}

const (
	stepCount = 32
	// stairsFrom is the number of pairs from which there are steps.
	stairsFrom = 8192
	// stairsAge is the share of the pairs that may change before the steps are
	// laid anew: by then they may be far apart in places.
	stairsAge = 0.25
)

// changed keeps the steps right when a pair has come or gone.
func (s *sorted[K]) changed(key K, slot uint32, do func(*roaring.Bitmap, uint32)) {
	if !s.ranges {
		return
	}
	steps := s.stairs.steps
	for i := len(steps) - 1; i >= 0 && s.compare(key, steps[i].key) < 0; i-- {
		do(steps[i].below, slot)
	}
	s.stairs.changes++
	if s.several > 0 || float64(s.stairs.changes) < stairsAge*float64(max(s.n, stairsFrom)) {
		return
	}
	s.stairs = stairs[K]{}
	if s.n >= stairsFrom {
		s.stairs.steps = s.layStairs()
	}
}

func (s *sorted[K]) layStairs() []step[K] {
	var universe uint32
	for _, b := range s.blocks {
		for _, slot := range b.slots {
			universe = max(universe, slot+1)
		}
	}
	bits := newBits(universe)
	steps := make([]step[K], 0, stepCount)
	var last K
	seen := 0
	for _, b := range s.blocks {
		for i, key := range b.keys {
			if seen >= (len(steps)+1)*s.n/(stepCount+1) && s.compare(last, key) < 0 {
				steps = append(steps, step[K]{key, roaring.FromDense(bits, true)})
			}
			bits[b.slots[i]>>6] |= 1 << (b.slots[i] & 63)
			last = key
			seen++
		}
	}
	return steps
}

// before sets the bits of the slots whose keys are below a limit: is says whether
// a key is at the limit or beyond. all is every slot.
func (s *sorted[K]) before(bits []uint64, is func(K) bool, all *roaring.Bitmap) {
	steps := s.stairs.steps
	lower := 0 // steps at or below the limit
	for lower < len(steps) && !is(steps[lower].key) {
		lower++
	}
	at := s.first(is)
	start, end := place{}, s.end()
	if lower > 0 {
		start = s.first(func(k K) bool { return s.compare(k, steps[lower-1].key) >= 0 })
	}
	if lower < len(steps) {
		end = s.first(func(k K) bool { return s.compare(k, steps[lower].key) >= 0 })
	}
	up, down := span{start, at}, span{at, end}
	if s.count(up) <= s.count(down) {
		if lower > 0 {
			steps[lower-1].below.WriteDenseTo(bits)
		}
		s.each(up, func(_ []K, slots []uint32) { setAll(bits, slots) })
		return
	}
	if lower < len(steps) {
		all = steps[lower].below
	}
	all.WriteDenseTo(bits)
	s.each(down, func(_ []K, slots []uint32) {
		for _, slot := range slots {
			bits[slot>>6] &^= 1 << (slot & 63)
		}
	})
}

// newBits returns a bit for each slot below universe, in whole containers of a
// roaring bitmap.
func newBits(universe uint32) []uint64 { return make([]uint64, (universe>>16+1)<<10) }

func setAll(bits []uint64, slots []uint32) {
	for _, slot := range slots {
		bits[slot>>6] |= 1 << (slot & 63)
	}
}
