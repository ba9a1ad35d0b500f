package server

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"freshet/server/archive"
	"freshet/storage"
)

// Snapshots are files of the package archive in a folder of their own: those of a
// collection in one that has its name, those of the whole storage at the top.
// Beside each lies its SHA-256.
const (
	snapshotSuffix   = ".snapshot"
	checksumSuffix   = ".checksum"
	unfinishedSuffix = ".part"
)

// SnapshotInfo describes a snapshot.
type SnapshotInfo struct {
	Name     string
	Created  time.Time
	Size     int64
	Checksum string // SHA-256, hexadecimal; "" if it is not known
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
	if db.snapshotsBeside() {
		if err := db.Writable(); err != nil {
			return SnapshotInfo{}, err
		}
	}
	if collection, err = db.snapshotted(collection); err != nil {
		return SnapshotInfo{}, err
	}
	folder := folderOf(collection)
	root, err := db.snapshots(folder)
	if err != nil {
		return SnapshotInfo{}, err
	}
	now := time.Now().UTC()
	title := "full-snapshot"
	if collection != "" {
		title = strings.ToValidUTF8(folder[:min(len(folder), 150)], "")
	}
	name := fmt.Sprintf("%s-%d-%s%s", title, now.UnixMicro(), now.Format("2006-01-02-15-04-05"), snapshotSuffix)
	info, err := db.writeSnapshot(ctx, root, path.Join(folder, name), collection)
	return info, errors.Join(err, root.Close())
}

// writeSnapshot writes a file under another name first: there is no snapshot that
// is not whole.
func (db *DB) writeSnapshot(ctx context.Context, root *os.Root, name, collection string) (info SnapshotInfo, err error) {
	part := name + unfinishedSuffix
	f, err := root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return SnapshotInfo{}, fmt.Errorf("create a snapshot: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write a snapshot: %w", errors.Join(err, f.Close(), root.Remove(part)))
		}
	}()
	digest := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(f, digest), 1<<20)
	if err := db.archive(ctx, out, collection); err != nil {
		return info, err
	}
	if err := errors.Join(out.Flush(), f.Sync()); err != nil {
		return info, err
	}
	sum := hex.EncodeToString(digest.Sum(nil))
	if err := writeSynced(root, name+checksumSuffix, sum); err != nil {
		return info, err
	}
	if err := root.Rename(part, name); err != nil {
		return info, errors.Join(err, root.Remove(name+checksumSuffix))
	}
	stat, err := f.Stat()
	if err := errors.Join(err, f.Close(), syncDir(root, path.Dir(name))); err != nil {
		return info, err
	}
	return SnapshotInfo{Name: path.Base(name), Created: stat.ModTime(), Size: stat.Size(), Checksum: sum}, nil
}

func writeSynced(root *os.Root, name, content string) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(root *os.Root, name string) error {
	dir, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// archive writes what the store has at this moment.
func (db *DB) archive(ctx context.Context, w io.Writer, collection string) (err error) {
	snapshot := db.store.Snapshot()
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	out := archive.NewWriter(w)
	found := collection == ""
	err = snapshot.Scan(storage.GlobalKey(storage.Catalog, ""), nil, func(_, value []byte) (bool, error) {
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
// for; "" stands for the whole storage.
func (db *DB) snapshotted(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	c, err := db.Collection(name)
	if err != nil {
		return "", err
	}
	return c.name, nil
}

// folderOf returns the folder of a collection's snapshots, "" for those of the whole
// storage.
func folderOf(collection string) string {
	folder := strings.ReplaceAll(collection, "%", "%25")
	if strings.Trim(folder, ".") == "" {
		folder = strings.ReplaceAll(folder, ".", "%2E")
	}
	return folder
}

// snapshots opens the folder of all snapshots and makes it, and one in it. Nothing
// outside is reached by way of the root, whatever a name or a link says.
func (db *DB) snapshots(folder string) (*os.Root, error) {
	if err := os.MkdirAll(db.snapshotsDir, 0o750); err != nil {
		return nil, fmt.Errorf("create the folder of snapshots: %w", err)
	}
	root, err := os.OpenRoot(db.snapshotsDir)
	if err != nil {
		return nil, fmt.Errorf("open the folder of snapshots: %w", err)
	}
	if folder == "" {
		return root, nil
	}
	if err := root.MkdirAll(folder, 0o750); err != nil {
		return nil, errors.Join(fmt.Errorf("create a folder for snapshots: %w", err), root.Close())
	}
	return root, nil
}

// Snapshots lists the snapshots of a collection, or of the whole storage, by name.
func (db *DB) Snapshots(ctx context.Context, collection string) ([]SnapshotInfo, error) {
	collection, err := db.snapshotted(collection)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(db.snapshotsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the folder of snapshots: %w", err)
	}
	list, err := listSnapshots(ctx, root, folderOf(collection))
	return list, errors.Join(err, root.Close())
}

func listSnapshots(ctx context.Context, root *os.Root, folder string) (list []SnapshotInfo, err error) {
	entries, err := fs.ReadDir(root.FS(), path.Join(".", folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !isSnapshot(e.Name()) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return nil, err
		}
		list = append(list, describe(root, folder, info))
	}
	return list, nil
}

func describe(root *os.Root, folder string, info fs.FileInfo) SnapshotInfo {
	s := SnapshotInfo{Name: info.Name(), Created: info.ModTime(), Size: info.Size()}
	sum, err := root.ReadFile(path.Join(folder, s.Name+checksumSuffix))
	if err == nil && validChecksum(string(sum)) {
		s.Checksum = string(sum)
	}
	return s
}

func validChecksum(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == sha256.Size
}

// isSnapshot says whether a file of the name can be a snapshot.
func isSnapshot(name string) bool {
	return strings.HasSuffix(name, snapshotSuffix) && len(name) <= 255 && !strings.ContainsAny(name, "/\\\x00")
}

// OpenSnapshot opens a snapshot for reading. The file must be closed.
func (db *DB) OpenSnapshot(collection, name string) (*os.File, SnapshotInfo, error) {
	var f *os.File
	var info SnapshotInfo
	err := db.withSnapshot(collection, name, func(root *os.Root, folder string, stat fs.FileInfo) error {
		info = describe(root, folder, stat)
		var err error
		f, err = root.Open(path.Join(folder, name))
		return err
	})
	return f, info, err
}

// DeleteSnapshot removes a snapshot.
func (db *DB) DeleteSnapshot(collection, name string) error {
	return db.withSnapshot(collection, name, func(root *os.Root, folder string, _ fs.FileInfo) error {
		file := path.Join(folder, name)
		err := root.Remove(file + checksumSuffix)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return errors.Join(root.Remove(file), err)
	})
}

// withSnapshot calls do for a snapshot that exists.
func (db *DB) withSnapshot(collection, name string, do func(root *os.Root, folder string, stat fs.FileInfo) error) error {
	collection, err := db.snapshotted(collection)
	if err != nil {
		return err
	}
	if !isSnapshot(name) {
		return noSnapshot(name)
	}
	root, err := os.OpenRoot(db.snapshotsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return noSnapshot(name)
	}
	if err != nil {
		return fmt.Errorf("open the folder of snapshots: %w", err)
	}
	folder := folderOf(collection)
	stat, err := root.Lstat(path.Join(folder, name))
	if err == nil && stat.Mode().IsRegular() {
		err = do(root, folder, stat)
	} else if err == nil {
		err = noSnapshot(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = noSnapshot(name)
	}
	return errors.Join(err, root.Close())
}

// removeUnfinished removes what a crash has left of a snapshot that was being
// written.
func (db *DB) removeUnfinished() error {
	root, err := os.OpenRoot(db.snapshotsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the folder of snapshots: %w", err)
	}
	var unfinished []string
	err = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && strings.HasSuffix(name, snapshotSuffix+unfinishedSuffix) {
			unfinished = append(unfinished, name)
		}
		return err
	})
	for _, name := range slices.Sorted(slices.Values(unfinished)) {
		file := strings.TrimSuffix(name, unfinishedSuffix)
		if e := root.Remove(file + checksumSuffix); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
		err = errors.Join(err, root.Remove(name))
		db.log.Warn("an unfinished snapshot was removed", "file", name)
	}
	return errors.Join(err, root.Close())
}

// OpenSnapshotFile opens a file by its path, which has to be in the folder of
// snapshots. The file must be closed.
func (db *DB) OpenSnapshotFile(file string) (*os.File, error) {
	relative, err := filepath.Rel(db.snapshotsDir, filepath.Clean(file))
	if err != nil || !filepath.IsAbs(file) || !filepath.IsLocal(relative) {
		return nil, errorf(BadRequest, "location: the file is not in the folder of snapshots")
	}
	root, err := os.OpenRoot(db.snapshotsDir)
	if err != nil {
		return nil, errorf(BadRequest, "location: there is no folder of snapshots")
	}
	var f *os.File
	stat, err := root.Lstat(relative)
	if err == nil && stat.Mode().IsRegular() { // not a pipe, which would wait
		f, err = root.Open(relative)
	}
	if err != nil || f == nil {
		return nil, errors.Join(errorf(BadRequest, "location: there is no such file in the folder of snapshots"), root.Close())
	}
	return f, root.Close()
}
