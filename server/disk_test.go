package server

import (
	"context"
	"errors"
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
