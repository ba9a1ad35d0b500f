package server

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/server/point"
)

// TestClockSetBackBetweenStarts writes by REST what a record has written, before and after
// the clock has been set back, over a restart and a snapshot. The record must not come back.
func TestClockSetBackBetweenStarts(t *testing.T) {
	const begin = 1_700_000_000_000
	id := point.Number(1)
	record := func(offset int64) Op {
		return upsert(id, Version{Stream: Stream{Source: "s", Topic: "t"}, Offset: offset, Time: begin - 1}, float32(10+offset), 0, "")
	}
	for name, x := range map[string]struct {
		back time.Duration
		want string
	}{
		"a little": {59 * time.Minute, "1: [2 0] {}"},
		// The time before was wrong, and the record is newer than the write.
		"far": {61 * time.Minute, "1: [11 0] {}"},
	} {
		t.Run(name, func(t *testing.T) {
			var clock fakeClock
			clock.ms.Store(begin)
			fs, dir := vfs.NewMem(), t.TempDir()
			open := func(fs vfs.FS) *DB {
				db, err := Open(context.Background(), "data", Options{FS: fs, SnapshotsDir: dir, now: clock.now})
				if err != nil {
					t.Fatal(err)
				}
				return db
			}
			again := func(db *DB) {
				c := collection(t, db, "c")
				apply(t, c, Batch{Ops: []Op{upsert(id, Version{}, 2, 0, "")}, Sync: true})
				apply(t, c, Batch{Ops: []Op{record(1)}})
				expect(t, c, x.want)
			}
			db := open(fs)
			c := newCollection(t, db, "c", vectorConfig(2, Euclid))
			apply(t, c, Batch{Ops: []Op{upsert(id, Version{}, 1, 0, "")}, Sync: true})
			apply(t, c, Batch{Ops: []Op{record(0)}})
			expect(t, c, "1: [1 0] {}")
			info, err := db.CreateSnapshot(context.Background(), "c")
			if err != nil {
				t.Fatal(err)
			}
			kept, _, err := db.OpenSnapshot(context.Background(), "c", info.Name)
			if err != nil {
				t.Fatal(err)
			}
			closeDB(t, db)

			clock.ms.Add(-x.back.Milliseconds())
			db = open(fs)
			again(db)
			closeDB(t, db)

			db = open(vfs.NewMem())
			if err := db.Recover(context.Background(), "c", io.NopCloser(kept), ""); err != nil {
				t.Fatal(err)
			}
			again(db)
			closeDB(t, db)
			if err := kept.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
