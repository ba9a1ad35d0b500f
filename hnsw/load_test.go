package hnsw

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// stored is what a store keeps of a node.
type stored struct {
	born, written uint64
	neighbours    [][]uint32
}

// keeping is a world of which each node's neighbours are stored when it is
// inserted, and never again.
type keeping struct {
	*world
	stored map[uint32]stored
	writes uint64
}

func (k *keeping) put(vectors [][]float32) []uint32 {
	k.t.Helper()
	k.writes++
	var items []Item
	var slots []uint32
	for _, v := range vectors {
		slot, err := k.slots.Alloc()
		if err != nil {
			k.t.Fatal(err)
		}
		items, slots = append(items, Item{slot, v}), append(slots, slot)
		k.vectors[slot] = v
	}
	st, err := k.g.Stage(context.Background(), items, 2)
	if err != nil {
		k.t.Fatal(err)
	}
	for slot, neighbours := range st.All() {
		k.stored[slot] = stored{k.writes, k.writes, neighbours}
	}
	st.Link()
	k.slots.Publish()
	return slots
}

func (k *keeping) drop(slot uint32) {
	k.retire(slot)
	delete(k.stored, slot)
}

// load makes a world of what is stored.
func (k *keeping) load() (w *world, placed []uint32) {
	k.t.Helper()
	w = newWorld(k.t, k.g.Config())
	l := NewLoader(w.g)
	var items []Item
	for _, slot := range slices.Sorted(maps.Keys(k.vectors)) {
		if err := w.slots.Restore(slot); err != nil {
			k.t.Fatal(err)
		}
		items = append(items, Item{slot, k.vectors[slot]})
		if s, ok := k.stored[slot]; ok {
			if err := l.Node(slot, s.born, s.written, s.neighbours); err != nil {
				k.t.Fatal(err)
			}
		}
	}
	w.slots.RestoreDone()
	var sample [][]float32
	for i := 0; i < len(items); i += 1 + len(items)/LearnSample {
		sample = append(sample, items[i].Vector)
	}
	l.Learn(sample, len(items))
	learned := w.g.codes.Load()
	for some := range slices.Chunk(items, 500) {
		if err := l.Vectors(some, 2); err != nil {
			k.t.Fatal(err)
		}
	}
	if w.g.codes.Load() != learned {
		k.t.Error("codes were made anew in spite of the sample")
	}
	placed, err := l.Link(context.Background(), 2)
	if err != nil {
		k.t.Fatal(err)
	}
	w.slots.Publish()
	w.vectors = k.vectors
	w.checkLists()
	w.checkMended()
	w.checkConnected()
	if w.g.Len() != len(k.vectors) || w.slots.Len()-w.slots.Free() != len(k.vectors) {
		k.t.Errorf("%d nodes, %d slots, %d free for %d points", w.g.Len(), w.slots.Len(), w.slots.Free(), len(k.vectors))
	}
	return w, placed
}

func newKeeping(t *testing.T, cfg Config) *keeping {
	return &keeping{world: newWorld(t, cfg), stored: map[uint32]stored{}}
}

// A graph that is put together from what was stored is as good as the one that was
// lost, and goes on like it.
func TestLoadedIsAsGood(t *testing.T) {
	n := alone(3000)
	for _, dim := range []int{12, 80} {
		k := newKeeping(t, Config{Dim: dim, Metric: Euclid})
		vectors, queries := clustered(31, n, dim), clustered(31, 60, dim)
		for some := range slices.Chunk(vectors[:n*5/6], 100) {
			k.put(some)
		}
		w, placed := k.load()
		if len(placed) > 0 {
			t.Fatalf("%d nodes were searched for places", len(placed))
		}
		for _, ef := range []int{16, 64} {
			if got, want := w.meanRecall(queries, ef), k.meanRecall(queries, ef); got < want-0.01 {
				t.Errorf("dim %d, ef %d: recall %.4f, before %.4f", dim, ef, got, want)
			}
		}
		w.insert(vectors[n*5/6:], 100, 2)
		if r := w.meanRecall(queries, 128); r < 0.99 {
			t.Errorf("dim %d: recall %.4f after more inserts", dim, r)
		}
	}
}

// After many replacements most of what was stored names slots that others have
// taken since.
func TestLoadAfterReplacements(t *testing.T) {
	n := alone(1000)
	k := newKeeping(t, Config{Dim: 70, Metric: Euclid})
	all := clustered(32, 4*n, 70)
	queries := clustered(32, 60, 70)
	live := k.put(all[:n])
	r := NewRepair(k.slots, k.g)
	rng := rand.New(rand.NewPCG(7, 8))
	for round := 1; round <= 3; round++ {
		for some := range slices.Chunk(rng.Perm(n), 50) {
			var vectors [][]float32
			for _, i := range some {
				k.drop(live[i])
				vectors = append(vectors, all[round*n+i])
			}
			for j, slot := range k.put(vectors) {
				live[some[j]] = slot
			}
			k.repair(r, 1000)
		}
	}
	w, _ := k.load()
	if got, want := w.meanRecall(queries, 64), k.meanRecall(queries, 64); got < want-0.02 {
		t.Errorf("recall %.4f, before %.4f", got, want)
	}
}

// What is missing or damaged is chosen anew, whatever it is.
func TestLoadOfDamage(t *testing.T) {
	k := newKeeping(t, Config{Dim: 16, Metric: Euclid, M: 8})
	vectors := clustered(33, alone(1200), 16)
	for some := range slices.Chunk(vectors, 100) {
		k.put(some)
	}
	rng := rand.New(rand.NewPCG(9, 10))
	for _, slot := range slices.Sorted(maps.Keys(k.stored)) {
		s := k.stored[slot]
		switch rng.IntN(8) {
		case 0:
			delete(k.stored, slot)
			continue
		case 1:
			s.neighbours = append(s.neighbours, nil)
		case 2:
			s.neighbours[0] = make([]uint32, 100)
		case 3:
			s.neighbours[0] = []uint32{slot, slot, 1 << 30, 5, 5, 4_000_000_000}
		case 4:
			s.born, s.written = 0, 0
		}
		k.stored[slot] = s
	}
	w, placed := k.load()
	if len(placed) == 0 || len(placed) > len(vectors)*3/4 {
		t.Errorf("%d of %d nodes were searched for places", len(placed), len(vectors))
	}
	if r := w.meanRecall(clustered(33, 50, 16), 64); r < 0.99 {
		t.Errorf("recall %.4f", r)
	}
	k.stored = map[uint32]stored{}
	if _, placed := k.load(); len(placed) != len(vectors) {
		t.Errorf("without anything stored %d of %d nodes were searched for places", len(placed), len(vectors))
	}
}
