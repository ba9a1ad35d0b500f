package storage

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"
)

// A mark says how many bytes of a log are on stable storage. The end of a log says nothing of
// that itself: if it is cut or damaged it looks as a crash would have left it. So the mark is
// kept elsewhere, in the name of an empty file: marker.log.<iteration>.<log>-<bytes>. It is
// moved when a log has not been synced for a while, and when the store is closed: of what is
// written all the time the log says enough, since each chunk tells what was durable before it.
type mark struct {
	log   uint64
	bytes int64
}

const markName = "log"

// String is the value of the marker.
func (m mark) String() string { return fmt.Sprintf("%06d-%d", m.log, m.bytes) }

func parseMark(value string) (m mark, err error) {
	log, bytes, _ := strings.Cut(value, "-")
	m.log, err = strconv.ParseUint(log, 10, 64)
	if err == nil {
		m.bytes, err = strconv.ParseInt(bytes, 10, 64)
	}
	if err != nil || m.bytes < 0 {
		return m, fmt.Errorf("the name of marker.%s….%s is damaged: %q is not the number of a log and its bytes", markName, value, value)
	}
	return m, nil
}

// markOf returns the mark of a folder, the zero value if there is none.
func markOf(fs vfs.FS, dir string) (mark, error) {
	value, err := atomicfs.ReadMarker(fs, dir, markName)
	if err != nil || value == "" {
		return mark{}, err
	}
	return parseMark(value)
}

// syncedLogs is a file system that knows how much of the log that was synced last is on
// stable storage.
type syncedLogs struct {
	vfs.FS
	last atomic.Pointer[mark] // another one after each sync; nil: no log has been synced
}

// Unwrap is part of vfs.FS.
func (s *syncedLogs) Unwrap() vfs.FS { return s.FS }

// Create is part of vfs.FS.
func (s *syncedLogs) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := s.FS.Create(name, category)
	return s.counted(name, file, err)
}

// ReuseForWrite is part of vfs.FS. The file is written from its beginning on.
func (s *syncedLogs) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := s.FS.ReuseForWrite(from, to, category)
	return s.counted(to, file, err)
}

func (s *syncedLogs) counted(name string, file vfs.File, err error) (vfs.File, error) {
	if err != nil || filepath.Ext(name) != ".log" {
		return file, err
	}
	number, err := strconv.ParseUint(strings.TrimSuffix(s.PathBase(name), ".log"), 10, 64)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the log %s has no number: %w", name, err), file.Close())
	}
	return &syncedLog{File: file, logs: s, number: number}, nil
}

type syncedLog struct {
	vfs.File
	logs    *syncedLogs
	number  uint64
	written atomic.Int64
}

// Write is part of vfs.File.
func (l *syncedLog) Write(p []byte) (int, error) {
	n, err := l.File.Write(p)
	l.written.Add(int64(n))
	return n, err
}

// logAhead is how much room a log takes before it has anything, in bytes. The store asks for
// that of a whole write buffer, and a new one has half a dozen logs before any of them becomes
// a table, which is much for a small disk, and makes no sync faster.
const logAhead = 1 << 20

// Preallocate is part of vfs.File.
func (l *syncedLog) Preallocate(offset, length int64) error {
	return l.File.Preallocate(offset, min(length, logAhead))
}

// Sync is part of vfs.File.
func (l *syncedLog) Sync() error { return l.synced(l.File.Sync) }

// SyncData is part of vfs.File.
func (l *syncedLog) SyncData() error { return l.synced(l.File.SyncData) }

func (l *syncedLog) synced(sync func() error) error {
	before := l.written.Load()
	err := sync()
	if err == nil {
		l.logs.last.Store(&mark{l.number, before})
	}
	return err
}

// marker keeps the mark of a folder. It is used by one goroutine.
type marker struct {
	logs *syncedLogs
	file *atomicfs.Marker
	seen *mark // at the last look
	is   *mark
}

func newMarker(fs vfs.FS, dir string, logs *syncedLogs) (*marker, error) {
	file, _, err := atomicfs.LocateMarker(fs, dir, markName)
	if err != nil {
		return nil, fmt.Errorf("data folder %s: %w", dir, err)
	}
	return &marker{logs: logs, file: file}, nil
}

// look moves the mark if no log has been synced since the last look.
func (m *marker) look() error {
	last := m.logs.last.Load()
	if last != m.seen {
		m.seen = last
		return nil
	}
	return m.move()
}

// move makes the mark that of the last sync.
func (m *marker) move() error {
	last := m.logs.last.Load()
	if last == m.is {
		return nil
	}
	if err := errors.Join(m.file.Move(last.String()), m.file.RemoveObsolete()); err != nil {
		return fmt.Errorf("note how much of the log is durable: %w", err)
	}
	m.is = last
	return nil
}

func (m *marker) close() error { return m.file.Close() }
