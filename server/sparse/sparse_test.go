package sparse

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// model is what an index should hold, with what a collection keeps about slots.
type model struct {
	index *Index
	docs  map[uint32]Doc // alive
	dead  []uint32       // slots that some view may still see
	free  []uint32
	slots uint32
}

// moment is a state with what is to be seen in it.
type moment struct {
	state *State
	docs  map[uint32]Doc
}

func randomDoc(r *rand.Rand, slot uint32) Doc {
	d := Doc{Slot: slot, Indices: []uint32{}, Values: []float32{}}
	for dim := range uint32(40) {
		if r.IntN(1+int(dim)) < 2 && r.IntN(3) > 0 {
			d.Indices = append(d.Indices, dim*1000)
			// Few values, so that many scores are equal.
			d.Values = append(d.Values, float32(r.IntN(9)-2)/4)
		}
	}
	return d
}

// step writes like one commit of a collection.
func (m *model) step(r *rand.Rand) {
	var docs []Doc
	for range r.IntN(40) {
		slot := m.slots
		if n := len(m.free); n > 0 {
			slot, m.free = m.free[n-1], m.free[:n-1]
		} else {
			m.slots++
		}
		docs = append(docs, randomDoc(r, slot))
	}
	r.Shuffle(len(docs), func(i, k int) { docs[i], docs[k] = docs[k], docs[i] })
	alive := slices.Sorted(maps.Keys(m.docs))
	for _, d := range docs {
		m.docs[d.Slot] = d
	}
	m.index.Add(docs)
	for _, slot := range alive {
		if r.IntN(12) == 0 {
			m.index.Retire(slot)
			delete(m.docs, slot)
			m.dead = append(m.dead, slot)
		}
	}
}

func (m *model) publish() moment { return moment{m.index.Publish(), maps.Clone(m.docs)} }

// best is the answer by looking at everything.
func (m moment) best(q *Query) []Hit {
	var hits []Hit
	for slot, d := range m.docs {
		if q.Among != nil && !slices.Contains(q.Among, slot) {
			continue
		}
		score, found := 0.0, false
		for i, dim := range q.Indices {
			if k, ok := slices.BinarySearch(d.Indices, dim); ok {
				score += float64(q.Values[i]) * float64(d.Values[k])
				found = true
			}
		}
		h := Hit{slot, float32(score)}
		ok, _ := q.Accept(slot)
		if found && ok && h.Score > q.Above {
			hits = append(hits, h)
		}
	}
	slices.SortFunc(hits, func(a, b Hit) int { return cmp.Or(-cmp.Compare(a.Score, b.Score), cmp.Compare(a.Slot, b.Slot)) })
	return hits[:min(len(hits), q.K)]
}

func (m moment) check(t *testing.T, r *rand.Rand) {
	t.Helper()
	d := randomDoc(r, 0)
	q := &Query{Indices: d.Indices, Values: d.Values, K: 1 + r.IntN(30), Above: float32(math.Inf(-1))}
	share := 1 + r.Uint32N(5)
	q.Accept = func(slot uint32) (bool, error) {
		_, ok := m.docs[slot]
		return ok && slot%share == 0, nil
	}
	q.Before = func(a, b uint32) bool { return a < b }
	if r.IntN(3) == 0 {
		q.Above = float32(r.IntN(4)) / 4
	}
	if r.IntN(3) == 0 {
		q.Among = []uint32{}
		for slot := range m.docs {
			if r.IntN(10) == 0 {
				q.Among = append(q.Among, slot)
			}
		}
		slices.Sort(q.Among)
	}
	got, err := m.state.Search(context.Background(), q)
	if want := m.best(q); err != nil || !slices.Equal(got, want) {
		t.Fatalf("%+v: %v\n got %v\nwant %v", q, err, got, want)
	}
	scorer := m.state.Scorer(q.Indices, q.Values)
	for _, h := range got {
		if s := scorer.Score(h.Slot); s != h.Score {
			t.Fatalf("slot %d has the score %v, found with %v", h.Slot, s, h.Score)
		}
	}
	if m.state.Len() != len(m.docs) {
		t.Fatalf("%d documents instead of %d", m.state.Len(), len(m.docs))
	}
	for i, w := range m.state.Weights(q.Indices, q.Values) {
		n := 0.0
		for _, d := range m.docs {
			if _, ok := slices.BinarySearch(d.Indices, q.Indices[i]); ok {
				n++
			}
		}
		if want := q.Values[i] * float32(math.Log((float64(len(m.docs))-n+.5)/(n+.5)+1)); w != want {
			t.Fatalf("dimension %d in %v of %d: weight %v instead of %v", q.Indices[i], n, len(m.docs), w, want)
		}
	}
}

// TestIndex compares searches in states new and old with looking at everything.
func TestIndex(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	m := &model{index: New(), docs: map[uint32]Doc{}}
	var moments []moment
	for range 300 {
		m.step(r)
		moments = append(moments, m.publish())
		for range 3 {
			moments[r.IntN(len(moments))].check(t, r)
		}
		if r.IntN(8) == 0 { // the readers of all older states have gone
			moments = moments[len(moments)-1:]
			m.index.Free(m.dead)
			m.free = append(m.free, m.dead...)
			m.dead = nil
			if r.IntN(2) == 0 {
				moments[0].check(t, r) // the state from before
				moments = append(moments, m.publish())
			}
		}
		for range 5 {
			slot := r.Uint32N(m.slots + 1)
			if _, alive := m.docs[slot]; m.index.Has(slot) != (alive || slices.Contains(m.dead, slot)) {
				t.Fatalf("has %d: %v", slot, m.index.Has(slot))
			}
		}
	}
	if n := len(m.index.parts); n > 30 {
		t.Errorf("%d segments of %d documents", n, len(m.docs))
	}
	m.index.Free(m.dead)
	for slot := range m.docs {
		m.index.Retire(slot)
		m.index.Free([]uint32{slot})
	}
	if m.index.Publish(); len(m.index.parts) != 0 || m.index.Bytes() != 0 {
		t.Errorf("%d segments are left of nothing", len(m.index.parts))
	}
}

// TestReadersBesideTheWriter is for the race detector.
func TestReadersBesideTheWriter(t *testing.T) {
	r := rand.New(rand.NewPCG(rand.Uint64(), 1))
	m := &model{index: New(), docs: map[uint32]Doc{}}
	m.step(r)
	var mu sync.Mutex // what a view's reference count does: no slot is freed under a reader
	now := m.publish()
	done := make(chan struct{})
	var readers sync.WaitGroup
	for k := range 3 {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(k), 2))
			for {
				select {
				case <-done:
					return
				default:
				}
				mu.Lock()
				view := now
				mu.Unlock()
				view.check(t, r)
				m.index.Has(r.Uint32N(1000))
				if t.Failed() {
					return
				}
			}
		})
	}
	for range 100 {
		m.step(r)
		next := m.publish()
		mu.Lock()
		now = next
		mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	close(done)
	readers.Wait()
}

func TestSearchEnds(t *testing.T) {
	m := &model{index: New(), docs: map[uint32]Doc{}}
	r := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		m.step(r)
	}
	state := m.publish().state
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	q := &Query{Indices: []uint32{0, 1000}, Values: []float32{1, 1}, K: 3, Above: -9, Before: func(a, b uint32) bool { return a < b }}
	q.Accept = func(uint32) (bool, error) { return true, nil }
	if _, err := state.Search(ctx, q); err == nil {
		t.Error("a search went on after its end")
	}
	q.Accept = func(uint32) (bool, error) { return false, fmt.Errorf("broken") }
	if _, err := state.Search(context.Background(), q); err == nil {
		t.Error("an error was lost")
	}
	if hits, err := New().Publish().Search(context.Background(), q); err != nil || len(hits) > 0 {
		t.Errorf("found %v, %v in nothing", hits, err)
	}
}

// Large numbers with both signs cancel out: what is skipped must not depend on rounding.
func TestLargeNumbers(t *testing.T) {
	x := New()
	huge := float32(math.MaxFloat32)
	x.Add([]Doc{
		{Slot: 0, Indices: []uint32{1, 2, 3}, Values: []float32{huge, -huge, 1}},
		{Slot: 1, Indices: []uint32{1, 2}, Values: []float32{huge, huge}},
		{Slot: 2, Indices: []uint32{1}, Values: []float32{-huge}},
		{Slot: 3, Indices: []uint32{}, Values: []float32{}},
	})
	q := &Query{Indices: []uint32{1, 2, 3}, Values: []float32{huge, huge, 1}, K: 9, Above: float32(math.Inf(-1))}
	q.Accept, q.Before = func(uint32) (bool, error) { return true, nil }, func(a, b uint32) bool { return a < b }
	got, err := x.Publish().Search(context.Background(), q)
	if want := []Hit{{1, huge}, {0, 1}, {2, -huge}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

func BenchmarkSearch(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(r, 1.2, 20, 30000)
	doc := func(slot uint32, n int) Doc {
		weights := map[uint32]float32{}
		for range n {
			weights[uint32(zipf.Uint64())] = float32(r.ExpFloat64())
		}
		d := Doc{Slot: slot, Indices: slices.Sorted(maps.Keys(weights))}
		for _, dim := range d.Indices {
			d.Values = append(d.Values, weights[dim])
		}
		return d
	}
	x := New()
	var docs []Doc
	for i := range uint32(100_000) {
		if docs = append(docs, doc(i, 100)); len(docs) == 10_000 {
			x.Add(docs)
			docs = docs[:0]
		}
	}
	state := x.Publish()
	queries := make([]Doc, 50)
	entries := 0
	for i := range queries {
		queries[i] = doc(0, 30)
		entries += state.Entries(queries[i].Indices)
	}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		d := queries[n%len(queries)]
		n++
		_, err := state.Search(context.Background(), &Query{
			Indices: d.Indices, Values: d.Values, K: 10, Above: float32(math.Inf(-1)),
			Accept: func(uint32) (bool, error) { return true, nil }, Before: func(a, b uint32) bool { return a < b },
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(entries)/50, "entries/op")
}
