package server

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"freshet/server/filter"
	"freshet/server/payload"
	"freshet/server/point"
)

// groupPayload puts a point into some groups: most are of a few, and one of ten alone.
func groupPayload(r *rand.Rand, id int) string {
	key := func() string {
		switch r.IntN(10) {
		case 0:
			return fmt.Sprintf(`"own %d"`, id)
		case 1, 2:
			return fmt.Sprint(r.IntN(4) - 1)
		case 3:
			return []string{"true", "null", "1.5", `{"a":"b"}`, "18446744073709551615"}[r.IntN(5)]
		default:
			return fmt.Sprintf("%q", []string{"a", "b", "c", "d", "e", "f"}[min(r.IntN(6), r.IntN(6))])
		}
	}
	k := key()
	switch r.IntN(6) {
	case 0:
		k = fmt.Sprintf("[%s,%s,%s]", key(), key(), key())
	case 1:
		return fmt.Sprintf(`{"n":%d,"free":%d}`, id, r.IntN(2))
	}
	return fmt.Sprintf(`{"k":%s,"n":%d,"free":%d}`, k, id, r.IntN(2))
}

// modelGroups puts points, the best first, into groups, and writes these as key: ids.
func modelGroups(t testing.TB, points []ScoredPoint, limit, size int) []string {
	t.Helper()
	var keys []any
	groups := map[any][]string{}
	for _, p := range points {
		doc, err := payload.Decode(p.Payload)
		if err != nil {
			t.Fatal(err)
		}
		mustPath(t, "k").Values(doc, func(key any) bool {
			switch key.(type) {
			case string, int64, uint64:
			default:
				return true
			}
			if groups[key] == nil {
				if len(keys) == limit {
					return true
				}
				keys = append(keys, key)
			}
			if id := p.ID.String(); len(groups[key]) < size && !slices.Contains(groups[key], id) {
				groups[key] = append(groups[key], id)
			}
			return true
		})
	}
	list := []string{}
	for _, key := range keys {
		list = append(list, fmt.Sprintf("%T %v: %s", key, key, strings.Join(groups[key], " ")))
	}
	return list
}

func writtenGroups(groups []Group) []string {
	list := []string{}
	for _, g := range groups {
		var ids []string
		for _, p := range g.Hits {
			ids = append(ids, p.ID.String())
		}
		list = append(list, fmt.Sprintf("%T %v: %s", g.Key, g.Key, strings.Join(ids, " ")))
	}
	return list
}

func TestGroupsModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 3))
	ctx := context.Background()
	for _, schema := range []string{"", `"keyword"`, `"integer"`, `{"type":"integer","lookup":false}`, `"bool"`, `"text"`} {
		db := openDB(t, vfs.NewMem())
		c := newCollection(t, db, "c", vectorConfig(2, Euclid))
		createIndex(t, db, "n", `"integer"`)
		if schema != "" {
			createIndex(t, db, "k", schema)
		}
		const points = 400
		var ops []Op
		for id := range points {
			ops = append(ops, upsert(point.Number(uint64(id)), Version{}, r.Float32(), r.Float32(), groupPayload(r, id)))
		}
		apply(t, c, Batch{Ops: ops})
		filters := []*filter.Filter{nil, {}, mustFilter(t, `{"must":{"key":"n","range":{"gte":100}}}`), mustFilter(t, `{"must":{"key":"free","match":{"value":1}}}`), mustFilter(t, `{"must":{"has_id":[1,2,3,4,5]}}`)}
		dense := func() Dense { return Dense{r.Float32(), r.Float32()} }
		threshold := float32(0.3)
		for range alone(120) {
			s := SearchRequest{Filter: filters[r.IntN(len(filters))], WithPayload: payload.All(), Exact: true}
			switch r.IntN(8) {
			case 0:
				s.ID = point.Number(r.Uint64N(points))
			case 1:
				s.List = true
			case 2:
				s.Query = OrderBy{Field: mustPath(t, "n"), Descending: r.IntN(2) == 0}
			case 3:
				s.Query = Recommend{Positive: []Example{{Vector: dense()}, {ID: point.Number(7)}}, Strategy: BestScore}
			case 4:
				s.Vector, s.ScoreThreshold = dense(), &threshold
			case 5:
				s.Prefetch = []SearchRequest{{Vector: dense(), Limit: 20, Exact: true}, {Vector: dense(), Limit: 30, Exact: true}}
				s.Query = Fusion{}
			case 6:
				s.Query = MMR{Example: Example{Vector: dense()}, Diversity: 0.3}
			default:
				s.Vector = dense()
			}
			g := GroupRequest{Search: s, By: mustPath(t, "k"), Limit: 1 + r.IntN(12), Size: 1 + r.IntN(6)}
			if r.IntN(5) == 0 {
				g.Limit, g.Size = 1<<62, 1<<62
			}
			if _, isMMR := s.Query.(MMR); isMMR {
				g.Limit, g.Size = min(g.Limit, 20), min(g.Size, 20)
			}
			groups, err := c.SearchGroups(ctx, g)
			if err != nil {
				t.Fatal(err)
			}
			all := s
			all.Limit = 1 << 62
			if _, isMMR := s.Query.(MMR); isMMR {
				all.Limit = g.Limit * g.Size
			}
			if s.Prefetch != nil {
				all.Prefetch = enlarged(s.Prefetch, g.Size)
				if all.Filter = filter.Where(g.By, filter.OtherKey{}); s.Filter != nil {
					all.Filter = filter.And(s.Filter, all.Filter)
				}
			}
			ranked, err := c.Search(ctx, all)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(modelGroups(t, ranked, g.Limit, g.Size), writtenGroups(groups)); diff != "" {
				t.Fatalf("index %s, %+v (-want +got):\n%s", schema, g, diff)
			}
			byID := map[point.ID]ScoredPoint{}
			for _, p := range ranked {
				byID[p.ID] = p
			}
			for _, group := range groups {
				for _, p := range group.Hits {
					if diff := cmp.Diff(byID[p.ID], p, cmp.AllowUnexported(point.ID{})); diff != "" {
						t.Fatalf("%+v (-want +got):\n%s", g, diff)
					}
				}
			}
		}
		// Points at random: all groups are found and full.
		groups, err := c.SearchGroups(ctx, GroupRequest{Search: SearchRequest{Query: Sample{}}, By: mustPath(t, "k"), Limit: 5, Size: 1})
		if err != nil || len(groups) != 5 {
			t.Errorf("groups of a sample are %v (%v)", groups, err)
		}
		closeDB(t, db)
	}
}

// A point that is ordered by several values is once in a group.
func TestGroupsInAnOrder(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	t.Cleanup(func() { closeDB(t, db) })
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	createIndex(t, db, "n", `"integer"`)
	var many []string
	for i := range 200 {
		many = append(many, fmt.Sprint(i))
	}
	apply(t, c, Batch{Ops: []Op{
		upsert(point.Number(1), Version{}, 0, 0, `{"k":"a","n":[`+strings.Join(many, ",")+`]}`),
		upsert(point.Number(2), Version{}, 0, 0, `{"k":"a","n":500}`),
		upsert(point.Number(3), Version{}, 0, 0, `{"k":"b","n":600}`),
	}})
	groups, err := c.SearchGroups(context.Background(), GroupRequest{Search: SearchRequest{Query: OrderBy{Field: mustPath(t, "n")}}, By: mustPath(t, "k"), Limit: 2, Size: 2})
	if want := []string{"string a: 1 2", "string b: 3"}; err != nil || !slices.Equal(writtenGroups(groups), want) {
		t.Errorf("got %v (%v), want %v", writtenGroups(groups), err, want)
	}
}

func TestGroupLookup(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	t.Cleanup(func() { closeDB(t, db) })
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	other := newCollection(t, db, "other", vectorConfig(2, Euclid))
	keys := []string{`"any"`, `"550E8400-E29B-41D4-A716-446655440000"`, `1`, `-1`, `18446744073709551615`, `""`, `"none"`, `"` + strings.Repeat("x", 2000) + `"`}
	var ops []Op
	for i, key := range keys {
		ops = append(ops, upsert(point.Number(uint64(i)), Version{}, float32(i), 0, `{"k":`+key+`}`))
	}
	apply(t, c, Batch{Ops: ops})
	parse := func(s string) point.ID {
		id, err := point.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	apply(t, other, Batch{Ops: []Op{
		upsert(parse("any"), Version{}, 1, 2, `{"a":1}`), upsert(parse("550e8400-e29b-41d4-a716-446655440000"), Version{}, 1, 2, `{"b":1}`),
		upsert(point.Number(1), Version{}, 1, 2, `{"c":1}`), upsert(point.Number(1<<64-1), Version{}, 1, 2, `{"d":1}`),
	}})
	lookups := func(l *GroupLookup) (list []string) {
		groups, err := c.SearchGroups(context.Background(), GroupRequest{Search: SearchRequest{Vector: Dense{0, 0}}, By: mustPath(t, "k"), Limit: 10, Size: 1, Lookup: l})
		if err != nil || len(groups) != len(keys) {
			t.Fatalf("%d groups (%v)", len(groups), err)
		}
		for _, g := range groups {
			if g.Lookup == nil {
				list = append(list, "")
				continue
			}
			list = append(list, fmt.Sprintf("%v %s %v", g.Lookup.ID, g.Lookup.Payload, g.Lookup.Vectors))
		}
		return list
	}
	want := []string{`any {"a":1} map[]`, `550e8400-e29b-41d4-a716-446655440000 {"b":1} map[]`, `1 {"c":1} map[]`, "", `18446744073709551615 {"d":1} map[]`, "", "", ""}
	if got := lookups(&GroupLookup{Collection: other, WithPayload: payload.All()}); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	want = []string{"", "", `1  map[:[1 0]]`, "", "", "", "", ""}
	if got := lookups(&GroupLookup{Collection: c, WithVector: VectorSelector{All: true}}); !slices.Equal(got, want) {
		t.Errorf("in the same collection, got  %q\nwant %q", got, want)
	}
}

// A view that is held shows what a filter passed then, whatever was written since.
func TestNarrow(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 4))
	db := openDB(t, vfs.NewMem())
	t.Cleanup(func() { closeDB(t, db) })
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	ctx := context.Background()
	write := func() {
		var ops []Op
		for range 1 + r.IntN(5) {
			id := point.Number(r.Uint64N(50))
			switch r.IntN(5) {
			case 0:
				ops = append(ops, remove(Version{}, id))
			case 1:
				ops = append(ops, Op{Kind: SetPayload, Select: Select{Filter: mustFilter(t, fmt.Sprintf(`{"must":{"has_id":[%s]}}`, id))}, Payload: map[string]any{"k": string(rune('a' + r.IntN(3)))}})
			default:
				ops = append(ops, upsert(id, Version{}, r.Float32(), r.Float32(), groupPayload(r, r.IntN(50))))
			}
		}
		apply(t, c, Batch{Ops: ops})
	}
	for round := range 60 {
		write()
		switch round % 4 {
		case 1:
			createIndex(t, db, "k", []string{`"keyword"`, `"integer"`}[r.IntN(2)])
		case 3:
			if err := db.DropIndex(ctx, "c", "k"); err != nil {
				t.Fatal(err)
			}
		}
		base := mustFilter(t, []string{`{"must":{"key":"free","match":{"value":1}}}`, `{"must":{"key":"k","match":{"except":["b"]}}}`}[r.IntN(2)])
		check := func(f *filter.Filter) {
			var of *selection
			v, err := c.acquire()
			if err != nil {
				t.Fatal(err)
			}
			if f != nil {
				v.release()
				if of, err = c.choose(f); err != nil {
					t.Fatal(err)
				}
				v = of.v
			}
			defer v.release()
			now, err := c.Scroll(ctx, ScrollRequest{Filter: f, Limit: 1000, WithPayload: payload.All()})
			if err != nil {
				t.Fatal(err)
			}
			for range r.IntN(4) {
				write()
			}
			if r.IntN(2) == 0 {
				createIndex(t, db, "k", `"keyword"`)
			}
			for _, test := range []filter.Test{filter.OtherKey{}, filter.OtherKey{Values: map[any]struct{}{"a": {}, int64(1): {}}}, filter.OneOf{Values: map[any]struct{}{"a": {}, "b": {}, int64(1): {}}}} {
				where := filter.Where(mustPath(t, "k"), test)
				sel := c.narrow(v, of, where)
				if err := sel.resolve(ctx); err != nil {
					t.Fatal(err)
				}
				var got, want []string
				for _, key := range sel.keys(nil) {
					id, err := point.FromKey(key)
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, id.String())
				}
				for _, record := range now.Records {
					doc, err := payload.Decode(record.Payload)
					if err != nil {
						t.Fatal(err)
					}
					if ok, err := where.Match(judged{record.ID, doc}); err != nil || ok {
						want = append(want, record.ID.String())
					}
				}
				if !slices.Equal(got, want) {
					t.Fatalf("round %d, %+v: got %v, want %v", round, test, got, want)
				}
			}
		}
		check(nil)
		check(base)
	}
}

// The writer swaps the groups of points, by payloads, by vectors, or both. The sizes of
// groups stay, so that every read finds all groups, and all full.
func TestGroupsAndViewsAgree(t *testing.T) {
	for _, schema := range []string{"", `"keyword"`} {
		db := openDB(t, vfs.NewMem())
		c := newCollection(t, db, "c", vectorConfig(2, Euclid))
		if schema != "" {
			createIndex(t, db, "k", schema)
		}
		const near, far = 100, 40 // points; the far ones are of two groups
		group := make([]int, far)
		write := func(i int) Op {
			return upsert(point.Number(uint64(near+i)), Version{}, 100+rand.Float32(), rand.Float32(), fmt.Sprintf(`{"k":"g%d"}`, group[i]))
		}
		set := func(i int) Op {
			return Op{Kind: SetPayload, Select: Select{IDs: []point.ID{point.Number(uint64(near + i))}}, Payload: map[string]any{"k": fmt.Sprintf("g%d", group[i])}}
		}
		var ops []Op
		for i := range near {
			ops = append(ops, upsert(point.Number(uint64(i)), Version{}, rand.Float32(), 0, `{"k":"near"}`))
		}
		for i := range group {
			group[i] = i % 2
			ops = append(ops, write(i))
		}
		apply(t, c, Batch{Ops: ops})
		const size = 18
		read := func(int) bool {
			groups, err := c.SearchGroups(context.Background(), GroupRequest{
				Search: SearchRequest{Vector: Dense{0, 0}, WithPayload: payload.All()}, By: mustPath(t, "k"), Limit: 3, Size: size,
			})
			if err != nil || len(groups) != 3 {
				t.Errorf("index %s: %v (%v)", schema, writtenGroups(groups), err)
				return false
			}
			for _, g := range groups {
				seen := map[point.ID]bool{}
				for _, p := range g.Hits {
					var has struct{ K string }
					if err := json.Unmarshal(p.Payload, &has); err != nil || has.K != g.Key {
						t.Errorf("a point of group %v has %s (%v)", g.Key, p.Payload, err)
						return false
					}
					seen[p.ID] = true
				}
				if len(g.Hits) != size || len(seen) != size {
					t.Errorf("index %s: group %v has %d points, %d different", schema, g.Key, len(g.Hits), len(seen))
					return false
				}
			}
			return true
		}
		readBeside(3, read, func() {
			for range 300 {
				a, b := rand.IntN(far), rand.IntN(far)
				group[a], group[b] = group[b], group[a]
				move := write
				if rand.IntN(2) == 0 {
					move = set
				}
				apply(t, c, Batch{Ops: []Op{move(a), move(b)}})
			}
		})
		closeDB(t, db)
	}
}
