package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// ExamineOptions say who is told of an examination.
type ExamineOptions struct {
	Report Report
	// Progress is told how many bytes of all tables have been read; nil: nobody is.
	Progress func(bytes, of int64)
}

// examination is a look at a data folder. It goes from the names of the files to what is
// in them, as far as that can be read.
type examination struct {
	dir      string
	fs       vfs.FS
	report   Report
	progress func(bytes, of int64)
}

// Examine looks at a data folder: whether it is in use, the names of its files, the
// checksums of all that is in them, the format. If the content can be read, read looks at
// that in the end. Nothing in the folder changes. An error says that the examination did
// not come to its end; what is wrong with the folder is reported.
func Examine(ctx context.Context, dir string, o ExamineOptions, read func(*Snapshot) error) error {
	x := &examination{dir: dir, fs: &unchanged{vfs.Default}, report: o.Report, progress: o.Progress}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		x.report.Warn(dir, "a start makes it; if there should be data, look for another path or a volume that is not mounted", "there is no such folder")
		return nil
	}
	if err != nil {
		x.report.Wrong(dir, "run as the user who owns the folder", "the folder cannot be read: %v", err)
		return nil
	}
	lock, err := lockToRead(dir)
	if errors.Is(err, ErrLocked) {
		x.report.Wrong(dir, "end that process to have the content examined", "the folder is in use by another process, and was not examined")
		return nil
	}
	if err != nil {
		x.report.Wrong(dir, "run as the user who owns the folder", "the lock cannot be taken: %v", err)
		return nil
	}
	return errors.Join(x.folder(ctx, entries, read), lock.Close())
}

// lockToRead keeps the folder from being opened to be written. The lock is shared, and no
// file is made for it: without one nobody has the folder.
func lockToRead(dir string) (io.Closer, error) {
	f, err := os.Open(filepath.Join(dir, "LOCK"))
	if errors.Is(err, fs.ErrNotExist) {
		return io.NopCloser(nil), nil
	}
	if err != nil {
		return nil, err
	}
	err = unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart})
	if err == nil {
		return f, nil
	}
	if isLocked(err) {
		err = ErrLocked
	}
	return nil, errors.Join(err, f.Close())
}

func (x *examination) folder(ctx context.Context, entries []os.DirEntry, read func(*Snapshot) error) error {
	manifest := x.names(entries)
	if manifest == "" {
		return nil
	}
	damage := intact(x.fs, x.dir)
	if damage != nil {
		x.report.Wrong(x.dir, restore, "a start refuses the folder: %v", damage)
	}
	e := x.open()
	err := x.tables(ctx, e)
	if e == nil || err != nil {
		return errors.Join(err, e.close())
	}
	x.lastLog(manifest, damage != nil)
	if x.format(e) {
		s := &Snapshot{s: e.db.NewSnapshot(), e: e}
		e.users.Add(1)
		err = errors.Join(read(s), s.Close())
	}
	return errors.Join(err, e.close())
}

// ours matches the names of what can be in a data folder.
var ours = regexp.MustCompile(`^(LOCK|` + reserveName + `|` + openingName + `|(MANIFEST|OPTIONS)-[0-9]{6,}|[0-9]{6,}(-[0-9]{3})?\.(log|sst|blob)|.*\.dbtmp|marker\..*|temporary\..*|snapshots|lost\+found)$`)

// names looks at what there is, and returns the name of the manifest in force; "" means
// that this is no data folder, which has been reported.
func (x *examination) names(entries []os.DirEntry) (manifest string) {
	for _, e := range entries {
		name := e.Name()
		if marked, ok := markedManifest(name); ok {
			manifest = marked
		}
		if !ours.MatchString(name) {
			x.report.Wrong(name, "move it out of the data folder", "the file is none of Freshet's")
		}
	}
	switch {
	case len(entries) == 0:
		x.report.Warn(x.dir, "a start fills it; if there should be data, look for another path or a volume that is not mounted", "the folder is empty")
	case manifest == "":
		x.report.Wrong(x.dir, "name the data folder, or restore it", "the folder is no data folder: no marker names a manifest")
	}
	return manifest
}

// open opens the store to be read. What cannot be opened is reported; then it returns nil.
func (x *examination) open() *engine {
	type outcome struct {
		db  *pebble.DB
		err error
	}
	opened := make(chan outcome, 1)
	// Where Pebble sees no way on, the goroutine ends in place of the process.
	quiet := &Options{CacheBytes: mostCache, BufferBytes: mostBuffer, Logger: slog.New(slog.DiscardHandler), Fatal: func(reason string) {
		select {
		case opened <- outcome{err: errors.New(reason)}:
		default:
		}
		runtime.Goexit()
	}}
	go func() {
		db, err := pebble.Open(x.dir, pebbleOptions(quiet, x.fs, true))
		opened <- outcome{db, err}
	}()
	got := <-opened
	if got.err != nil {
		x.report.Wrong(x.dir, restore, "the store cannot be opened: %v", got.err)
		return nil
	}
	return &engine{db: got.db, readOnly: true}
}

// restore is what remains to be done about lost data.
const restore = "what it held is lost: restore a snapshot, or begin with an empty folder and let the sources read their topics again"

func (e *engine) close() error {
	if e == nil {
		return nil
	}
	return e.db.Close()
}

// tables reads all tables that are in use, or simply all if that is not known.
func (x *examination) tables(ctx context.Context, e *engine) error {
	names, err := x.tableNames(e)
	if err != nil {
		return err
	}
	sizes, total := make([]int64, len(names)), int64(0)
	for i, name := range names {
		info, err := x.fs.Stat(filepath.Join(x.dir, name))
		if err != nil {
			x.report.Wrong(name, restore, "the table cannot be read: %v", err)
			continue
		}
		sizes[i] = info.Size()
		total += sizes[i]
	}
	done, damaged := int64(0), 0
	for i, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := x.table(ctx, name); err != nil {
			damaged++
			x.report.Wrong(name, restore+"; look at the disk and the memory of the machine, too", "the table is damaged: %v", err)
		}
		if done += sizes[i]; x.progress != nil {
			x.progress(done, total)
		}
	}
	if damaged == 0 {
		x.report.Fine(x.dir, "%d tables of %d bytes have the right checksums", len(names), total)
	}
	return nil
}

func (x *examination) tableNames(e *engine) ([]string, error) {
	var names []string
	if e == nil {
		all, err := x.fs.List(x.dir)
		for _, name := range all {
			if filepath.Ext(name) == ".sst" {
				names = append(names, name)
			}
		}
		return names, err
	}
	levels, err := e.db.SSTables()
	for _, level := range levels {
		for i := range level {
			names = append(names, fmt.Sprintf("%06d.sst", uint64(level[i].BackingSSTNum)))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), err
}

// table compares the checksums of all blocks of a table with what is there.
func (x *examination) table(ctx context.Context, name string) error {
	f, err := x.fs.Open(filepath.Join(x.dir, name))
	if err != nil {
		return err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	o := pebbleOptions(&Options{}, x.fs, true)
	o.EnsureDefaults()
	r, err := sstable.NewReader(ctx, readable, o.MakeReaderOptions())
	if err != nil {
		return errors.Join(err, readable.Close())
	}
	return errors.Join(r.ValidateBlockChecksums(), r.Close())
}

// format says whether the content is one that can be judged.
func (x *examination) format(e *engine) bool {
	value, closer, err := e.db.Get([]byte{byte(spaceFormat)})
	if err != nil {
		x.report.Wrong(x.dir, "name the data folder, or restore it", "the number of the format cannot be read: %v", err)
		return false
	}
	format := uint32(0)
	if len(value) == 4 {
		format = binary.BigEndian.Uint32(value)
	}
	if err := closer.Close(); err != nil {
		x.report.Wrong(x.dir, restore, "the number of the format cannot be read: %v", err)
		return false
	}
	switch {
	case format == 0:
		x.report.Wrong(x.dir, restore, "the number of the format is damaged")
	case format > Format:
		x.report.Wrong(x.dir, "use the version that wrote it, or a newer one", "the folder has format %d, and this version reads up to %d", format, Format)
	case format < Format:
		x.report.Fine(x.dir, "the folder has format %d; the next start makes it format %d", format, Format)
	default:
		x.report.Fine(x.dir, "the folder has format %d, the present one", format)
	}
	return format > 0 && format <= Format
}
