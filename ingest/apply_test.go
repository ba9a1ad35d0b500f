package ingest

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/server"
)

// TestOldestOfAFailedPartition: what is read behind the record at which a partition has
// failed does not make it look younger.
func TestOldestOfAFailedPartition(t *testing.T) {
	running, failed := partition{"t", 0}, partition{"t", 1}
	bad, behind := time.Unix(1, 0), time.Unix(2, 0)
	s := &source{partitions: map[partition]*partitionState{
		running: {state: Running, oldest: bad}, failed: {state: Failed, oldest: bad},
	}}
	d := newDecoded()
	d.oldest[running], d.oldest[failed] = behind, behind
	s.noteOldest(d)
	if got := s.partitions[running].oldest; !got.Equal(behind) {
		t.Errorf("running: %v", got)
	}
	if got := s.partitions[failed].oldest; !got.Equal(bad) {
		t.Errorf("failed: %v", got)
	}
}

// TestWhatWaitsAfterABatch: what was read is known to be applied, up to which record, and since
// when nothing more waits where that is so.
func TestWhatWaitsAfterABatch(t *testing.T) {
	done, behind := partition{"t", 0}, partition{"t", 1}
	first, last := time.Unix(1, 0), time.Unix(2, 0)
	s := newSession(t)
	s.partitions = map[partition]*partitionState{
		done: {state: Running, next: 3, end: 5, oldest: first}, behind: {state: Running, next: 3, end: 9, oldest: first},
		{"t", 2}: {state: Gap, next: 1, end: 8}, {"t", 3}: {state: Failed, next: 1, end: 8},
	}
	if n := s.waitingRecords(); n != 2+6 { // of those that are read
		t.Errorf("%d records wait before", n)
	}
	d := newDecoded()
	var positions []server.Position
	for _, p := range []partition{done, behind} {
		d.records = append(d.records, &kgo.Record{Topic: p.topic, Partition: p.number, Timestamp: last})
		positions = append(positions, server.Position{Stream: s.stream(p), Next: 5, Epoch: 2})
	}
	s.applied(d, positions)
	for p, waits := range map[partition]bool{done: false, behind: true} {
		state := s.partitions[p]
		if state.next != 5 || state.epoch != 2 || !state.oldest.IsZero() || !state.last.Equal(last) || state.reached.IsZero() != waits {
			t.Errorf("%v: %+v", p, state)
		}
	}
	if n := s.waitingRecords(); n != 4 {
		t.Errorf("%d records wait behind", n)
	}
}

// TestCostOfABatch: the limit is judged by how long a batch took since its first record was read,
// and what batches cost by the part of that which was not also the time of the one before.
func TestCostOfABatch(t *testing.T) {
	s := newSession(t)
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	settle := func(p *pipeline, polled, ended int64) {
		t.Helper()
		d := newDecoded()
		d.polled, d.read = at(polled), 10
		p.applying = &underway{decoded: d, done: make(chan error, 1), ended: at(ended)}
		p.applying.done <- nil
		if err := p.settle(); err != nil {
			t.Fatal(err)
		}
	}
	p := &pipeline{session: s}
	settle(p, 1000, 1040)
	settle(p, 1010, 1070) // read while the one before was applied
	if want := []time.Duration{40 * time.Millisecond, 60 * time.Millisecond}; !slices.Equal(s.control.window, want) {
		t.Errorf("they took %v, want %v", s.control.window, want)
	}
	if cost := s.control.cost.window; cost.n != 2 || cost.x != 20 || math.Abs(cost.t-0.07) > 1e-9 {
		t.Errorf("they cost %+v", cost)
	}
}
