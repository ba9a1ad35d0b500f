package hnsw

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// Whatever is inserted, replaced and deleted, a node is found as soon as it is linked,
// and every one after a repair and after a load. Copies of one vector, inner products
// and short lists are what cuts nodes off most often.
func TestEveryNodeIsFound(t *testing.T) {
	for seed := range uint64(alone(64)) {
		rng := rand.New(rand.NewPCG(seed, 3))
		cfg := Config{Dim: 1 + rng.IntN(6), Metric: Metric(rng.IntN(4)), M: []int{2, 3, 4, 16}[rng.IntN(4)], EfConstruct: 16}
		copies := rng.IntN(3)
		t.Run(fmt.Sprintf("%d %+v", seed, cfg), func(t *testing.T) {
			vectors := clustered(seed, 400, cfg.Dim)
			for i, v := range vectors {
				if rng.IntN(4) < copies {
					copy(v, vectors[0])
				}
				if cfg.Metric == Cosine && !Normalize(v) {
					t.Fatalf("vector %d is zero", i)
				}
			}
			k := newKeeping(t, cfg)
			r := NewRepair(k.slots, k.g)
			var live []uint32
			for len(vectors) > 0 {
				n := min(1+rng.IntN(40), len(vectors))
				added := k.put(vectors[:n])
				vectors = vectors[n:]
				for _, slot := range added {
					if !k.named(slot) && len(k.vectors) > 1 {
						t.Fatalf("no list names slot %d, which has just been inserted", slot)
					}
				}
				live = append(live, added...)
				rng.Shuffle(len(live), func(i, j int) { live[i], live[j] = live[j], live[i] })
				gone := rng.IntN(1 + len(live)/2)
				for _, slot := range live[:gone] {
					k.drop(slot)
				}
				live = live[gone:]
				if r.Pending() && rng.IntN(2) == 0 {
					k.repair(r, 1+rng.IntN(50))
					k.checkMended()
					k.checkConnected()
				}
			}
			k.load() // checks
		})
	}
}

// named says whether another node names the slot at level 0.
func (w *world) named(slot uint32) bool {
	for n := range uint32(w.slots.Len()) {
		if w.g.Has(n) && names(w.g.list(n, 0), slot) {
			return true
		}
	}
	return false
}

// A node of whose neighbours none is of use is not left without any.
func TestLoadOfALonelyNode(t *testing.T) {
	k := newKeeping(t, Config{Dim: 2, Metric: Euclid})
	slots := k.put(clustered(3, 40, 2))
	lonely, useless, others := slots[20], slots[21], []uint32{5, 6, 7, 8}
	for slot, s := range k.stored {
		s.neighbours = slices.Clone(s.neighbours)
		switch slot {
		case lonely:
			s.neighbours[0] = []uint32{useless}
		case useless:
			s.neighbours[0] = others
		default:
			s.neighbours[0] = slices.DeleteFunc(slices.Clone(s.neighbours[0]), func(n uint32) bool { return n == lonely || n == useless })
		}
		if slices.Contains(others, slot) { // younger than the lists that name them
			s.born, s.written = s.born+1, s.written+1
		}
		k.stored[slot] = s
	}
	w, placed := k.load()
	if !slices.Contains(placed, useless) {
		t.Errorf("%v were placed anew, not %d", placed, useless)
	}
	if n := len(readList(nil, w.g.list(lonely, 0), noLimit)); n < DefaultM/2 {
		t.Errorf("the lonely node has %d neighbours", n)
	}
}

// A connection links islands and dead ends, however they came to be.
func TestConnection(t *testing.T) {
	for _, m := range []int{2, 16} {
		w := newWorld(t, Config{Dim: 3, Metric: Euclid, M: m})
		slots := w.insert(clustered(5, 300, 3), 50, 1)
		// Three parts: one that leads nowhere, one that nothing leads to, the rest.
		part := func(slot uint32) int { return int(slot) % 3 }
		entry, _, _ := w.g.start()
		allowed := func(from, to uint32) bool {
			a, b := (part(from)-part(entry)+3)%3, (part(to)-part(entry)+3)%3
			return a == b || a == 0 && b == 1 || a == 2 && b == 0
		}
		for _, slot := range slots {
			list := w.g.list(slot, 0)
			setList(list, slices.DeleteFunc(readList(nil, list, noLimit), func(n uint32) bool { return !allowed(slot, n) }))
		}
		c := w.g.connect()
		for !c.done() {
			if _, err := c.step(context.Background(), 7); err != nil {
				t.Fatal(err)
			}
		}
		w.checkLists()
		w.checkConnected()
	}
}

// A connection of a graph that is nearly whole looks at each node a few times, in whatever
// order they lead to each other: a repair goes beside writes at a pace that counts on it.
func TestLooksOfAConnection(t *testing.T) {
	w := newWorld(t, Config{Dim: 1, Metric: Euclid, M: 2, EfConstruct: 8})
	vectors := make([][]float32, 2000)
	for i := range vectors {
		vectors[i] = []float32{float32(i)} // a long line: the last lead to the entry by the first
	}
	slots := w.insert(vectors, 100, 1)
	for _, slot := range slots {
		list := []uint32{}
		if slot > 0 {
			list = append(list, slot-1)
		}
		if int(slot) < len(slots)-1 {
			list = append(list, slot+1)
		}
		setList(w.g.list(slot, 0), list)
	}
	w.g.enterAt(uint32(len(slots)-1), 0)
	c := w.g.connect()
	looks := 0
	for !c.done() {
		n, err := c.step(context.Background(), 100)
		if err != nil {
			t.Fatal(err)
		}
		looks += n
	}
	if looks > 8*len(slots) {
		t.Errorf("%d looks at %d nodes", looks, len(slots))
	}
}

// Copies of one vector cost no more than other vectors: a way to each is found in a few
// steps.
func TestManyCopies(t *testing.T) {
	w := newWorld(t, Config{Dim: 2, Metric: Euclid})
	copies := make([][]float32, alone(3000))
	for i := range copies {
		copies[i] = []float32{1, 2}
	}
	w.insert(copies, 100, 1)
	w.insert(clustered(1, 200, 2), 50, 1)
	w.repair(NewRepair(w.slots, w.g), 1000)
	w.checkLists()
	w.checkConnected()
	if hits := w.search(w.query(copies[0], len(copies), len(w.vectors))); len(hits) != len(copies) {
		t.Errorf("%d of %d copies are found", len(hits), len(copies))
	}
}
