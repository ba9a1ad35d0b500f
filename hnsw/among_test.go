package hnsw

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// nextOf returns a next for Among.
func nextOf(slots []uint32) func([]uint32) int {
	return func(buf []uint32) int {
		n := copy(buf, slots)
		slots = slots[n:]
		return n
	}
}

// Looking among slots finds the best of them, with codes of either size and
// without, and nothing else, whatever has no vector.
func TestAmong(t *testing.T) {
	for _, metric := range []Metric{Cosine, Dot, Euclid, Manhattan} {
		for _, dim := range []int{8, 24, 100} {
			w := newWorld(t, Config{Dim: dim, Metric: metric})
			vectors := clustered(3, alone(1500), dim)
			if metric == Cosine {
				for _, v := range vectors {
					Normalize(v)
				}
			}
			w.insert(vectors, 250, 2)
			if _, err := w.slots.Alloc(); err != nil { // a point without this vector
				t.Fatal(err)
			}
			w.slots.Publish()
			for _, every := range []uint32{1, 7, 300, 2000} {
				accept := func(slot uint32) bool { return slot%every == 0 }
				var among []uint32
				for slot := range uint32(w.slots.Len()) {
					if accept(slot) {
						among = append(among, slot)
					}
				}
				sum := 0.0
				for _, v := range vectors[:20] {
					q := w.query(v, 10, 32)
					hits, err := w.g.Among(context.Background(), q, nextOf(among), nil)
					if err != nil {
						t.Fatal(err)
					}
					want := w.nearest(v, 10, accept)
					exact, err := w.g.ExactAmong(context.Background(), q, nextOf(among), nil)
					if err != nil || w.recall(exact, want) < 1 {
						t.Fatalf("%v, %d dimensions, one in %d: on vectors %v (%v), want %v", metric, dim, every, exact, err, want)
					}
					if len(hits) != len(want) {
						t.Fatalf("%v, %d dimensions, one in %d: %d hits, want %d", metric, dim, every, len(hits), len(want))
					}
					for _, h := range hits {
						if !accept(h.Slot) {
							t.Fatalf("slot %d is none of those to look among", h.Slot)
						}
					}
					sum += w.recall(hits, want)
				}
				if r := sum / 20; r < 0.995 {
					t.Errorf("%v, %d dimensions, one in %d: recall %.3f", metric, dim, every, r)
				}
			}
		}
	}
}

func TestAmongErrors(t *testing.T) {
	w := newWorld(t, Config{Dim: 2, Metric: Euclid})
	slots := w.insert([][]float32{{1, 0}, {2, 0}, {3, 0}}, 3, 1)
	hits, err := w.g.Among(context.Background(), w.query([]float32{0, 0}, 2, 2), nextOf(slots), nil)
	if err != nil || fmt.Sprint(hits) != "[{0 1} {1 2}]" {
		t.Errorf("%v, %v", hits, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := w.g.Among(ctx, w.query([]float32{0, 0}, 2, 2), nextOf(slots), nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := w.g.Among(context.Background(), w.query([]float32{0}, 2, 2), nextOf(slots), nil); err == nil {
		t.Error("a query of another dimension is taken")
	}
}

// A walk for what is nowhere near ends at its budget; one that has enough does
// not notice it.
func TestBudget(t *testing.T) {
	w := newWorld(t, Config{Dim: 16, Metric: Euclid})
	vectors := clustered(9, under(3000), 16)
	w.insert(vectors, 200, 2)
	q := w.query(vectors[0], 10, 20)
	q.Accept = func(uint32) bool { return false }
	q.Budget = len(vectors) / 3
	if _, err := w.g.Search(context.Background(), q, nil); !errors.Is(err, ErrGaveUp) {
		t.Errorf("a walk without matches: %v", err)
	}
	q.Accept = func(slot uint32) bool { return slot%2 == 0 }
	if hits, err := w.g.Search(context.Background(), q, nil); err != nil || len(hits) != 10 {
		t.Errorf("%d hits, %v", len(hits), err)
	}
}

// A query that is apart from what is accepted finds it as surely as one that is
// not.
func TestApart(t *testing.T) {
	w := newWorld(t, Config{Dim: 48, Metric: Euclid, M: 4, EfConstruct: 20})
	vectors := clustered(21, under(4000), 48)
	w.insert(vectors, 250, 2)
	// Accepted are those nearer to one point than to another: most clusters are
	// either accepted or not.
	accepted := map[uint32]bool{}
	for slot, v := range w.vectors {
		if score(Euclid, v, vectors[0]) < score(Euclid, v, vectors[1]) {
			accepted[slot] = true
		}
	}
	accept := func(slot uint32) bool { return accepted[slot] }
	recall := func(known int) float64 {
		sum := 0.0
		for _, v := range vectors[:200] {
			q := w.query(v, 10, 12)
			q.Accept, q.Accepted = accept, known
			sum += w.recall(w.search(q), w.nearest(v, 10, accept))
		}
		return sum / 200
	}
	before, after := recall(0), recall(len(accepted))
	if t.Logf("%d accepted: recall %.4f, knowing how many %.4f", len(accepted), before, after); after < before+(1-before)/3 {
		t.Errorf("recall %.4f, knowing how many are accepted %.4f", before, after)
	}
}
