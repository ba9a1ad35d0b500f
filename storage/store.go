package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Format is the version of the layout this build writes. It reads the older ones and
// makes them this one: a build for format 1, which has no Neighbours, would leave those
// behind the vectors, one for format 2 knows dense vectors only, and one for format 3 no
// points that expire.
const Format = 4

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
	// CacheBytes is the size of the block cache; default 64 MiB.
	CacheBytes int64
	// Fatal is called with the reason when the disk fails in a way that leaves
	// no safe way on, such as an I/O error on the log. It must not return.
	// Default: log and exit with status 1.
	Fatal func(reason string)
}

// Store is one Pebble instance. It is safe for concurrent use; every Snapshot
// and Batch must be closed before Close.
type Store struct {
	db   *pebble.DB
	lock *pebble.Lock
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
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	if err := o.FS.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("create data folder %s: %w", dir, err)
	}
	lock, err := pebble.LockDirectory(dir, o.FS)
	if err != nil {
		if isLocked(err) {
			return nil, fmt.Errorf("%s: %w", dir, ErrLocked)
		}
		return nil, fmt.Errorf("lock data folder %s: %w", dir, err)
	}
	db, err := pebble.Open(dir, pebbleOptions(o, lock))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open data folder %s: %w", dir, err), lock.Close())
	}
	s := &Store{db: db, lock: lock}
	if err := s.checkFormat(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, err), s.Close())
	}
	return s, nil
}

// isLocked tells a lock held elsewhere from other failures. Pebble reports a
// second open within one process only by its text.
func isLocked(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) && !os.IsPermission(err) ||
		err.Error() == "lock held by current process"
}

func pebbleOptions(o Options, lock *pebble.Lock) *pebble.Options {
	opts := &pebble.Options{
		FS:                 o.FS,
		Lock:               lock,
		CacheSize:          o.CacheBytes,
		MemTableSize:       32 << 20,
		FormatMajorVersion: pebble.FormatNewest,
		Logger:             pebbleLogger{log: o.Logger, fatal: o.Fatal},
	}
	// A write looks up whether its id exists; most lookups of a growing
	// collection miss, and a bloom filter answers those without a block read.
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return opts
}

func (s *Store) checkFormat() error {
	key := []byte{byte(spaceFormat)}
	value, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return s.db.Set(key, binary.BigEndian.AppendUint32(nil, Format), pebble.Sync)
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
	case format < Format:
		return s.db.Set(key, binary.BigEndian.AppendUint32(nil, Format), pebble.Sync)
	default:
		return nil
	}
}

// Close flushes and closes the store.
func (s *Store) Close() error {
	return errors.Join(s.db.Close(), s.lock.Close())
}

// SyncLog returns once every batch committed before the call is on stable
// storage.
func (s *Store) SyncLog() error {
	if err := s.db.LogData(nil, pebble.Sync); err != nil {
		return fmt.Errorf("sync log: %w", err)
	}
	return nil
}

// DiskBytes returns how much the store has on disk, its log included.
func (s *Store) DiskBytes() int64 { return int64(s.db.Metrics().DiskSpaceUsage()) }

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
	os.Exit(1)
}
