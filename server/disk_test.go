package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/server/point"
	"freshet/storage"
)

// fillDisk says how much of the disk of fs is in use, in percent.
func fillDisk(fs *vfs.MemFS, percent uint64) {
	fs.TestingSetDiskUsage(vfs.DiskUsage{TotalBytes: 1e9, UsedBytes: percent * 1e7, AvailBytes: (100 - percent) * 1e7})
}

func openOnDisk(t *testing.T, fs *vfs.MemFS) *DB {
	t.Helper()
	db, err := Open(t.Context(), "data", Options{FS: fs, Disk: DiskOptions{HighPercent: 95, ReserveBytes: 1 << 20, Interval: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// becomes waits until writing is possible, or is not.
func becomes(t *testing.T, db *DB, writable bool) {
	t.Helper()
	for range 20_000 {
		if (db.Writable() == nil) == writable {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("writable is never %t", writable)
}

// refused checks that all that writes is refused, while reads go on.
func refused(t *testing.T, db *DB, c *Collection, want ...string) {
	t.Helper()
	ctx := t.Context()
	_, applyErr := c.Apply(ctx, Batch{Ops: []Op{upsert(point.Number(99), Version{}, 1, 2, "")}, Sync: true})
	_, snapshotErr := db.CreateSnapshot(ctx, "c")
	for what, err := range map[string]error{
		"an upsert":            applyErr,
		"a new collection":     db.CreateCollection(ctx, "d", vectorConfig(2, Euclid)),
		"a change of settings": db.UpdateConfig(ctx, "c", func(*Config) error { return nil }),
		"an alias":             db.UpdateAliases(ctx, []AliasAction{{Create: &Alias{Alias: "a", Collection: "c"}}}),
		"a vector":             db.CreateVector(ctx, "c", "x", VectorParams{Size: 1, Distance: Dot}),
		"a document":           db.PutDocument(ctx, "d", nil),
		"an index":             db.CreateIndex(ctx, "c", "n", json.RawMessage(`"integer"`)),
		"a recovery":           db.Recover(ctx, "e", strings.NewReader(""), ""),
		"a snapshot":           snapshotErr,
	} {
		if KindOf(err) != Full {
			t.Errorf("%s on a full disk: %v", what, err)
		}
	}
	expect(t, c, want...)
	if hits, err := c.Search(ctx, SearchRequest{Vector: Dense{1, 1}, Limit: 1}); err != nil || len(hits) != 1 {
		t.Errorf("a search on a full disk: %v, %v", hits, err)
	}
}

func TestFullDiskRefusesWrites(t *testing.T) {
	fs := vfs.NewMem()
	fillDisk(fs, 10)
	db := openOnDisk(t, fs)
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	newCollection(t, db, "large", vectorConfig(2, Euclid))
	apply(t, c, Batch{Ops: []Op{upsert(point.Number(1), Version{}, 1, 1, "")}, Sync: true})
	fillDisk(fs, 96)
	becomes(t, db, false)
	refused(t, db, c, "1: [1 1] {}")
	if existed, err := db.DropCollection(t.Context(), "large"); !existed || err != nil {
		t.Errorf("dropping a collection makes room: %t, %v", existed, err)
	}
	room := db.Room()
	fillDisk(fs, 89)
	<-room
	apply(t, c, Batch{Ops: []Op{upsert(point.Number(2), Version{}, 2, 2, "")}, Sync: true})
	expect(t, c, "1: [1 1] {}", "2: [2 2] {}")
	closeDB(t, db)
	db = openOnDisk(t, fs)
	defer closeDB(t, db)
	expect(t, openedCollection(t, db), "1: [1 1] {}", "2: [2 2] {}")
}

// filling is a store of snapshots that has the disk full at the first byte of one.
type filling struct {
	snapshotStore
	fill    func()
	written int
}

func (f *filling) Create(ctx context.Context, folder, name string, write func(io.Writer) error) (SnapshotInfo, error) {
	return f.snapshotStore.Create(ctx, folder, name, func(w io.Writer) error {
		return write(writeFunc(func(p []byte) (int, error) {
			if f.written == 0 {
				f.fill()
			}
			f.written += len(p)
			return w.Write(p)
		}))
	})
}

type writeFunc func(p []byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }

// A snapshot amid which the disk becomes full ends, and leaves nothing: what is left is for the
// store.
func TestSnapshotEndsOnAFullDisk(t *testing.T) {
	for _, beside := range []bool{true, false} {
		fs := vfs.NewMem()
		fillDisk(fs, 10)
		dir, kept := t.TempDir(), t.TempDir()
		if beside {
			kept = filepath.Join(dir, "snapshots")
		}
		db, err := Open(t.Context(), dir, Options{FS: fs, SnapshotsDir: kept, Disk: DiskOptions{HighPercent: 95, Interval: time.Millisecond}})
		if err != nil {
			t.Fatal(err)
		}
		defer closeDB(t, db)
		c := newCollection(t, db, "c", vectorConfig(2, Euclid))
		apply(t, c, Batch{Ops: []Op{upsert(point.Number(1), Version{}, 1, 1, "")}})
		db.kept = &filling{snapshotStore: db.kept, fill: func() {
			fillDisk(fs, 96)
			becomes(t, db, false)
		}}
		_, err = db.CreateSnapshot(t.Context(), "c")
		if beside != (KindOf(err) == Full) || !beside && err != nil {
			t.Errorf("in the data folder: %t: %v", beside, err)
		}
		files, err := filepath.Glob(filepath.Join(kept, "c", "*"))
		if err != nil || beside != (len(files) == 0) {
			t.Errorf("in the data folder: %t: %q are left, %v", beside, files, err)
		}
	}
}

// What is dropped on a full disk makes room, though nothing is written any more and another
// collection is only read.
func TestDropMakesRoom(t *testing.T) {
	fs := vfs.NewMem()
	fillDisk(fs, 10)
	db := openOnDisk(t, fs)
	defer closeDB(t, db)
	read := newCollection(t, db, "c", vectorConfig(2, Euclid))
	large := newCollection(t, db, "large", vectorConfig(2, Euclid))
	rng := rand.New(rand.NewPCG(1, 1))
	for id := range uint64(2000) {
		text := make([]byte, 1500)
		for i := range text {
			text[i] = byte('a' + rng.IntN(26))
		}
		apply(t, large, Batch{Ops: []Op{upsert(point.Number(id), Version{}, float32(id), 1, fmt.Sprintf(`{"text":%q}`, text))}})
	}
	apply(t, read, Batch{Ops: []Op{upsert(point.Number(1), Version{}, 1, 1, "")}, Sync: true}) // its view has all that is in the other one
	if err := db.store.Flush(); err != nil {
		t.Fatal(err)
	}
	fillDisk(fs, 96)
	becomes(t, db, false)
	tables := func() (bytes int64) {
		t.Helper()
		names, err := fs.List("data")
		for _, name := range names {
			if info, e := fs.Stat("data/" + name); e == nil && filepath.Ext(name) == ".sst" { // or it is gone
				bytes += info.Size()
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	before := tables()
	if _, err := db.DropCollection(t.Context(), "large"); err != nil {
		t.Fatal(err)
	}
	after := tables()
	for range 20_000 {
		if after = tables(); after < before/10 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if after >= before/10 {
		t.Errorf("tables had %d bytes, and after the drop they have %d", before, after)
	}
	refused(t, db, read, "1: [1 1] {}")
}

// A start on a full disk serves reads, and goes over to writing with the collections it
// has, which then read nothing of what was opened first.
func TestServerStartsOnAFullDisk(t *testing.T) {
	fs := vfs.NewMem()
	db := openDB(t, fs)
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	var want []string
	for id := range 3 {
		apply(t, c, Batch{Ops: []Op{upsert(point.Number(uint64(id)), Version{}, float32(id), 1, "")}, Sync: true})
		want = append(want, contents(t, c)[id])
	}
	// Another m: the neighbours that the next start chooses cannot be stored at once.
	err := db.UpdateConfig(t.Context(), "c", func(cfg *Config) error {
		m := 8
		cfg.HNSW.M = &m
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	closeDB(t, db)

	fillDisk(fs, 100)
	db = openOnDisk(t, fs)
	c = openedCollection(t, db)
	refused(t, db, c, want...)
	if _, err := db.DropCollection(t.Context(), "c"); KindOf(err) != Full {
		t.Errorf("dropping a collection of a read-only store: %v", err)
	}
	fillDisk(fs, 50)
	becomes(t, db, true)
	apply(t, c, Batch{Ops: []Op{upsert(point.Number(3), Version{}, 3, 1, "")}, Sync: true})
	if want = append(want, contents(t, c)[3]); len(contents(t, c)) != 4 {
		t.Errorf("after there was room: %v", contents(t, c))
	}
	<-db.viewsRenewed
	closeDB(t, db)
	db = openOnDisk(t, fs)
	defer closeDB(t, db)
	c = openedCollection(t, db)
	expect(t, c, want...)
	if c.searched != 0 {
		t.Errorf("the neighbours of %d points were not stored", c.searched)
	}
}

// A process that is told to end while it waits for room does.
func TestServerEndsOnAFullDisk(t *testing.T) {
	fs := vfs.NewMem()
	db := openDB(t, fs)
	newCollection(t, db, "c", vectorConfig(2, Euclid))
	closeDB(t, db)
	fillDisk(fs, 100)
	db = openOnDisk(t, fs)
	closeDB(t, db)
	if _, err := Open(context.Background(), "elsewhere", Options{FS: fs, Disk: DiskOptions{HighPercent: 95}}); !errors.Is(err, storage.ErrFull) {
		t.Errorf("a new folder on a full disk: %v", err)
	}
}

// What the writer does by itself waits on a full disk: points that have expired stay, so do old
// deletes, and points that are to move. It is done when there is room again.
func TestUpkeepWaitsForRoom(t *testing.T) {
	fs := vfs.NewMem()
	fillDisk(fs, 10)
	clock := new(fakeClock)
	clock.ms.Store(1 << 40)
	db, err := Open(t.Context(), "data", Options{FS: fs, now: clock.now, Disk: DiskOptions{HighPercent: 95, ReserveBytes: 1 << 20, Interval: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	defer closeDB(t, db)
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	expires := upsert(point.Number(1), Version{}, 1, 1, "")
	expires.Points[0].Expires = 1<<40 + 1000
	apply(t, c, Batch{Ops: []Op{
		expires, upsert(point.Number(2), Version{}, 2, 2, ""),
		remove(Version{Stream: Stream{"s", "t", 0}, Offset: 5, Time: 5}, point.Number(3)),
	}})
	clock.ms.Add((DeletesRemembered + time.Hour).Milliseconds())
	var slot uint32
	upkeep := func() (expired, forgotten, moved bool) {
		t.Helper()
		err := c.do(t.Context(), func() error {
			before := c.points
			slot, _ = c.ids.current(point.Number(2).AppendKey(nil))
			c.expire()
			c.tombstone = nil // from the first on
			c.tidy()
			c.compactAt, c.compactTo = c.slots.Len(), 1
			c.maintain()
			c.compactTo = 0
			now, _ := c.ids.current(point.Number(2).AppendKey(nil))
			expired, moved = c.points < before, now != slot
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		forgotten = true
		for key := range storedRecords(t, c) {
			if strings.HasPrefix(key, fmt.Sprintf("%x ", byte(storage.Tombstone))) && strings.HasSuffix(key, fmt.Sprintf("%x", point.Number(3).AppendKey(nil))) {
				forgotten = false
			}
		}
		return expired, forgotten, moved
	}
	fillDisk(fs, 96)
	becomes(t, db, false)
	if expired, forgotten, moved := upkeep(); expired || forgotten || moved {
		t.Errorf("on a full disk points expire: %t, deletes are forgotten: %t, points move: %t", expired, forgotten, moved)
	}
	fillDisk(fs, 10)
	becomes(t, db, true)
	if expired, forgotten, moved := upkeep(); !expired || !forgotten || !moved {
		t.Errorf("with room points expire: %t, deletes are forgotten: %t, points move: %t", expired, forgotten, moved)
	}
}
