package ingest_test

import (
	"context"
	"testing"
	"time"

	"freshet/ingest"
	"freshet/server"
	"freshet/server/point"
)

// A source is at rest when its last batch is done, however long the writer is busy with
// others: if the next session began before that, its dead letters would be there twice.
func TestRestAwaitsTheLastBatch(t *testing.T) {
	r := newRig(t, 1, ingest.Source{})
	r.create(2)
	r.run()
	r.produce(value(`{"id":1,"embedding":[1,1]}`))
	r.applied(0, 0)
	c, err := r.db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	op := server.Op{Kind: server.Upsert}
	for i := range 4_000 {
		op.Points = append(op.Points, server.Point{ID: point.Number(uint64(i)), Vectors: server.Vectors{"": server.Dense{1, float32(i)}}})
	}
	written := make(chan error, 1)
	go func() {
		_, err := c.Apply(context.Background(), server.Batch{Ops: []server.Op{op}})
		written <- err
	}()
	time.Sleep(20 * time.Millisecond) // the writer has begun
	r.produce(value("nonsense"), value("more nonsense"))
	time.Sleep(100 * time.Millisecond) // what was read of it waits behind
	r.halt()
	position := func() int64 {
		p, _, err := c.Position(server.Stream{Source: "src", Topic: "t"})
		if err != nil {
			t.Fatal(err)
		}
		return p.Next
	}
	atRest := position()
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if _, err := c.Apply(context.Background(), server.Batch{}); err != nil { // behind all others
		t.Fatal(err)
	}
	if later := position(); later != atRest {
		t.Errorf("the source was at rest at %d and came to %d", atRest, later)
	}
}
