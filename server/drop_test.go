package server

import (
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

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
		closeDB(t, db)
	}
}

func documents(t *testing.T, db *DB) int {
	t.Helper()
	docs, err := db.Documents(t.Context(), "a/")
	if err != nil {
		t.Fatal(err)
	}
	return len(docs)
}
