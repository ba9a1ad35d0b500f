// Package crashfs is a file system in memory for tests that cut the power: it can be cloned
// at any moment as a disk would look after that.
package crashfs

import (
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS is vfs.MemFS without its deadlock: some of its operations take the lock that keeps
// clones out a second time, and wait for ever if one asked for it in between
// (cockroachdb/pebble#5993, in no release of version 2 yet).
type FS struct {
	*vfs.MemFS
	compound sync.RWMutex // held by what locks twice; exclusively by a clone
}

// New returns an empty file system.
func New() *FS { return &FS{MemFS: vfs.NewCrashableMem()} }

// CrashClone returns the file system as it may be after a crash at this moment.
func (fs *FS) CrashClone(cfg vfs.CrashCloneCfg) *FS {
	fs.compound.Lock()
	defer fs.compound.Unlock()
	return &FS{MemFS: fs.MemFS.CrashClone(cfg)}
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
