package index

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/google/uuid"
)

// Facet counts points by the values that an index has of them.
type Facet interface {
	// Values returns how many values the index has.
	Values() int
	// Count counts the points of a set by their values in the index; nil is all points.
	// The index must not be changed during the call.
	Count(ctx context.Context, among *roaring.Bitmap) error
	// Add counts a point that Count did not, by what the index would have of it.
	Add(e *Entry)
	// Top returns the values that most points have, those of as many in their order.
	Top(limit int) []ValueCount
}

// ValueCount is how many points have a value, which is a string, an int64 or a bool.
type ValueCount struct {
	Value  any
	Points int
}

// Facet returns a new count by the index's values, nil if it cannot be asked for single
// ones: those of keywords, UUIDs, booleans and, unless without `lookup`, integers can.
func (ix *Index) Facet() Facet {
	switch v := ix.values.(type) {
	case *matched[string]:
		return newFacet(v.terms, &v.typed, cmp.Compare[string], func(s string) any { return s })
	case *matched[uuid.UUID]:
		return newFacet(v.terms, &v.typed, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }, func(u uuid.UUID) any { return u.String() })
	case *matched[bool]:
		return newFacet(v.terms, &v.typed, compareBools, func(b bool) any { return b })
	case *integers:
		if v.lookup != nil {
			return newFacet(v.lookup, &v.typed, cmp.Compare[int64], func(n int64) any { return n })
		}
	}
	return nil
}

// compareBools puts false first.
func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// facet implements Facet.
type facet[K comparable] struct {
	terms   *terms[K]
	list    func(*Entry) *[]K
	compare func(a, b K) int
	value   func(K) any

	counted []count[K]
	added   map[K]int
}

type count[K any] struct {
	key K
	n   int
}

func newFacet[K comparable](t *terms[K], types *typed[K], compare func(a, b K) int, value func(K) any) Facet {
	return &facet[K]{terms: t, list: types.list, compare: compare, value: value, added: map[K]int{}}
}

func (f *facet[K]) Values() int { return len(f.terms.postings) }

// countEvery is how many values are counted between two looks at the context.
const countEvery = 1024

func (f *facet[K]) Count(ctx context.Context, among *roaring.Bitmap) error {
	seen := 0
	for key, p := range f.terms.postings {
		if seen++; seen%countEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if n := p.count(among); n > 0 {
			f.counted = append(f.counted, count[K]{key, n})
		}
	}
	return nil
}

func (f *facet[K]) Add(e *Entry) {
	keys := slices.Clone(*f.list(e))
	slices.SortFunc(keys, f.compare)
	for _, key := range slices.Compact(keys) {
		f.added[key]++
	}
}

// topSlack is how many counts more than twice the limit are kept before some go.
const topSlack = 64

func (f *facet[K]) Top(limit int) []ValueCount {
	var best []count[K]
	keep := func() {
		slices.SortFunc(best, func(a, b count[K]) int {
			return cmp.Or(cmp.Compare(b.n, a.n), f.compare(a.key, b.key))
		})
		best = best[:min(len(best), limit)]
	}
	add := func(c count[K]) {
		if best = append(best, c); (len(best)-topSlack)/2 > limit {
			keep()
		}
	}
	for _, c := range f.counted {
		c.n += f.added[c.key]
		delete(f.added, c.key)
		add(c)
	}
	for key, n := range f.added {
		add(count[K]{key, n})
	}
	keep()
	top := make([]ValueCount, len(best))
	for i, c := range best {
		top[i] = ValueCount{Value: f.value(c.key), Points: c.n}
	}
	return top
}
