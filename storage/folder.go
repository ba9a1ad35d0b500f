package storage

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// MakeFolder makes a folder and those above it that are missing. Each is a name in the one above
// it, which is synced, or a power cut would take the folder with all that is durable in it.
func MakeFolder(fs vfs.FS, dir string) error {
	var above []string
	for at := dir; fs.PathDir(at) != at; at = fs.PathDir(at) {
		_, err := fs.Stat(at)
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		above = append(above, fs.PathDir(at))
	}
	if err := fs.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for _, name := range above {
		if err := syncFolder(fs, name); err != nil {
			return err
		}
	}
	return nil
}

func syncFolder(fs vfs.FS, name string) error {
	dir, err := fs.OpenDir(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// folder is the file system as both engines see it: files are kept while the read-only one
// may open them, the lock is the Store's, and markers change in order.
//
// The name of an empty file, a marker, says which manifest or format is in force, or how much of
// a log is durable. It is moved by creating the new one, removing the old one and then syncing
// the folder. After a power cut,
// or when that sync fails, a file system owes nothing about which of these have happened: the
// marker can be there without its manifest, or none be left. So the folder is synced before
// each of the two steps.
type folder struct {
	vfs.FS
	mu sync.Mutex
	// kept are the files that the read-only engine may open, by their paths, and whether they
	// are to be removed once it is closed; nil if there is no such engine beside another.
	kept map[string]bool
}

// Unwrap is part of vfs.FS.
func (f *folder) Unwrap() vfs.FS { return f.FS }

// Lock does nothing: the Store has locked the folder.
func (f *folder) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// Create creates a file, a marker only once what it names is sure to stay.
func (f *folder) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.beforeMarker(name); err != nil {
		return nil, err
	}
	return f.FS.Create(name, category)
}

// Remove removes a file, now or when it is not needed any more, a marker only once its
// successor is sure to stay.
func (f *folder) Remove(name string) error {
	if err := f.beforeMarker(name); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.kept[name]; ok {
		f.kept[name] = true
		return nil
	}
	return f.FS.Remove(name)
}

// beforeMarker syncs the folder if name is a marker's.
func (f *folder) beforeMarker(name string) error {
	if !strings.HasPrefix(f.PathBase(name), "marker.") {
		return nil
	}
	return syncFolder(f, f.PathDir(name))
}

// keep keeps the files that there are in a directory, until removeKept.
func (f *folder) keep(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kept != nil {
		return nil // since an attempt that failed, which has left files that nobody needs
	}
	names, err := f.List(dir)
	if err != nil {
		return err
	}
	f.kept = map[string]bool{}
	for _, name := range names {
		f.kept[f.PathJoin(dir, name)] = false
	}
	return nil
}

func (f *folder) removeKept() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for name, removed := range f.kept {
		if removed {
			errs = append(errs, f.FS.Remove(name))
		}
	}
	f.kept = nil
	return errors.Join(errs...)
}
