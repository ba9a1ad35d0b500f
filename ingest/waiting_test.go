package ingest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/ingest"
	"freshet/server"
	"freshet/server/sources"
)

// aged is a record of a point that was written so many hours ago.
func aged(hours, id int) *kgo.Record {
	return &kgo.Record{
		Timestamp: time.Now().Add(-time.Duration(hours) * time.Hour), Value: fmt.Appendf(nil, `{"id":%d,"embedding":[1]}`, id),
	}
}

// waitsFor waits until partition 0 is in a state and its oldest record that waits is so many
// hours old.
func (r *rig) waitsFor(state ingest.State, hours int) {
	r.t.Helper()
	r.partition(0, func(p ingest.PartitionStatus) bool {
		return p.State == state && p.LagTime.Truncate(time.Hour) == time.Duration(hours)*time.Hour
	})
}

// TestAgeAfterAStart tells how old the oldest record is that waits in a partition which a
// start finds waiting and does not read: positions do not say it.
func TestAgeAfterAStart(t *testing.T) {
	disk := vfs.DiskUsage{TotalBytes: 1e9, UsedBytes: 97e7, AvailBytes: 3e7}
	for name, test := range map[string]struct {
		s         ingest.Source
		meanwhile func(r *rig, fs *vfs.MemFS)
		state     ingest.State
		hours     int  // how old the first one is
		before    bool // is known before the start, too
	}{
		"paused":   {meanwhile: func(r *rig, _ *vfs.MemFS) { r.turns(sources.Paused) }, state: ingest.Paused, hours: 5},
		"set back": {meanwhile: func(r *rig, _ *vfs.MemFS) { r.turns(sources.Paused); r.startOver() }, state: ingest.Paused, hours: 9, before: true},
		"failed": {s: ingest.Source{ErrorsTolerance: "none"}, meanwhile: func(r *rig, _ *vfs.MemFS) {
			r.halt()
			r.produce(aged(8, 1), &kgo.Record{Timestamp: time.Now().Add(-7 * time.Hour), Value: []byte("nonsense")})
			r.run()
		}, state: ingest.Failed, hours: 7, before: true},
		"gap":     {meanwhile: func(r *rig, _ *vfs.MemFS) { r.halt(); r.produce(aged(6, 1)); r.trim(2) }, state: ingest.Gap, hours: 5},
		"new log": {meanwhile: func(r *rig, _ *vfs.MemFS) { r.halt(); r.recreate(1); r.produce(aged(6, 1)) }, state: ingest.Gap, hours: 6},
		"no room": {meanwhile: func(r *rig, fs *vfs.MemFS) { r.halt(); fs.TestingSetDiskUsage(disk) }, state: ingest.DiskFull, hours: 5},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, test.s)
			if err := r.db.Close(); err != nil {
				t.Fatal(err)
			}
			fs := vfs.NewMem()
			open := func() {
				var err error
				r.db, err = server.Open(t.Context(), "data", server.Options{FS: fs, Disk: server.DiskOptions{HighPercent: 95, Interval: time.Millisecond}})
				if err != nil {
					t.Fatal(err)
				}
			}
			open()
			r.create(1)
			r.run()
			r.produce(aged(9, 0))
			r.applied(0, 0)
			test.meanwhile(r, fs)
			r.produce(aged(5, 2), aged(3, 3))
			if test.before {
				r.waitsFor(test.state, test.hours)
			}
			r.halt()
			if err := r.db.Close(); err != nil {
				t.Fatal(err)
			}
			open()
			r.run()
			r.waitsFor(test.state, test.hours)
		})
	}
}

// startOver has the source begin anew.
func (r *rig) startOver() {
	r.t.Helper()
	if _, err := r.manager.ResetOffsets(r.t.Context(), src); err != nil {
		r.t.Fatal(err)
	}
}
