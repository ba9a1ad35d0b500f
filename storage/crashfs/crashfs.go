// Package crashfs is a file system in memory for tests that cut the power: it can be cloned
// at any moment as a disk would look after that.
package crashfs

import (
	"errors"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS is vfs.MemFS without its deadlock: some of its operations take the lock that keeps
// clones out a second time, and wait for ever if one asked for it in between
// (cockroachdb/pebble#5993, in no release of version 2 yet).
//
// Its clones may lack what was removed, as they may have what was made: those of vfs.MemFS keep
// every name until its folder is synced.
type FS struct {
	*vfs.MemFS
	compound sync.RWMutex // held by what locks twice; exclusively by a clone

	mu      sync.Mutex
	removed map[string]bool // names that were removed, even if they are there again
}

// New returns an empty file system.
func New() *FS { return &FS{MemFS: vfs.NewCrashableMem()} }

// CrashClone returns the file system as it may be after a crash at this moment.
func (fs *FS) CrashClone(cfg vfs.CrashCloneCfg) *FS {
	fs.compound.Lock()
	defer fs.compound.Unlock()
	clone := &FS{MemFS: fs.MemFS.CrashClone(cfg)}
	for _, name := range slices.Sorted(maps.Keys(fs.removed)) {
		if cfg.UnsyncedDataPercent == 0 || cfg.RNG.IntN(100) >= cfg.UnsyncedDataPercent || there(fs.MemFS, name) || !there(clone.MemFS, name) {
			continue
		}
		if err := errors.Join(clone.MemFS.RemoveAll(name), syncDir(clone.MemFS, clone.PathDir(name))); err != nil {
			panic(err) // memory does not fail
		}
	}
	return clone
}

func there(fs vfs.FS, name string) bool {
	_, err := fs.Stat(name)
	return err == nil
}

func syncDir(fs vfs.FS, name string) error {
	dir, err := fs.OpenDir(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Remove is part of vfs.FS.
func (fs *FS) Remove(name string) error { return fs.remove(name, fs.MemFS.Remove) }

// RemoveAll is part of vfs.FS.
func (fs *FS) RemoveAll(name string) error { return fs.remove(name, fs.MemFS.RemoveAll) }

func (fs *FS) remove(name string, remove func(name string) error) error {
	fs.compound.RLock()
	defer fs.compound.RUnlock()
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.removed == nil {
		fs.removed = map[string]bool{}
	}
	fs.removed[name] = true
	return remove(name)
}

// ReuseForWrite is one of the operations that lock twice.
func (fs *FS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	fs.compound.RLock()
	defer fs.compound.RUnlock()
	return fs.MemFS.ReuseForWrite(oldname, newname, category)
}

// Link is another.
func (fs *FS) Link(oldname, newname string) error {
	fs.compound.RLock()
	defer fs.compound.RUnlock()
	return fs.MemFS.Link(oldname, newname)
}

// Lock is the third; it locks as a file system does, for one process.
func (fs *FS) Lock(name string) (io.Closer, error) {
	fs.compound.RLock()
	defer fs.compound.RUnlock()
	return fs.MemFS.Lock(name)
}
