package server

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/server/point"
	"freshet/storage"
)

// fakeClock is a clock that is set by hand, in Unix milliseconds.
type fakeClock struct{ ms atomic.Int64 }

func (f *fakeClock) now() time.Time { return time.UnixMilli(f.ms.Load()) }

// sweep deletes everything that has expired.
func sweep(t testing.TB, c *Collection) {
	t.Helper()
	err := c.do(context.Background(), func() error {
		for {
			if full, err := c.expireSome(); err != nil || !full {
				return err
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// expiries returns the keys of points that expire as "time id".
func expiries(t testing.TB, c *Collection) (list []string) {
	t.Helper()
	err := c.eachExpiry(func(at int64, id, _ []byte) bool {
		p, err := point.FromKey(id)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%d %s", at, p))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestExpiryModel compares random writes, some of points that expire and some of them
// again, with a map, over restarts and recoveries from snapshots.
func TestExpiryModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 3))
	var clock fakeClock
	clock.ms.Store(1_000_000)
	fs, dir := vfs.NewMem(), t.TempDir()
	open := func() *DB {
		db, err := Open(context.Background(), "data", Options{FS: fs, SnapshotsDir: dir, now: clock.now})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := open()
	defer func() { closeDB(t, db) }()
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))

	type write struct {
		op      Op
		deletes bool
		expires int64
		value   string
		offset  int64 // of REST: beyond all others, ascending
	}
	stream := Stream{Source: "s", Topic: "t"}
	newest := map[uint64]write{} // by id
	var log []write
	offset, rest := int64(0), int64(1)<<40
	take := func(id uint64, w write) {
		if w.offset >= newest[id].offset {
			newest[id] = w
		}
	}
	for round := range 60 {
		var ops []Op
		for range 1 + rng.IntN(12) {
			id := rng.Uint64N(12)
			offset++
			w := write{offset: offset, value: fmt.Sprintf(`{"n":%d}`, offset)}
			version := Version{Stream: stream, Offset: offset, Time: offset}
			switch rng.IntN(12) {
			case 0, 1, 2, 3, 4:
				w.expires = clock.ms.Load() - 20 + rng.Int64N(200)
				w.op = upsert(point.Number(id), version, 1, 2, w.value)
				w.op.Points[0].Expires = w.expires
			case 5, 6:
				w.op = upsert(point.Number(id), version, 1, 2, w.value)
			case 7:
				w.deletes = true
				w.op = remove(version, point.Number(id))
			case 8:
				if rng.IntN(4) > 0 {
					continue
				}
				rest++
				w.offset, w.op = rest, upsert(point.Number(id), Version{}, 1, 2, w.value)
			default: // an old record again
				if len(log) == 0 {
					continue
				}
				w = log[rng.IntN(len(log))]
				if w.deletes {
					continue
				}
				id, _ = w.op.Points[0].ID.AsNumber()
			}
			if w.op.Version.Stream == stream {
				log = append(log, w)
			}
			// Payloads are given away.
			op := w.op
			op.Points = slices.Clone(op.Points)
			ops = append(ops, op)
			take(id, w)
		}
		apply(t, c, Batch{Ops: ops})
		clock.ms.Add(rng.Int64N(60))
		if round%10 == 9 {
			closeDB(t, db)
			db = open()
			c = openedCollection(t, db)
		}
		if round%15 == 14 {
			info, err := db.CreateSnapshot(context.Background(), "c")
			if err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(filepath.Join(dir, "c", info.Name))
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Recover(context.Background(), "c", f, ""); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			c = openedCollection(t, db)
		}
		sweep(t, c)
		var want, left []string
		for _, id := range slices.Sorted(maps.Keys(newest)) {
			w := newest[id]
			if w.deletes || w.expires != 0 && w.expires <= clock.ms.Load() {
				continue
			}
			want = append(want, fmt.Sprintf("%d: [1 2] %s", id, w.value))
			if w.expires != 0 {
				left = append(left, fmt.Sprintf("%d %d", w.expires, id))
			}
		}
		expect(t, c, want...)
		slices.SortFunc(left, func(a, b string) int {
			var x, y [2]int64
			for s, v := range map[string]*[2]int64{a: &x, b: &y} {
				if _, err := fmt.Sscan(s, &v[0], &v[1]); err != nil {
					t.Fatal(err)
				}
			}
			return slices.Compare(x[:], y[:])
		})
		if got := expiries(t, c); !slices.Equal(got, left) {
			t.Fatalf("round %d: %v are to expire, want %v", round, got, left)
		}
	}
}

// TestPointsExpireByThemselves checks that nobody has to ask, also after a restart and
// for more points than one step deletes.
func TestPointsExpireByThemselves(t *testing.T) {
	fs := vfs.NewMem()
	db := openDB(t, fs)
	defer func() { closeDB(t, db) }()
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	var ops []Op
	soon := time.Now().Add(50 * time.Millisecond).UnixMilli()
	for i := range uint64(2*expireStep + 10) {
		op := upsert(point.Number(i), Version{Stream: Stream{Source: "s"}, Offset: int64(i), Time: 1}, 1, 2, `{"a":1}`)
		op.Points[0].Expires = soon
		if i == 0 {
			op.Points[0].Expires = soon + 1_000_000
		}
		ops = append(ops, op)
	}
	apply(t, c, Batch{Ops: ops})
	closeDB(t, db)
	db = openDB(t, fs)
	c = openedCollection(t, db)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		info, err := c.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Points == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d points do not expire", info.Points)
		}
	}
	expect(t, c, `0: [1 2] {"a":1}`)
	// A change of the payload leaves the end of the point's life as it is.
	apply(t, c, Batch{Ops: []Op{{Kind: SetPayload, Payload: map[string]any{"b": true}, Select: Select{IDs: []point.ID{point.Number(0)}}}}})
	if _, from, err := c.Written(point.Number(0)); err != nil || from.Expires != soon+1_000_000 {
		t.Errorf("%+v, %v", from, err)
	}
}

// TestForgottenExpiry checks that a key of a point that does not expire is removed.
func TestForgottenExpiry(t *testing.T) {
	c := testCollection(t)
	apply(t, c, Batch{Ops: []Op{upsert(point.Number(1), Version{}, 1, 2, "")}})
	err := c.do(context.Background(), func() error {
		b := c.store.NewBatch()
		if err := b.Set(expiryKey(c.space, 5, point.Number(1).AppendKey(nil)), nil); err != nil {
			return err
		}
		if err := b.Set(expiryKey(c.space, 6, point.Number(2).AppendKey(nil)), nil); err != nil {
			return err
		}
		if err := b.Commit(false); err != nil {
			return err
		}
		c.publish()
		if err := b.Close(); err != nil {
			return err
		}
		if _, err := c.expireSome(); err != nil {
			return err
		}
		c.publish()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if left := expiries(t, c); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
	expect(t, c, "1: [1 2] {}")
}

// TestDamagedExpiry checks that a key that is too short is told.
func TestDamagedExpiry(t *testing.T) {
	if _, _, err := decodeExpiry(storage.Suffix(expiryKey(storage.Space{}, 1, nil))[:7]); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Error(err)
	}
}

// However far the time is at which a point expires, the clock can be set to it soon.
func TestTimeUntilLook(t *testing.T) {
	now := time.UnixMilli(1 << 40)
	for in, want := range map[time.Duration]time.Duration{
		-time.Hour: expireEvery, 0: expireEvery, time.Second: time.Second, 30 * time.Second: 30 * time.Second,
		10 * time.Hour: expireLongest, math.MaxInt64: expireLongest,
	} {
		if got := untilLook(now.Add(in), now); got != want {
			t.Errorf("of a point that expires in %s: %s, want %s", in, got, want)
		}
	}
}
