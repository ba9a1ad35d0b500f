package server

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"freshet/server/payload"
	"freshet/server/point"
)

func TestConditionsSeeWhatWasBeforeTheOperation(t *testing.T) {
	c := testCollection(t)
	one, two := point.Number(1), point.Number(2)
	mode := func(op Op, m UpdateMode) Op { op.Mode = m; return op }
	where := func(op Op, f string) Op { op.Where = mustFilter(t, f); return op }
	twice := upsert(one, Version{}, 1, 1, `{"n":1}`)
	twice.Points = append(twice.Points, Point{ID: one, Vectors: Vectors{"": Dense{2, 2}}, Payload: json.RawMessage(`{"n":2}`)})
	apply(t, c, Batch{Ops: []Op{mode(upsert(one, Version{}, 0, 0, ""), UpdateOnly)}})
	expect(t, c)
	apply(t, c, Batch{Ops: []Op{mode(twice, InsertOnly)}}) // the last of the new ones
	expect(t, c, "1: [2 2] {\"n\":2}")
	apply(t, c, Batch{Ops: []Op{mode(upsert(one, Version{}, 3, 3, ""), InsertOnly), mode(upsert(two, Version{}, 4, 4, ""), InsertOnly)}})
	expect(t, c, "1: [2 2] {\"n\":2}", "2: [4 4] {}")
	n2 := `{"must":[{"key":"n","match":{"value":2}}]}`
	apply(t, c, Batch{Ops: []Op{
		where(upsert(one, Version{}, 5, 5, `{"n":3}`), n2), // the next one sees this
		where(upsert(one, Version{}, 6, 6, `{"n":4}`), n2),
		where(upsert(two, Version{}, 7, 7, ""), n2),
		where(upsert(point.Number(3), Version{}, 8, 8, ""), n2),
		mode(where(upsert(point.Number(4), Version{}, 9, 9, ""), n2), UpdateOnly),
	}})
	expect(t, c, "1: [5 5] {\"n\":3}", "2: [4 4] {}", "3: [8 8] {}")
	update := Op{Kind: UpdateVectors, Points: []Point{{ID: one, Vectors: Vectors{"": Dense{1, 1}}}, {ID: two, Vectors: Vectors{"": Dense{1, 1}}}}}
	apply(t, c, Batch{Ops: []Op{where(update, `{"must_not":[{"key":"n","match":{"value":3}}]}`)}})
	expect(t, c, "1: [5 5] {\"n\":3}", "2: [1 1] {}", "3: [8 8] {}")
	apply(t, c, Batch{Ops: []Op{
		{Kind: DeleteVectors, Select: Select{IDs: []point.ID{one}}, Names: []string{""}},
		where(upsert(one, Version{}, 6, 6, ""), `{"must":[{"has_vector":""}]}`), where(upsert(two, Version{}, 6, 6, ""), `{"must":[{"has_vector":""},{"has_id":[2]}]}`),
	}})
	if got := contentsOf(t, c, one) + " " + contentsOf(t, c, two); got != `1: <nil> {"n":3} 2: [6 6] {}` {
		t.Error(got)
	}
	missing := where(Op{Kind: UpdateVectors, Points: []Point{{ID: point.Number(9), Vectors: Vectors{"": Dense{1, 1}}}}}, n2)
	if _, err := c.Apply(context.Background(), Batch{Ops: []Op{missing}}); KindOf(err) != NotFound {
		t.Errorf("vectors of a missing point: %v", err)
	}
}

func contentsOf(t *testing.T, c *Collection, id point.ID) string {
	t.Helper()
	page, err := c.Scroll(context.Background(), ScrollRequest{Limit: 1, Offset: id, WithPayload: payload.All(), WithVector: VectorSelector{All: true}})
	if err != nil || len(page.Records) != 1 || page.Records[0].ID != id {
		t.Fatalf("%v: %v, %v", id, page.Records, err)
	}
	r := page.Records[0]
	return fmt.Sprintf("%v: %v %s", r.ID, r.Vectors[""], r.Payload)
}

// TestConditionsModel compares random conditional upserts with a map.
func TestConditionsModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	c := testCollection(t)
	model := map[uint64]int{}
	for range 300 {
		var batch Batch
		for range 1 + r.IntN(3) {
			op := Op{Kind: Upsert, Mode: UpdateMode(r.IntN(3))}
			limit := 10
			if r.IntN(2) == 0 {
				limit = r.IntN(10)
				op.Where = mustFilter(t, fmt.Sprintf(`{"must":[{"key":"n","range":{"lt":%d}}]}`, limit))
			}
			given := map[uint64]int{}
			for range 1 + r.IntN(6) {
				id, n := uint64(r.IntN(12)), r.IntN(10)
				given[id] = n
				op.Points = append(op.Points, Point{ID: point.Number(id), Vectors: Vectors{"": Dense{float32(n), 1}}, Payload: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n))})
			}
			for id, n := range given {
				old, exists := model[id]
				if exists && op.Mode != InsertOnly && old < limit || !exists && op.Mode != UpdateOnly {
					model[id] = n
				}
			}
			batch.Ops = append(batch.Ops, op)
			if r.IntN(4) == 0 {
				id := uint64(r.IntN(12))
				delete(model, id)
				batch.Ops = append(batch.Ops, remove(Version{}, point.Number(id)))
			}
		}
		apply(t, c, batch)
	}
	want := []string{}
	for id := range uint64(12) {
		if n, ok := model[id]; ok {
			want = append(want, fmt.Sprintf(`%d: [%d 1] {"n":%d}`, id, n, n))
		}
	}
	if got := contents(t, c); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
