package hnsw

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestReset visits few and many slots of a large and a growing space: nothing of it is left.
func TestReset(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	vectors := clustered(1, 400, 8)
	w := newWorld(t, Config{Dim: 8, Metric: Euclid})
	few, many := 0, 0
	for _, slots := range []uint32{100_000, 120_000, 400_000} {
		if err := w.slots.Restore(slots); err != nil {
			t.Fatal(err)
		}
		added := w.insert(vectors, 50, 1)
		s := w.g.acquire(vectors[0])
		for range 50 {
			s.reset()
			for i, word := range s.visited {
				if word != 0 {
					t.Fatalf("after a reset word %d is %x", i, word)
				}
			}
			for range random.IntN(300) {
				s.visit(uint32(random.IntN(int(slots))))
			}
			for range random.IntN(300) {
				s.fresh = s.gather(s.fresh[:0], added[random.IntN(len(added))], 0)
			}
			if s.notes() {
				few++
			} else {
				many++
			}
		}
		s.release()
	}
	if few == 0 || many == 0 {
		t.Errorf("%d searches visited few slots, %d many", few, many)
	}
}

// BenchmarkReset visits as many nodes as a search does and forgets them, beside clearing the
// marks of all slots.
func BenchmarkReset(b *testing.B) {
	const visits = 1000
	random := rand.New(rand.NewPCG(1, 2))
	for _, slots := range []uint32{100_000, 1_000_000, 10_000_000} {
		s := &searcher{limit: slots}
		visit := func() {
			for range visits {
				s.visit(random.Uint32N(slots))
			}
		}
		for name, forget := range map[string]func(){"reset": s.reset, "all": func() { clear(s.visited) }} {
			b.Run(fmt.Sprintf("slots=%d/%s", slots, name), func(b *testing.B) {
				s.reset()
				for b.Loop() {
					visit()
					forget()
				}
			})
		}
	}
}
