package storage

import (
	"errors"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// A log that was closed ends with a chunk without content that has the number of the next
// log. Chunks are within blocks, whose ends are left empty where none fits any more.
const (
	logBlock       = 32 << 10
	logTrailer     = logHeader
	logTrailerType = firstLogChunk
)

// lastLog looks at the end of the newest log: opening the store has looked at the others,
// and takes an end in the middle of a record for that of a crash. It is none if the folder is
// known to be damaged, which has been reported.
func (x *examination) lastLog(manifest string, damaged bool) {
	logs, err := wal.Scan(wal.Dir{FS: x.fs, Dirname: x.dir})
	if err != nil {
		x.report.Wrong(x.dir, "run as the user who owns the folder", "the logs cannot be listed: %v", err)
		return
	}
	oldest, err := oldestLog(x.fs, x.fs.PathJoin(x.dir, manifest))
	if err != nil {
		x.report.Wrong(manifest, restore, "the manifest is damaged: %v", err)
		return
	}
	lacks, err := lacksLog(x.fs, x.dir, logs, oldest)
	switch {
	case err != nil:
		x.report.Wrong(x.dir, "run as the user who owns the folder", "%v", err)
		return
	case lacks:
		x.report.Wrong(x.dir, restore, "what was written last is missing: there is no log of a number from %s on", oldest)
		return
	case len(logs) == 0:
		return // an opening was cut short
	}
	last := logs[len(logs)-1]
	_, path := last.SegmentLocation(0)
	name := x.fs.PathBase(path)
	const crash = "nothing, if the process was killed or the machine lost its power while it was written: all that was acknowledged is there; if the file was cut or changed since, restore it"
	end, err := readLog(last)
	switch {
	case damaged && err != nil:
		return
	case errors.Is(err, record.ErrUnexpectedEOF):
		x.report.Warn(name, crash, "the log ends in the middle of a record, at byte %d", end)
		return
	case err != nil:
		x.report.Wrong(name, restore, "the log is damaged at byte %d: %v", end, err)
		return
	}
	closed, err := logClosed(path, end, uint32(last.Num))
	switch {
	case err != nil:
		x.report.Wrong(name, "run as the user who owns the folder", "the log cannot be read: %v", err)
	case !closed && damaged:
	case !closed:
		x.report.Warn(name, crash, "the log was not closed: it ends at byte %d", end)
	default:
		x.report.Fine(name, "the log of %d bytes was closed in order", end)
	}
}

// oldestLog returns the number from which on a store with the manifest needs its logs.
func oldestLog(fs vfs.FS, manifest string) (number wal.NumWAL, err error) {
	f, err := fs.Open(manifest)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	number, _, _, err = readManifest(f)
	return number, err
}

// readLog reads the records of a log and returns where the last one ends. The end of the
// log is no error.
func readLog(log wal.LogicalLog) (end int64, err error) {
	r := log.OpenForRead()
	for {
		_, at, err := r.NextRecord()
		if errors.Is(err, io.EOF) {
			return at.Physical, r.Close()
		}
		if err != nil {
			return at.Physical, errors.Join(err, r.Close())
		}
	}
}

// logClosed says whether the log ends at a position as one does that was closed.
func logClosed(path string, end int64, number uint32) (closed bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if left := logBlock - end%logBlock; left < logTrailer {
		end += left
	}
	var chunk [logTrailer]byte
	if _, err := f.ReadAt(chunk[:], end); err != nil {
		if errors.Is(err, io.EOF) {
			err = nil // it ends before
		}
		return false, err
	}
	return isTrailer(chunk[:], number), nil
}
