package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// Pebble takes whatever it cannot read at the end of a manifest or of the last log for what
// a crash left, goes on without it, and removes the tables that it does not know of then. So
// the folder is looked at before: what no crash leaves is damage, and nothing is opened.
//
//  1. A store has the marker of its manifest as soon as it has a log, and that of its format
//     as soon as it has a table.
//  2. An edit of the manifest is durable before the next one is written: none that can be
//     read comes behind one that cannot. What is missing of one that was being written is
//     missing from the end, or is zeros, by whole sectors: a manifest is only appended to.
//  3. A manifest but the first one names a log before it is in force. A log from that
//     number on is there, but in the middle of an opening, during which there is a file that
//     says so.
//  4. The header of a chunk of a log says how much of the log was durable when it was
//     written, and a mark how much was when nothing had been written for a while: all of
//     that can be read.
//
// What remains is the loss of what was written last before a crash, behind which nothing
// says that it was durable: then the file ends as if it had not been.

// intact returns an error that names the file if the folder is damaged.
func intact(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return fmt.Errorf("list data folder %s: %w", dir, err)
	}
	var used, table, manifest, format string
	for _, name := range names {
		switch filepath.Ext(name) {
		case ".sst":
			used, table = name, name
		case ".log":
			used = name
		}
		if marked, ok := markedManifest(name); ok {
			manifest = marked
		}
		if strings.HasPrefix(name, "marker.format-version.") {
			format = name
		}
	}
	switch {
	case used == "":
		return nil // there is nothing yet
	case manifest == "":
		return fmt.Errorf("data folder %s: there is %s, but no marker.manifest file, which says what belongs to the store: restore it", dir, used)
	case format == "" && table != "":
		return fmt.Errorf("data folder %s: there is %s, but no marker.format-version file: restore it", dir, table)
	}
	oldest, err := intactManifest(fs, fs.PathJoin(dir, manifest))
	if err := errors.Join(err, intactOptions(fs, dir, names)); err != nil {
		return err
	}
	return intactLog(fs, dir, manifest, oldest)
}

// markedManifest returns the manifest that a file marks, if it is a marker of one. Of several,
// in the order of their names, the last one is in force.
func markedManifest(name string) (manifest string, ok bool) {
	rest, ok := strings.CutPrefix(name, "marker.manifest.")
	_, manifest, _ = strings.Cut(rest, ".")
	return manifest, ok
}

// intactManifest looks for an edit that can be read behind one that cannot, and returns what
// readManifest tells of the logs.
func intactManifest(fs vfs.FS, path string) (oldest wal.NumWAL, err error) {
	f, err := fs.Open(path)
	if err != nil {
		return 0, fmt.Errorf("open the manifest: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	oldest, end, whole, err := readManifest(f)
	switch {
	case err != nil:
		return 0, fmt.Errorf("read the manifest %s: %w", path, err)
	case whole:
		return oldest, nil
	}
	at, err := findChunk(f, end, func(c chunk) bool { return c.kind == fullChunk || c.kind == firstChunk })
	changed := false
	if err == nil && at < 0 {
		changed, err = changedChunk(f, end)
	}
	if at >= 0 || changed {
		err = fmt.Errorf("%s is damaged behind byte %d: restore it, or a snapshot", path, end)
	}
	return oldest, err
}

// readManifest reads a manifest as opening does: up to its end or what cannot be read. It
// returns the number from which on the store needs its logs, the last that an edit names, and
// where the last edit ends. An edit begins with the name of the order of keys, if it has one,
// and the number of the log, if it has one: each behind a byte that says so.
func readManifest(f io.Reader) (oldest wal.NumWAL, end int64, whole bool, err error) {
	const order, log = 1, 2
	r := record.NewReader(f, 0)
	for {
		next, err := r.Next()
		var edit []byte
		if err == nil {
			edit, err = io.ReadAll(next)
		}
		switch {
		case errors.Is(err, io.EOF):
			return oldest, end, true, nil
		case record.IsInvalidRecord(err):
			return oldest, end, false, nil
		case err != nil:
			return 0, end, false, err
		}
		end = r.Offset()
		if len(edit) > 0 && edit[0] == order {
			if length, n := binary.Uvarint(edit[1:]); n > 0 && length <= uint64(len(edit)-1-n) {
				edit = edit[1+n+int(length):]
			}
		}
		if len(edit) > 0 && edit[0] == log {
			if at, n := binary.Uvarint(edit[1:]); n > 0 {
				oldest = wal.NumWAL(at)
			}
		}
	}
}

// sector is what a disk writes as a whole, in bytes.
const sector = 512

// changedChunk says whether the chunk at a position, the last one, was whole once.
func changedChunk(f io.ReaderAt, at int64) (bool, error) {
	b := make([]byte, logBlock-at%logBlock)
	n, err := f.ReadAt(b, at)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	b = b[:n]
	if len(b) < header {
		return false, nil
	}
	length := int(binary.LittleEndian.Uint16(b[4:]))
	if header+length > len(b) {
		return checksum(b[6:]) == binary.LittleEndian.Uint32(b), nil // only the length is wrong
	}
	// Parts of sectors, of which one that is zeros was not written.
	for begin := 0; begin < header+length; {
		end := min(begin+int(sector-(at+int64(begin))%sector), header+length)
		if allZero(b[begin:end]) {
			return false, nil
		}
		begin = end
	}
	return true, nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// intactOptions looks at the newest file of options, which has no data, and without which
// Pebble does not open.
func intactOptions(fs vfs.FS, dir string, names []string) error {
	newest := ""
	for _, name := range names {
		if strings.HasPrefix(name, "OPTIONS-") {
			newest = max(newest, name)
		}
	}
	if newest == "" {
		return nil
	}
	raw, err := readAll(fs, fs.PathJoin(dir, newest))
	if err == nil {
		o := pebbleOptions(&Options{}, fs, true)
		o.EnsureDefaults()
		err = o.CheckCompatibility(dir, string(raw))
	}
	if err != nil {
		return fmt.Errorf("data folder %s: %s is damaged; it holds no data, remove it: %w", dir, newest, err)
	}
	return nil
}

func readAll(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(f)
	return raw, errors.Join(err, f.Close())
}

// firstManifest is the one that a new store begins with.
const firstManifest = "MANIFEST-000001"

// intactLog looks for the logs that the manifest names, from the oldest on, and at the last one.
func intactLog(fs vfs.FS, dir, manifest string, oldest wal.NumWAL) error {
	logs, err := wal.Scan(wal.Dir{FS: fs, Dirname: dir})
	if err != nil {
		return fmt.Errorf("list the logs: %w", err)
	}
	if oldest == 0 && manifest != firstManifest {
		return fmt.Errorf("data folder %s: %s is damaged: it names no log; restore it, or a snapshot", dir, manifest)
	}
	if len(logs) == 0 && oldest == 0 {
		return nil
	}
	lacks, err := lacksLog(fs, dir, logs, oldest)
	switch {
	case err != nil:
		return err
	case lacks:
		return fmt.Errorf("data folder %s: there is no log of a number from %s on, which %s names, but one was written to last: restore it, or a snapshot", dir, oldest, manifest)
	}
	marked, err := markOf(fs, dir)
	if err != nil {
		return err
	}
	marks := wal.NumWAL(marked.log) >= oldest && marked.bytes > 0
	if _, is := logs.Get(wal.NumWAL(marked.log)); marks && !is {
		return fmt.Errorf("data folder %s: there is no log %06d, of which %d bytes were durable: %s", dir, marked.log, marked.bytes, restoreLog)
	}
	for i, log := range logs {
		last := i == len(logs)-1
		if wal.NumWAL(marked.log) != log.Num && !last {
			continue
		}
		durable := int64(0)
		if marks && wal.NumWAL(marked.log) == log.Num {
			durable = marked.bytes
		}
		if err := intactEnd(fs, log, durable, last); err != nil {
			return err
		}
	}
	return nil
}

// restoreLog is what remains to be done about a log that lacks what was durable.
const restoreLog = "restore it, or a snapshot; to go on without what is missing, remove marker." + markName + ".*"

// intactEnd looks at the end of a log, of which so many bytes are known to have been durable,
// and in the last one for signs that more of them were. Opening looks at the others.
func intactEnd(fs vfs.FS, log wal.LogicalLog, durable int64, last bool) (err error) {
	_, path := log.SegmentLocation(0)
	f, err := fs.Open(path)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	number := uint32(log.Num)
	end, err := readableLog(f, number)
	if err != nil {
		return fmt.Errorf("read the log %s: %w", path, err)
	}
	if end == 0 {
		if ours, err := beginsAsLog(f, number); !ours || err != nil {
			return errors.Join(err, fmt.Errorf("%s does not begin as a log: restore it, or a snapshot", path))
		}
	}
	if end < durable {
		return fmt.Errorf("the log %s can be read up to byte %d, and was durable up to byte %d: %s", path, end, durable, restoreLog)
	}
	if !last {
		return nil
	}
	at, err := findChunk(f, end, func(c chunk) bool {
		return c.kind >= firstSyncChunk && c.log == number && c.synced > uint64(end)
	})
	if at >= 0 {
		return fmt.Errorf("the log %s is damaged behind byte %d, and was durable there: restore it, or a snapshot", path, end)
	}
	return err
}

// readableLog returns where what can be read of a log from its beginning on ends: behind its
// last chunk, or behind what says that it was closed.
func readableLog(f io.ReaderAt, number uint32) (end int64, err error) {
	block := make([]byte, logBlock)
	for at := int64(0); ; at += logBlock {
		n, err := f.ReadAt(block, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		i := 0
		for {
			c, ok := readChunk(block[i:n])
			if !ok || c.kind < firstLogChunk || c.log != number {
				break
			}
			i += c.size
		}
		rest := block[i:n]
		switch {
		case n == logBlock && len(rest) < syncHeader && allZero(rest):
			continue // there is no room for another chunk
		case isTrailer(rest, number):
			i += logTrailer
		}
		return at + int64(i), nil
	}
}

// isTrailer says whether b begins with what is at the end of a log that was closed: a chunk
// without a content and a checksum that has the number of the next log.
func isTrailer(b []byte, number uint32) bool {
	return len(b) >= logTrailer && b[6] == logTrailerType && binary.LittleEndian.Uint32(b[7:]) == number+1
}

// lacksLog says whether the log is missing that was written to last. An opening that was cut
// short may have removed those that it had read, and made none.
func lacksLog(fs vfs.FS, dir string, logs wal.Logs, oldest wal.NumWAL) (bool, error) {
	if len(logs) > 0 && logs[len(logs)-1].Num >= oldest {
		return false, nil
	}
	opening, err := isOpening(fs, dir)
	return !opening, err
}

// beginsAsLog says whether a file begins like a log of the number, or like an older one that
// it is to take the place of, or with nothing.
func beginsAsLog(f io.ReaderAt, number uint32) (bool, error) {
	var b [logHeader]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	kind := b[6]
	return n < logHeader || kind < afterChunks && (kind < firstLogChunk || binary.LittleEndian.Uint32(b[7:]) <= number+1), nil
}

// Kinds of chunks, and the bytes of their headers: checksum 4, length 2, kind 1; in logs,
// the number of the log 4; in those of chunks from firstSyncChunk on, how many bytes of the
// log were durable 8.
const (
	fullChunk, firstChunk         = 1, 2
	firstLogChunk                 = 5
	firstSyncChunk, afterChunks   = 9, 13
	header, logHeader, syncHeader = 7, 11, 19
)

type chunk struct {
	kind   byte
	size   int // in bytes, with its header
	log    uint32
	synced uint64
}

// findChunk looks for a chunk with the right checksum that is wanted, at any byte behind
// from, and returns where it is, -1 if there is none. No chunk goes over the end of a block.
func findChunk(f io.ReaderAt, from int64, wanted func(chunk) bool) (int64, error) {
	block := make([]byte, logBlock)
	for at := from + 1; ; {
		n, err := f.ReadAt(block[:logBlock-at%logBlock], at)
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return -1, err
		}
		for i := range n {
			if c, ok := readHeader(block[i:n]); ok && wanted(c) && c.whole(block[i:n]) {
				return at + int64(i), nil
			}
		}
		if last {
			return -1, nil
		}
		at += int64(n)
	}
}

// readChunk reads a chunk at the beginning of what is left of a block.
func readChunk(b []byte) (c chunk, ok bool) {
	c, ok = readHeader(b)
	return c, ok && c.whole(b)
}

// readHeader reads what is a chunk by its header.
func readHeader(b []byte) (c chunk, ok bool) {
	if len(b) < header || b[6] == 0 || b[6] >= afterChunks {
		return c, false
	}
	c.kind = b[6]
	c.size = header
	switch {
	case c.kind >= firstSyncChunk:
		c.size = syncHeader
	case c.kind >= firstLogChunk:
		c.size = logHeader
	}
	if c.size > len(b) {
		return c, false
	}
	if c.size >= logHeader {
		c.log = binary.LittleEndian.Uint32(b[7:])
	}
	if c.size >= syncHeader {
		c.synced = binary.LittleEndian.Uint64(b[11:])
	}
	c.size += int(binary.LittleEndian.Uint16(b[4:]))
	return c, c.size <= len(b)
}

// whole says whether the chunk, which b begins with, has the right checksum.
func (c chunk) whole(b []byte) bool { return checksum(b[6:c.size]) == binary.LittleEndian.Uint32(b) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the one of chunks, masked since what is summed can have sums in it.
func checksum(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}
