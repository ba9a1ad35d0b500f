package index

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// Random changes against a sorted list.
func TestSorted(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 8))
		s := newSorted(cmp.Compare[int64], true)
		var model []pair[int64]
		order := func(a, b pair[int64]) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.slot, b.slot)) }
		keys := []int64{5, 100, 1 << 40}[seed%3] // how many there are
		for step := range 12_000 {
			p := pair[int64]{r.Int64N(keys) - keys/2, uint32(r.IntN(5000))}
			if seed >= 3 && step < 6000 {
				p.key = int64(step) // rising
			}
			at, found := slices.BinarySearchFunc(model, p, order)
			switch {
			case step > 8000 || r.IntN(4) == 0: // at last it shrinks
				if step > 8000 && len(model) > 0 {
					at, found = r.IntN(len(model)), true
					p = model[at]
				}
				s.delete(p.key, p.slot)
				if found {
					model = slices.Delete(model, at, at+1)
				}
			case !found:
				s.insert(p.key, p.slot)
				model = slices.Insert(model, at, p)
			}
			if step%500 == 0 {
				checkSorted(t, s, model, r)
			}
		}
	}
}

func checkSorted(t *testing.T, s *sorted[int64], model []pair[int64], r *rand.Rand) {
	t.Helper()
	low, high := int64(-1<<62), int64(1<<62)
	if len(model) > 0 && r.IntN(4) > 0 {
		low, high = model[r.IntN(len(model))].key, model[r.IntN(len(model))].key
	}
	var want, got []pair[int64]
	for _, p := range model {
		if p.key >= low && p.key <= high {
			want = append(want, p)
		}
	}
	span := s.between(func(k int64) bool { return k < low }, func(k int64) bool { return k > high })
	s.each(span, func(keys []int64, slots []uint32) {
		for i := range keys {
			got = append(got, pair[int64]{keys[i], slots[i]})
		}
	})
	if !slices.Equal(got, want) || s.n != len(model) || s.count(span) != len(want) {
		t.Fatalf("from %d to %d: %d pairs of %d, want %d of %d", low, high, len(got), s.n, len(want), len(model))
	}
	for i, b := range s.blocks {
		if len(b.keys) == 0 || len(b.keys) > blockLength || len(b.keys) != len(b.slots) || s.firsts[i] != (pair[int64]{b.keys[0], b.slots[0]}) {
			t.Fatalf("block %d of %d: %d keys, %d slots", i, len(s.blocks), len(b.keys), len(b.slots))
		}
	}
}

// Pairs replaced per second among a million.
func BenchmarkSortedReplace(b *testing.B) {
	const n = 1_000_000
	s := newSorted(cmp.Compare[int64], true)
	r := rand.New(rand.NewPCG(1, 1))
	keys := make([]int64, n)
	for slot := range keys {
		keys[slot] = r.Int64()
		s.add(keys[slot:slot+1], uint32(slot))
	}
	for b.Loop() {
		slot := r.Uint32N(n)
		s.remove(keys[slot:slot+1], slot)
		keys[slot] = r.Int64()
		s.add(keys[slot:slot+1], slot)
	}
	b.ReportMetric(float64(s.bytes())/n, "B/pair")
}
