package server

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/server/point"
	"freshet/storage/crashfs"
)

// TestDropIsAtomic crashes while a collection is dropped: it and the document that goes
// with it are both there or both gone.
func TestDropIsAtomic(t *testing.T) {
	fs := crashfs.New()
	db := openDB(t, fs)
	var clones []*crashfs.FS
	crash := func() {
		clones = append(clones, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rand.IntN(101), RNG: rand.New(rand.NewPCG(rand.Uint64(), 1))}))
	}
	for range 4 {
		newCollection(t, db, "c", vectorConfig(2, Euclid))
		if err := db.PutDocument(t.Context(), "a/c", []byte("x")); err != nil {
			t.Fatal(err)
		}
		dropped := make(chan error)
		go func() {
			_, err := db.DropCollection(t.Context(), "c", "a/c")
			dropped <- err
		}()
		for range 8 {
			crash()
		}
		if err := <-dropped; err != nil {
			t.Fatal(err)
		}
		crash()
		if err := db.PutDocument(t.Context(), "a/other", nil); err != nil {
			t.Fatal(err)
		}
		if existed, err := db.DropCollection(t.Context(), "c", "a/other"); existed || err != nil {
			t.Fatal(existed, err)
		}
		if n := documents(t, db); n != 1 {
			t.Errorf("%d documents: one was removed with a collection that is not there, or stayed", n)
		}
	}
	closeDB(t, db)
	for _, clone := range clones {
		db := openDB(t, clone)
		docs, err := db.Documents(t.Context(), "a/c")
		if err != nil {
			t.Fatal(err)
		}
		if db.Exists("c") != (len(docs) == 1) {
			t.Errorf("the collection is there: %v, its document: %v", db.Exists("c"), len(docs) == 1)
		}
		noOrphans(t, db)
		closeDB(t, db)
	}
}

// TestDropBesideAReader drops a collection that is being read: nothing but the drop waits for
// the reader, and that no longer than it may.
func TestDropBesideAReader(t *testing.T) {
	fs := vfs.NewMem()
	db := openDB(t, fs)
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	apply(t, c, Batch{Ops: []Op{upsert(point.Number(1), Version{}, 1, 1, "")}})
	v, err := c.acquire()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	dropped := make(chan error)
	go func() {
		_, err := db.DropCollection(ctx, "c")
		dropped <- err
	}()
	<-c.Closing()
	newCollection(t, db, "c", vectorConfig(2, Euclid))
	if existed, err := db.DropCollection(t.Context(), "c"); !existed || err != nil {
		t.Error(existed, err)
	}
	select {
	case err := <-dropped:
		t.Errorf("it did not wait for the reader: %v", err)
	default:
	}
	cancel()
	if err := <-dropped; err != nil {
		t.Error(err)
	}
	v.release()
	closeDB(t, db)
	db = openDB(t, fs)
	defer closeDB(t, db)
	noOrphans(t, db)
}

// TestDropBeforeARecovery drops the collection that a recovery is about to replace: then there
// is nothing to replace.
func TestDropBeforeARecovery(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	defer closeDB(t, db)
	newCollection(t, db, "c", vectorConfig(2, Euclid))
	drop := sync.OnceFunc(func() {
		if existed, err := db.DropCollection(t.Context(), "c"); !existed || err != nil {
			t.Error(existed, err)
		}
	})
	// The context is asked for its end when the collection has been found.
	leave, err := db.enterIndexingOf(doneFunc{t.Context(), drop}, "c")
	if err != nil {
		t.Fatal(err)
	}
	leave()
}

// doneFunc is a context that calls a function when it is asked for its end.
type doneFunc struct {
	context.Context
	asked func()
}

func (d doneFunc) Done() <-chan struct{} {
	d.asked()
	return d.Context.Done()
}

func documents(t *testing.T, db *DB) int {
	t.Helper()
	docs, err := db.Documents(t.Context(), "a/")
	if err != nil {
		t.Fatal(err)
	}
	return len(docs)
}
