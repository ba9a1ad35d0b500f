package server

import (
	"errors"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"freshet/server/point"
)

// TestNewLog gives a stream a log that begins anew: its small offsets do not lose
// against the large ones of the old log, old records of the old log do, and all
// this survives restarts.
func TestNewLog(t *testing.T) {
	run := func(t *testing.T, restart bool) {
		fs := vfs.NewMem()
		db := openDB(t, fs)
		c := newCollection(t, db, "c", vectorConfig(2, Euclid))
		reopen := func() {
			if restart {
				closeDB(t, db)
				db = openDB(t, fs)
				c = openedCollection(t, db)
			}
		}
		s := Stream{Source: "s", Topic: "t", Partition: 1}
		write := func(offset, time int64, x float32) Applied {
			return apply(t, c, Batch{
				Ops:       []Op{upsert(point.Number(1), Version{Stream: s, Offset: offset, Time: time}, x, 0, "")},
				Positions: []Position{{Stream: s, Next: offset + 1}},
			})
		}
		apply(t, c, Batch{Positions: []Position{{Stream: s, Next: 100, TopicID: TopicID{1}}}})
		write(100, 10, 1)
		reopen()
		for log := byte(2); log < 5; log++ {
			apply(t, c, Batch{Positions: []Position{{Stream: s, Next: 0, TopicID: TopicID{log}, NewLog: true}}})
			reopen()
			// The same time: the newer log is the later write.
			if a := write(int64(log), 10, float32(log)); a.Stale != 0 || a.Upserted != 1 {
				t.Errorf("log %d: %+v", log, a)
			}
			reopen()
			if a := write(int64(log)-1, 99, 9); a.Stale != 1 {
				t.Errorf("log %d, an older offset of the same log: %+v", log, a)
			}
			if a := write(int64(log)+5, 5, float32(log)); a.Stale != 0 {
				t.Errorf("log %d, a later offset of an earlier time: %+v", log, a)
			}
			apply(t, c, Batch{Ops: []Op{upsert(point.Number(1), Version{Stream: Stream{Source: "x", Topic: "t"}, Time: 8}, 0, 0, "")}})
			p, ok, err := c.Position(s)
			want := Position{Stream: s, Next: int64(log) + 6, TopicID: TopicID{log}}
			if diff := cmp.Diff(want, p); diff != "" || !ok || err != nil {
				t.Errorf("log %d: %t, %v\n%s", log, ok, err, diff)
			}
			// Older by time than what the old log, or another stream, wrote.
			apply(t, c, Batch{Positions: []Position{{Stream: s, Next: 0, NewLog: true}}})
			if a := write(0, 7, 9); a.Stale != 1 {
				t.Errorf("log %d, an older time: %+v", log, a)
			}
		}
		closeDB(t, db)
	}
	t.Run("in one life", func(t *testing.T) { run(t, false) })
	t.Run("with restarts", func(t *testing.T) { run(t, true) })
}

// TestFormerLog writes versions of a log before the present one: they are compared by time
// with those of the present log, whether the collection has seen an earlier log or not.
func TestFormerLog(t *testing.T) {
	s := Stream{Source: "s", Topic: "t"}
	for name, seen := range map[string][]Position{"no earlier log": nil, "an earlier log": {{Stream: s, Next: 9}, {Stream: s, NewLog: true}}} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			db := openDB(t, fs)
			c := newCollection(t, db, "c", vectorConfig(2, Euclid))
			for _, p := range seen {
				apply(t, c, Batch{Positions: []Position{p}})
			}
			put := func(id uint64, v Version, stale int) {
				t.Helper()
				if a := apply(t, c, Batch{Ops: []Op{upsert(point.Number(id), v, 1, 0, "")}}); a.Stale != stale {
					t.Errorf("%+v: %d stale, want %d", v, a.Stale, stale)
				}
			}
			gone := Op{Kind: Delete, Select: Select{IDs: []point.ID{point.Number(1), point.Number(2)}}}
			present := Version{Stream: s, Offset: 7, Time: 7}
			put(3, present, 0)
			gone.Version = Version{Stream: s, Offset: 8, Time: 8}.OfFormerLog()
			apply(t, c, Batch{Ops: []Op{gone}})
			closeDB(t, db)
			db = openDB(t, fs)
			c = openedCollection(t, db)
			put(1, Version{Stream: s, Offset: 1, Time: 9}, 0)
			put(2, Version{Stream: s, Offset: 9, Time: 7}, 1)
			put(3, Version{Stream: s, Offset: 6, Time: 9}, 1) // of the present log still
			if !gone.Version.Before(Version{Stream: s, Time: 9}) || gone.Version.Before(gone.Version) {
				t.Error("the order of versions")
			}
			apply(t, c, Batch{Positions: []Position{{Stream: s, NewLog: true}}})
			put(3, Version{Stream: s, Offset: 6, Time: 9}, 0)
			closeDB(t, db)
		})
	}
}

// A group of requests leaves the position that the source reached in it, whatever is redriven
// behind that.
func TestPositionBesideAFormerLog(t *testing.T) {
	fs := vfs.NewMem()
	db := openDB(t, fs)
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	s := Stream{Source: "s", Topic: "t"}
	err := c.do(t.Context(), func() error {
		tx := c.begin()
		return errors.Join(
			tx.run(&request{ctx: t.Context(), set: c.set(), batch: Batch{Positions: []Position{{Stream: s, Next: 10, Epoch: 3}}}}),
			tx.run(&request{ctx: t.Context(), set: c.set(), batch: Batch{Ops: []Op{upsert(point.Number(1), Version{Stream: s, Offset: 7}.OfFormerLog(), 1, 0, "")}}}),
			tx.flush(),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p, ok, err := c.Position(s)
		if diff := cmp.Diff(Position{Stream: s, Next: 10, Epoch: 3}, p); diff != "" || !ok || err != nil {
			t.Errorf("%t, %v\n%s", ok, err, diff)
		}
		closeDB(t, db)
		db = openDB(t, fs)
		c = openedCollection(t, db)
	}
	closeDB(t, db)
}

// What is written after a commit that failed does not rely on what that one was to store.
func TestAfterAFailedCommit(t *testing.T) {
	fs := vfs.NewMem()
	db := openDB(t, fs)
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	createIndex(t, db, "n", `"integer"`)
	s, other := Stream{Source: "s", Topic: "t"}, Stream{Source: "s", Topic: "u"}
	fail := func(ops ...Op) {
		t.Helper()
		err := c.do(t.Context(), func() error {
			tx := c.begin()
			broken := upsert(point.Number(9), Version{}, 0, 0, `{"n":`) // which an index cannot read
			if err := tx.run(&request{ctx: t.Context(), set: c.set(), batch: Batch{Ops: append(ops, broken)}}); err != nil {
				return err
			}
			if tx.flush() == nil {
				t.Error("the commit did not fail")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	version := Version{Stream: s, Offset: 7, Time: 7}
	fail(upsert(point.Number(1), version, 1, 0, ""))
	fail(upsert(point.Number(1), version.OfFormerLog(), 1, 0, ""))
	put := func(offset, time int64) (stale int) {
		v := Version{Stream: s, Offset: offset, Time: time}
		return apply(t, c, Batch{Ops: []Op{
			upsert(point.Number(1), v, 1, 0, ""),
			upsert(point.Number(2), v.OfFormerLog(), 1, 0, ""),
			upsert(point.Number(3), Version{Stream: other, Offset: offset, Time: time}, 1, 0, ""),
		}}).Stale
	}
	put(7, 7)
	closeDB(t, db)
	db = openDB(t, fs)
	defer func() { closeDB(t, db) }()
	c = openedCollection(t, db)
	if stale := put(6, 9); stale != 3 { // each of an earlier offset of its log
		t.Errorf("%d of 3 older writes are stale", stale)
	}
}

func TestWrittenTellsTheSource(t *testing.T) {
	c := testCollection(t)
	v := Version{Stream: Stream{Source: "s", Topic: "t", Partition: 3}, Offset: 7, Time: 5}
	v.Timestamp = 6
	op := upsert(point.Number(1), v, 1, 2, `{"a":1}`)
	op.Points[0].Expires = 9e15
	apply(t, c, Batch{Ops: []Op{op, upsert(point.Number(2), Version{}, 1, 2, "")}})
	record, got, err := c.Written(point.Number(1))
	if err != nil || record == nil || string(record.Payload) != `{"a":1}` || got.Version != v || got.Expires != 9e15 {
		t.Errorf("got %+v, %+v, %v", record, got, err)
	}
	if record, got, err = c.Written(point.Number(2)); err != nil || record == nil || got.Stream != (Stream{}) || got.Time == 0 {
		t.Errorf("got %+v, %+v, %v", record, got, err)
	}
	if record, _, err = c.Written(point.Number(3)); err != nil || record != nil {
		t.Errorf("got %+v, %v", record, err)
	}
}

func TestCrossedPartitionsAreCounted(t *testing.T) {
	c := testCollection(t)
	write := func(partition int32, source, topic string, offset int64) int {
		s := Stream{Source: source, Topic: topic, Partition: partition}
		return apply(t, c, Batch{Ops: []Op{upsert(point.Number(1), Version{Stream: s, Offset: offset, Time: offset}, 1, 2, "")}}).Crossed
	}
	var got []int
	got = append(got, write(0, "s", "t", 1), write(0, "s", "t", 2), write(1, "s", "t", 3), write(1, "s", "t", 4), write(0, "x", "t", 5), write(1, "s", "t", 6),
		write(0, "s", "u", 7))
	if want := []int{0, 0, 1, 0, 0, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func FuzzStoredPosition(f *testing.F) {
	f.Add([]byte{1, 4})
	f.Add(append([]byte{1, 4}, make([]byte, 17)...)) // of format 4
	for _, p := range []storedPosition{{number: 1, next: unknownNext}, {number: 3, next: 9, topicID: TopicID{1}, former: []uint32{1, 2}, epoch: 7}} {
		f.Add(p.append(nil))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := decodePosition(raw)
		if err != nil {
			return
		}
		again, err := decodePosition(p.append(nil))
		if err != nil || !cmp.Equal(p, again, cmp.AllowUnexported(storedPosition{})) {
			t.Fatalf("%+v became %+v, %v", p, again, err)
		}
	})
}
