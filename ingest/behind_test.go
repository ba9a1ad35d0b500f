package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"freshet/ingest"
)

// TestBehind checks what a server has to read before it is ready.
func TestBehind(t *testing.T) {
	r := newRig(t, 1, ingest.Source{})
	r.create(1)
	old := func(id int) *kgo.Record {
		return &kgo.Record{Timestamp: time.Now().Add(-time.Hour), Value: fmt.Appendf(nil, `{"id":%d,"embedding":[1]}`, id)}
	}
	r.produce(old(1), old(2), old(3))
	var silent atomic.Bool
	var unanswered atomic.Int64
	silent.Store(true)
	r.cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		if !silent.Load() {
			return nil, nil, false
		}
		unanswered.Add(1)
		time.Sleep(time.Millisecond)
		return req.ResponseKind(), nil, true
	})
	r.run()
	behind := func(wantSources int, wantRecords int64) {
		t.Helper()
		r.eventually(func() string {
			sources, records := r.manager.Behind(time.Millisecond)
			if sources != wantSources || records != wantRecords {
				return fmt.Sprintf("%d sources are behind by %d records, want %d and %d", sources, records, wantSources, wantRecords)
			}
			return ""
		})
	}
	if sources, _ := r.manager.Behind(time.Minute); sources != 1 {
		t.Errorf("a source that begins: %d", sources)
	}
	behind(1, 3)
	silent.Store(false)
	behind(0, 0)

	// A record that has waited for less than the limit is none that was missed.
	unanswered.Store(0)
	silent.Store(true)
	r.eventually(func() string { // a fetch that was there before may still be answered
		if unanswered.Load() == 0 {
			return "no fetch has come since"
		}
		return ""
	})
	r.produce(old(4))
	behind(1, 1)
	if sources, records := r.manager.Behind(2 * time.Hour); sources != 0 || records != 0 {
		t.Errorf("within the limit: %d sources, %d records", sources, records)
	}
	// Nobody knows when a broker comes back.
	r.cluster.Close()
	behind(0, 0)
}

// TestRestoredElsewhere puts a snapshot into an empty data folder: the source goes on
// from the positions in it, and each record takes effect once.
func TestRestoredElsewhere(t *testing.T) {
	r := newRig(t, 2, ingest.Source{})
	r.create(1)
	r.run()
	record := func(id, partition int32) *kgo.Record {
		return &kgo.Record{Partition: partition, Value: fmt.Appendf(nil, `{"id":%d,"embedding":[1]}`, id)}
	}
	r.produce(record(1, 0), record(2, 0), record(3, 1))
	r.applied(0, 1)
	r.applied(1, 0)
	info, err := r.db.CreateSnapshot(context.Background(), "c")
	if err != nil {
		t.Fatal(err)
	}
	r.produce(record(4, 0), record(5, 1), record(6, 1))
	r.applied(0, 2)
	r.applied(1, 2)
	want := r.points()
	file, _, err := r.db.OpenSnapshot(context.Background(), "c", info.Name)
	if err != nil {
		t.Fatal(err)
	}
	r.halt()
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}

	r.dir = t.TempDir()
	r.open()
	if err := errors.Join(r.db.Recover(context.Background(), "c", file, info.Checksum), file.Close()); err != nil {
		t.Fatal(err)
	}
	if n := len(r.points()); n != 3 {
		t.Errorf("the snapshot has %d points, want 3", n)
	}
	r.run()
	r.applied(0, 2)
	r.applied(1, 2)
	r.expect(want)
	for _, f := range r.manager.Status()[0].Formats { // one: all are of a kind
		if f != 3 {
			t.Errorf("%d records were applied after the snapshot, want 3", f)
		}
	}
}
