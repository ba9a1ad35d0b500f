package crashfs_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/storage/crashfs"
)

// Clones beside the operations that lock twice end, and so do these.
func TestClonesBesideCompoundOperations(t *testing.T) {
	fs := crashfs.New()
	f, err := fs.Create("a", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for range 20_000 {
			f, err := fs.ReuseForWrite("a", "b", vfs.WriteCategoryUnspecified)
			if err == nil {
				err = errors.Join(f.Close(), fs.Link("b", "a"), fs.Remove("b"))
			}
			if err != nil {
				t.Error(err)
				return
			}
			lock, err := fs.Lock("lock")
			if err == nil {
				err = lock.Close()
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	all.Go(func() {
		for range 20_000 {
			fs.CrashClone(vfs.CrashCloneCfg{})
		}
	})
	all.Wait()
}

// A clone may lack what was removed before its folder is synced, and lacks it after.
func TestRemovalsMayBeLost(t *testing.T) {
	fs := crashfs.New()
	sync := func() {
		t.Helper()
		dir, err := fs.OpenDir("")
		if err := errors.Join(err, dir.Sync(), dir.Close()); err != nil {
			t.Fatal(err)
		}
	}
	create := func() {
		t.Helper()
		f, err := fs.Create("a", vfs.WriteCategoryUnspecified)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	is := func(percent int, want bool) {
		t.Helper()
		clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(1, 1))})
		for range 2 { // what a crash left stays
			if _, err := clone.Stat("a"); (err == nil) != want {
				t.Errorf("with %d%% of what is not synced: %v", percent, err)
			}
			clone = clone.CrashClone(vfs.CrashCloneCfg{})
		}
	}
	create()
	is(0, false)
	is(100, true)
	sync()
	is(0, true)
	if err := fs.Remove("a"); err != nil {
		t.Fatal(err)
	}
	is(0, true)
	is(100, false)
	create()
	is(100, true)
	if err := fs.Remove("a"); err != nil {
		t.Fatal(err)
	}
	sync()
	is(0, false)
}
