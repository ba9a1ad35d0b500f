package server

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"

	"freshet/storage"
)

// A full disk refuses what is new: requests that write, and what the writers do by
// themselves. What was begun is finished, except a snapshot, which may take more than is left.
// Reads go on, and so does what makes room: dropping collections and removing snapshots.

// Writable returns nil, or why nothing is written for now: of Kind Full if it is the disk,
// of Kind MemoryFull if it is memory.
func (db *DB) Writable() error {
	return cmp.Or(asFull(db.store.Writable()), inMemory(db.memory))
}

// Room returns a channel that is closed once there is room to write, on the disk or in
// memory, whichever Writable is about. It is to be asked for before the write that may be
// refused.
func (db *DB) Room() <-chan struct{} {
	if db.store.Writable() == nil && db.memory.Full() != "" {
		return db.memory.Room()
	}
	return db.store.Room()
}

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
	if db.bucket != nil {
		return false
	}
	relative, err := filepath.Rel(db.dir, db.snapshotsDir)
	return err == nil && filepath.IsLocal(relative)
}

// roomForSnapshot returns nil, or why no snapshot is written for now.
func (db *DB) roomForSnapshot() error {
	if !db.snapshotsBeside() {
		return nil
	}
	return asFull(db.store.Writable())
}

// keepViewsNew renews the views of all collections when the store has been opened anew after a
// start on a full disk, and each time a space has been removed: an old view keeps what has been
// removed since, and a collection that is only read would have one for ever. Then the store is
// told to give the room back. Close ends it.
func (db *DB) keepViewsNew(ctx context.Context) {
	defer close(db.viewsKept)
	select {
	case <-db.store.Reopened():
	case <-ctx.Done():
		return
	}
	db.renewViews(ctx)
	close(db.viewsRenewed)
	for {
		select {
		case <-db.removed:
		case <-ctx.Done():
			return
		}
		db.renewViews(ctx)
		if err := db.store.Reclaim(); err != nil {
			db.log.Warn("the room of what was removed does not come back for now", "err", err)
		}
	}
}

// renewViews has reads see the store as it is now.
func (db *DB) renewViews(ctx context.Context) {
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
			db.log.Error("a collection still reads the store as it was before", "collection", name, "err", err)
		}
	}
}
