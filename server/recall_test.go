package server

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/server/point"
)

// probedDB returns a database whose searches are left for probes, which only the test makes.
func probedDB(t *testing.T) *DB {
	db := openDB(t, vfs.NewMem())
	t.Cleanup(func() { closeDB(t, db) })
	db.probed = true
	return db
}

func noYield() {}

func gaussian(rng *rand.Rand, dim int) Dense {
	v := make(Dense, dim)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

// fill writes n points with a vector of each name.
func fill(t *testing.T, c *Collection, n int, vector func(name string) Dense) {
	t.Helper()
	for from := 0; from < n; from += 500 {
		op := Op{Kind: Upsert}
		for id := from; id < min(from+500, n); id++ {
			vectors := Vectors{}
			for name := range c.Config().Vectors.Named {
				vectors[name] = vector(name)
			}
			op.Points = append(op.Points, Point{ID: point.Number(uint64(id)), Vectors: vectors})
		}
		apply(t, c, Batch{Ops: []Op{op}})
	}
}

func ids(t *testing.T, c *Collection, r SearchRequest) []point.ID {
	t.Helper()
	found, err := c.Search(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	list := make([]point.ID, len(found))
	for i, p := range found {
		list[i] = p.ID
	}
	return list
}

// TestRecallIsThatOfSearches compares what probes tell with what the same searches find, by
// vectors in memory and in the store: few candidates find less, many find all.
func TestRecallIsThatOfSearches(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	const dim = 48
	onDisk := true
	c := newCollection(t, probedDB(t), "c", Config{Vectors: VectorsConfig{Named: map[string]VectorParams{
		"few": {Size: dim, Distance: Cosine}, "many": {Size: dim, Distance: Euclid}, "disk": {Size: dim, Distance: Dot, OnDisk: &onDisk},
	}}})
	n := alone(4000)
	fill(t, c, n, func(string) Dense { return gaussian(rng, dim) })
	for name, ef := range map[string]int{"few": recallLimit, "disk": recallLimit, "many": n} {
		const queries = recallWindow + 10 // the first ten do not count any more
		var want float64
		for i := range queries {
			r := SearchRequest{Vector: gaussian(rng, dim), Using: name, Ef: ef, Limit: 3}
			ids(t, c, r) // which is left
			r.Limit = recallLimit
			found := ids(t, c, r)
			r.Exact = true
			for _, id := range ids(t, c, r) {
				if i >= 10 && slices.Contains(found, id) {
					want += 1. / recallLimit / recallWindow
				}
			}
			yields := 0
			c.probe(t.Context(), name, func() { yields++ })
			if least := n / probeStep; yields < least {
				t.Fatalf("%s: the exact search gave way %d times for %d points", name, yields, n)
			}
		}
		info, err := c.Info()
		if err != nil {
			t.Fatal(err)
		}
		got := info.Recall[name]
		if got.Probes != queries || got.Took <= 0 || math.Abs(got.Share-want) > 1e-9 {
			t.Errorf("%s: %+v, want %d probes and a share of %v", name, got, queries, want)
		}
		if low := name != "many"; low != (got.Share < 0.98) {
			t.Errorf("%s: the recall of searches with ef %d is %v", name, ef, got.Share)
		}
	}
}

// TestSearchesAreLeftForProbes looks at what is kept of a search.
func TestSearchesAreLeftForProbes(t *testing.T) {
	c := newCollection(t, probedDB(t), "c", vectorConfig(2, Euclid))
	left := func() *SearchRequest { return c.set().recall[""].waiting.Load() }
	search := func(r SearchRequest) {
		t.Helper()
		ids(t, c, r)
	}
	search(SearchRequest{Vector: Dense{0, 0}, Limit: 1})
	if left() != nil {
		t.Error("a search of no points was left")
	}
	for id := range uint64(3) {
		apply(t, c, Batch{Ops: []Op{upsert(point.Number(id), Version{}, float32(id), 0, "{}")}})
	}
	search(SearchRequest{Vector: Dense{0, 0}, Limit: 1, Exact: true})
	if left() != nil {
		t.Error("an exact search was left")
	}
	vector := Dense{7, 0}
	search(SearchRequest{Vector: vector, Limit: 190, Offset: 10, Filter: mustFilter(t, `{"must":{"has_id":[1]}}`), Codes: CodeParams{Ignore: true}})
	search(SearchRequest{Vector: Dense{8, 0}, Limit: 1})
	vector[0] = 9
	r := left()
	if r == nil || !slices.Equal(r.Vector.(Dense), Dense{7, 0}) || r.Filter != nil || !r.Codes.Ignore || r.Limit != recallLimit || r.Ef != 200 {
		t.Fatalf("%+v was left", r)
	}
	probes := func(want uint64) {
		t.Helper()
		c.probe(t.Context(), "", noYield)
		if got := c.set().recall[""].info(); got.Probes != want || got.Share != 1 {
			t.Errorf("%+v, want %d probes that found all", got, want)
		}
		if left() != nil {
			t.Error("a search is left after it was probed")
		}
	}
	probes(1)
	probes(1) // nothing was left
	search(SearchRequest{ID: point.Number(1), Limit: 1})
	probes(2) // the point itself is not among the two others
	search(SearchRequest{ID: point.Number(1), Limit: 1})
	apply(t, c, Batch{Ops: []Op{remove(Version{}, point.Number(1))}})
	probes(2) // it has gone
	search(SearchRequest{Vector: Dense{0, 0}, Limit: 1})
	apply(t, c, Batch{Ops: []Op{remove(Version{}, point.Number(0), point.Number(2))}})
	probes(2) // there is nothing to find
	c.probe(t.Context(), "other", noYield)
}

// TestRecallOfCopies: of points as far away as the tenth, any is as good.
func TestRecallOfCopies(t *testing.T) {
	c := newCollection(t, probedDB(t), "c", vectorConfig(2, Euclid))
	fill(t, c, 1000, func(string) Dense { return Dense{1, 2} })
	ids(t, c, SearchRequest{Vector: Dense{1, 1}, Limit: 5})
	c.probe(t.Context(), "", noYield)
	if got := c.set().recall[""].info(); got.Probes != 1 || got.Share != 1 {
		t.Errorf("%+v", got)
	}
}

// TestProbesStayWithinTheirShare has probes of a second and of milliseconds do as much as is due.
func TestProbesStayWithinTheirShare(t *testing.T) {
	for _, percent := range []float64{0.5, 1, 20, 100} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var busy time.Duration
			made := map[time.Duration]int{}
			probe := func(d time.Duration) func(context.Context) {
				return func(context.Context) {
					time.Sleep(d)
					busy += d
					made[d]++
				}
			}
			long, short := time.Second, time.Millisecond
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				paced(ctx, percent, func() []func(context.Context) { return []func(context.Context){probe(long), probe(short)} })
			}()
			const hours = 10 * time.Hour
			time.Sleep(hours)
			cancel()
			<-ended
			share := float64(busy) / float64(hours) * 100
			if most := percent + float64(long)/float64(hours)*100; share > most || percent < 50 && share < percent*0.8 {
				t.Errorf("%v %% of the time, want %v", share, percent)
			}
			if made[short] > int(hours/probeEvery) || made[long]-made[short] > 1 {
				t.Errorf("%v probes in %v", made, hours)
			}
		})
	}
}

// TestProbesOfWhatWaits makes those of several collections, and none where nothing waits.
func TestProbesOfWhatWaits(t *testing.T) {
	db := probedDB(t)
	var all []*Collection
	for _, name := range []string{"a", "b", "gone", "quiet"} {
		c := newCollection(t, db, name, vectorConfig(2, Euclid))
		apply(t, c, Batch{Ops: []Op{upsert(point.Number(1), Version{}, 1, 1, "{}")}})
		if name != "quiet" {
			ids(t, c, SearchRequest{Vector: Dense{0, 0}, Limit: 1})
		}
		all = append(all, c)
	}
	due := db.probesDue()
	if len(due) != 3 {
		t.Fatalf("%d probes are due", len(due))
	}
	if _, err := db.DropCollection(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	for _, probe := range due {
		probe(t.Context())
	}
	for i, want := range []uint64{1, 1, 0, 0} {
		if got := all[i].set().recall[""].info(); got.Probes != want {
			t.Errorf("%s: %+v, want %d", all[i].name, got, want)
		}
	}
	if due = db.probesDue(); len(due) != 0 {
		t.Errorf("%d probes are due when all are made", len(due))
	}
}

// TestClosingEndsAProbe closes a collection amid one, which must not go on to its end.
func TestClosingEndsAProbe(t *testing.T) {
	db := probedDB(t)
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	rng := rand.New(rand.NewPCG(7, 2))
	const slots = 8 * probeStep
	fill(t, c, slots, func(string) Dense { return gaussian(rng, 2) })
	r := c.set().recall[""]
	ids(t, c, SearchRequest{Vector: Dense{0, 0}, Limit: 1})
	dropped := make(chan error, 1)
	yields := 0
	c.probe(t.Context(), "", func() {
		if yields++; yields == 1 {
			go func() {
				_, err := db.DropCollection(context.Background(), "c")
				dropped <- err
			}()
			<-c.closing
		}
		time.Sleep(20 * time.Millisecond) // lets it learn that
	})
	if got := r.info(); got.Probes != 0 || got.Took <= 0 || yields == 0 || yields == slots/probeStep {
		t.Fatalf("%+v after %d offers to give way", got, yields)
	}
	if err := <-dropped; err != nil {
		t.Error(err)
	}
}

// TestLongProbesAreGivenUp: their time counts all the same.
func TestLongProbesAreGivenUp(t *testing.T) {
	c := newCollection(t, probedDB(t), "c", vectorConfig(2, Euclid))
	fill(t, c, 600, func(string) Dense { return Dense{1, 2} })
	ids(t, c, SearchRequest{Vector: Dense{0, 0}, Limit: 1})
	ctx, cancel := context.WithCancel(t.Context())
	c.probe(ctx, "", cancel)
	r := c.set().recall[""]
	if got := r.info(); got.Probes != 0 || got.Took <= 0 || r.waiting.Load() != nil {
		t.Errorf("%+v, %v waits", got, r.waiting.Load())
	}
}

// TestProbesEndWithTheDatabase runs them as a server does.
func TestProbesEndWithTheDatabase(t *testing.T) {
	db, err := Open(t.Context(), "data", Options{FS: vfs.NewMem(), RecallPercent: 50})
	if err != nil {
		t.Fatal(err)
	}
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	apply(t, c, Batch{Ops: []Op{upsert(point.Number(1), Version{}, 1, 1, "{}")}})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(betweenSlice) {
		ids(t, c, SearchRequest{Vector: Dense{0, 0}, Limit: 1})
		info, err := c.Info()
		if err != nil {
			t.Fatal(err)
		}
		if r := info.Recall[""]; r.Probes > 0 && r.Share == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no probe was made")
		}
	}
	db.mu.Lock() // which probes need for a moment
	for deadline := time.Now().Add(time.Minute); !isRunning("(*DB).probesDue"); time.Sleep(betweenSlice) {
		if time.Now().After(deadline) {
			t.Fatal("no other probe is begun")
		}
	}
	closed := make(chan error)
	go func() { closed <- db.Close() }()
	select {
	case err := <-closed:
		db.mu.Unlock()
		t.Fatalf("the database was closed while a probe was made, %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	db.mu.Unlock()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if isRunning("(*DB).probeRecall") {
		t.Error("probes go on")
	}
}

// isRunning says whether any goroutine is in a function.
func isRunning(function string) bool {
	stacks := make([]byte, 1<<20)
	return bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte(function+"("))
}

// TestNothingIsProbedUnlessAsked has no searches kept without probes.
func TestNothingIsProbedUnlessAsked(t *testing.T) {
	c := testCollection(t)
	apply(t, c, Batch{Ops: []Op{upsert(point.Number(1), Version{}, 1, 1, "{}")}})
	ids(t, c, SearchRequest{Vector: Dense{0, 0}, Limit: 1})
	if info, err := c.Info(); err != nil || len(info.Recall) != 0 || len(c.set().recall) != 0 {
		t.Errorf("%v, %v", info.Recall, err)
	}
}
