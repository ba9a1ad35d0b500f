package hnsw

import (
	"math"
	"slices"
	"unsafe"

	"freshet/hnsw/kernels"
)

// searcher holds the working memory of one search. It is taken from the
// graph's pool, so a search allocates nothing.
type searcher struct {
	g       *Graph
	codes   *codes    // that the search uses, nil for none
	layer   *layer    // of the codes
	query   []float32 // padded
	coded   coded     // the query in codes
	visited []uint64  // one bit per slot
	noted   []uint32  // those visited since the last reset, up to some more than noteShare allows
	limit   uint32    // slots from here on are not looked at

	pool     []uint64 // the best candidates so far, see key
	fresh    []uint32 // neighbours not seen before
	block    []uint32 // of slots that are all looked at
	ahead    []uint32 // those whose distances come next
	dist     []float32
	keys     []uint64 // of those that are near enough
	expanded int      // candidates expanded, for the occasional look at the context
	work     Work

	exact       []uint64  // the best by their vectors
	approximate []float32 // distances by codes, of the fresh slots
	read        readRows

	frontier heap     // candidates to expand when what is found and where to walk differ
	found    []uint64 // the best accepted so far
	keep     int      // how many of them are kept
	passed   int      // nodes that were considered
	accepted int      // of them
	picked   []uint32
	left     []uint64 // candidates that nothing picked is in the way of
	behind   []uint64 // the others
	pickedAs coded    // a candidate in codes, while it is compared with those picked

	lost  []uint32 // doomed neighbours of a node that is mended
	added []uint32 // those in their places
}

func newSearcher(g *Graph) *searcher {
	padded := (g.cfg.Dim + kernels.Block - 1) / kernels.Block * kernels.Block
	floats := alignedBytes(4 * padded)
	return &searcher{
		g:        g,
		query:    unsafe.Slice((*float32)(unsafe.Pointer(&floats[0])), padded),
		coded:    newCoded(g.cfg.Dim),
		pickedAs: newCoded(g.cfg.Dim),
	}
}

// acquire returns a searcher for a query; nil leaves the query to setRow.
func (g *Graph) acquire(query []float32) *searcher {
	s := g.scratch.Get().(*searcher)
	// Slots allocated from now on are none of the search's business, and its
	// codes may never have them.
	limit := g.slots.Len()
	if s.codes = g.codes.Load(); s.codes != nil {
		limit = min(limit, s.codes.limit())
		s.layer = &s.codes.bytes
		if query != nil && s.codes.coarse.Load() {
			s.layer = s.codes.halves
		}
	}
	s.limit, s.expanded, s.work = uint32(limit), 0, Work{}
	if query != nil {
		copy(s.query, query)
		if s.codes != nil {
			s.codes.query(&s.coded, query)
		}
	}
	return s
}

// settle goes over to bytes and orders the pool by them, if it was found by
// halves.
func (s *searcher) settle() {
	if s.codes == nil || s.layer == &s.codes.bytes {
		return
	}
	s.fresh = s.fresh[:0]
	for _, k := range s.pool {
		s.fresh = append(s.fresh, key(k).slot())
	}
	s.layer = &s.codes.bytes
	s.request()
	for i, d := range s.measure() {
		s.pool[i] = kernels.Key(d, s.fresh[i])
	}
	slices.Sort(s.pool)
}

// setRow makes the vector of a slot the query.
func (s *searcher) setRow(slot uint32) {
	if s.codes != nil {
		s.codes.rowAsQuery(&s.coded, slot)
		return
	}
	copy(s.query, unsafe.Slice((*float32)(s.g.vectors.row(slot)), s.g.cfg.Dim))
}

func (s *searcher) release() {
	s.codes, s.layer = nil, nil // lets go of codes that others have taken the place of
	s.g.scratch.Put(s)
}

// measure computes the distances of the fresh slots, on codes if there are any.
func (s *searcher) measure() []float32 {
	if s.codes == nil {
		return s.measureExactly()
	}
	dist := s.room()
	s.layer.compute(&s.coded, s.fresh, dist)
	s.countCodes(len(s.fresh))
	return dist
}

func (s *searcher) countCodes(n int) {
	s.work.Codes += n
	s.work.CodeBytes += n * s.layer.rows.stride
}

// aheadStep is how many rows are requested while as many before them are measured.
const aheadStep = 32

// measureAhead is measure, on codes, where nobody has requested the rows before.
func (s *searcher) measureAhead() []float32 {
	all, dist := s.fresh, s.room()
	request := func(from int) { s.layer.request(all[min(from, len(all)):min(from+aheadStep, len(all))]) }
	request(0)
	for from := 0; from < len(all); from += aheadStep {
		request(from + aheadStep)
		s.layer.compute(&s.coded, all[from:min(from+aheadStep, len(all))], dist[from:])
	}
	s.countCodes(len(all))
	return dist
}

// measureExactly computes the distances of the fresh slots on their vectors.
func (s *searcher) measureExactly() []float32 {
	s.room()
	s.g.dist.compute(&s.query[0], s.fresh, s.dist)
	s.work.Vectors += len(s.fresh)
	return s.dist
}

// request asks for what measure reads of the fresh slots from memory.
func (s *searcher) request() {
	if s.codes != nil {
		s.layer.request(s.fresh)
	}
}

// room makes the results as long as the list of fresh slots, and returns them.
func (s *searcher) room() []float32 {
	n := len(s.fresh)
	if cap(s.dist) < n {
		s.dist = make([]float32, 2*n)
	}
	s.dist = s.dist[:n]
	return s.dist
}

// A key is a candidate in one word, see kernels.Key; the lowest bit says that its
// neighbours have been looked at.
type key uint64

const expandedBit = 1

func (k key) slot() uint32 { return uint32(k>>1) & math.MaxInt32 }

func (k key) distance() float32 {
	b := uint32(k >> 32)
	if b>>31 != 0 {
		b &^= 1 << 31
	} else {
		b = ^b
	}
	return math.Float32frombits(b)
}

// bound is what keys are less than that have a place in a sorted list of at most
// limit.
func bound(list []uint64, limit int) uint64 {
	switch {
	case len(list) < limit:
		return math.MaxUint64
	case limit == 0:
		return 0
	default:
		return list[limit-1]
	}
}

// nearer returns the keys of the fresh slots, at these distances, that have a place in
// such a list as it is now. They are valid until the next call.
func (s *searcher) nearer(list []uint64, distances []float32, limit int) []uint64 {
	room := len(distances) + kernels.KeysRoom
	s.keys = slices.Grow(s.keys[:0], room)[:room]
	return s.keys[:kernels.Keys(kernels.Best, distances, s.fresh, bound(list, limit), s.keys)]
}

// offer inserts the fresh slots, at these distances, into a sorted list of at most limit
// keys, as far as they are near enough.
func (s *searcher) offer(list []uint64, distances []float32, limit int) []uint64 {
	for _, k := range s.nearer(list, distances, limit) {
		list, _ = insert(list, k, limit)
	}
	return list
}

// insert puts k into a sorted list of at most limit keys and returns the list
// and the place of k, -1 if it is too far away.
func insert(list []uint64, k uint64, limit int) ([]uint64, int) {
	if k >= bound(list, limit) {
		return list, -1
	}
	if len(list) < limit {
		list = append(list, 0)
	}
	return list, kernels.Insert(kernels.Best, list, k)
}

// heap is a min-heap of keys.
type heap []uint64

func (h *heap) push(k uint64) {
	*h = append(*h, k)
	a := *h
	i := len(a) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if a[parent] <= k {
			break
		}
		a[i] = a[parent]
		i = parent
	}
	a[i] = k
}

func (h *heap) pop() uint64 {
	a := *h
	top, last := a[0], a[len(a)-1]
	a = a[:len(a)-1]
	*h = a
	if len(a) == 0 {
		return top
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= len(a) {
			break
		}
		if child+1 < len(a) && a[child+1] < a[child] {
			child++
		}
		if a[child] >= last {
			break
		}
		a[i] = a[child]
		i = child
	}
	a[i] = last
	return top
}
