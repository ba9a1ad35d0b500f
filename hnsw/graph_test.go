package hnsw

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// world is a graph with the model it is compared with: the vectors by slot.
type world struct {
	t       testing.TB
	slots   *Slots
	g       *Graph
	vectors map[uint32][]float32 // visible
}

func newWorld(t testing.TB, cfg Config) *world {
	t.Helper()
	w := &world{t: t, slots: NewSlots(), vectors: map[uint32][]float32{}}
	var err error
	if w.g, err = New(cfg, w.slots); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.g.Close(); err != nil {
			t.Error(err)
		}
		if err := w.slots.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// insert adds and publishes the vectors in batches and returns their slots.
func (w *world) insert(vectors [][]float32, batch, workers int) []uint32 {
	w.t.Helper()
	var added []uint32
	for part := range slices.Chunk(vectors, batch) {
		var items []Item
		for _, v := range part {
			slot, err := w.slots.Alloc()
			if err != nil {
				w.t.Fatal(err)
			}
			items = append(items, Item{slot, v})
			added = append(added, slot)
			w.vectors[slot] = v
		}
		st, err := w.g.Stage(context.Background(), items, workers)
		if err != nil {
			w.t.Fatal(err)
		}
		st.Link()
		w.slots.Publish()
	}
	return added
}

func (w *world) retire(slot uint32) {
	w.slots.Retire(slot)
	w.slots.Publish()
	delete(w.vectors, slot)
}

// nearest is the specification: scores in float64, best first.
func (w *world) nearest(q []float32, k int, accept func(uint32) bool) []Hit {
	var hits []Hit
	for slot, v := range w.vectors {
		if accept == nil || accept(slot) {
			hits = append(hits, Hit{slot, float32(score(w.g.cfg.Metric, q, v))})
		}
	}
	sign := -1
	if w.g.cfg.Metric.Ascending() {
		sign = 1
	}
	slices.SortFunc(hits, func(a, b Hit) int {
		return cmp.Or(sign*cmp.Compare(a.Score, b.Score), cmp.Compare(a.Slot, b.Slot))
	})
	return hits[:min(k, len(hits))]
}

func score(m Metric, a, b []float32) float64 {
	var dot, l2, l1 float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		dot += x * y
		l2 += (x - y) * (x - y)
		l1 += math.Abs(x - y)
	}
	switch m {
	case Euclid:
		return math.Sqrt(l2)
	case Manhattan:
		return l1
	default:
		return dot
	}
}

func (w *world) query(q []float32, k, ef int) Query {
	return Query{Vector: q, K: k, Ef: ef, View: w.slots.View()}
}

func (w *world) search(q Query) []Hit {
	w.t.Helper()
	hits, err := w.g.Search(context.Background(), q, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return hits
}

// recall compares hits with the truth; a tie with the last counts as found.
func (w *world) recall(got, want []Hit) float64 {
	if len(want) == 0 {
		return 1
	}
	last := want[len(want)-1].Score
	slack := float32(1e-5) * max(1, float32(math.Abs(float64(last))))
	found := 0
	for _, h := range got {
		if w.g.cfg.Metric.Ascending() && h.Score <= last+slack || !w.g.cfg.Metric.Ascending() && h.Score >= last-slack {
			found++
		}
	}
	return float64(found) / float64(len(want))
}

// clustered makes vectors around a few centres, as embeddings are.
func clustered(seed uint64, n, dim int) [][]float32 {
	r := rand.New(rand.NewPCG(seed, 99))
	centres := make([][]float32, 1+n/40)
	for i := range centres {
		centres[i] = gaussian(r, dim)
	}
	out := make([][]float32, n)
	for i := range out {
		out[i] = gaussian(r, dim)
		c := centres[r.IntN(len(centres))]
		for k := range out[i] {
			out[i][k] = c[k] + 0.4*out[i][k]
		}
	}
	return out
}

func gaussian(r *rand.Rand, dim int) []float32 {
	v := make([]float32, dim)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

func TestRecallAgainstBruteForce(t *testing.T) {
	for _, metric := range []Metric{Cosine, Dot, Euclid, Manhattan} {
		for _, dim := range []int{1, 3, 17, 100, 384} {
			t.Run(fmt.Sprintf("%v/%d", metric, dim), func(t *testing.T) {
				w := newWorld(t, Config{Dim: dim, Metric: metric})
				vectors, queries := clustered(1, alone(1200), dim), clustered(1, 25, dim)
				if metric == Cosine {
					for _, v := range append(slices.Clone(vectors), queries...) {
						Normalize(v)
					}
				}
				w.insert(vectors, 100, 2)
				w.checkLists()
				w.repair(NewRepair(w.slots, w.g), 1000) // connects it
				w.checkConnected()
				sum, exact := 0.0, 0.0
				for _, q := range queries {
					want := w.nearest(q, 10, nil)
					sum += w.recall(w.search(w.query(q, 10, 128)), want)
					hits, err := w.g.Exact(context.Background(), w.query(q, 10, 10), nil)
					if err != nil {
						t.Fatal(err)
					}
					exact += w.recall(hits, want)
				}
				// Inner products of vectors of any length are no metric; a graph
				// over them finds a little less.
				least := 0.99
				if metric == Dot {
					least = 0.95
				}
				if r := sum / float64(len(queries)); r < least {
					t.Errorf("recall@10 is %.4f, want %.2f", r, least)
				}
				if r := exact / float64(len(queries)); r != 1 {
					t.Errorf("recall of the exact search is %.4f", r)
				}
			})
		}
	}
}

// checkLists checks what must hold of every list.
func (w *world) checkLists() {
	w.t.Helper()
	g := w.g
	entry, top, ok := g.start()
	if !ok {
		if g.Len() != 0 {
			w.t.Fatal("no entry to a graph with nodes")
		}
		return
	}
	if g.level(entry) != top {
		w.t.Fatalf("the entry is on level %d, not %d", g.level(entry), top)
	}
	for slot := range uint32(w.slots.Len()) {
		for level := 0; level <= g.level(slot); level++ {
			seen := map[uint32]bool{slot: true}
			for _, n := range readList(nil, g.list(slot, level), noLimit) {
				if seen[n] {
					w.t.Fatalf("slot %d, level %d: %d is named twice, or is the slot itself", slot, level, n)
				}
				seen[n] = true
				if g.level(n) < level {
					w.t.Fatalf("slot %d, level %d: %d is only on level %d", slot, level, n, g.level(n))
				}
			}
		}
	}
}

// checkConnected fails unless there is a way at level 0 from every node to every
// living one.
func (w *world) checkConnected() {
	w.t.Helper()
	entry, _, ok := w.g.start()
	if !ok {
		return
	}
	forth := make([][]uint32, w.slots.Len())
	back := make([][]uint32, w.slots.Len())
	for slot := range uint32(w.slots.Len()) {
		if w.g.Has(slot) {
			forth[slot] = readList(nil, w.g.list(slot, 0), noLimit)
		}
		for _, n := range forth[slot] {
			back[n] = append(back[n], slot)
		}
	}
	for direction, next := range map[string][][]uint32{"from": forth, "to": back} {
		met := map[uint32]bool{entry: true}
		for queue := []uint32{entry}; len(queue) > 0; queue = queue[1:] {
			for _, n := range next[queue[0]] {
				if !met[n] {
					met[n] = true
					queue = append(queue, n)
				}
			}
		}
		lost := 0
		for slot := range w.vectors {
			if !met[slot] {
				lost++
			}
		}
		if lost > 0 {
			w.t.Fatalf("there is no way %s the entry for %d of %d nodes", direction, lost, len(w.vectors))
		}
	}
}

func TestSameGraphForAnyWorkers(t *testing.T) {
	// Of gaussian vectors of 256 dimensions codes of 4 bits are found good enough
	// on the way, and inserts search by them from then on.
	for dim, coarse := range map[int]bool{24: false, 256: true} {
		r := rand.New(rand.NewPCG(3, 3))
		vectors := make([][]float32, max(alone(1500), 900)) // judged good enough by the 640th
		for i := range vectors {
			vectors[i] = gaussian(r, dim)
		}
		var first []uint32
		for _, workers := range []int{1, 2, 7} {
			w := newWorld(t, Config{Dim: dim, Metric: Euclid})
			w.insert(vectors, 128, workers)
			if w.g.codes.Load().coarse.Load() != coarse {
				t.Fatalf("codes of 4 bits of %d dimensions are searched: %v", dim, !coarse)
			}
			var all []uint32
			for slot := range uint32(w.slots.Len()) {
				for level := 0; level <= w.g.level(slot); level++ {
					all = append(readList(append(all, slot, uint32(level)), w.g.list(slot, level), noLimit), math.MaxUint32)
				}
			}
			if first == nil {
				first = all
			} else if !slices.Equal(first, all) {
				t.Fatalf("%d workers made another graph of %d dimensions than one", workers, dim)
			}
		}
	}
}

func TestAwkwardVectors(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	equal := make([][]float32, under(600))
	for i := range equal {
		equal[i] = []float32{1, 2, 3}
	}
	sorted := make([][]float32, under(1000))
	for i := range sorted {
		sorted[i] = []float32{float32(i), 0, 0}
	}
	extreme := make([][]float32, under(500))
	for i := range extreme {
		extreme[i] = gaussian(r, 3)
		for k := range extreme[i] {
			extreme[i][k] *= float32(math.Pow(10, float64(r.IntN(34)-17)))
		}
	}
	for name, vectors := range map[string][][]float32{
		"one point": {{1, 0, 0}}, "zeros": {{0, 0, 0}, {0, 0, 0}, {1, 0, 0}},
		"all equal": equal, "sorted": sorted, "extreme magnitudes": extreme,
	} {
		for _, metric := range []Metric{Dot, Euclid, Manhattan} {
			t.Run(fmt.Sprintf("%s/%v", name, metric), func(t *testing.T) {
				w := newWorld(t, Config{Dim: 3, Metric: metric})
				w.insert(vectors, 64, 2)
				for range 20 {
					q := vectors[r.IntN(len(vectors))]
					k := min(5, len(vectors))
					got := w.search(w.query(q, k, 64))
					if len(got) != k {
						t.Fatalf("%d hits, want %d", len(got), k)
					}
					if metric != Dot && w.recall(got[:1], w.nearest(q, 1, nil)) != 1 {
						t.Fatalf("a point was not found by its own vector: %v", got)
					}
				}
			})
		}
	}
}

func TestRetiredAndStagedAreInvisible(t *testing.T) {
	w := newWorld(t, Config{Dim: 8, Metric: Euclid})
	vectors := clustered(7, 800, 8)
	slots := w.insert(vectors, 50, 1)
	before := w.slots.View()
	for _, s := range slots[:500] {
		w.retire(s)
	}
	staged, err := w.slots.Alloc()
	if err != nil {
		t.Fatal(err)
	}
	st, err := w.g.Stage(context.Background(), []Item{{staged, vectors[0]}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	st.Link()
	for _, q := range clustered(7, 20, 8) {
		want := w.nearest(q, 10, nil)
		got := w.search(w.query(q, 10, 100))
		if w.recall(got, want) < 0.9 || len(got) != 10 {
			t.Errorf("among retired nodes: %v, want %v", got, want)
		}
		for _, h := range got {
			if w.vectors[h.Slot] == nil {
				t.Errorf("slot %d is not visible but was returned", h.Slot)
			}
		}
		old := Query{Vector: q, K: 10, Ef: 100, View: before}
		for _, h := range w.search(old) {
			if h.Slot >= 800 {
				t.Errorf("an old view shows the new slot %d", h.Slot)
			}
		}
	}
	w.slots.Publish()
	if got := w.search(w.query(vectors[0], 1, 64)); got[0].Slot != staged {
		t.Errorf("after publishing, the nearest is %d", got[0].Slot)
	}
}

func TestAcceptFindsWhatThereIs(t *testing.T) {
	w := newWorld(t, Config{Dim: 16, Metric: Cosine})
	vectors := clustered(9, alone(3000), 16)
	for _, v := range vectors {
		Normalize(v)
	}
	w.insert(vectors, 200, 2)
	for _, every := range []uint32{2, 10, 100, 1500} {
		accept := func(slot uint32) bool { return slot%every == 0 }
		sum := 0.0
		for _, v := range vectors[:30] {
			q := w.query(v, 10, 100)
			q.Accept = accept
			sum += w.recall(w.search(q), w.nearest(v, 10, accept))
		}
		if r := sum / 30; r < 0.98 {
			t.Errorf("one in %d accepted: recall %.3f", every, r)
		}
	}
}

// passing is a context whose deadline passes when it has been asked for it so many times.
type passing struct {
	context.Context
	left int // below 0: how often it was asked since, and once more
}

func (p *passing) Err() error {
	if p.left--; p.left < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// TestDeadline has the deadline pass at the first look at it, and amid the work: that ends
// there, with what the caller had found, and the graph is as before.
func TestDeadline(t *testing.T) {
	w := newWorld(t, Config{Dim: 4, Metric: Euclid})
	w.insert(clustered(13, 3000, 4), 500, 2)
	var staged []Item
	for i := range 2 {
		slot, err := w.slots.Alloc()
		if err != nil {
			t.Fatal(err)
		}
		staged = append(staged, Item{slot, []float32{float32(i), 1, 1, 1}})
	}
	q, had := w.query([]float32{0, 0, 0, 0}, 10, 2000), []Hit{{Slot: 1}}
	accepting := q
	accepting.Accept = func(slot uint32) bool { return slot%2 == 0 }
	among := func(ctx context.Context) ([]Hit, error) {
		next := uint32(0)
		return w.g.Among(ctx, q, func(block []uint32) int {
			for i := range block {
				if next == 3000 {
					return i
				}
				block[i] = next
				next++
			}
			return len(block)
		}, had)
	}
	for name, work := range map[string]func(context.Context) ([]Hit, error){
		"search":   func(ctx context.Context) ([]Hit, error) { return w.g.Search(ctx, q, had) },
		"filtered": func(ctx context.Context) ([]Hit, error) { return w.g.Search(ctx, accepting, had) },
		"exact":    func(ctx context.Context) ([]Hit, error) { return w.g.Exact(ctx, q, had) },
		"among":    among,
		"stage": func(ctx context.Context) ([]Hit, error) {
			st, err := w.g.Stage(ctx, staged, 1)
			if st != nil {
				t.Error("half of a batch is staged")
			}
			return had, err
		},
	} {
		for _, looks := range []int{0, 1} {
			ctx := &passing{context.Background(), looks}
			hits, err := work(ctx)
			if !errors.Is(err, context.DeadlineExceeded) || !slices.Equal(hits, had) {
				t.Errorf("%s, after %d looks: %v, %v", name, looks, hits, err)
			}
			if ctx.left < -2 { // one look, and one for what it tells
				t.Errorf("%s, after %d looks: it went on for %d", name, looks, -ctx.left)
			}
		}
	}
	st, err := w.g.Stage(context.Background(), staged, 1)
	if err != nil {
		t.Fatal(err)
	}
	st.Link()
	w.slots.Publish()
	for _, item := range staged {
		if hits := w.search(w.query(item.Vector, 1, 100)); len(hits) != 1 || hits[0].Slot != item.Slot {
			t.Errorf("slot %d of the batches that were given up: %v", item.Slot, hits)
		}
	}
}

func TestBadInput(t *testing.T) {
	for _, cfg := range []Config{{Dim: 0}, {Dim: MaxDim + 1}, {Dim: 1, M: 1}, {Dim: 1, M: MaxM + 1}, {Dim: 1, EfConstruct: -1}, {Dim: 1, Metric: 9}} {
		if _, err := New(cfg, NewSlots()); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
	w := newWorld(t, Config{Dim: 2, Metric: Dot})
	if hits := w.search(w.query([]float32{1, 1}, 5, 5)); len(hits) != 0 {
		t.Errorf("an empty graph has hits: %v", hits)
	}
	if _, err := w.g.Search(context.Background(), w.query([]float32{1}, 5, 5), nil); err == nil {
		t.Error("a query of a wrong dimension was accepted")
	}
	if _, err := w.g.Stage(context.Background(), []Item{{0, []float32{1}}}, 1); err == nil {
		t.Error("a vector of a wrong dimension was accepted")
	}
	w.insert([][]float32{{1, 2}}, 1, 1)
	if _, err := w.g.Stage(context.Background(), []Item{{0, []float32{1, 2}}}, 1); err == nil {
		t.Error("a slot was inserted twice")
	}
	if hits := w.search(w.query([]float32{1, 1}, 0, 5)); len(hits) != 0 {
		t.Errorf("k of 0 has hits: %v", hits)
	}
	if hits := w.search(w.query([]float32{1, 1}, math.MaxInt, math.MaxInt)); len(hits) != 1 {
		t.Errorf("a huge k: %v", hits)
	}
	if w.g.Vector(5) != nil || w.g.Has(1<<30) || w.slots.View().Visible(1<<30) {
		t.Error("a slot that does not exist")
	}
}

func TestNormalize(t *testing.T) {
	for _, scale := range []float32{1, 1e-30, 1e30, 3e38, 1e-38} {
		v := []float32{0.3 * scale, -0.4 * scale, 0}
		if !Normalize(v) {
			t.Fatalf("scale %g: refused", scale)
		}
		if d := math.Hypot(float64(v[0])-0.6, float64(v[1])+0.8); d > 1e-6 {
			t.Errorf("scale %g: %v", scale, v)
		}
	}
	for _, v := range [][]float32{{}, {0, 0}} {
		if Normalize(v) {
			t.Errorf("%v was normalised", v)
		}
	}
}

// TestNormalizeOnEveryProcessor compares with what one processor made of some vectors: what is
// stored does not depend on where it was written.
func TestNormalizeOnEveryProcessor(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	sum := fnv.New64a()
	for _, dim := range []int{1, 3, 30, 384, 1537} {
		for range 20 {
			v := make([]float32, dim)
			for i := range v {
				v[i] = random.Float32() - 0.5
			}
			Normalize(v)
			for _, x := range v {
				_, _ = sum.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(x))) // never fails
			}
		}
	}
	if got := sum.Sum64(); got != 0x78cb446e96ae7515 {
		t.Errorf("the sum is %#x", got)
	}
}

// A vector that is normalised stays as it is, also one that was so elsewhere.
func TestNormalizeTwice(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	for _, dim := range []int{1, 2, 3, 7, 32, 384, 1536} {
		for range 100 {
			v := make([]float32, dim)
			for i := range v {
				v[i] = float32(r.NormFloat64())
			}
			Normalize(v)
			again := slices.Clone(v)
			if Normalize(again); !slices.Equal(v, again) {
				t.Fatalf("%d dimensions: %v became %v", dim, v, again)
			}
		}
	}
}

// Whoever reads a list while it becomes longer does not come by what was behind its end,
// where a list from before had slots that have been taken out since.
func TestListsEndWhereTheyEnd(t *testing.T) {
	const gone = 99
	list := make([]uint32, 6)
	var phase atomic.Uint32 // odd while a slot is put behind the end
	done := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		var read []uint32
		for {
			select {
			case <-done:
				return
			default:
			}
			before := phase.Load()
			read = readList(read[:0], list, noLimit)
			if slices.Contains(read, gone) && before%2 == 0 && phase.Load() == before {
				t.Error("a slot behind the end was read")
				return
			}
		}
	})
	for range 200_000 {
		phase.Add(1)
		setList(list, []uint32{1})
		for i := range list[2:] {
			atomic.StoreUint32(&list[2+i], gone+1)
		}
		phase.Add(1)
		setList(list, []uint32{1, 2, 3, 4})
	}
	close(done)
	reader.Wait()
}

// A batch that is not linked, since its commit failed, leaves no memory taken.
func TestStagedInVain(t *testing.T) {
	w := newWorld(t, Config{Dim: 4, Metric: Euclid})
	var taken Memory
	for i := range 3 {
		var items []Item
		var slots []uint32
		for _, v := range clustered(1, 200, 4) {
			slot, err := w.slots.Alloc()
			if err != nil {
				t.Fatal(err)
			}
			items, slots = append(items, Item{slot, v}), append(slots, slot)
		}
		if _, err := w.g.Stage(context.Background(), items, 2); err != nil {
			t.Fatal(err)
		}
		w.slots.Release(slots)
		if i > 0 && w.g.Memory() != taken {
			t.Errorf("%+v after %d batches, %+v after one", w.g.Memory(), i+1, taken)
		}
		taken = w.g.Memory()
	}
}

// Readers search while a writer inserts, updates and deletes. Under the race
// detector this checks the memory order; in any mode, that a view shows one
// version of each point, and only what was published.
func TestReadersBesideWriter(t *testing.T) {
	const points, rounds = 60, 40
	w := newWorld(t, Config{Dim: 8, Metric: Euclid, M: 4, EfConstruct: 24})
	r := rand.New(rand.NewPCG(17, 1))
	owner := map[uint32]int{} // slot → point, written before publishing
	var mu sync.RWMutex       // guards owner
	current := make([]uint32, points)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for seed := range uint64(3) {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(seed, 2))
			for {
				select {
				case <-stop:
					return
				default:
				}
				q := Query{Vector: gaussian(r, 8), K: 2 * points, Ef: 4 * points, View: w.slots.View()}
				hits, err := w.g.Search(context.Background(), q, nil)
				if err != nil {
					t.Error(err)
					return
				}
				seen := map[int]bool{}
				mu.RLock()
				for _, h := range hits {
					p, ok := owner[h.Slot]
					if !ok || seen[p] {
						t.Errorf("slot %d: unknown, or a second version of point %d", h.Slot, p)
					}
					seen[p] = true
				}
				mu.RUnlock()
			}
		})
	}
	for round := range rounds {
		var items []Item
		for p := range points {
			slot, err := w.slots.Alloc()
			if err != nil {
				t.Fatal(err)
			}
			items = append(items, Item{slot, gaussian(r, 8)})
			mu.Lock()
			owner[slot] = p
			mu.Unlock()
			if round > 0 {
				w.slots.Retire(current[p])
			}
			current[p] = slot
		}
		st, err := w.g.Stage(context.Background(), items, 2)
		if err != nil {
			t.Fatal(err)
		}
		st.Link()
		w.slots.Publish()
	}
	close(stop)
	readers.Wait()
	hits, err := w.g.Exact(context.Background(), w.query(make([]float32, 8), points+1, points+1), nil)
	if err != nil || len(hits) != points {
		t.Errorf("%d points at the end (%v), want %d", len(hits), err, points)
	}
}

// Any sequence of inserts and deletes leaves a graph whose exact search is the
// model's and whose search returns only what is there.
func FuzzOperations(f *testing.F) {
	f.Add([]byte{1, 2, 3, 200, 4, 5, 201, 255})
	f.Add([]byte("insert, delete, insert again and so on until it breaks"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		w := newWorld(t, Config{Dim: 2, Metric: Euclid, M: 2, EfConstruct: 4})
		var live []uint32
		for i, op := range ops[:min(len(ops), 200)] {
			v := []float32{float32(op % 16), float32(i % 7)}
			switch {
			case op >= 192 && len(live) > 0:
				k := int(op) % len(live)
				w.retire(live[k])
				live = slices.Delete(live, k, k+1)
			default:
				live = append(live, w.insert([][]float32{v}, 1, 1)...)
			}
			want := w.nearest(v, 3, nil)
			got, err := w.g.Exact(context.Background(), w.query(v, 3, 3), nil)
			if err != nil || len(got) != len(want) || w.recall(got, want) != 1 {
				t.Fatalf("exact: %v (%v), want %v", got, err, want)
			}
			for _, h := range w.search(w.query(v, 3, 16)) {
				if w.vectors[h.Slot] == nil {
					t.Fatalf("slot %d is not there", h.Slot)
				}
			}
		}
	})
}
