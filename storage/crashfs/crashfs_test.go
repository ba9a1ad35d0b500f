package crashfs_test

import (
	"errors"
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
