package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Format is the version of the layout this build writes. It reads the older ones and
// makes them this one: a build for format 1, which has no Neighbours, would leave those
// behind the vectors, one for format 2 knows dense vectors only, one for format 3 no
// points that expire, and one for format 4 no epochs of leaders in positions.
const Format = 5

var (
	// ErrLocked means that another process has the folder open.
	ErrLocked = errors.New("the data folder is in use by another process")
	// ErrNewerFormat means that a newer release wrote the folder.
	ErrNewerFormat = errors.New("the data folder was written by a newer version of freshet")
	// ErrNotFound means that a key does not exist.
	ErrNotFound = pebble.ErrNotFound
)

// Options configure a Store; the zero value is usable.
type Options struct {
	Logger *slog.Logger // default: discard
	FS     vfs.FS       // default: the operating system's
	// CacheBytes is the size of the block cache; default, and at most, 64 MiB.
	CacheBytes int64
	// BufferBytes is the size of a write buffer, of which there are two at most; default,
	// and at most, 32 MiB.
	BufferBytes int64
	// Disk says how much of the disk is left free.
	Disk DiskOptions
	// Fatal is called with the reason when the disk fails in a way that leaves
	// no safe way on, such as an I/O error on the log. It must not return.
	// Default: log and exit with status ExitFailed.
	Fatal func(reason string)
}

// ExitFailed is the status of a process whose disk has failed; that of sysexits.h for
// errors of input and output.
const ExitFailed = 74

// Store is what the data folder holds. It is safe for concurrent use; every Snapshot
// and Batch must be closed before Close.
type Store struct {
	dir    string
	o      Options
	log    pebbleLogger
	disk   *disk
	folder *folder
	fs     vfs.FS // folder, with hooks for what finds no space, for what is durable and for what fails
	logs   *syncedLogs
	mark   *marker
	lock   *pebble.Lock

	engine   atomic.Pointer[engine]
	reopened chan struct{} // closed when the engine is one that can be written
	mu       sync.RWMutex  // held while the engine is replaced
	former   *engine       // read-only, while there are users of it
	deferred [][]byte      // batches that wait for an engine that can be written

	stop    chan struct{}
	stopped chan struct{}
}

// Open opens or creates the store in dir. It returns an error that wraps
// ErrLocked or ErrNewerFormat where one of them is the reason.
func Open(dir string, o Options) (*Store, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.CacheBytes = atMost(o.CacheBytes, mostCache)
	o.BufferBytes = max(atMost(o.BufferBytes, mostBuffer), leastBuffer)
	if err := MakeFolder(o.FS, dir); err != nil {
		return nil, fmt.Errorf("create data folder %s: %w", dir, err)
	}
	lock, err := pebble.LockDirectory(dir, o.FS)
	if err != nil {
		if isLocked(err) {
			return nil, fmt.Errorf("%s: %w", dir, ErrLocked)
		}
		return nil, fmt.Errorf("lock data folder %s: %w", dir, err)
	}
	log := pebbleLogger{log: o.Logger, fatal: o.Fatal}
	s := &Store{
		dir: dir, o: o, log: log, disk: newDisk(o.FS, dir, o.Disk, o.Logger), folder: &folder{FS: o.FS}, lock: lock,
		reopened: make(chan struct{}), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	s.logs = &syncedLogs{FS: vfs.OnDiskFull(s.folder, s.disk.outOfSpace)}
	s.fs = &failing{FS: s.logs, log: log}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	go s.watch()
	return s, nil
}

// The most, and the default, of Options.CacheBytes and Options.BufferBytes.
const (
	mostCache  = 64 << 20
	mostBuffer = 32 << 20
)

// leastBuffer is less than which a write buffer makes no sense: files would be tiny.
const leastBuffer = 4 << 20

// atMost returns n, but no more than the limit, which is also the default.
func atMost(n, limit int64) int64 {
	if n == 0 {
		return limit
	}
	return min(n, limit)
}

func (s *Store) open() error {
	room, err := s.disk.roomToOpen()
	if err != nil {
		return err
	}
	if err := intact(s.o.FS, s.dir); err != nil {
		return err
	}
	e, err := openEngine(s.dir, &s.o, s.fs, !room)
	if err != nil {
		return errors.Join(s.disk.writable(), err)
	}
	if s.mark, err = newMarker(s.fs, s.dir, s.logs); err != nil {
		return errors.Join(err, e.db.Close())
	}
	s.engine.Store(e)
	if room {
		close(s.reopened)
		s.disk.check(0)
	}
	return nil
}

// watch looks at the disk from time to time until Close.
func (s *Store) watch() {
	defer close(s.stopped)
	tick := time.NewTicker(s.disk.o.Interval)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		more := uint64(0)
		if s.engine.Load().readOnly {
			var err error
			if more, err = logBytes(s.o.FS, s.dir); err != nil {
				s.o.Logger.Warn("how much room writing needs is not known", "err", err)
				continue
			}
		}
		s.disk.check(more)
		if err := errors.Join(s.beginWriting(), s.closeFormer()); err != nil {
			s.o.Logger.Error("the data folder could not be opened to be written", "err", err)
		}
		if s.Writable() == nil {
			if err := s.mark.look(); err != nil {
				s.o.Logger.Error("storage: the end of the log is not guarded", "err", err)
			}
		}
	}
}

// Writable returns nil while there is room to write, else an error that wraps ErrFull and
// can be shown. Who begins to write asks first; what has begun goes on.
func (s *Store) Writable() error {
	if err := s.disk.writable(); err != nil {
		return err
	}
	if s.engine.Load().readOnly {
		return &fullError{"the data folder is being opened to be written"}
	}
	return nil
}

// Room returns a channel that is closed once there is room to write. It is to be asked for
// before Writable.
func (s *Store) Room() <-chan struct{} {
	select {
	case <-s.reopened:
		return s.disk.wait()
	default:
		return s.reopened
	}
}

// Reopened returns a channel that is closed once the store can be written: at once unless
// it was opened on a full disk. Snapshots of before hold files that are not needed otherwise.
func (s *Store) Reopened() <-chan struct{} { return s.reopened }

// Disk describes the disk of the data folder.
func (s *Store) Disk() DiskUsage {
	u := s.disk.describe()
	u.Full = s.Writable()
	return u
}

// isLocked tells a lock held elsewhere from other failures. Pebble reports a
// second open within one process only by its text.
func isLocked(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) && !os.IsPermission(err) ||
		err.Error() == "lock held by current process"
}

func pebbleOptions(o *Options, fs vfs.FS, readOnly bool) *pebble.Options {
	opts := &pebble.Options{
		FS:                 fs,
		ReadOnly:           readOnly,
		CacheSize:          o.CacheBytes,
		MemTableSize:       uint64(o.BufferBytes),
		FormatMajorVersion: pebble.FormatNewest,
		Logger:             pebbleLogger{log: o.Logger, fatal: o.Fatal},
		EventListener:      faults(o.Logger),
	}
	// A write looks up whether its id exists; most lookups of a growing
	// collection miss, and a bloom filter answers those without a block read.
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return opts
}

// faults reports what goes wrong in the background, and where a file is damaged. Reads of
// such a file return an error; the rest of the store is of use.
func faults(log *slog.Logger) *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			level := slog.LevelError
			if vfs.IsNoSpaceError(err) { // it is tried again, and that there is no space has been said
				level = slog.LevelDebug
			}
			log.Log(context.Background(), level, "storage: work in the background failed", "err", err)
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			log.Error("storage: a file is damaged", "file", info.Path, "err", info.Details)
		},
	}
}

func (e *engine) checkFormat() error {
	key := []byte{byte(spaceFormat)}
	value, closer, err := e.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return e.db.Set(key, binary.BigEndian.AppendUint32(nil, Format), pebble.Sync)
	}
	if err != nil {
		return fmt.Errorf("read format: %w", err)
	}
	defer func() { _ = closer.Close() }()
	if len(value) != 4 {
		return fmt.Errorf("the format record has %d bytes instead of 4: the folder is damaged or not ours", len(value))
	}
	switch format := binary.BigEndian.Uint32(value); {
	case format > Format:
		return fmt.Errorf("%w (format %d, this build reads up to %d)", ErrNewerFormat, format, Format)
	case format < Format && !e.readOnly:
		return e.db.Set(key, binary.BigEndian.AppendUint32(nil, Format), pebble.Sync)
	default:
		return nil
	}
}

// Close flushes and closes the store.
func (s *Store) Close() error {
	close(s.stop)
	<-s.stopped
	err := errors.Join(s.closeFormer(), s.engine.Load().db.Close())
	if err == nil && s.Writable() == nil {
		err = s.mark.move()
	}
	return errors.Join(err, s.mark.close(), s.lock.Close())
}

// Flush writes what is in the log to tables.
func (s *Store) Flush() error {
	s.mu.RLock() // or the engine could be closed meanwhile
	defer s.mu.RUnlock()
	return s.engine.Load().db.Flush()
}

// Reclaim begins to write what is in the log to tables, where the room of what was removed
// comes back: removals that are only in the log are no use to the disk. It is an error that
// wraps ErrFull if there is no room for that.
func (s *Store) Reclaim() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.engine.Load()
	if e.readOnly {
		return nil // nothing has been removed
	}
	need := e.db.Metrics().MemTable.Size + openingBytes
	if u, _ := s.disk.usage(); u.Known && u.Available < need {
		return &fullError{fmt.Sprintf("the disk of the data folder has %d bytes left, and it takes up to %d", u.Available, need)}
	}
	if _, err := e.db.AsyncFlush(); err != nil {
		return fmt.Errorf("write the log to tables: %w", err)
	}
	return nil
}

// SyncLog returns once every batch committed before the call is on stable
// storage.
func (s *Store) SyncLog() error {
	e := s.engine.Load()
	if e.readOnly {
		return nil // nothing has been committed
	}
	if err := e.db.LogData(nil, pebble.Sync); err != nil {
		return fmt.Errorf("sync log: %w", err)
	}
	return nil
}

// DiskBytes returns how much the store has on disk, its log included.
func (s *Store) DiskBytes() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return int64(s.engine.Load().db.Metrics().DiskSpaceUsage())
}

// pebbleLogger passes Pebble's messages on: its routine reports are debugging
// output to an operator of Freshet.
type pebbleLogger struct {
	log   *slog.Logger
	fatal func(string)
}

func (l pebbleLogger) Infof(format string, args ...any) {
	l.log.Debug("storage: " + fmt.Sprintf(format, args...))
}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.log.Error("storage: " + fmt.Sprintf(format, args...))
}

func (l pebbleLogger) Fatalf(format string, args ...any) {
	reason := fmt.Sprintf(format, args...)
	if l.fatal != nil {
		l.fatal(reason)
	}
	l.log.Error("storage failed, stopping so that nothing unsafe is acknowledged", "reason", reason)
	os.Exit(ExitFailed)
}
