package server

import (
	"context"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/server/point"
)

// TestGroupsAreOfPoints has two batches wait that are one operation each, of many points: they
// do not share a commit.
func TestGroupsAreOfPoints(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	defer closeDB(t, db)
	c := newCollection(t, db, "c", vectorConfig(1, Dot))
	var ids []point.ID
	var points []Point
	for i := range maxGroupPoints {
		ids = append(ids, point.Number(uint64(i)))
		points = append(points, Point{ID: ids[i], Vectors: Vectors{"": Dense{1}}})
	}
	for name, op := range map[string]Op{"upsert": {Kind: Upsert, Points: points}, "delete": {Kind: Delete, Select: Select{IDs: ids}}} {
		first := &request{ctx: t.Context(), batch: Batch{Ops: []Op{op}}, set: c.set(), done: make(chan struct{})}
		second := &request{ctx: t.Context(), batch: Batch{Ops: []Op{op}}, set: c.set(), done: make(chan struct{})}
		err := c.do(t.Context(), func() error { // by the writer, whom nobody else may call serve for
			c.queue <- second
			c.serve(first)
			select {
			case <-second.done:
				t.Errorf("%s: both are one group", name)
			default:
			}
			return first.err
		})
		if err != nil {
			t.Fatal(err)
		}
		<-second.done
		if second.err != nil {
			t.Fatal(second.err)
		}
	}
}

// TestFilterOfNobody has the writer come to an operation on a filter when who asked for it has
// gone: the points are not gone through, and stay.
func TestFilterOfNobody(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	defer closeDB(t, db)
	c := newCollection(t, db, "c", vectorConfig(2, Dot))
	apply(t, c, Batch{Ops: []Op{upsert(point.Number(1), Version{}, 1, 0, `{"n":1}`)}})
	op := Op{Kind: Delete, Select: Select{Filter: mustFilter(t, `{"must":[{"key":"n","match":{"value":1}}]}`)}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := c.do(t.Context(), func() error { // by the writer
		r := &request{ctx: ctx, batch: Batch{Ops: []Op{op}}, set: c.set(), done: make(chan struct{})}
		c.serve(r)
		return r.err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if n, err := c.Count(t.Context(), nil); err != nil || n != 1 {
		t.Errorf("%d points, %v", n, err)
	}
}
