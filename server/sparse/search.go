package sparse

import (
	"cmp"
	"context"
	"math"
	"math/bits"
	"slices"
	"sort"
)

// Query asks for the documents with the largest dot products with a vector, among
// those that have at least one of its dimensions. Its indices ascend.
type Query struct {
	Indices []uint32
	Values  []float32
	K       int
	Above   float32 // scores are larger; -Inf for all
	// Accept says whether a slot may be found: that the view sees it, at least. It is
	// asked only about slots that would be among the best.
	Accept func(slot uint32) (bool, error)
	// Among, if not nil, are the only slots to look at, ascending.
	Among []uint32
	// Before orders slots with the same score.
	Before func(a, b uint32) bool
}

// Hit is a slot that was found.
type Hit struct {
	Slot  uint32
	Score float32
}

// window is how many documents are scored at a time.
const window = 4096

// Search returns the K best, the best first.
func (s *State) Search(ctx context.Context, q *Query) ([]Hit, error) {
	if q.K <= 0 {
		return nil, nil
	}
	b := &best{q: q}
	scratch := &scratch{}
	for _, p := range s.parts {
		terms := termsOf(p.segment, q)
		if len(terms) == 0 {
			continue
		}
		r := &run{segment: p.segment, terms: terms, best: b, scratch: scratch}
		var err error
		if q.Among != nil {
			err = r.among(ctx)
		} else {
			err = r.all(ctx)
		}
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(b.hits, func(x, y Hit) int {
		if b.less(x, y) {
			return 1
		}
		return -1
	})
	return b.hits, nil
}

// Entries counts the entries of the lists that a search without limits goes through.
func (s *State) Entries(indices []uint32) (n int) {
	for _, p := range s.parts {
		for _, dim := range indices {
			if l := p.list(dim); l != nil {
				n += len(l.docs)
			}
		}
	}
	return n
}

// Weights returns the values of a query for a collection in which dimensions count the
// more, the fewer documents have them: each times ln((N-n+0.5)/(n+0.5)+1) for the n of
// N documents with the dimension.
func (s *State) Weights(indices []uint32, values []float32) []float32 {
	weights := make([]float32, len(values))
	for i, dim := range indices {
		n := 0
		for _, p := range s.parts {
			if l := p.list(dim); l != nil {
				n += len(l.docs) - l.among(p.dead)
			}
		}
		total := float64(s.docs)
		weights[i] = values[i] * float32(math.Log((total-float64(n)+0.5)/(float64(n)+0.5)+1))
	}
	return weights
}

// among counts the documents of the list that are among some, which are in no order.
func (l *list) among(some []uint32) (n int) {
	for _, doc := range some {
		if _, ok := slices.BinarySearch(l.docs, doc); ok {
			n++
		}
	}
	return n
}

// term is a dimension of the query and its list in a segment.
type term struct {
	docs   []uint32
	values []float32
	weight float64
	bound  float64 // of what it adds to a score, 0 or more
	size   float64 // of what it adds, whatever the sign, at most
	next   int     // first entry that is not in the windows yet
	probed int     // entries before are of documents that have been scored
}

// termsOf returns the terms that a segment has, in the order of their dimensions.
func termsOf(s *segment, q *Query) []*term {
	var terms []*term
	for i, dim := range q.Indices {
		if l := s.list(dim); l != nil {
			w := float64(q.Values[i])
			a, b := w*float64(l.least), w*float64(l.most)
			terms = append(terms, &term{
				docs: l.docs, values: l.values, weight: w, bound: max(0, a, b), size: max(math.Abs(a), math.Abs(b)),
			})
		}
	}
	return terms
}

// value returns what the term adds to the score of a document, which must not be one
// before those it was called for already.
func (t *term) value(doc uint32) (float64, bool) {
	// By steps that double, then by halves.
	from, step := t.probed, 1
	to := from
	for to < len(t.docs) && t.docs[to] < doc {
		from = to + 1
		to += step
		step *= 2
	}
	to = min(to, len(t.docs))
	t.probed = from + sort.Search(to-from, func(i int) bool { return t.docs[from+i] >= doc })
	if t.probed == len(t.docs) || t.docs[t.probed] != doc {
		return 0, false
	}
	return t.weight * float64(t.values[t.probed]), true
}

// scratch is the memory of a window.
type scratch struct {
	sums    [window]float64
	touched [window / 64]uint64
}

// run is a search in one segment.
type run struct {
	*segment
	*best
	*scratch
	terms []*term // by dimension
}

// all looks at all documents of the segment but those that cannot come among the best.
func (r *run) all(ctx context.Context) error {
	byBound := slices.Clone(r.terms)
	slices.SortFunc(byBound, func(a, b *term) int { return cmp.Compare(a.bound, b.bound) })
	rests := make([]float64, len(byBound)+1) // what the terms before add at most
	size := 0.0
	for i, t := range byBound {
		rests[i+1] = rests[i] + t.bound
		size += t.size
	}
	// Sums in another order than that of dimensions differ in the last bits.
	for i := range rests {
		rests[i] += 1e-9 * size
	}
	skipped := 0 // of byBound: documents that have only these are not among the best
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		for skipped < len(byBound) && !r.reaches(rests[skipped+1]) {
			skipped++
		}
		base, ok := first(byBound[skipped:])
		if !ok {
			return nil
		}
		for _, t := range byBound[skipped:] {
			r.fill(t, base)
		}
		for w, word := range r.touched {
			r.touched[w] = 0
			for ; word != 0; word &= word - 1 {
				i := w*64 + bits.TrailingZeros64(word)
				sum := r.sums[i]
				r.sums[i] = 0
				if !r.promising(base+uint32(i), sum, byBound[:skipped], rests) {
					continue
				}
				if err := r.look(base + uint32(i)); err != nil {
					return err
				}
			}
		}
	}
}

// promising says whether a document could be among the best, given its score by the
// other terms than those that were skipped.
func (r *run) promising(doc uint32, sum float64, skipped []*term, rests []float64) bool {
	for i := len(skipped) - 1; i >= 0; i-- {
		if !r.reaches(sum + rests[i+1]) {
			return false
		}
		x, _ := skipped[i].value(doc)
		sum += x
	}
	return r.reaches(sum + rests[0])
}

// first returns the first document that is not in the windows yet.
func first(terms []*term) (doc uint32, ok bool) {
	doc = none
	for _, t := range terms {
		if t.next < len(t.docs) {
			doc = min(doc, t.docs[t.next])
		}
	}
	return doc, doc != none
}

// fill adds to the window from base on what the term adds to each of its documents.
func (r *run) fill(t *term, base uint32) {
	docs, values := t.docs[t.next:], t.values[t.next:]
	for i, doc := range docs {
		at := doc - base
		if at >= window {
			t.next += i
			return
		}
		r.sums[at] += t.weight * float64(values[i])
		r.touched[at/64] |= 1 << (at % 64)
	}
	t.next = len(t.docs)
}

// among looks at some documents only.
func (r *run) among(ctx context.Context) error {
	slots := r.slots
	for i, slot := range r.q.Among {
		if i%window == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		k, ok := slices.BinarySearch(slots, slot)
		if ok {
			if err := r.look(uint32(len(r.slots) - len(slots) + k)); err != nil {
				return err
			}
		}
		slots = slots[k:]
	}
	return nil
}

// look scores a document, by its dimensions in their order, and keeps it if it is among
// the best. Documents come in order.
func (r *run) look(doc uint32) error {
	score, found := 0.0, false
	for _, t := range r.terms {
		if x, ok := t.value(doc); ok {
			score += x
			found = true
		}
	}
	if !found {
		return nil
	}
	h := Hit{Slot: r.slots[doc], Score: toFloat32(score)}
	if !r.wants(h) || r.isGone(doc) {
		return nil
	}
	ok, err := r.q.Accept(h.Slot)
	if ok && err == nil {
		r.keep(h)
	}
	return err
}

// toFloat32 rounds a score; beyond the range it is the largest number.
func toFloat32(score float64) float32 {
	return float32(min(max(score, -math.MaxFloat32), math.MaxFloat32))
}
