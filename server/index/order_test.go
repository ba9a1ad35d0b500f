package index

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// An order that was taken stays as it was, whatever is added and removed since.
func TestOrderIsOfItsMoment(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	s := newSorted(cmp.Compare[int64], true)
	var pairs [][2]int64
	type taken struct {
		order *order[int64]
		pairs [][2]int64
	}
	var all []taken
	for step := range 20000 {
		if step%997 == 0 {
			all = append(all, taken{&order[int64]{s.blocksNow(), ofInt, compareInt}, slices.Clone(pairs)})
		}
		if len(pairs) > 0 && r.IntN(100) < 45+step/1500 {
			i := r.IntN(len(pairs))
			s.remove([]int64{pairs[i][0]}, uint32(pairs[i][1]))
			pairs = slices.Delete(pairs, i, i+1)
			continue
		}
		p := [2]int64{r.Int64N(500), int64(step)}
		s.add([]int64{p[0]}, uint32(p[1]))
		pairs = append(pairs, p)
	}
	for _, was := range all {
		slices.SortFunc(was.pairs, func(a, b [2]int64) int { return slices.Compare(a[:], b[:]) })
		for _, descending := range []bool{false, true} {
			var got [][2]int64
			for v, slot := range was.order.Pairs(descending, nil) {
				got = append(got, [2]int64{v.Int, int64(slot)})
			}
			if descending {
				slices.Reverse(got)
			}
			if !slices.Equal(got, was.pairs) {
				t.Fatalf("an order of %d pairs has %d, or others", len(was.pairs), len(got))
			}
		}
	}
}
