package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/server/memory"
	"freshet/server/snapshots"
	"freshet/storage"
)

// Options configure a DB; the zero value is usable.
type Options struct {
	Logger *slog.Logger // default: discard
	FS     vfs.FS       // default: the operating system's
	// SyncInterval bounds how long a commit without Sync may wait for stable
	// storage; default 100 ms.
	SyncInterval time.Duration
	// SnapshotsDir is the folder of snapshots; default snapshots in the data folder.
	// It is made when it is first needed.
	SnapshotsDir string
	// SnapshotsBucket is where snapshots are kept instead; default: in the folder.
	SnapshotsBucket *snapshots.BucketConfig
	// MaxSnapshotBytes bounds a snapshot that is recovered; default 1 TiB.
	MaxSnapshotBytes int64

	// Disk says how much of the disk is left free.
	Disk DiskOptions
	// Memory says when there is no memory for more data; default: there always is. The
	// store's cache and write buffers are smaller where the limit is low.
	Memory *memory.Guard
	// Progress is told how far Open is; default: nobody is.
	Progress *Progress
	// RecallPercent is how much of one core's time the recall of searches may be measured
	// in; default: it is not measured.
	RecallPercent float64

	fatal func(reason string) // see storage.Options
	now   func() time.Time    // for what expires; default: time.Now
}

// DB is a data folder with its collections and aliases. It is safe for
// concurrent use.
type DB struct {
	store *storage.Store
	log   *slog.Logger
	cores *cores
	jobs  *jobs
	now   func() time.Time

	memory *memory.Guard // nil: there is no limit
	probed bool          // recall is measured

	dir              string // absolute
	snapshotsDir     string
	maxSnapshotBytes int64
	kept             snapshotStore // one of the two below
	folder           *snapshots.Folder
	bucket           *snapshots.Bucket // nil: none

	dirty        atomic.Bool // a commit awaits the log's sync
	stopSync     chan struct{}
	syncDone     chan struct{}
	removed      chan struct{}  // holds one when a space has been removed
	viewsRenewed chan struct{}  // closed when all views are of a store that can be written
	viewsKept    chan struct{}  // closed when keepViewsNew has ended
	probes       sync.WaitGroup // probeRecall, if recall is measured

	// change serialises what alters the catalog and guards closed and lastID;
	// mu guards the maps only, so that a read never waits while a collection is
	// opened or closed.
	change      sync.Mutex
	closed      bool
	lastID      uint32
	mu          sync.RWMutex
	collections map[string]*Collection
	aliases     map[string]string
}

// catalogEntry is the stored description of a collection (JSON).
type catalogEntry struct {
	Name   string `json:"name"`
	ID     uint32 `json:"id"`
	Config Config `json:"config"`
}

// Open opens or creates the data folder and loads its collections. Errors wrap
// storage.ErrLocked or storage.ErrNewerFormat where they apply.
func Open(ctx context.Context, dir string, o Options) (*DB, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.SyncInterval == 0 {
		o.SyncInterval = 100 * time.Millisecond
	}
	if o.SnapshotsDir == "" {
		o.SnapshotsDir = filepath.Join(dir, "snapshots")
	}
	snapshotsDir, err := filepath.Abs(o.SnapshotsDir)
	if err != nil {
		return nil, fmt.Errorf("the folder of snapshots: %w", err)
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("the data folder: %w", err)
	}
	if o.MaxSnapshotBytes == 0 {
		o.MaxSnapshotBytes = 1 << 40
	}
	if o.Progress == nil {
		o.Progress = new(Progress)
	}
	if o.now == nil {
		o.now = time.Now
	}
	store, err := storage.Open(dir, storage.Options{
		Logger: o.Logger, FS: o.FS, Disk: o.Disk, Fatal: o.fatal,
		CacheBytes: o.Memory.Limit() / cacheShare, BufferBytes: o.Memory.Limit() / bufferShare,
	})
	if err != nil {
		return nil, err
	}
	db := &DB{
		store: store, log: o.Logger, cores: newCores(), jobs: newJobs(), now: o.now, memory: o.Memory,
		probed: o.RecallPercent > 0,
		dir:    absolute, snapshotsDir: snapshotsDir, maxSnapshotBytes: o.MaxSnapshotBytes,
		stopSync: make(chan struct{}), syncDone: make(chan struct{}),
		removed: make(chan struct{}, 1), viewsRenewed: make(chan struct{}), viewsKept: make(chan struct{}),
		collections: map[string]*Collection{}, aliases: map[string]string{},
	}
	err = db.keepSnapshots(o.SnapshotsBucket)
	if err == nil {
		err = db.removeOrphans()
	}
	if err == nil {
		err = db.load(ctx, o.Progress)
	}
	if err != nil {
		return nil, errors.Join(err, db.closeCollections(), store.Close())
	}
	go db.syncLog(o.SyncInterval)
	go db.keepViewsNew(db.jobs.ctx)
	if db.probed {
		db.probes.Go(func() { db.probeRecall(db.jobs.ctx, o.RecallPercent) })
	}
	return db, nil
}

// keepSnapshots prepares for snapshots, and removes what a crash has left of one.
func (db *DB) keepSnapshots(bucket *snapshots.BucketConfig) error {
	db.folder = snapshots.NewFolder(db.snapshotsDir)
	db.kept = db.folder
	if bucket != nil {
		b, err := snapshots.OpenBucket(*bucket)
		if err != nil {
			return fmt.Errorf("the bucket of snapshots: %w", err)
		}
		db.kept, db.bucket = b, b
		db.log.Info("snapshots are kept in a bucket", "bucket", b.String())
	}
	removed, err := db.folder.RemoveUnfinished()
	for _, file := range removed {
		db.log.Warn("an unfinished snapshot was removed", "file", file)
	}
	if err != nil {
		db.log.Warn("unfinished snapshots may be left", "err", err)
	}
	return nil
}

func (db *DB) load(ctx context.Context, progress *Progress) error {
	snapshot := db.store.Snapshot()
	var entries []catalogEntry
	err := snapshot.Scan(storage.GlobalKey(storage.Catalog, ""), nil, func(_, value []byte) (bool, error) {
		var e catalogEntry
		if err := json.Unmarshal(value, &e); err != nil {
			return false, fmt.Errorf("read the catalog: %w", err)
		}
		entries = append(entries, e)
		return true, nil
	})
	if err == nil {
		err = snapshot.Scan(storage.GlobalKey(storage.Alias, ""), nil, func(key, value []byte) (bool, error) {
			db.aliases[string(key[1:])] = string(value)
			return true, nil
		})
	}
	if err = errors.Join(err, snapshot.Close()); err != nil {
		return err
	}
	progress.begin(len(entries))
	for _, e := range entries {
		c, err := openCollection(ctx, db, e, progress)
		if err != nil {
			return err
		}
		progress.next()
		db.collections[e.Name] = c
		if len(e.Config.DroppedVectors) > 0 && !db.readOnly() { // opening has finished that
			if err := db.putEntry(catalogEntry{Name: e.Name, ID: e.ID, Config: c.Config()}); err != nil {
				return err
			}
		}
		db.lastID = max(db.lastID, e.ID)
	}
	return nil
}

// syncLog bounds how much a power cut can take from commits that did not wait
// for the disk. Close ends it.
func (db *DB) syncLog(interval time.Duration) {
	defer close(db.syncDone)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if !db.dirty.Swap(false) {
				continue
			}
			if err := db.store.SyncLog(); err != nil {
				db.dirty.Store(true)
				db.log.Error("sync of the storage log failed", "err", err)
			}
		case <-db.stopSync:
			return
		}
	}
}

// Close ends what is in progress on snapshots, lets the writers finish, waits for the
// readers and closes the folder.
func (db *DB) Close() error {
	db.jobs.stop()
	db.change.Lock()
	defer db.change.Unlock()
	if db.closed {
		return nil
	}
	db.closed = true
	<-db.viewsKept
	db.probes.Wait()
	close(db.stopSync)
	<-db.syncDone
	if db.bucket != nil {
		db.bucket.Close()
	}
	return errors.Join(db.closeCollections(), db.store.SyncLog(), db.store.Close())
}

// DiskBytes returns how many bytes the store has on disk. Snapshots come on top of that.
func (db *DB) DiskBytes() int64 { return db.store.DiskBytes() }

func (db *DB) closeCollections() error {
	var errs []error
	for _, c := range db.collections {
		errs = append(errs, c.close())
	}
	return errors.Join(errs...)
}

// Collection returns a collection by its name or an alias; an error of Kind NotFound if
// there is none.
func (db *DB) Collection(name string) (*Collection, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if target, ok := db.aliases[name]; ok {
		name = target
	}
	c, ok := db.collections[name]
	if !ok {
		return nil, noCollection(name)
	}
	return c, nil
}

// Exists says whether a collection or an alias has the name.
func (db *DB) Exists(name string) bool {
	_, err := db.Collection(name)
	return err == nil
}

// Collections returns the names of all collections, sorted.
func (db *DB) Collections() []string {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return slices.Sorted(maps.Keys(db.collections))
}
