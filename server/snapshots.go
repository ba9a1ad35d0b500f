package server

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"freshet/server/archive"
	"freshet/server/snapshots"
	"freshet/storage"
)

// SnapshotInfo describes a snapshot.
type SnapshotInfo = snapshots.Info

// snapshotStore keeps snapshots, which are files of the package archive, by folder and
// name. What it does not have is an error that wraps fs.ErrNotExist.
type snapshotStore interface {
	// Create may call write twice, which writes the same each time.
	Create(ctx context.Context, folder, name string, write func(io.Writer) error) (SnapshotInfo, error)
	List(ctx context.Context, folder string) ([]SnapshotInfo, error)
	Open(ctx context.Context, folder, name string) (snapshots.File, SnapshotInfo, error)
	Remove(ctx context.Context, folder, name string) error
}

// archived describes a collection in a snapshot, JSON.
type archived struct {
	Name   string `json:"name"`
	Format int    `json:"format"` // of the records, see storage.Format
	Config Config `json:"config"`
	// Whole says that it is one of those of a snapshot of the whole storage.
	Whole bool `json:"whole,omitempty"`
}

func noSnapshot(name string) *Error { return errorf(NotFound, "Snapshot %.300s not found", name) }

// CreateSnapshot writes a snapshot of a collection, or of all collections and
// aliases if the name is "". It has the state of one moment between the beginning
// and the end of the call; writes do not wait for it.
func (db *DB) CreateSnapshot(ctx context.Context, collection string) (SnapshotInfo, error) {
	ctx, leave, err := db.jobs.enter(ctx)
	if err != nil {
		return SnapshotInfo{}, err
	}
	defer leave()
	if err := db.roomForSnapshot(); err != nil {
		return SnapshotInfo{}, err
	}
	if collection, err = db.snapshotted(collection); err != nil {
		return SnapshotInfo{}, err
	}
	folder := folderOf(collection)
	now := time.Now().UTC()
	title := "full-snapshot"
	if collection != "" {
		title = strings.ToValidUTF8(folder[:min(len(folder), 150)], "")
	}
	name := fmt.Sprintf("%s-%d-%s%s", title, now.UnixMicro(), now.Format("2006-01-02-15-04-05"), snapshots.Suffix)
	snapshot := db.store.Snapshot()
	info, err := db.kept.Create(ctx, folder, name, func(w io.Writer) error {
		return archiveFrom(ctx, snapshot, &boundedWriter{w, db.roomForSnapshot}, collection)
	})
	return info, errors.Join(kept(ctx, name, err), snapshot.Close())
}

// boundedWriter fails once there is no room. A snapshot that went on would take what the store
// has been left to end with.
type boundedWriter struct {
	io.Writer
	room func() error
}

func (b *boundedWriter) Write(p []byte) (int, error) {
	if err := b.room(); err != nil {
		return 0, err
	}
	return b.Writer.Write(p)
}

// kept turns an error of a snapshotStore into one for clients.
func kept(ctx context.Context, name string, err error) error {
	var bucket *snapshots.BucketError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return noSnapshot(name)
	case !errors.As(err, &bucket):
		return err
	case ctx.Err() != nil:
		return deadline(ctx)
	default:
		return &Error{Kind: Unavailable, Text: "the store of snapshots", Err: bucket}
	}
}

// keptOf is kept for a snapshot of a collection: where there is neither, it is the collection
// that is missing.
func keptOf(ctx context.Context, missing error, name string, err error) error {
	if missing != nil && errors.Is(err, fs.ErrNotExist) {
		return missing
	}
	return kept(ctx, name, err)
}

// archiveFrom writes what a collection, or all of them, had at the moment of the
// storage's snapshot.
func archiveFrom(ctx context.Context, snapshot *storage.Snapshot, w io.Writer, collection string) error {
	out := archive.NewWriter(w)
	found := collection == ""
	err := snapshot.Scan(storage.GlobalKey(storage.Catalog, ""), nil, func(_, value []byte) (bool, error) {
		var e catalogEntry
		if err := json.Unmarshal(value, &e); err != nil {
			return false, fmt.Errorf("read the catalog: %w", err)
		}
		if collection != "" && e.Name != collection {
			return true, nil
		}
		found = true
		return true, archiveCollection(ctx, out, snapshot, e, collection == "")
	})
	if err != nil {
		return err
	}
	if !found {
		return noCollection(collection)
	}
	if collection == "" {
		err = snapshot.Scan(storage.GlobalKey(storage.Alias, ""), nil, func(key, value []byte) (bool, error) {
			return true, out.Write(archive.Entry{Kind: archive.Alias, Key: key[1:], Value: value})
		})
	}
	return errors.Join(err, out.Close())
}

func archiveCollection(ctx context.Context, out *archive.Writer, snapshot *storage.Snapshot, e catalogEntry, whole bool) error {
	about, err := json.Marshal(archived{Name: e.Name, Format: storage.Format, Config: e.Config, Whole: whole})
	if err != nil {
		return err
	}
	if err := out.Write(archive.Entry{Kind: archive.Collection, Value: about}); err != nil {
		return err
	}
	count := uint64(0)
	space := storage.Space{Collection: e.ID}
	for _, ks := range storage.PerSpace() {
		if ks == storage.Expiry {
			continue // follows from the points
		}
		err := snapshot.Scan(storage.AppendKey(nil, ks, space, nil), nil, func(key, value []byte) (bool, error) {
			count++
			err := out.Write(archive.Entry{Kind: archive.Record, Space: byte(ks), Key: storage.Suffix(key), Value: value})
			return err == nil, errors.Join(err, ctx.Err())
		})
		if err != nil {
			return err
		}
	}
	return out.Write(archive.Entry{Kind: archive.CollectionEnd, Count: count})
}

// snapshotted returns the name of the collection that a name or an alias stands
// for; "" stands for the whole storage. If there is none it is the name itself, with
// an error that says so.
func (db *DB) snapshotted(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	c, err := db.Collection(name)
	if err != nil {
		return name, err
	}
	return c.name, nil
}

// maxFolderName is how many bytes file systems take for the name of a folder.
const maxFolderName = 255

// folderOf returns the folder of a collection's snapshots, "" for those of the whole
// storage.
func folderOf(collection string) string {
	folder := strings.ReplaceAll(collection, "%", "%25")
	if strings.Trim(folder, ".") == "" {
		folder = strings.ReplaceAll(folder, ".", "%2E")
	}
	if len(folder) > maxFolderName {
		return fmt.Sprintf("%%-%x", sha256.Sum256([]byte(collection))) // no name is written so
	}
	return folder
}

// Snapshots lists the snapshots of a collection, or of the whole storage, by name. A
// collection that is not there has those of the last one of its name, if any are left.
func (db *DB) Snapshots(ctx context.Context, collection string) ([]SnapshotInfo, error) {
	name, missing := db.snapshotted(collection)
	list, err := db.kept.List(ctx, folderOf(name))
	if err == nil && len(list) == 0 {
		return nil, missing
	}
	return list, kept(ctx, "", err)
}

// OpenSnapshot opens a snapshot for reading, which ends with ctx. The file must be
// closed. The error is of Kind NotFound if there is none.
func (db *DB) OpenSnapshot(ctx context.Context, collection, name string) (snapshots.File, SnapshotInfo, error) {
	of, missing := db.snapshotted(collection)
	f, info, err := db.kept.Open(ctx, folderOf(of), name)
	return f, info, keptOf(ctx, missing, name, err)
}

// DeleteSnapshot removes a snapshot of a collection, or of the whole storage if its name is
// "". The error is of Kind NotFound if there is none.
func (db *DB) DeleteSnapshot(ctx context.Context, collection, name string) error {
	of, missing := db.snapshotted(collection)
	err := db.kept.Remove(ctx, folderOf(of), name)
	return keptOf(ctx, missing, name, err)
}

// OpenSnapshotFile opens a file by its path, which has to be in the folder of
// snapshots. The file must be closed.
func (db *DB) OpenSnapshotFile(file string) (*os.File, error) {
	f, err := db.folder.OpenFile(file)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, errorf(BadRequest, "location: the file is not in the folder of snapshots")
	case errors.Is(err, fs.ErrNotExist):
		return nil, errorf(BadRequest, "location: there is no such file in the folder of snapshots")
	}
	return f, err
}
