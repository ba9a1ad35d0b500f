package storage

import (
	"errors"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// unchanged is a file system in which nothing can be changed. The lock is not its business.
type unchanged struct{ vfs.FS }

var errUnchanged = errors.New("the folder is only read")

// Unwrap is part of vfs.FS.
func (u *unchanged) Unwrap() vfs.FS { return u.FS }

// Lock does nothing: who examines a folder has locked it.
func (u *unchanged) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// Create is refused.
func (u *unchanged) Create(string, vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, errUnchanged
}

// OpenReadWrite is refused.
func (u *unchanged) OpenReadWrite(string, vfs.DiskWriteCategory, ...vfs.OpenOption) (vfs.File, error) {
	return nil, errUnchanged
}

// ReuseForWrite is refused.
func (u *unchanged) ReuseForWrite(string, string, vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, errUnchanged
}

// Link is refused.
func (u *unchanged) Link(string, string) error { return errUnchanged }

// Remove is refused.
func (u *unchanged) Remove(string) error { return errUnchanged }

// RemoveAll is refused.
func (u *unchanged) RemoveAll(string) error { return errUnchanged }

// Rename is refused.
func (u *unchanged) Rename(string, string) error { return errUnchanged }

// MkdirAll is refused.
func (u *unchanged) MkdirAll(string, fs.FileMode) error { return errUnchanged }
