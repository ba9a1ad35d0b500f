package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"freshet/hnsw"
	"freshet/server/filter"
	"freshet/server/payload"
	"freshet/server/point"
	"freshet/storage"
	"freshet/storage/crashfs"
)

func openDB(t testing.TB, fs vfs.FS) *DB {
	t.Helper()
	db, err := Open(context.Background(), "data", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func closeDB(t testing.TB, db *DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func vectorConfig(dim int, d Distance) Config {
	return Config{Vectors: VectorsConfig{Single: true, Named: map[string]VectorParams{"": {Size: dim, Distance: d}}}}
}

func newCollection(t testing.TB, db *DB, name string, cfg Config) *Collection {
	t.Helper()
	if err := db.CreateCollection(context.Background(), name, cfg); err != nil {
		t.Fatal(err)
	}
	c, err := db.Collection(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// testCollection returns an empty collection of 2-d vectors.
func testCollection(t testing.TB) *Collection {
	t.Helper()
	db := openDB(t, vfs.NewMem())
	t.Cleanup(func() { closeDB(t, db) })
	return newCollection(t, db, "c", vectorConfig(2, Euclid))
}

// readBeside reads in several goroutines, each again and again until read returns false
// or write has returned.
func readBeside(readers int, read func(reader int) bool, write func()) {
	stop := make(chan struct{})
	var group sync.WaitGroup
	defer group.Wait()
	defer close(stop)
	for n := range readers {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if !read(n) {
					return
				}
			}
		})
	}
	write()
}

func apply(t testing.TB, c *Collection, b Batch) Applied {
	t.Helper()
	a, err := c.Apply(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func upsert(id point.ID, v Version, x, y float32, payload string) Op {
	return Op{Kind: Upsert, Version: v, Points: []Point{{ID: id, Vectors: Vectors{"": Dense{x, y}}, Payload: json.RawMessage(payload)}}}
}

func remove(v Version, ids ...point.ID) Op {
	return Op{Kind: Delete, Version: v, Select: Select{IDs: ids}}
}

// contents returns all points as "id: vector payload" in scroll order, and
// checks that the search sees the same points, written by the same operations.
func contents(t testing.TB, c *Collection) []string {
	t.Helper()
	page, err := c.Scroll(context.Background(), ScrollRequest{Limit: 1 << 20, WithPayload: payload.All(), WithVector: VectorSelector{All: true}})
	if err != nil {
		t.Fatal(err)
	}
	list := []string{}
	ids := map[point.ID]uint64{}
	for _, r := range page.Records {
		list = append(list, fmt.Sprintf("%v: %v %s", r.ID, r.Vectors[""], r.Payload))
		ids[r.ID] = r.Version
	}
	hits, err := c.Search(context.Background(), SearchRequest{Vector: Dense{0, 0}, Limit: 1 << 20, Ef: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hits {
		if version, ok := ids[h.ID]; !ok || version != h.Version {
			t.Fatalf("the search returns %v of operation %d, the scroll of %d (%v)", h.ID, h.Version, version, ok)
		}
		delete(ids, h.ID)
	}
	if len(ids) != 0 {
		t.Fatalf("the search does not return %v", ids)
	}
	if n, err := c.Count(context.Background(), nil); err != nil || n != len(list) {
		t.Fatalf("count is %d (%v), there are %d points", n, err, len(list))
	}
	return list
}

func expect(t testing.TB, c *Collection, want ...string) {
	t.Helper()
	if d := cmp.Diff(append([]string{}, want...), contents(t, c)); d != "" {
		t.Fatal(d)
	}
}

func TestWritesSurviveReopening(t *testing.T) {
	fs := vfs.NewMem()
	db := openDB(t, fs)
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	doc, err := point.Parse("doc-0")
	if err != nil {
		t.Fatal(err)
	}
	stream := Stream{Source: "s", Topic: "t", Partition: 3}
	apply(t, c, Batch{Sync: true, Ops: []Op{upsert(point.Number(7), Version{}, 1, 2, `{"a":1}`), upsert(doc, Version{}, 3, 4, "")}})
	apply(t, c, Batch{
		Ops:         []Op{upsert(point.Number(8), Version{Stream: stream, Offset: 41, Time: 9}, 5, 6, `{}`), remove(Version{}, point.Number(7))},
		Positions:   []Position{{Stream: stream, Next: 42}},
		DeadLetters: []DeadLetter{{Stream: stream, Offset: 40, Reason: "malformed_json", Value: []byte("{")}},
	})
	want := []string{"8: [5 6] {}", "doc-0: [3 4] {}"}
	expect(t, c, want...)
	info, err := c.Info()
	if err != nil {
		t.Fatal(err)
	}
	closeDB(t, db)

	db = openDB(t, fs)
	defer closeDB(t, db)
	c, err = db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, c, want...)
	positions, err := c.Positions()
	if err != nil || len(positions) != 1 || positions[0] != (Position{Stream: stream, Next: 42}) {
		t.Fatalf("positions %v, %v", positions, err)
	}
	letters, err := c.DeadLetters(context.Background(), 10)
	if err != nil || len(letters) != 1 || letters[0].Offset != 40 || string(letters[0].Value) != "{" {
		t.Fatalf("dead letters %v, %v", letters, err)
	}
	again, err := c.Info()
	if err != nil || again.Operation != info.Operation || again.Points != 2 || again.IndexedVectors != 2 {
		t.Fatalf("info %+v, %v; was %+v", again, err, info)
	}
	// An older record of the same partition is stale after a restart too.
	if a := apply(t, c, Batch{Ops: []Op{upsert(point.Number(8), Version{Stream: stream, Offset: 40, Time: 99}, 0, 0, "")}}); a.Stale != 1 {
		t.Fatalf("%+v", a)
	}
	expect(t, c, want...)
}

func TestVersions(t *testing.T) {
	id := point.Number(1)
	p0, p1 := Stream{"s", "t", 0}, Stream{"s", "t", 1}
	at := func(s Stream, offset, time int64) Version { return Version{Stream: s, Offset: offset, Time: time} }
	put := func(v Version, x float32) Op { return upsert(id, v, x, 0, "") }
	for name, c := range map[string]struct {
		ops   []Op
		want  string // "" for no point
		stale int
	}{
		"offset decides within a partition":  {[]Op{put(at(p0, 1, 50), 1), put(at(p0, 2, 10), 2)}, "1: [2 0] {}", 0},
		"an old offset is stale":             {[]Op{put(at(p0, 2, 10), 2), put(at(p0, 1, 50), 1)}, "1: [2 0] {}", 1},
		"time decides between partitions":    {[]Op{put(at(p0, 9, 50), 1), put(at(p1, 1, 60), 2)}, "1: [2 0] {}", 0},
		"an old time is stale":               {[]Op{put(at(p1, 1, 60), 2), put(at(p0, 9, 50), 1)}, "1: [2 0] {}", 1},
		"ties go by partition":               {[]Op{put(at(p1, 1, 60), 2), put(at(p0, 9, 60), 1)}, "1: [2 0] {}", 1},
		"ties go by topic first":             {[]Op{put(at(Stream{"s", "u", 0}, 1, 60), 2), put(at(p1, 9, 60), 1)}, "1: [2 0] {}", 1},
		"ties go by source before that":      {[]Op{put(at(Stream{"x", "t", 0}, 1, 60), 2), put(at(Stream{"s", "u", 1}, 9, 60), 1)}, "1: [2 0] {}", 1},
		"a delete is ordered":                {[]Op{put(at(p0, 1, 1), 1), remove(at(p0, 2, 2), id)}, "", 0},
		"an upsert after a delete":           {[]Op{remove(at(p0, 1, 1), id), put(at(p0, 2, 2), 1)}, "1: [1 0] {}", 0},
		"a delete is remembered":             {[]Op{remove(at(p0, 5, 50), id), put(at(p1, 1, 40), 1)}, "", 1},
		"one by REST where there are logs":   {[]Op{upsert(point.Number(2), at(p0, 1, 1), 3, 0, ""), remove(Version{}, id), put(at(p0, 5, 50), 1)}, "2: [3 0] {}", 1},
		"an old delete is stale":             {[]Op{put(at(p0, 5, 50), 1), remove(at(p1, 1, 40), id)}, "1: [1 0] {}", 1},
		"the same record twice changes none": {[]Op{put(at(p0, 5, 50), 1), put(at(p0, 5, 50), 1)}, "1: [1 0] {}", 0},
		"REST comes after older records":     {[]Op{put(at(p0, 5, 50), 1), put(Version{}, 2)}, "1: [2 0] {}", 0},
		"REST comes before newer records":    {[]Op{put(at(p0, 5, 1<<60), 1), put(Version{}, 2)}, "1: [1 0] {}", 1},
		"REST after REST":                    {[]Op{put(Version{}, 1), put(Version{}, 2)}, "1: [2 0] {}", 0},
	} {
		// In one batch and in a batch each, the result is the same.
		for _, together := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%v", name, together), func(t *testing.T) {
				coll := testCollection(t)
				batches := []Batch{{Ops: cloneOps(c.ops)}}
				if !together {
					batches = nil
					for _, op := range cloneOps(c.ops) {
						batches = append(batches, Batch{Ops: []Op{op}})
					}
				}
				stale := 0
				for _, b := range batches {
					stale += apply(t, coll, b).Stale
				}
				if stale != c.stale {
					t.Errorf("%d stale, want %d", stale, c.stale)
				}
				if c.want == "" {
					expect(t, coll)
				} else {
					expect(t, coll, c.want)
				}
			})
		}
	}
}

func cloneOps(ops []Op) []Op {
	out := slices.Clone(ops)
	for i := range out {
		out[i].Points = slices.Clone(out[i].Points)
		for k := range out[i].Points {
			out[i].Points[k].Vectors = maps.Clone(out[i].Points[k].Vectors)
		}
	}
	return out
}

func TestPayloadOperations(t *testing.T) {
	c := testCollection(t)
	one, two := point.Number(1), point.Number(2)
	only := Select{IDs: []point.ID{one}}
	path, err := payload.ParsePath("a")
	if err != nil {
		t.Fatal(err)
	}
	apply(t, c, Batch{Ops: []Op{upsert(one, Version{}, 1, 0, `{"a":{"x":1},"b":2}`), upsert(two, Version{}, 2, 0, `{"b":3}`)}})
	steps := []struct {
		op   Op
		want string
	}{
		{Op{Kind: SetPayload, Select: only, Payload: map[string]any{"c": "new"}}, `{"a":{"x":1},"b":2,"c":"new"}`},
		{Op{Kind: SetPayload, Select: only, Path: &path, Payload: map[string]any{"y": 2.0}}, `{"a":{"x":1,"y":2.0},"b":2,"c":"new"}`},
		{Op{Kind: DeletePayload, Select: only, Keys: []payload.Path{path}}, `{"b":2,"c":"new"}`},
		{Op{Kind: OverwritePayload, Select: only, Payload: map[string]any{"z": nil, "k": true}}, `{"k":true,"z":null}`},
		{Op{Kind: UpdateVectors, Points: []Point{{ID: one, Vectors: Vectors{"": Dense{9, 9}}}}}, `{"k":true,"z":null}`},
		{Op{Kind: ClearPayload, Select: only}, `{}`},
		{Op{Kind: DeleteVectors, Select: only, Names: []string{""}}, `{}`},
	}
	for i, step := range steps {
		apply(t, c, Batch{Ops: []Op{step.op}})
		records, err := c.Retrieve(context.Background(), []point.ID{one, two, one, point.Number(99)}, payload.All(), VectorSelector{All: true})
		if err != nil || len(records) != 2 {
			t.Fatalf("step %d: %v, %v", i, records, err)
		}
		if string(records[0].Payload) != step.want || string(records[1].Payload) != `{"b":3}` {
			t.Fatalf("step %d: payloads %s, %s", i, records[0].Payload, records[1].Payload)
		}
	}
	records, err := c.Retrieve(context.Background(), []point.ID{one}, payload.Selector{}, VectorSelector{All: true})
	if err != nil || len(records[0].Vectors) != 0 || records[0].Payload != nil {
		t.Fatalf("without its vector: %+v, %v", records, err)
	}
	// What can be done of the one that fails stays, those after it are not tried.
	_, err = c.Apply(context.Background(), Batch{Ops: []Op{
		{Kind: SetPayload, Select: Select{IDs: []point.ID{two, point.Number(50), one}}, Payload: map[string]any{"seen": true}},
		{Kind: ClearPayload, Select: Select{IDs: []point.ID{two}}},
	}})
	if KindOf(err) != NotFound || err.Error() != "No point with id 50 found" {
		t.Fatalf("unknown point: %v", err)
	}
	records, err = c.Retrieve(context.Background(), []point.ID{one, two}, payload.All(), VectorSelector{})
	if err != nil || string(records[0].Payload) != `{"seen":true}` || string(records[1].Payload) != `{"b":3,"seen":true}` {
		t.Fatalf("%s, %s, %v", records[0].Payload, records[1].Payload, err)
	}
}

func mustFilter(t testing.TB, s string) *filter.Filter {
	t.Helper()
	var f filter.Filter
	if err := json.Unmarshal([]byte(s), &f); err != nil {
		t.Fatal(err)
	}
	return &f
}

func TestFilteredOperationsSeeTheOnesBefore(t *testing.T) {
	c := testCollection(t)
	apply(t, c, Batch{Ops: []Op{
		upsert(point.Number(1), Version{}, 1, 0, `{"k":1}`),
		upsert(point.Number(2), Version{}, 2, 0, `{"k":2}`),
		{Kind: SetPayload, Select: Select{Filter: mustFilter(t, `{"must":{"key":"k","match":{"value":1}}}`)}, Payload: map[string]any{"k": int64(2)}},
		{Kind: Delete, Select: Select{Filter: mustFilter(t, `{"must":{"key":"k","match":{"value":2}}}`)}},
		upsert(point.Number(3), Version{}, 3, 0, `{"k":2}`),
	}})
	expect(t, c, "3: [3 0] {\"k\":2}")
}

// A filtered search returns what brute force does, by whichever plan.
func TestFilteredSearch(t *testing.T) {
	c := testCollection(t)
	r := rand.New(rand.NewPCG(1, 1))
	n := alone(12_000) // so many that all plans are used
	vectors := make([][2]float32, n)
	for start := 0; start < n; start += 500 {
		var ops []Op
		for i := start; i < start+500; i++ {
			vectors[i] = [2]float32{r.Float32(), r.Float32()}
			ops = append(ops, upsert(point.Number(uint64(i)), Version{}, vectors[i][0], vectors[i][1], fmt.Sprintf(`{"half":%d,"rare":%d}`, i%2, i%4000)))
		}
		apply(t, c, Batch{Ops: ops})
	}
	for text, accept := range map[string]func(i int) bool{
		`{"must":{"key":"half","match":{"value":1}}}`:                              func(i int) bool { return i%2 == 1 },
		`{"must":{"key":"rare","match":{"value":7}}}`:                              func(i int) bool { return i%4000 == 7 },
		`{"must":{"has_id":[5,6,7,70000]}}`:                                        func(i int) bool { return i >= 5 && i <= 7 },
		`{"must":[{"has_id":[5,6,7]},{"key":"half","match":{"value":0}}]}`:         func(i int) bool { return i == 6 },
		`{"must":{"key":"half","match":{"value":9}}}`:                              func(int) bool { return false },
		`{"must_not":{"key":"half","match":{"value":1}},"must":{"has_vector":""}}`: func(i int) bool { return i%2 == 0 },
	} {
		f := mustFilter(t, text)
		for range 5 {
			q := Dense{r.Float32(), r.Float32()}
			var want []hnsw.Hit
			for i, v := range vectors {
				if accept(i) {
					dx, dy := v[0]-q[0], v[1]-q[1]
					want = append(want, hnsw.Hit{Slot: uint32(i), Score: dx*dx + dy*dy})
				}
			}
			slices.SortFunc(want, func(a, b hnsw.Hit) int { return cmpFloat(a.Score, b.Score) })
			want = want[:min(10, len(want))]
			got, err := c.Search(context.Background(), SearchRequest{Vector: q, Limit: 10, Filter: f})
			if err != nil || len(got) != len(want) {
				t.Fatalf("%s: %d hits (%v), want %d", text, len(got), err, len(want))
			}
			right := 0
			for i := range got {
				if n, _ := got[i].ID.AsNumber(); !accept(int(n)) {
					t.Errorf("%s: %d does not match", text, n)
				}
				if got[i].ID == point.Number(uint64(want[i].Slot)) {
					right++
				}
			}
			if right < len(want)-1 {
				t.Errorf("%s: %d of %d hits are right", text, right, len(want))
			}
		}
	}
}

func cmpFloat(a, b float32) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func TestSearchRequest(t *testing.T) {
	c := testCollection(t)
	for i := range 5 {
		apply(t, c, Batch{Ops: []Op{upsert(point.Number(uint64(i)), Version{}, float32(i), 0, fmt.Sprintf(`{"i":%d,"j":0}`, i))}})
	}
	threshold := float32(3)
	var selected payload.Selector
	if err := json.Unmarshal([]byte(`["i"]`), &selected); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		r    SearchRequest
		want string
	}{
		"nearest":           {SearchRequest{Vector: Dense{0, 0}, Limit: 2}, "[0=0 1=1]"},
		"offset":            {SearchRequest{Vector: Dense{0, 0}, Limit: 2, Offset: 3}, "[3=3 4=4]"},
		"offset beyond":     {SearchRequest{Vector: Dense{0, 0}, Limit: 2, Offset: 1 << 62}, "[]"},
		"everything":        {SearchRequest{Vector: Dense{0, 0}, Limit: 1 << 62, Offset: 1 << 62}, "[]"},
		"threshold is open": {SearchRequest{Vector: Dense{0, 0}, Limit: 9, ScoreThreshold: &threshold}, "[0=0 1=1 2=2]"},
		"by id":             {SearchRequest{ID: point.Number(2), Limit: 2}, "[1=1 3=1]"},
		"exact":             {SearchRequest{Vector: Dense{4, 0}, Limit: 1, Exact: true}, "[4=0]"},
		"payload":           {SearchRequest{Vector: Dense{4, 0}, Limit: 1, WithPayload: selected}, `[4=0{"i":4}]`},
	} {
		hits, err := c.Search(context.Background(), x.r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		texts := []string{}
		for _, h := range hits {
			texts = append(texts, fmt.Sprintf("%v=%v%s", h.ID, h.Score, h.Payload))
		}
		if got := fmt.Sprint(texts); got != x.want {
			t.Errorf("%s: %s, want %s", name, got, x.want)
		}
	}
	for want, r := range map[string]SearchRequest{
		"Vector dimension error: expected dim: 2, got 3":        {Vector: Dense{1, 2, 3}, Limit: 1},
		"Not existing vector name error: x":                     {Vector: Dense{1, 2}, Using: "x", Limit: 1},
		"No point with id 77 found":                             {ID: point.Number(77), Limit: 1},
		"Vector \"\" holds a value that is not a finite number": {Vector: Dense{1, float32(nan())}, Limit: 1},
	} {
		if _, err := c.Search(context.Background(), r); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func nan() float64 { var zero float64; return zero / zero }

func TestCheckChangesNothing(t *testing.T) {
	c := testCollection(t)
	deep := mustPath(t, strings.Repeat("a.", payload.MaxDepth-1)+"a")
	for want, op := range map[string]Op{
		"Vector dimension error: expected dim: 2, got 1": {Kind: Upsert, Points: []Point{
			{ID: point.Number(1), Vectors: Vectors{"": Dense{1, 2}}}, {ID: point.Number(2), Vectors: Vectors{"": Dense{1}}},
		}},
		"Not existing vector name error: other":               {Kind: Upsert, Points: []Point{{ID: point.Number(1), Vectors: Vectors{"other": Dense{1}}}}},
		"Empty update request":                                {Kind: Upsert},
		"a point has no id":                                   {Kind: Upsert, Points: []Point{{Vectors: Vectors{"": Dense{1, 2}}}}},
		"Either list of point ids or filter must be provided": {Kind: Delete},
		"recursion limit exceeded: a payload may be nested 128 deep": {
			Kind: SetPayload, Select: Select{IDs: []point.ID{point.Number(1)}},
			Path: &deep, Payload: map[string]any{"x": int64(1)},
		},
		"Not existing vector name error: nope": {Kind: DeleteVectors, Select: Select{IDs: []point.ID{point.Number(1)}}, Names: []string{"nope"}},
	} {
		if _, err := c.Apply(context.Background(), Batch{Ops: []Op{op}}); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	expect(t, c)
}

func TestCatalog(t *testing.T) {
	fs := vfs.NewMem()
	db := openDB(t, fs)
	ctx := context.Background()
	newCollection(t, db, "b", vectorConfig(2, Dot))
	newCollection(t, db, "a", vectorConfig(2, Dot))
	if err := db.CreateCollection(ctx, "a", vectorConfig(2, Dot)); KindOf(err) != Exists || err.Error() != "Collection `a` already exists!" {
		t.Errorf("again: %v", err)
	}
	if err := db.CreateCollection(ctx, "x/y", vectorConfig(2, Dot)); KindOf(err) != Invalid {
		t.Errorf("bad name: %v", err)
	}
	if err := db.UpdateAliases(ctx, []AliasAction{{Create: &Alias{"one", "a"}}, {Create: &Alias{"two", "b"}}, {Rename: &AliasRename{"one", "uno"}}, {Delete: "unknown"}}); err != nil {
		t.Fatal(err)
	}
	if err := db.UpdateAliases(ctx, []AliasAction{{Delete: "uno"}, {Create: &Alias{"three", "nope"}}}); KindOf(err) != NotFound {
		t.Errorf("missing collection: %v", err)
	}
	if err := db.UpdateAliases(ctx, []AliasAction{{Create: &Alias{"a", "b"}}}); KindOf(err) != Exists {
		t.Errorf("alias of a collection's name: %v", err)
	}
	if err := db.CreateCollection(ctx, "uno", vectorConfig(2, Dot)); KindOf(err) != BadRequest {
		t.Errorf("collection of an alias's name: %v", err)
	}
	c, err := db.Collection("uno")
	if err != nil || c.Name() != "a" {
		t.Fatalf("alias: %v", err)
	}
	if existed, err := db.DropCollection(ctx, "b"); !existed || err != nil {
		t.Fatal(existed, err)
	}
	if existed, err := db.DropCollection(ctx, "b"); existed || err != nil {
		t.Fatal(existed, err)
	}
	want := []Alias{{"uno", "a"}}
	for range 2 {
		if got := db.Aliases(); !slices.Equal(got, want) || !slices.Equal(db.Collections(), []string{"a"}) || db.Exists("two") {
			t.Fatalf("aliases %v, collections %v", got, db.Collections())
		}
		closeDB(t, db)
		db = openDB(t, fs)
	}
	closeDB(t, db)
	if _, err := db.DropCollection(ctx, "a"); KindOf(err) != Unavailable {
		t.Errorf("after closing: %v", err)
	}
	if err := db.UpdateAliases(ctx, nil); KindOf(err) != Unavailable {
		t.Errorf("after closing: %v", err)
	}
}

func TestDroppedCollectionIsGone(t *testing.T) {
	fs := vfs.NewMem()
	db := openDB(t, fs)
	c := newCollection(t, db, "c", vectorConfig(2, Dot))
	apply(t, c, Batch{Ops: []Op{upsert(point.Number(1), Version{}, 1, 1, "")}})
	if _, err := db.DropCollection(context.Background(), "c"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Apply(context.Background(), Batch{Ops: []Op{upsert(point.Number(1), Version{}, 1, 1, "")}}); KindOf(err) != Unavailable {
		t.Errorf("write: %v", err)
	}
	if _, err := c.Search(context.Background(), SearchRequest{Vector: Dense{1, 1}, Limit: 1}); KindOf(err) != Unavailable {
		t.Errorf("search: %v", err)
	}
	expect(t, newCollection(t, db, "c", vectorConfig(2, Dot)))
	closeDB(t, db)
	db = openDB(t, fs)
	defer closeDB(t, db)
	c, err := db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, c)
}

func TestWaitOffsets(t *testing.T) {
	c := testCollection(t)
	s := Stream{Source: "s", Topic: "t.x", Partition: 1}
	want := []MinOffset{{Topic: "t.x", Partition: 1, Offset: 9}}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	if err := c.WaitOffsets(ctx, want); KindOf(err) != Timeout || err.Error() != `not applied in time: topic "t.x", partition 1: nothing applied yet, offset 9 wanted` {
		t.Errorf("got %v", err)
	}
	apply(t, c, Batch{Positions: []Position{{Stream: s, Next: 7}}})
	ctx, cancel = context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	if err := c.WaitOffsets(ctx, want); KindOf(err) != Timeout || err.Error() != `not applied in time: topic "t.x", partition 1: applied to offset 6, 3 records behind offset 9` {
		t.Errorf("got %v", err)
	}
	done := make(chan error)
	go func() { done <- c.WaitOffsets(context.Background(), want) }()
	apply(t, c, Batch{Positions: []Position{{Stream: s, Next: 9}}})
	apply(t, c, Batch{Positions: []Position{{Stream: s, Next: 10}}})
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestDeadLettersAreBounded(t *testing.T) {
	c := testCollection(t)
	letter := DeadLetter{Reason: "too_large", Value: make([]byte, 1<<20)}
	for i := range 80 {
		letter.Offset = int64(i)
		apply(t, c, Batch{DeadLetters: []DeadLetter{letter}})
	}
	letters, err := c.DeadLetters(context.Background(), 1000)
	if err != nil || len(letters) == 0 || len(letters) > 64 || letters[len(letters)-1].Offset != 79 {
		t.Fatalf("%d letters kept, %v", len(letters), err)
	}
	apply(t, c, Batch{DeadLetters: make([]DeadLetter, maxDeadLetters+5)}) // small ones
	if letters, err = c.DeadLetters(t.Context(), 2*maxDeadLetters); err != nil || len(letters) != maxDeadLetters {
		t.Errorf("%d letters kept, %v", len(letters), err)
	}
}

// Records may have times that JSON cannot tell.
func TestDeadLettersOfAnyTime(t *testing.T) {
	c := testCollection(t)
	for _, ms := range []int64{math.MinInt64, -1 << 50, 0, 1 << 50, math.MaxInt64} {
		apply(t, c, Batch{DeadLetters: []DeadLetter{{Reason: "malformed_json", Time: time.UnixMilli(ms)}}})
	}
	letters, err := c.DeadLetters(t.Context(), 9)
	if err != nil || len(letters) != 5 || !letters[2].Time.Equal(time.UnixMilli(0)) || letters[1].Time.Year() != 0 || letters[4].Time.Year() != 9999 {
		t.Errorf("%v, %v", letters, err)
	}
}

// A commit that fails removes no dead letters, and the next one can.
func TestDeadLettersStayWithAFailedCommit(t *testing.T) {
	c := testCollection(t)
	apply(t, c, Batch{DeadLetters: []DeadLetter{{Offset: 1}, {Offset: 2}, {Offset: 3}}})
	offsets := func() (list []int64) {
		letters, err := c.DeadLetters(t.Context(), 9)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range letters {
			list = append(list, l.Offset)
		}
		return list
	}
	err := c.do(t.Context(), func() error {
		tx := c.begin()
		tx.redriven, tx.letters = []uint64{0, 1}, []DeadLetter{{Offset: 4}}
		b := c.store.NewBatch()
		return errors.Join(tx.fill(b), b.Close()) // in place of a commit
	})
	if got := offsets(); err != nil || !slices.Equal(got, []int64{1, 2, 3}) {
		t.Fatal(got, err)
	}
	apply(t, c, Batch{Redriven: []uint64{1}, DeadLetters: []DeadLetter{{Offset: 5}}})
	if got := offsets(); !slices.Equal(got, []int64{1, 3, 5}) {
		t.Error(got)
	}
}

func TestOldTombstonesGo(t *testing.T) {
	c := testCollection(t)
	s := Stream{"s", "t", 0}
	apply(t, c, Batch{Ops: []Op{remove(Version{Stream: s, Offset: 5, Time: 5}, point.Number(1))}})
	older := upsert(point.Number(1), Version{Stream: Stream{"s", "t", 1}, Time: 1}, 1, 1, "")
	if a := apply(t, c, Batch{Ops: cloneOps([]Op{older})}); a.Stale != 1 {
		t.Fatalf("the delete is forgotten at once: %+v", a)
	}
	for _, after := range []struct{ days, stale int }{{6, 1}, {8, 0}} {
		tidy(t, c, time.Duration(after.days)*24*time.Hour)
		if a := apply(t, c, Batch{Ops: cloneOps([]Op{older})}); a.Stale != after.stale {
			t.Fatalf("after %d days: %+v", after.days, a)
		}
	}
}

// tidy looks at all tombstones as if so much time had passed, and returns in how many
// steps.
func tidy(t *testing.T, c *Collection, passed time.Duration) (steps int) {
	t.Helper()
	err := c.do(context.Background(), func() error {
		now := c.now
		defer func() { c.now = now }()
		c.now = func() time.Time { return now().Add(passed) }
		c.tombstone = nil
		for {
			steps++
			if more, err := c.dropOldTombstones(); err != nil || !more {
				return err
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

func TestManyTombstonesGoInSteps(t *testing.T) {
	c := testCollection(t)
	var ids []point.ID
	for i := range uint64(2*tombstoneStep + 1) {
		ids = append(ids, point.Number(i))
	}
	s := Stream{"s", "t", 0}
	apply(t, c, Batch{Ops: []Op{remove(Version{Stream: s, Offset: 5, Time: 5}, ids...)}})
	count := func() (n int) {
		t.Helper()
		v, err := c.acquire()
		if err != nil {
			t.Fatal(err)
		}
		defer v.release()
		err = v.snapshot.Scan(storage.AppendKey(nil, storage.Tombstone, c.space, nil), nil, func([]byte, []byte) (bool, error) {
			n++
			return true, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if steps := tidy(t, c, 6*24*time.Hour); steps != 3 || count() != len(ids) {
		t.Errorf("%d steps, %d tombstones are left of %d", steps, count(), len(ids))
	}
	if steps := tidy(t, c, 8*24*time.Hour); steps != 3 || count() != 0 {
		t.Errorf("%d steps, %d tombstones are left", steps, count())
	}
	if tidy(t, c, 0); c.tombstones {
		t.Error("new points are still looked for among tombstones")
	}
}

// Readers beside writers see each update whole: a point's vector and payload
// always belong together, and none is missing or double.
func TestViewsAreConsistent(t *testing.T) {
	c := testCollection(t)
	const points = 20
	write := func(rev int) {
		var ops []Op
		for i := range points {
			ops = append(ops, upsert(point.Number(uint64(i)), Version{}, float32(rev), 0, fmt.Sprintf(`{"rev":%d}`, rev)))
		}
		apply(t, c, Batch{Ops: ops})
	}
	write(0)
	readBeside(2, func(int) bool {
		hits, err := c.Search(context.Background(), SearchRequest{Vector: Dense{0, 0}, Limit: 2 * points, WithPayload: payload.All()})
		if err != nil || len(hits) != points {
			t.Errorf("%d hits, %v", len(hits), err)
			return false
		}
		for _, h := range hits {
			if want := fmt.Sprintf(`{"rev":%v}`, h.Score); string(h.Payload) != want {
				t.Errorf("point %v has payload %s with the vector of %s", h.ID, h.Payload, want)
				return false
			}
		}
		return true
	}, func() {
		for rev := range 100 {
			write(rev + 1)
		}
	})
}

// Random operations with restarts, against a map.
func TestModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	fs := vfs.NewMem()
	db := openDB(t, fs)
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	type versioned struct {
		version Version
		text    string // "" for a tombstone
	}
	model := map[uint64]versioned{}
	var next [3]int64
	for step := range 150 {
		var b Batch
		for range 1 + r.IntN(30) {
			n := r.Uint64N(25)
			v := Version{Stream: Stream{"s", "t", int32(r.IntN(3))}, Time: int64(step + r.IntN(10))}
			v.Offset = next[v.Stream.Partition]
			next[v.Stream.Partition]++
			b.Positions = append(b.Positions, Position{Stream: v.Stream, Next: v.Offset + 1})
			var entry versioned
			if r.IntN(4) == 0 {
				b.Ops = append(b.Ops, remove(v, point.Number(n)))
				entry = versioned{version: v}
			} else {
				x := r.Float32()
				b.Ops = append(b.Ops, upsert(point.Number(n), v, x, 0, fmt.Sprintf(`{"step":%d}`, step)))
				entry = versioned{v, fmt.Sprintf("%d: [%v 0] {\"step\":%d}", n, x, step)}
			}
			if old, ok := model[n]; !ok || v.compare(old.version) >= 0 {
				model[n] = entry
			}
		}
		apply(t, c, b)
		if r.IntN(20) == 0 {
			closeDB(t, db)
			db = openDB(t, fs)
			var err error
			if c, err = db.Collection("c"); err != nil {
				t.Fatal(err)
			}
		}
		want := []string{}
		for _, n := range slices.Sorted(maps.Keys(model)) {
			if model[n].text != "" {
				want = append(want, model[n].text)
			}
		}
		if d := cmp.Diff(want, contents(t, c)); d != "" {
			t.Fatalf("step %d: %s", step, d)
		}
		positions, err := c.Positions()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range positions {
			if p.Next != next[p.Stream.Partition] {
				t.Fatalf("step %d: position %v, want %d", step, p, next[p.Stream.Partition])
			}
		}
	}
	closeDB(t, db)
}

// A crash leaves the points and the position of the same batch, and everything
// that was acknowledged as synced.
func TestCrashKeepsPointsAndPositionsTogether(t *testing.T) {
	for trial := range 12 {
		seed := uint64(trial)
		fs := crashfs.New()
		db := openDB(t, fs)
		c := newCollection(t, db, "c", vectorConfig(2, Euclid))
		s := Stream{"s", "t", 0}
		const batches, synced = 30, 17
		for i := range batches {
			apply(t, c, Batch{
				Ops:       []Op{upsert(point.Number(uint64(i)), Version{Stream: s, Offset: int64(i), Time: 1}, float32(i), 0, "")},
				Positions: []Position{{Stream: s, Next: int64(i) + 1}},
				Sync:      i == synced,
			})
		}
		crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: trial * 9, RNG: rand.New(rand.NewPCG(seed, 3))})
		closeDB(t, db)
		db = openDB(t, crashed)
		c, err := db.Collection("c")
		if err != nil {
			t.Fatal(err)
		}
		p, ok, err := c.Position(s)
		if err != nil || !ok || p.Next <= synced {
			t.Fatalf("position %v, %v, %v: %d was synced", p, ok, err, synced)
		}
		var want []string
		for i := range p.Next {
			want = append(want, fmt.Sprintf("%d: [%d 0] {}", i, i))
		}
		expect(t, c, want...)
		closeDB(t, db)
	}
}

func FuzzRecords(f *testing.F) {
	s := stored{operation: 3, version: storedVersion{1, -5, 9}, payload: json.RawMessage(`{}`)}
	f.Add(s.append(nil))
	s.timestamp, s.expires = -3, 7
	f.Add(s.append(nil))
	f.Add(appendVectors(nil, Vectors{"": Dense{1, 2}, "b": Dense{3}}))
	f.Add(appendTombstone(nil, tombstone{deleted: 4}))
	f.Add(appendStream(nil, Stream{"a", "b", 3}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if s, err := decodeStored(raw); err == nil {
			if again, err := decodeStored(s.append(nil)); err != nil || !cmp.Equal(again.payload, s.payload) || again.version != s.version || again.expires != s.expires || again.timestamp != s.timestamp {
				t.Fatalf("%+v became %+v, %v", s, again, err)
			}
		}
		if v, err := decodeVectors(raw); err == nil {
			if _, err := decodeVectors(appendVectors(nil, v)); err != nil {
				t.Fatal(err)
			}
		}
		if ts, err := decodeTombstone(raw); err == nil {
			if again, err := decodeTombstone(appendTombstone(nil, ts)); err != nil || again != ts {
				t.Fatalf("%+v became %+v, %v", ts, again, err)
			}
		}
		if s, err := decodeStream(raw); err == nil {
			if again, err := decodeStream(appendStream(nil, s)); err != nil || again != s {
				t.Fatalf("%+v became %+v, %v", s, again, err)
			}
		}
	})
}
