package server

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/server/index"
	"freshet/server/payload"
	"freshet/server/point"
)

func mustPath(t testing.TB, text string) payload.Path {
	t.Helper()
	p, err := payload.ParsePath(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ordered is a point at one of its values.
type ordered struct {
	id    uint64
	value float64
}

func (o ordered) String() string { return fmt.Sprintf("%d at %v", o.id, o.value) }

// TestOrderModel compares ordered reads of random payloads with a sort of all.
func TestOrderModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	db := openDB(t, vfs.NewMem())
	defer closeDB(t, db)
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	createIndex(t, db, "n", `"integer"`)
	createIndex(t, db, "f", `"float"`)
	createIndex(t, db, "kind", `"keyword"`)
	type doc struct {
		n, f []float64
		kind string
		odd  bool
	}
	docs := map[uint64]doc{}
	filters := map[string]func(doc) bool{
		``: func(doc) bool { return true },
		`{"must":{"key":"kind","match":{"value":"a"}}}`:                                         func(d doc) bool { return d.kind == "a" },
		`{"must":{"key":"odd","match":{"value":true}}}`:                                         func(d doc) bool { return d.odd },
		`{"must":[{"key":"kind","match":{"value":"b"}},{"key":"odd","match":{"value":false}}]}`: func(d doc) bool { return d.kind == "b" && !d.odd },
	}
	for range 40 {
		var ops []Op
		for range 30 {
			id := r.Uint64N(400)
			if r.IntN(5) == 0 {
				ops = append(ops, remove(Version{}, point.Number(id)))
				delete(docs, id)
				continue
			}
			d := doc{kind: string(rune('a' + r.IntN(3))), odd: r.IntN(2) == 0}
			for range r.IntN(4) {
				if x := float64(r.IntN(12) - 6); !slices.Contains(d.n, x) {
					d.n = append(d.n, x)
				}
				if x := float64(r.IntN(12))/2 - 3; !slices.Contains(d.f, x) {
					d.f = append(d.f, x)
				}
			}
			docs[id] = d
			list := func(values []float64) (text string) {
				for i, x := range values {
					if i > 0 {
						text += ","
					}
					text += fmt.Sprint(x)
				}
				return "[" + text + "]"
			}
			ops = append(ops, upsert(point.Number(id), Version{}, r.Float32(), 0,
				fmt.Sprintf(`{"n":%s,"f":%s,"kind":%q,"odd":%v}`, list(d.n), list(d.f), d.kind, d.odd)))
		}
		apply(t, c, Batch{Ops: ops})
		for text, passes := range filters {
			q := OrderBy{Field: mustPath(t, []string{"n", "f"}[r.IntN(2)]), Descending: r.IntN(2) == 0}
			if r.IntN(2) == 0 {
				q.Start = &index.Value{Int: int64(r.IntN(14) - 7)}
			} else if r.IntN(2) == 0 {
				q.Start = &index.Value{Float: r.Float64()*14 - 7, IsFloat: true}
			}
			var want []ordered
			for id, d := range docs {
				values := d.n
				if q.Field.String() == "f" {
					values = d.f
				}
				for _, x := range values {
					start := x
					if q.Start != nil {
						start = q.Start.Float + float64(q.Start.Int)
					}
					if passes(d) && (x == start || q.Descending == (x < start)) {
						want = append(want, ordered{id, x})
					}
				}
			}
			slices.SortFunc(want, func(a, b ordered) int {
				if q.Descending {
					a, b = b, a
				}
				return cmp.Or(cmp.Compare(a.value, b.value), cmp.Compare(a.id, b.id))
			})
			limit := 1 + r.IntN(2+len(want))
			want = want[:min(limit, len(want))]
			scroll := ScrollRequest{Limit: limit, Order: &q}
			search := SearchRequest{Limit: limit, Query: q}
			if text != "" {
				scroll.Filter = mustFilter(t, text)
				search.Filter = scroll.Filter
			}
			page, err := c.Scroll(context.Background(), scroll)
			if err != nil {
				t.Fatal(err)
			}
			expectOrder(t, want, page.Records)
			points, err := c.Search(context.Background(), search)
			if err != nil {
				t.Fatal(err)
			}
			var records []Record
			for _, p := range points {
				records = append(records, p.Record)
			}
			expectOrder(t, want, records)
		}
	}
}

func expectOrder(t *testing.T, want []ordered, records []Record) {
	t.Helper()
	got := []ordered{}
	for _, r := range records {
		id, _ := r.ID.AsNumber()
		got = append(got, ordered{id, r.Order.Float + float64(r.Order.Int)})
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
}
