package server

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	gocmp "github.com/google/go-cmp/cmp"

	"freshet/server/filter"
	"freshet/server/index"
	"freshet/server/payload"
	"freshet/server/point"
)

// facetFields are fields by the type of their index, which says what is counted.
var facetFields = map[string]string{"word": "keyword", "own": "keyword", "n": "integer", "flag": "bool", "u": "uuid"}

// facetPayload returns members with values of the index's type, of others, and lists
// with some of them twice.
func facetPayload(r *rand.Rand, id int) string {
	values := map[string]func() string{
		"word": func() string { return fmt.Sprintf("%q", []string{"a", "b", "c", "é", ""}[r.IntN(5)]) },
		"own":  func() string { return fmt.Sprintf(`"%d-%d"`, id, r.IntN(3)) },
		"n": func() string {
			return fmt.Sprint([]any{r.IntN(5) - 2, 9223372036854775807, 1.5, `"1"`}[min(r.IntN(12), 3)])
		},
		"flag": func() string { return fmt.Sprint(r.IntN(2) == 0) },
		"u":    func() string { return fmt.Sprintf(`"00000000-0000-0000-0000-00000000000%d"`, r.IntN(4)) },
		"free": func() string { return fmt.Sprint(r.IntN(3)) },
	}
	var members []string
	for name, value := range values {
		switch r.IntN(8) {
		case 0:
		case 1:
			members = append(members, fmt.Sprintf(`%q:[%s,null,%s,%s,true,{"a":1}]`, name, value(), value(), value()))
		case 2:
			members = append(members, fmt.Sprintf(`%q:%s`, name, []string{"null", "[]", "1.0", `{"a":1}`}[r.IntN(4)]))
		default:
			members = append(members, fmt.Sprintf(`%q:%s`, name, value()))
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

// modelFacet counts what the payloads of a scroll hold.
func modelFacet(t testing.TB, c *Collection, field string, f *filter.Filter, limit int) []index.ValueCount {
	t.Helper()
	page, err := c.Scroll(context.Background(), ScrollRequest{Filter: f, Limit: 1 << 20, WithPayload: payload.All()})
	if err != nil {
		t.Fatal(err)
	}
	counts := map[any]int{}
	for _, r := range page.Records {
		doc, err := payload.Decode(r.Payload)
		if err != nil {
			t.Fatal(err)
		}
		has := map[any]bool{}
		mustPath(t, field).Values(doc, func(v any) bool {
			ok := false
			switch facetFields[field] {
			case "keyword":
				_, ok = v.(string)
			case "integer":
				_, ok = v.(int64)
			case "bool":
				_, ok = v.(bool)
			case "uuid":
				s, isString := v.(string)
				ok = isString && len(s) == 36
			}
			if ok {
				has[v] = true
			}
			return true
		})
		for v := range has {
			counts[v]++
		}
	}
	list := []index.ValueCount{}
	for v, n := range counts {
		list = append(list, index.ValueCount{Value: v, Points: n})
	}
	slices.SortFunc(list, func(a, b index.ValueCount) int {
		order := cmp.Compare(b.Points, a.Points)
		if n, ok := a.Value.(int64); ok {
			return cmp.Or(order, cmp.Compare(n, b.Value.(int64)))
		}
		return cmp.Or(order, cmp.Compare(fmt.Sprint(a.Value), fmt.Sprint(b.Value)))
	})
	return list[:min(len(list), limit)]
}

func TestFacetModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	db := openDB(t, vfs.NewMem())
	t.Cleanup(func() { closeDB(t, db) })
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	const points = 300
	for range 3 * points {
		id := r.IntN(points)
		if r.IntN(10) == 0 {
			apply(t, c, Batch{Ops: []Op{remove(Version{}, point.Number(uint64(id)))}})
			continue
		}
		apply(t, c, Batch{Ops: []Op{upsert(point.Number(uint64(id)), Version{}, r.Float32(), 0, facetPayload(r, id))}})
	}
	for field, schema := range facetFields {
		createIndex(t, db, field, `"`+schema+`"`)
	}
	filters := []*filter.Filter{nil, {}}
	for _, text := range []string{
		`{"must":{"key":"word","match":{"value":"a"}}}`,
		`{"must":{"key":"n","range":{"gte":0}}}`,
		`{"must":{"key":"free","match":{"value":1}}}`, // not by an index
		`{"must":[{"key":"word","match":{"except":["a"]}},{"key":"free","match":{"value":1}}]}`,
		`{"should":[{"key":"flag","match":{"value":true}},{"key":"free","match":{"value":2}}]}`,
		`{"must":{"has_id":[1,2,3]}}`, // few points
		`{"must":[{"has_id":[1,2,3,4,5,6]},{"key":"free","match":{"value":1}}]}`,
		`{"must":{"key":"word","match":{"value":"none"}}}`,
	} {
		filters = append(filters, mustFilter(t, text))
	}
	for field := range facetFields {
		for i, f := range filters {
			for _, limit := range []int{1, 3, 70, 1 << 62} {
				got, err := c.Facet(context.Background(), FacetRequest{Key: mustPath(t, field), Filter: f, Limit: limit})
				if err != nil {
					t.Fatal(err)
				}
				if diff := gocmp.Diff(modelFacet(t, c, field, f, limit), got); diff != "" {
					t.Errorf("%s, filter %d, limit %d (-want +got):\n%s", field, i, limit, diff)
				}
			}
		}
	}
}

func TestFacetNeedsAnIndex(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	t.Cleanup(func() { closeDB(t, db) })
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	for field, schema := range map[string]string{
		"text": `"text"`, "float": `"float"`, "geo": `"geo"`, "time": `"datetime"`, "range": `{"type":"integer","lookup":false}`,
	} {
		createIndex(t, db, field, schema)
	}
	for _, field := range []string{"none", "text", "float", "geo", "time", "range"} {
		_, err := c.Facet(context.Background(), FacetRequest{Key: mustPath(t, field), Limit: 1})
		if want := "No appropriate index for faceting: `" + field + "`."; KindOf(err) != WrongInput || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", field, err)
		}
	}
	late, cancel := context.WithTimeout(context.Background(), 0)
	defer cancel()
	createIndex(t, db, "k", `"keyword"`)
	var ops []Op
	for i := range 2000 {
		ops = append(ops, upsert(point.Number(uint64(i)), Version{}, float32(i), 1, fmt.Sprintf(`{"k":"%d"}`, i)))
	}
	apply(t, c, Batch{Ops: ops})
	for _, f := range []*filter.Filter{nil, mustFilter(t, `{"must":{"key":"x","match":{"value":1}}}`)} {
		if _, err := c.Facet(late, FacetRequest{Key: mustPath(t, "k"), Filter: f, Limit: 1}); KindOf(err) != Timeout {
			t.Errorf("too late: %v", err)
		}
	}
}

// The writer moves points between groups, two at a time, so that their sizes stay: that
// is what every facet counts, by the index as by payloads.
func TestFacetsAndViewsAgree(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	t.Cleanup(func() { closeDB(t, db) })
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	createIndex(t, db, "group", `"keyword"`)
	const points, groups = 60, 3
	group := make([]int, points)
	write := func(i int) Op {
		return upsert(point.Number(uint64(i)), Version{}, float32(i), rand.Float32(), fmt.Sprintf(`{"group":"g%d","free":1}`, group[i]))
	}
	var ops []Op
	for i := range points {
		group[i] = i % groups
		ops = append(ops, write(i))
	}
	apply(t, c, Batch{Ops: ops})
	filters := []*filter.Filter{nil, mustFilter(t, `{"must":{"key":"group","match":{"except":["none"]}}}`), mustFilter(t, `{"must":{"key":"free","match":{"value":1}}}`)}
	read := func(reader int) bool {
		got, err := c.Facet(context.Background(), FacetRequest{Key: mustPath(t, "group"), Filter: filters[reader], Limit: 10})
		if want := "[{g0 20} {g1 20} {g2 20}]"; err != nil || fmt.Sprint(got) != want {
			t.Errorf("reader %d counts %v (%v)", reader, got, err)
			return false
		}
		return true
	}
	readBeside(len(filters), read, func() {
		for range 300 {
			a, b := rand.IntN(points), rand.IntN(points)
			group[a], group[b] = group[b], group[a]
			apply(t, c, Batch{Ops: []Op{write(a), write(b)}})
		}
	})
}
