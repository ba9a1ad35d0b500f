package storage

import (
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// failing ends the process where Pebble would panic, or go on with a log that has lost
// something: when a folder cannot be synced, and when the log cannot be made, written,
// synced or closed. See Options.Fatal.
type failing struct {
	vfs.FS
	log pebbleLogger
}

// Unwrap is part of vfs.FS.
func (f *failing) Unwrap() vfs.FS { return f.FS }

// Create is part of vfs.FS.
func (f *failing) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, category)
	return f.watched(name, file, err)
}

// ReuseForWrite is part of vfs.FS.
func (f *failing) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.ReuseForWrite(from, to, category)
	return f.watched(to, file, err)
}

// OpenDir opens a folder, to be synced.
func (f *failing) OpenDir(name string) (vfs.File, error) {
	dir, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &needed{File: dir, log: f.log, name: name}, nil
}

func (f *failing) watched(name string, file vfs.File, err error) (vfs.File, error) {
	if !strings.HasSuffix(name, ".log") {
		return file, err
	}
	if err != nil {
		f.log.Fatalf("%s could not be made: %v", name, err)
		return nil, err
	}
	return &needed{File: file, log: f.log, name: name}, nil
}

// needed is a file without which there is no way on.
type needed struct {
	vfs.File
	log  pebbleLogger
	name string
}

func (n *needed) check(what string, err error) error {
	if err != nil {
		n.log.Fatalf("%s could not be %s: %v", n.name, what, err)
	}
	return err
}

// Write is part of vfs.File.
func (n *needed) Write(p []byte) (int, error) {
	written, err := n.File.Write(p)
	return written, n.check("written", err)
}

// Sync is part of vfs.File.
func (n *needed) Sync() error { return n.check("synced", n.File.Sync()) }

// SyncData is part of vfs.File.
func (n *needed) SyncData() error { return n.check("synced", n.File.SyncData()) }

// SyncTo is part of vfs.File.
func (n *needed) SyncTo(length int64) (full bool, err error) {
	full, err = n.File.SyncTo(length)
	return full, n.check("synced", err)
}

// Close is part of vfs.File.
func (n *needed) Close() error { return n.check("closed", n.File.Close()) }
