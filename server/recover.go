package server

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"freshet/server/archive"
	"freshet/server/snapshots"
	"freshet/storage"
)

// A recovery reads a snapshot into the space of a new collection, loads that, and
// makes it the collection of its name in one batch. Until then the new space, and from
// then on the old one, is an orphan in the catalog: what a crash leaves of either is
// removed by the next Open. So a collection is replaced as a whole or stays.

// Recover replaces a collection by the one in a snapshot, or makes it. A snapshot of
// the whole storage has to have a collection of that name. checksum is the SHA-256
// that the snapshot has to have, "" for any. The positions in Kafka's log are those
// of the snapshot. Reads in progress end on the old points.
func (db *DB) Recover(ctx context.Context, name string, snapshot io.Reader, checksum string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	ctx, leave, err := db.jobs.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return db.recover(ctx, name, snapshot, checksum)
}

// RecoverKept is Recover from one of the snapshots that are kept, of the collection
// itself, which need not be there any more. Without a checksum it has to have the
// one it was given when it was taken.
func (db *DB) RecoverKept(ctx context.Context, name, snapshot, checksum string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	of, _ := db.snapshotted(name) // it need not be there
	return db.recoverFrom(ctx, name, folderOf(of), snapshot, checksum)
}

// RecoverObject is Recover from an object of the bucket that snapshots are kept in.
func (db *DB) RecoverObject(ctx context.Context, name, bucket, key, checksum string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if db.bucket == nil {
		return errorf(BadRequest, "location: this server keeps its snapshots in no bucket")
	}
	if bucket != db.bucket.Name() {
		return errorf(BadRequest, "location: this server keeps its snapshots in the bucket %s", db.bucket.Name())
	}
	folder, snapshot := path.Split(key)
	if !fs.ValidPath(key) { // some stores are folders behind it
		return kept(ctx, snapshot, fs.ErrNotExist)
	}
	return db.recoverFrom(ctx, name, strings.TrimSuffix(folder, "/"), snapshot, checksum)
}

func (db *DB) recoverFrom(ctx context.Context, name, folder, snapshot, checksum string) error {
	ctx, leave, err := db.jobs.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	f, info, err := db.kept.Open(ctx, folder, snapshot)
	if err != nil {
		return kept(ctx, snapshot, err)
	}
	err = db.recover(ctx, name, f, cmp.Or(checksum, info.Checksum))
	return errors.Join(kept(ctx, snapshot, err), f.Close())
}

func (db *DB) recover(ctx context.Context, name string, snapshot io.Reader, checksum string) error {
	if checksum != "" && !snapshots.ValidChecksum(checksum) {
		return errorf(BadRequest, "checksum: it is not a SHA-256 of 64 hexadecimal digits")
	}
	if c, err := db.Collection(name); err == nil {
		name = c.name
	}
	entry, err := db.reserve(name)
	if err != nil {
		return err
	}
	c, err := db.readSnapshot(ctx, entry, snapshot, strings.ToLower(checksum))
	if err == nil {
		err = db.replace(ctx, c)
	}
	if err != nil {
		if ended := ctx.Err(); ended != nil && KindOf(err) == Internal {
			err = deadline(ctx)
		}
		return errors.Join(err, db.removeSpace(entry.ID))
	}
	db.log.Info("collection recovered from a snapshot", "collection", name)
	return nil
}

// reserve gives a number to a collection that is to come.
func (db *DB) reserve(name string) (catalogEntry, error) {
	db.change.Lock()
	defer db.change.Unlock()
	entry := catalogEntry{Name: name, ID: db.lastID + 1}
	if err := inMemory(db.memory); err != nil {
		return entry, err
	}
	err := db.commit(func(b *storage.Batch) error { return b.Set(orphanKey(entry.ID), nil) })
	if err == nil {
		db.lastID = entry.ID
	}
	return entry, err
}

func orphanKey(id uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{byte(storage.Orphan)}, id)
}

// orphanID returns the number that orphanKey was given; false for what is no such key.
func orphanID(key []byte) (id uint32, ok bool) {
	if len(key) != 5 {
		return 0, false
	}
	return binary.BigEndian.Uint32(key[1:]), true
}

// removeSpace removes an orphan.
func (db *DB) removeSpace(id uint32) error {
	db.change.Lock()
	defer db.change.Unlock()
	return db.removing(func(b *storage.Batch) error {
		return errors.Join(b.DeleteSpace(storage.Space{Collection: id}), b.Delete(orphanKey(id)))
	})
}

// removeOrphans removes what interrupted drops and recoveries have left.
func (db *DB) removeOrphans() error {
	var ids []uint32
	snapshot := db.store.Snapshot()
	err := snapshot.Scan([]byte{byte(storage.Orphan)}, nil, func(key, _ []byte) (bool, error) {
		id, ok := orphanID(key)
		if !ok {
			return false, fmt.Errorf("the key %x of the catalog is damaged", key)
		}
		ids = append(ids, id)
		return true, nil
	})
	err = errors.Join(err, snapshot.Close())
	for _, id := range ids {
		db.lastID = max(db.lastID, id)
		if err == nil && !db.readOnly() { // else the next start does it
			if err = db.removeSpace(id); err == nil {
				db.log.Warn("what an interrupted drop or recovery left was removed", "number", id)
			}
		}
	}
	return err
}

// readSnapshot reads the collection into the entry's space and opens it.
func (db *DB) readSnapshot(ctx context.Context, entry catalogEntry, snapshot io.Reader, checksum string) (*Collection, error) {
	digest := sha256.New()
	bounded := &boundedReader{ctx: ctx, r: snapshot, left: db.maxSnapshotBytes, limit: db.maxSnapshotBytes}
	cfg, err := db.importFrom(ctx, entry, io.TeeReader(bounded, digest))
	if errors.Is(err, archive.ErrDamaged) || errors.Is(err, archive.ErrForeign) || errors.Is(err, snapshots.ErrDamaged) {
		return nil, errorf(BadRequest, "%v", err)
	}
	if err != nil {
		return nil, err
	}
	if sum := hex.EncodeToString(digest.Sum(nil)); checksum != "" && sum != checksum {
		return nil, errorf(BadRequest, "Snapshot checksum mismatch: expected %s, got %s", checksum, sum)
	}
	entry.Config = cfg
	c, err := openCollection(ctx, db, entry, nil)
	if err != nil && ctx.Err() == nil && KindOf(err) != MemoryFull {
		return nil, errorf(BadRequest, "the snapshot cannot be loaded: %v", err)
	}
	return c, err
}

// boundedReader fails behind a number of bytes, and once its context has ended.
type boundedReader struct {
	ctx         context.Context
	r           io.Reader
	left, limit int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, deadline(b.ctx)
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errorf(BadRequest, "the snapshot is larger than storage.max_snapshot_bytes, %d", b.limit)
	}
	return n, err
}

// importFrom reads the whole snapshot and stores the records of the collection.
func (db *DB) importFrom(ctx context.Context, entry catalogEntry, r io.Reader) (Config, error) {
	file, err := archive.NewReader(r)
	if err != nil {
		return Config{}, err
	}
	contents := &snapshotContents{db: db, entry: entry}
	for {
		e, err := file.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = contents.read(e)
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return Config{}, errors.Join(err, contents.close())
		}
	}
	switch {
	case contents.within:
		return Config{}, errors.Join(damaged("it ends within a collection"), contents.close())
	case contents.wanted == nil:
		return Config{}, errorf(BadRequest, "the snapshot has no collection `%s`", entry.Name)
	default:
		return contents.wanted.config, contents.close()
	}
}

// snapshotContents follows the entries of a snapshot.
type snapshotContents struct {
	db     *DB
	entry  catalogEntry
	within bool // of a collection
	count  int  // collections
	// records counts those of the present collection.
	records uint64
	// wanted stores the collection that is asked for, once it has been seen.
	// current is that one while its records come, else nil.
	wanted, current *importer
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", archive.ErrDamaged, fmt.Sprintf(format, args...))
}

func (s *snapshotContents) read(e archive.Entry) error {
	if begins := e.Kind == archive.Collection || e.Kind == archive.Alias; begins == s.within {
		return damaged("an entry of kind %d is out of place", e.Kind)
	}
	switch e.Kind {
	case archive.Collection:
		return s.begin(e.Value)
	case archive.Record:
		s.records++
		if s.current != nil {
			return s.current.record(storage.Keyspace(e.Space), e.Key, e.Value)
		}
	case archive.CollectionEnd:
		if e.Count != s.records {
			return damaged("a collection has %d records instead of %d", s.records, e.Count)
		}
		s.within = false
		if s.current != nil {
			defer func() { s.current = nil }()
			return s.current.finish()
		}
	case archive.Alias: // the aliases there are stay
	}
	return nil
}

func (s *snapshotContents) begin(raw []byte) error {
	var about archived
	if err := json.Unmarshal(raw, &about); err != nil {
		return damaged("a collection is not described as JSON")
	}
	s.within, s.records = true, 0
	s.count++
	if s.count > 1 && !about.Whole {
		return damaged("it has more than one collection")
	}
	if about.Whole && about.Name != s.entry.Name {
		return nil
	}
	if s.wanted != nil {
		return damaged("it has the collection twice")
	}
	if about.Format < 1 || about.Format > storage.Format {
		return fmt.Errorf("%w: its records are of format %d, this build reads up to %d", archive.ErrForeign, about.Format, storage.Format)
	}
	if err := about.Config.Validate(); err != nil {
		return errorf(BadRequest, "the collection in the snapshot cannot be had: %v", err)
	}
	for field, schema := range about.Config.Indexes {
		if _, err := newFieldIndex(field, schema); err != nil {
			return errorf(BadRequest, "the index of %.100q in the snapshot cannot be had: %v", field, err)
		}
	}
	s.wanted = newImporter(s.db.store, s.db.Writable, s.entry.ID, about.Config)
	s.current = s.wanted
	return nil
}

// close gives up what has not been committed.
func (s *snapshotContents) close() error {
	if s.wanted == nil {
		return nil
	}
	return s.wanted.batch.Close()
}

// replace makes c, which is in no catalog yet, the collection of its name.
func (db *DB) replace(ctx context.Context, c *Collection) error {
	done, err := db.jobs.begin()
	if err != nil {
		return errors.Join(err, c.close())
	}
	old, err := db.switchTo(ctx, c)
	switch {
	case err != nil:
		done()
		return errors.Join(err, c.close())
	case old == nil:
		done()
	default:
		await(ctx, db.retire(old, done))
	}
	return nil
}

// switchTo returns the collection that had the name, nil if there was none. It is not
// closed yet, so reads and writes that have found it before may go on.
func (db *DB) switchTo(ctx context.Context, c *Collection) (old *Collection, err error) {
	// An index that is being made is for the old points: it must not be declared for the
	// new ones.
	leave, err := db.enterIndexingOf(ctx, c.name)
	if err != nil {
		return nil, err
	}
	defer leave()
	db.change.Lock()
	defer db.change.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, deadline(ctx)
	}
	db.mu.RLock()
	old = db.collections[c.name]
	_, isAlias := db.aliases[c.name]
	db.mu.RUnlock()
	if isAlias {
		return nil, errorf(BadRequest, "Can't create collection with name %s. Alias with the same name already exists", c.name)
	}
	value, err := json.Marshal(catalogEntry{Name: c.name, ID: c.space.Collection, Config: c.Config()})
	if err != nil {
		return nil, fmt.Errorf("encode the catalog entry of %q: %w", c.name, err)
	}
	err = db.commit(func(b *storage.Batch) error {
		errs := []error{b.Set(storage.GlobalKey(storage.Catalog, c.name), value), b.Delete(orphanKey(c.space.Collection))}
		if old != nil {
			errs = append(errs, b.Set(orphanKey(old.space.Collection), nil))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return nil, err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	db.collections[c.name] = c
	return old, nil
}

// enterIndexingOf is enterIndexing of the collection that has the name, if there is one.
func (db *DB) enterIndexingOf(ctx context.Context, name string) (leave func(), err error) {
	for ctx.Err() == nil {
		db.mu.RLock()
		c := db.collections[name]
		db.mu.RUnlock()
		if c == nil {
			return func() {}, nil
		}
		leave, err := c.enterIndexing(ctx)
		if !errors.Is(err, errClosed) { // else it has been dropped or replaced meanwhile
			return leave, err
		}
	}
	return nil, deadline(ctx)
}
