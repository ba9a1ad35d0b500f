package index

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"freshet/server/filter"
)

// Large ranges, of many keys and of few, while keys come, go and drift.
func TestLargeRanges(t *testing.T) {
	for _, keys := range []int64{3, 100, 1 << 50} {
		r := rand.New(rand.NewPCG(uint64(keys), 1))
		ix := newIndex(t, "x", `{"type":"integer","lookup":false}`)
		order := ix.values.(*integers).order
		model := map[uint32][]int64{}
		var drift int64
		put := func(slot uint32, values ...int64) {
			if before, ok := model[slot]; ok {
				ix.Remove(slot, ix.Read(document(before)))
			}
			model[slot] = values
			ix.Add(slot, ix.Read(document(values)))
		}
		for round := range 12 {
			for range 3 * stairsFrom / 4 {
				put(uint32(r.IntN(3*stairsFrom)), r.Int64N(keys)+drift)
			}
			if round == 8 { // a slot with two keys
				put(5, 1, 2)
			}
			if round == 9 {
				put(5, 1)
			}
			drift += keys / 2
			if laid := len(order.stairs.steps) > 0; laid != (round > 1 && round != 8) && round != 1 && round != 9 {
				t.Errorf("%d keys, round %d: %d steps for %d pairs", keys, round, len(order.stairs.steps), order.n)
			}
			for range 20 {
				low, high := float64(r.Int64N(keys)+r.Int64N(drift)), float64(r.Int64N(keys)+r.Int64N(drift))
				test := filter.Range{GTE: &low, LT: &high}
				want := roaring.New()
				for slot, values := range model {
					for _, v := range values {
						if test.Holds(v) {
							want.Add(slot)
						}
					}
				}
				if got := ix.Test(test); !got.Exact() || !got.Sure.Equals(want) {
					t.Fatalf("%d keys, round %d, from %v to %v: %d slots, want %d", keys, round, low, high, got.Sure.GetCardinality(), want.GetCardinality())
				}
			}
		}
	}
}

func document(values []int64) map[string]any {
	list := make([]any, len(values))
	for i, v := range values {
		list[i] = v
	}
	return map[string]any{"x": list}
}

// The set of 300,000 slots of a million.
func BenchmarkRange(b *testing.B) {
	const n = 1_000_000
	ix := newIndex(b, "x", `"float"`)
	r := rand.New(rand.NewPCG(1, 1))
	for slot := range uint32(n) {
		ix.Add(slot, ix.Read(map[string]any{"x": r.Int64N(n)}))
	}
	for _, share := range []float64{0.02, 0.3, 0.9} {
		low, high := 50_000.0, 50_000+share*n
		b.Run(fmt.Sprint(share), func(b *testing.B) {
			for b.Loop() {
				ix.Test(filter.Range{GTE: &low, LT: &high})
			}
		})
	}
}
