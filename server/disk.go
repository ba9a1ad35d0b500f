package server

import (
	"context"
	"errors"
	"path/filepath"

	"freshet/storage"
)

// A full disk refuses what is new: requests that write, and what the writers do by
// themselves. What was begun ends. Reads go on, and so does what makes room: dropping
// collections and removing snapshots.

// Writable returns nil, or why nothing is written for now.
func (db *DB) Writable() error { return asFull(db.store.Writable()) }

// Room returns a channel that is closed once there is room to write. It is to be asked for
// before the write that may be refused.
func (db *DB) Room() <-chan struct{} { return db.store.Room() }

// DiskUsage describes the disk of the data folder.
type DiskUsage = storage.DiskUsage

// Disk describes the disk of the data folder.
func (db *DB) Disk() DiskUsage { return db.store.Disk() }

// DiskOptions say how much of the disk is left free.
type DiskOptions = storage.DiskOptions

// asFull turns the refusal of the storage into one for clients.
func asFull(err error) error {
	if errors.Is(err, storage.ErrFull) {
		return &Error{Kind: Full, Text: err.Error()}
	}
	return err
}

// readOnly says that the store was opened on a full disk, and cannot be written at all.
func (db *DB) readOnly() bool {
	select {
	case <-db.store.Reopened():
		return false
	default:
		return true
	}
}

// snapshotsBeside says whether snapshots take room from the data folder.
func (db *DB) snapshotsBeside() bool {
	relative, err := filepath.Rel(db.dir, db.snapshotsDir)
	return err == nil && filepath.IsLocal(relative)
}

// renewViews gives up what is read of the store that was opened read-only once it has
// been opened anew. Close ends it.
func (db *DB) renewViews(ctx context.Context) {
	defer close(db.viewsRenewed)
	select {
	case <-db.store.Reopened():
	case <-ctx.Done():
		return
	}
	for _, name := range db.Collections() {
		c, err := db.Collection(name)
		if err != nil {
			continue // dropped since
		}
		err = c.do(ctx, func() error {
			c.publish()
			return nil
		})
		if err != nil && ctx.Err() == nil && !errors.Is(err, errClosed) {
			db.log.Error("a collection still reads the store as it was opened first", "collection", name, "err", err)
		}
	}
}
