package ingest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/ingest"
	"freshet/server"
	"freshet/server/sources"
)

// catchUp waits for what is in the logs now.
func (r *rig) catchUp(timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return r.manager.CatchUp(ctx, "c", time.Now())
}

const longWait = 20 * time.Second

// TestCatchUp checks that what was produced is visible after each wait.
func TestCatchUp(t *testing.T) {
	r := newRig(t, 2, ingest.Source{OnCreate: ingest.OnCreate{Auto: true}})
	r.run()
	r.produce(value(`{"id":0,"vector":[1]}`))
	r.applied(0, 0)
	client := r.client()
	defer client.Close()
	for i := 1; i < 50; i++ {
		rec := &kgo.Record{Topic: "t", Partition: int32(i % 2), Value: fmt.Appendf(nil, `{"id":%d,"vector":[1]}`, i)}
		if err := client.ProduceSync(context.Background(), rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
		before := time.Now()
		if err := r.catchUp(longWait); err != nil {
			t.Fatal(err)
		}
		if n := len(r.points()); n != i+1 {
			t.Fatalf("%d points after %d records", n, i+1)
		}
		c, err := r.db.Collection("c")
		if err != nil {
			t.Fatal(err)
		}
		positions, err := c.Positions()
		if err != nil {
			t.Fatal(err)
		}
		if asOf, ok := r.manager.AsOf("c", positions); !ok || asOf.Before(before) {
			t.Errorf("as of %v, %v; the wait began at %v", asOf, ok, before)
		}
	}
	if l := r.manager.Status()[0].Limit; l.P99 <= 0 || l.P99 > time.Hour {
		t.Errorf("batches took %v", l.P99)
	}
	if err := r.manager.CatchUp(context.Background(), "other", time.Now()); err != nil {
		t.Errorf("a collection without sources: %v", err)
	}
	if _, ok := r.manager.AsOf("other", nil); ok {
		t.Error("a collection without sources has an age")
	}
}

// TestCatchUpWithTransactions checks that waits end on logs that end with markers and
// aborted records, and do not wait for transactions that are open.
func TestCatchUpWithTransactions(t *testing.T) {
	r := newRig(t, 1, ingest.Source{OnCreate: ingest.OnCreate{Auto: true}})
	r.run()
	r.produce(value(`{"id":0,"vector":[1]}`))
	r.applied(0, 0)
	ctx := context.Background()
	client := r.client(kgo.TransactionalID("tx"))
	defer client.Close()
	begin := func(id int) {
		t.Helper()
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		rec := &kgo.Record{Topic: "t", Value: fmt.Appendf(nil, `{"id":%d,"vector":[1]}`, id)}
		if err := client.ProduceSync(ctx, rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(points int) {
		t.Helper()
		if err := r.catchUp(longWait); err != nil {
			t.Fatal(err)
		}
		if got := r.points(); len(got) != points {
			t.Fatalf("%v, want %d points", got, points)
		}
		// The same by positions.
		ctx, cancel := context.WithTimeout(ctx, longWait)
		defer cancel()
		if err := r.manager.WaitFor(ctx, sources.Key{Collection: "c", Name: "src"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	end := func(how kgo.TransactionEndTry) {
		t.Helper()
		if err := client.EndTransaction(ctx, how); err != nil {
			t.Fatal(err)
		}
	}
	begin(1)
	expect(1)
	end(kgo.TryCommit)
	expect(2)
	begin(2)
	end(kgo.TryAbort)
	expect(2)
	begin(3)
	expect(2)
	end(kgo.TryAbort)
	expect(2)
}

// TestCatchUpInVain checks that a wait which cannot end is refused, and that the age
// of what is visible grows meanwhile.
func TestCatchUpInVain(t *testing.T) {
	r := newRig(t, 1, ingest.Source{OnCreate: ingest.OnCreate{Auto: true}, ErrorsTolerance: "none"})
	r.run()
	r.produce(value(`{"id":0,"vector":[1]}`))
	r.applied(0, 0)
	if err := r.catchUp(longWait); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	key := sources.Key{Collection: "c", Name: "src"}
	set := func(state sources.State) {
		t.Helper()
		if err := r.manager.SetState(ctx, key, state); err != nil {
			t.Fatal(err)
		}
	}
	for _, state := range []sources.State{sources.Paused, sources.Stopped} {
		set(state)
		if err := r.catchUp(longWait); err != nil {
			t.Errorf("%s, nothing is missing: %v", state, err)
		}
		began := time.Now()
		r.produce(value(`{"id":1,"vector":[1]}`))
		if err := r.catchUp(longWait); server.KindOf(err) != server.Unavailable {
			t.Errorf("%s: %v", state, err)
		}
		if err := r.manager.CatchUp(ctx, "c", began.Add(-time.Minute)); err != nil {
			t.Errorf("%s, as of a minute ago: %v", state, err)
		}
		set(sources.Running)
		if err := r.catchUp(longWait); err != nil {
			t.Errorf("%s and on again: %v", state, err)
		}
	}
	r.produce(value(`{"id":2,"vector":[1,2]}`)) // stops the partition
	r.eventually(func() string {
		if err := r.catchUp(time.Second); server.KindOf(err) != server.Unavailable {
			return fmt.Sprint(err)
		}
		return ""
	})
	r.cluster.Close()
	if err := r.catchUp(longWait); server.KindOf(err) != server.Unavailable {
		t.Errorf("without a broker: %v", err)
	}
}
