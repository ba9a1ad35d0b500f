package storage

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrFull means that nothing is written for now because the disk is full, or nearly. The
// text of an error that wraps it says what is known and when writing goes on.
var ErrFull = errors.New("the disk is full")

// DiskOptions say how much of the disk is left free. The zero value watches nothing, so
// that writes are refused only once the system itself has no space.
type DiskOptions struct {
	// HighPercent is the share of the disk in use, by anybody, from which nothing is
	// written; below it by releasePercent points writing goes on. 0: there is none.
	HighPercent float64
	// ReserveBytes is the size of a file that is given up when there is no space left, so
	// that what is under way then can end. 0: there is none.
	ReserveBytes int64
	// Interval is the time between two looks at the disk; default a second.
	Interval time.Duration
}

const (
	// releasePercent keeps writing from going on and off with each compaction.
	releasePercent = 5
	reserveName    = "RESERVE"
	// openingBytes is what opening a store writes beside what the logs hold.
	openingBytes = 8 << 20
)

// DiskUsage describes the disk of the data folder.
type DiskUsage struct {
	Known            bool // whether the file system says how large it is
	Total, Available uint64
	Reserve          int64 // of Available none: bytes that are given up when there is no space left
	Full             error // why nothing is written; wraps ErrFull
}

// Used is the share of the disk that is in use, in percent, as df has it: what only root
// may use counts as neither used nor available.
func (u DiskUsage) Used(used uint64) float64 {
	if used+u.Available == 0 {
		return 0
	}
	return 100 * float64(used) / float64(used+u.Available)
}

// fullError says why nothing is written.
type fullError struct{ text string }

func (e *fullError) Error() string { return e.text }
func (e *fullError) Unwrap() error { return ErrFull }

// disk knows whether there is room to write, and keeps the reserve. Whoever writes asks
// it first: what has begun is not refused any more, and has the reserve to end with.
type disk struct {
	fs  vfs.FS // without the hook that calls outOfSpace
	dir string
	o   DiskOptions
	log *slog.Logger

	full atomic.Pointer[fullError] // nil while there is room

	mu       sync.Mutex
	reserved bool
	blind    bool          // the last look at the disk failed
	room     chan struct{} // closed while full is nil
}

func newDisk(fs vfs.FS, dir string, o DiskOptions, log *slog.Logger) *disk {
	if o.Interval == 0 {
		o.Interval = time.Second
	}
	d := &disk{fs: fs, dir: dir, o: o, log: log, room: make(chan struct{})}
	close(d.room)
	return d
}

func (d *disk) reserveFile() string { return d.fs.PathJoin(d.dir, reserveName) }

// usage asks the file system; it says so once if that does not answer.
func (d *disk) usage() (u DiskUsage, used float64) {
	raw, err := d.fs.GetDiskUsage(d.dir)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		if !d.blind && !errors.Is(err, vfs.ErrUnsupported) {
			d.log.Warn("how full the disk is cannot be found out", "folder", d.dir, "err", err)
		}
		d.blind = true
		return DiskUsage{}, 0
	}
	d.blind = false
	u = DiskUsage{Known: true, Total: raw.TotalBytes, Available: raw.AvailBytes}
	return u, u.Used(raw.UsedBytes)
}

// describe reports what is known at this moment.
func (d *disk) describe() DiskUsage {
	u, _ := d.usage()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reserved {
		u.Reserve = d.o.ReserveBytes
	}
	u.Full = d.writable()
	return u
}

// writable returns nil, or an error that wraps ErrFull.
func (d *disk) writable() error {
	if full := d.full.Load(); full != nil {
		return full
	}
	return nil
}

// wait returns a channel that is closed once there is room.
func (d *disk) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.room
}

// check looks at the disk and notes when it has become full, or has room again. more is
// how much is needed beside.
func (d *disk) check(more uint64) {
	u, used := d.usage()
	high := d.o.HighPercent
	if d.writable() == nil {
		if u.Known && high > 0 && used >= high {
			d.fill(fmt.Sprintf("the disk of the data folder is full to %.1f %%, and nothing is written from %g %% on; writing goes on below %g %%", used, high, high-releasePercent))
			return
		}
		if err := d.reserve(u); err != nil {
			d.fill(fmt.Sprintf("the disk of the data folder has no room for the reserve of %d bytes: %v", d.o.ReserveBytes, err))
		}
		return
	}
	if u.Known && (high > 0 && used >= high-releasePercent || u.Available < more+uint64(d.o.ReserveBytes)+openingBytes) {
		return
	}
	if d.reserve(u) == nil {
		d.release()
	}
}

// fill refuses writes from now on.
func (d *disk) fill(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full.Swap(&fullError{text}) == nil {
		d.log.Error("nothing is written for now, searches go on", "reason", text)
		d.room = make(chan struct{})
	}
}

func (d *disk) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full.Swap(nil) != nil {
		d.log.Info("the disk has room again, writing goes on")
		close(d.room)
	}
}

// outOfSpace is called when the system has no space for what is being written, which is
// tried once more afterwards. Other writes wait meanwhile.
func (d *disk) outOfSpace() {
	d.fill("no space is left on the disk of the data folder; writing goes on once there is some")
	if !d.giveUpReserve() {
		time.Sleep(100 * time.Millisecond) // what is tried again and again must not take all cores
	}
}

// giveUpReserve removes the reserve, if there is one, also one of an earlier process.
func (d *disk) giveUpReserve() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reserved = false
	if _, err := d.fs.Stat(d.reserveFile()); err != nil {
		return false
	}
	return d.fs.Remove(d.reserveFile()) == nil
}

// reserve makes the reserve unless there is one. One for which there is no room is not begun:
// it would take the disk from everybody else until it fails.
func (d *disk) reserve(u DiskUsage) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reserved || d.o.ReserveBytes == 0 {
		return nil
	}
	room := u.Available
	if earlier, err := d.fs.Stat(d.reserveFile()); err == nil {
		room += uint64(earlier.Size())
	}
	if u.Known && room < uint64(d.o.ReserveBytes) {
		return fmt.Errorf("%d bytes are available", room)
	}
	if err := writeReserve(d.fs, d.reserveFile(), d.o.ReserveBytes); err != nil {
		return errors.Join(err, d.fs.Remove(d.reserveFile()))
	}
	d.reserved = true
	return nil
}

func writeReserve(fs vfs.FS, name string, size int64) error {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if err = f.Preallocate(0, size); err != nil && !vfs.IsNoSpaceError(err) {
		err = writeZeros(f, size) // the file system cannot allocate ahead
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func writeZeros(w io.Writer, size int64) error {
	zeros := make([]byte, 1<<20)
	for size > 0 {
		n, err := w.Write(zeros[:min(size, int64(len(zeros)))])
		if err != nil {
			return err
		}
		size -= int64(n)
	}
	return nil
}

// roomToOpen says whether the store can be opened to be written: logs become tables then.
// Without room the reserve is given up.
func (d *disk) roomToOpen() (bool, error) {
	need, err := logBytes(d.fs, d.dir)
	if err != nil {
		return false, err
	}
	for {
		u, _ := d.usage()
		if !u.Known || u.Available >= need {
			return true, nil
		}
		if !d.giveUpReserve() {
			d.fill(fmt.Sprintf("the disk of the data folder had %d bytes left at the start, and opening it to write takes up to %d; writing begins once there is room", u.Available, need))
			return false, nil
		}
		d.fill("the disk of the data folder was full at the start; writing begins once there is room")
	}
}

// logBytes estimates what opening the store in dir writes. A log that is used again has
// remains of its former content, so this is an upper bound.
func logBytes(fs vfs.FS, dir string) (uint64, error) {
	names, err := fs.List(dir)
	if err != nil {
		return 0, fmt.Errorf("list data folder %s: %w", dir, err)
	}
	need := uint64(openingBytes)
	for _, name := range names {
		if filepath.Ext(name) != ".log" {
			continue
		}
		info, err := fs.Stat(fs.PathJoin(dir, name))
		if err != nil {
			return 0, fmt.Errorf("look at data folder %s: %w", dir, err)
		}
		need += uint64(info.Size())
	}
	return need, nil
}
