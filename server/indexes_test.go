package server

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sync/errgroup"

	"freshet/server/filter"
	"freshet/server/payload"
	"freshet/server/point"
)

// An index that is asked for by an alias is of the collection that the alias named then.
func TestIndexByAnAliasThatMoves(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	defer closeDB(t, db)
	first := newCollection(t, db, "c", vectorConfig(2, Euclid))
	second := newCollection(t, db, "d", vectorConfig(2, Euclid))
	name := func(target string) {
		err := db.UpdateAliases(t.Context(), []AliasAction{{Create: &Alias{Alias: "a", Collection: target}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	name("c")
	held, hold := make(chan struct{}), make(chan struct{})
	var working errgroup.Group
	working.Go(func() error { return first.do(t.Context(), func() error { close(held); <-hold; return nil }) })
	<-held
	working.Go(func() error { return db.CreateIndex(t.Context(), "a", "n", json.RawMessage(`"integer"`)) })
	for len(first.indexing) == 0 {
		runtime.Gosched()
	}
	name("d")
	close(hold)
	if err := working.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(first.Config().Indexes) != 1 || len(second.Config().Indexes) != 0 {
		t.Errorf("the declared indexes are %v and %v", first.Config().Indexes, second.Config().Indexes)
	}
}

func createIndex(t testing.TB, db *DB, field, schema string) {
	t.Helper()
	if err := db.CreateIndex(context.Background(), "c", field, json.RawMessage(schema)); err != nil {
		t.Fatalf("%s %s: %v", field, schema, err)
	}
}

// checkFilter compares every read that takes a filter with the filter's own
// judgement of all points.
func checkFilter(t testing.TB, c *Collection, text string) {
	t.Helper()
	f := mustFilter(t, text)
	ctx := context.Background()
	all, err := c.Scroll(ctx, ScrollRequest{Limit: 1 << 20, WithPayload: payload.All()})
	if err != nil {
		t.Fatal(err)
	}
	bound := f.Bind(c.indexes.analyzer)
	var want []point.ID
	for _, r := range all.Records {
		doc, err := payload.Decode(r.Payload)
		if err != nil {
			t.Fatal(err)
		}
		ok, err := bound.Match(judged{r.ID, doc})
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			want = append(want, r.ID)
		}
	}
	if n, err := c.Count(ctx, f); err != nil || n != len(want) {
		t.Fatalf("%s: count is %d (%v), want %d", text, n, err, len(want))
	}
	var scrolled []point.ID
	for r := (ScrollRequest{Filter: f, Limit: 1 + len(want)/3}); ; {
		page, err := c.Scroll(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range page.Records {
			scrolled = append(scrolled, record.ID)
		}
		if r.Offset = page.Next; r.Offset.IsZero() {
			break
		}
	}
	if !slices.Equal(scrolled, want) {
		t.Fatalf("%s: scroll finds %v, want %v", text, scrolled, want)
	}
	for _, exact := range []bool{false, true} {
		hits, err := c.Search(ctx, SearchRequest{Vector: Dense{.5, .5}, Filter: f, Limit: 1 << 20, Exact: exact})
		if err != nil || len(hits) != len(want) {
			t.Fatalf("%s: the search finds %d (%v), want %d", text, len(hits), err, len(want))
		}
		for _, h := range hits {
			if !slices.Contains(want, h.ID) {
				t.Fatalf("%s: the search finds %v", text, h.ID)
			}
		}
	}
}

type judged struct {
	id  point.ID
	doc map[string]any
}

func (j judged) ID() (point.ID, error)            { return j.id, nil }
func (j judged) Payload() (map[string]any, error) { return j.doc, nil }
func (j judged) HasVector(string) bool            { return true }

var testFilters = []string{
	`{"must":{"key":"n","match":{"value":3}}}`,
	`{"must":{"key":"n","range":{"gte":2,"lt":6}}}`,
	`{"must_not":{"key":"n","range":{"gte":2,"lt":6}}}`,
	`{"must":{"key":"city","match":{"any":["a","b"]}}}`,
	`{"must":{"key":"city","match":{"except":["a"]}},"must_not":{"key":"n","match":{"value":1}}}`,
	`{"should":[{"key":"text","match":{"text":"Red FOX"}},{"key":"city","match":{"value":"c"}}]}`,
	`{"must":{"key":"text","match":{"phrase":"red fox"}}}`,
	`{"must":[{"key":"city","match":{"value":"b"}},{"key":"unindexed","match":{"value":true}}]}`,
	`{"must":{"is_empty":{"key":"n"}}}`,
	`{"must":[{"has_id":[1,2,3,4,5,6,7,8]},{"key":"n","range":{"gt":2}}]}`,
	`{"min_should":{"conditions":[{"key":"n","range":{"gt":4}},{"key":"city","match":{"value":"a"}},{"key":"unindexed","match":{"value":true}}],"min_count":2}}`,
	`{"must":{"has_vector":""}}`, `{"must":{"key":"city","match":{"any":[]}}}`,
}

func randomPayload(r *rand.Rand) string {
	members := []string{fmt.Sprintf(`"n":%d`, r.IntN(8)), `"city":"` + string(rune('a'+r.IntN(4))) + `"`, fmt.Sprintf(`"unindexed":%v`, r.IntN(2) == 0)}
	words := []string{"red", "fox", "Red", "dog", "fox."}
	r.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	members = append(members, `"text":"`+strings.Join(words[:3], " ")+`"`)
	if r.IntN(5) == 0 {
		members[0] = fmt.Sprintf(`"n":[%d,"x",%d.5]`, r.IntN(8), r.IntN(8))
	}
	r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return "{" + strings.Join(members[:r.IntN(5)], ",") + "}"
}

// Indexes that come and go while points are written in all ways, by filters too,
// with restarts: the reads agree with the payloads.
func TestIndexesModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	fs := vfs.NewMem()
	db := openDB(t, fs)
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	for range alone(120) {
		var ops []Op
		for range 1 + r.IntN(8) {
			id := point.Number(r.Uint64N(60))
			chosen := Select{Filter: mustFilter(t, testFilters[r.IntN(len(testFilters))])}
			switch r.IntN(12) {
			case 0:
				ops = append(ops, remove(Version{}, id))
			case 1:
				ops = append(ops, Op{Kind: SetPayload, Select: chosen, Payload: map[string]any{"n": int64(r.IntN(8))}})
			case 2:
				ops = append(ops, Op{Kind: OverwritePayload, Select: chosen, Payload: map[string]any{"city": "d"}})
			case 3:
				if r.IntN(6) == 0 {
					ops = append(ops, Op{Kind: Delete, Select: chosen})
				}
			default:
				ops = append(ops, upsert(id, Version{}, r.Float32(), r.Float32(), randomPayload(r)))
			}
		}
		apply(t, c, Batch{Ops: ops})
		switch r.IntN(8) {
		case 0:
			field := []string{"n", "city", "text"}[r.IntN(3)]
			if err := db.DropIndex(context.Background(), "c", field); err != nil {
				t.Fatal(err)
			}
		case 1, 2:
			declared := [][2]string{
				{"n", `"integer"`},
				{"n", `{"type":"integer","lookup":false}`},
				{"n", `"float"`},
				{"city", `"keyword"`},
				{"text", `"text"`},
				{"text", `{"type":"text","phrase_matching":true}`},
				{"city", `"bool"`},
			}[r.IntN(7)]
			createIndex(t, db, declared[0], declared[1])
		case 3:
			closeDB(t, db)
			db = openDB(t, fs)
			var err error
			if c, err = db.Collection("c"); err != nil {
				t.Fatal(err)
			}
		}
		for _, text := range testFilters {
			checkFilter(t, c, text)
		}
		contents(t, c)
	}
	closeDB(t, db)
}

// The writer moves points between groups, two at a time, by new payloads, new
// vectors or both, so that a group's size never changes: every read sees that
// size, and nothing that is not of the group.
func TestFiltersAndViewsAgree(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	t.Cleanup(func() { closeDB(t, db) })
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	const points, groups = 120, 3
	group := make([]int, points)
	var ops []Op
	text := func(i int) string { return fmt.Sprintf(`{"group":"g%d","size":%d}`, group[i], group[i]*10) }
	for i := range points {
		group[i] = i % groups
		ops = append(ops, upsert(point.Number(uint64(i)), Version{}, float32(i), float32(i%7), text(i)))
	}
	apply(t, c, Batch{Ops: ops})
	filters := make([]*filter.Filter, 0, 2*groups)
	for g := range groups {
		filters = append(filters,
			mustFilter(t, fmt.Sprintf(`{"must":{"key":"group","match":{"value":"g%d"}}}`, g)),
			mustFilter(t, fmt.Sprintf(`{"must":{"key":"size","range":{"gt":%d,"lt":%d}}}`, g*10-5, g*10+5)))
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for reader := range 2 {
		readers.Go(func() {
			for n := reader; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				i := n % len(filters)
				want := fmt.Sprintf(`"group":"g%d"`, i/2)
				hits, err := c.Search(context.Background(), SearchRequest{
					Vector: Dense{50, 3}, Filter: filters[i], Limit: points, Ef: points, WithPayload: payload.All(), Exact: n%3 == 0,
				})
				if err != nil || len(hits) != points/groups {
					t.Errorf("%s: %d hits, %v", want, len(hits), err)
					return
				}
				for _, h := range hits {
					if !strings.Contains(string(h.Payload), want) {
						t.Errorf("%s is found for %s", h.Payload, want)
						return
					}
				}
				if count, err := c.Count(context.Background(), filters[i]); err != nil || count != points/groups {
					t.Errorf("%s: count is %d, %v", want, count, err)
					return
				}
				page, err := c.Scroll(context.Background(), ScrollRequest{Filter: filters[i], Limit: points})
				if err != nil || len(page.Records) != points/groups {
					t.Errorf("%s: scroll finds %d, %v", want, len(page.Records), err)
					return
				}
			}
		})
	}
	r := rand.New(rand.NewPCG(3, 3))
	for step := range 150 {
		switch step {
		case 30:
			createIndex(t, db, "group", `"keyword"`)
		case 60:
			createIndex(t, db, "size", `"integer"`)
		case 120:
			createIndex(t, db, "size", `"float"`)
		}
		var ops []Op
		for range 3 {
			i, j := r.IntN(points), r.IntN(points)
			group[i], group[j] = group[j], group[i]
			for _, k := range []int{i, j} {
				id := point.Number(uint64(k))
				switch r.IntN(3) {
				case 0:
					ops = append(ops, Op{
						Kind: SetPayload, Select: Select{IDs: []point.ID{id}},
						Payload: map[string]any{"group": fmt.Sprintf("g%d", group[k]), "size": int64(group[k] * 10)},
					})
				case 1:
					ops = append(ops, remove(Version{}, id))
					fallthrough
				default:
					ops = append(ops, upsert(id, Version{}, r.Float32()*100, r.Float32(), text(k)))
				}
			}
		}
		apply(t, c, Batch{Ops: ops})
	}
	close(stop)
	readers.Wait()
}

// Writes go on while an index is built, and are in it.
func TestIndexIsBuiltWhileWritesGoOn(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	t.Cleanup(func() { closeDB(t, db) })
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	const points = 2*buildSlice + 100
	for start := 0; start < points; start += 1000 {
		var ops []Op
		for i := start; i < min(start+1000, points); i++ {
			ops = append(ops, Op{Kind: Upsert, Points: []Point{{ID: point.Number(uint64(i)), Payload: []byte(fmt.Sprintf(`{"n":%d}`, i%8))}}})
		}
		apply(t, c, Batch{Ops: ops})
	}
	built := make(chan error, 1)
	go func() { built <- db.CreateIndex(context.Background(), "c", "n", json.RawMessage(`"integer"`)) }()
	r := rand.New(rand.NewPCG(4, 4))
	for writing := true; writing; {
		select {
		case err := <-built:
			if err != nil {
				t.Fatal(err)
			}
			writing = false
		default:
			id := point.Number(r.Uint64N(points + 50))
			ops := []Op{{Kind: Upsert, Points: []Point{{ID: id, Payload: []byte(fmt.Sprintf(`{"n":%d}`, r.IntN(8)))}}}}
			if r.IntN(3) == 0 {
				ops[0] = remove(Version{}, id)
			}
			apply(t, c, Batch{Ops: ops})
		}
	}
	total := 0
	for n := range 8 {
		page, err := c.Scroll(context.Background(), ScrollRequest{Limit: 1 << 20, WithPayload: payload.All()})
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for _, record := range page.Records {
			if string(record.Payload) == fmt.Sprintf(`{"n":%d}`, n) {
				want++
			}
		}
		got, err := c.Count(context.Background(), mustFilter(t, fmt.Sprintf(`{"must":{"key":"n","match":{"value":%d}}}`, n)))
		if err != nil || got != want {
			t.Errorf("%d points have %d (%v), want %d", got, n, err, want)
		}
		total += want
	}
	info, err := c.Info()
	if err != nil || info.Points != total || info.Indexes["n"].Points != total || info.Indexes["n"].Bytes < int64(total) {
		t.Errorf("%+v, %v; want %d points", info, err, total)
	}
}

// Points that are moved together after large deletes are moved in the indexes too.
func TestIndexesFollowPointsThatMove(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	t.Cleanup(func() { closeDB(t, db) })
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	createIndex(t, db, "n", `"integer"`)
	const points = 2 * compactLeast
	var ops []Op
	for i := range points {
		ops = append(ops, Op{Kind: Upsert, Points: []Point{{ID: point.Number(uint64(i)), Payload: fmt.Appendf(nil, `{"n":%d}`, i%8)}}})
	}
	apply(t, c, Batch{Ops: ops})
	var gone []point.ID
	for i := range points {
		if i%16 != 5 && i%16 != 2 {
			gone = append(gone, point.Number(uint64(i)))
		}
	}
	apply(t, c, Batch{Ops: []Op{remove(Version{}, gone...)}})
	count := func(condition string) int {
		t.Helper()
		n, err := c.Count(context.Background(), mustFilter(t, `{"must":`+condition+`}`))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for deadline := time.Now().Add(time.Minute); c.slots.Len() > points/4; time.Sleep(betweenSlice) {
		if time.Now().After(deadline) {
			t.Fatalf("%d slots for %d points", c.slots.Len(), points/8)
		}
		if n := count(`{"key":"n","match":{"value":5}}`); n != points/16 {
			t.Fatalf("%d points while they move, want %d", n, points/16)
		}
	}
	for n, want := range []int{0, 0, points / 16, 0, 0, points / 16, 0, 0} {
		if got := count(fmt.Sprintf(`{"key":"n","range":{"gte":%d,"lte":%d}}`, n, n)); got != want {
			t.Errorf("%d points with %d, want %d", got, n, want)
		}
	}
	if got := count(`{"key":"n","is_empty":false}`); got != points/8 || c.indexes.live.GetCardinality() != points/8 {
		t.Errorf("%d points with a value, %d in all, want %d", got, c.indexes.live.GetCardinality(), points/8)
	}
}

// A filter that indexes settle reads no payload.
func TestIndexedFiltersReadNoPayload(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	t.Cleanup(func() { closeDB(t, db) })
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	createIndex(t, db, "n", `"integer"`)
	apply(t, c, Batch{Ops: []Op{upsert(point.Number(1), Version{}, 1, 1, `{"n":1,"m":1}`), upsert(point.Number(2), Version{}, 1, 1, `{"n":2,"m":1}`)}})
	for text, doubts := range map[string]uint64{
		`{"must":{"key":"n","range":{"gt":1}}}`:                                               0,
		`{"must":[{"key":"n","match":{"value":1}},{"key":"m","match":{"value":1}}]}`:          1,
		`{"must":{"key":"m","match":{"value":1}}}`:                                            2,
		`{"must_not":[{"key":"n","match":{"value":1}},{"key":"n","match":{"value":"text"}}]}`: 0,
	} {
		sel, err := c.choose(mustFilter(t, text))
		if err != nil {
			t.Fatal(err)
		}
		if n := sel.doubts.GetCardinality(); n != doubts {
			t.Errorf("%s: %d payloads have to be read, want %d", text, n, doubts)
		}
		sel.v.release()
	}
}

func TestIndexErrorsChangeNothing(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	t.Cleanup(func() { closeDB(t, db) })
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	for field, schema := range map[string]string{"a[": `"keyword"`, "b": `"number"`, "d": `{"type":"keyword","range":true}`} {
		if err := db.CreateIndex(context.Background(), "c", field, json.RawMessage(schema)); KindOf(err) != Invalid {
			t.Errorf("%s %s: %v", field, schema, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := db.CreateIndex(ctx, "c", "n", json.RawMessage(`"integer"`)); err == nil {
		t.Error("an index is made after the end of its context")
	}
	if err := db.CreateIndex(context.Background(), "other", "n", json.RawMessage(`"integer"`)); KindOf(err) != NotFound {
		t.Error(err)
	}
	if err := db.DropIndex(context.Background(), "c", "n"); err != nil {
		t.Error(err)
	}
	if info, err := c.Info(); err != nil || len(info.Indexes) != 0 || len(info.Config.Indexes) != 0 || c.indexes.building != nil {
		t.Errorf("%+v, %v", info, err)
	}
}

// Points replaced, with payloads of 200 bytes, without indexes and with three.
func BenchmarkReplace(b *testing.B) {
	for _, indexed := range []bool{false, true} {
		b.Run(fmt.Sprintf("indexed=%v", indexed), func(b *testing.B) {
			db := openDB(b, vfs.NewMem())
			defer closeDB(b, db)
			c := newCollection(b, db, "c", Config{})
			if indexed {
				createIndex(b, db, "n", `"integer"`)
				createIndex(b, db, "city", `"keyword"`)
				createIndex(b, db, "at", `"datetime"`)
			}
			r := rand.New(rand.NewPCG(1, 1))
			batch := func() Batch {
				var ops []Op
				for range 100 {
					ops = append(ops, Op{Kind: Upsert, Points: []Point{{ID: point.Number(r.Uint64N(50_000)), Payload: []byte(fmt.Sprintf(
						`{"n":%d,"city":"city %d","at":"2024-05-%02dT10:00:00Z","text":"%s"}`, r.IntN(1000), r.IntN(100), 1+r.IntN(28), strings.Repeat("text ", 30)))}}})
				}
				return Batch{Ops: ops}
			}
			for range 500 {
				apply(b, c, batch())
			}
			for b.Loop() {
				apply(b, c, batch())
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(100*b.N), "µs/point")
		})
	}
}
