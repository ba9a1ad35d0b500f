package storage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"freshet/storage/crashfs"
)

// smallDisk is a disk of 1,000,000,000 bytes of which others use some.
type smallDisk struct {
	vfs.FS
	used atomic.Uint64
	// closed makes every write fail for want of space, unless there is a reserve to give up.
	closed atomic.Bool
	gaveUp atomic.Bool
}

const diskSize = 1_000_000_000

func newSmallDisk(under vfs.FS) *smallDisk {
	d := &smallDisk{}
	d.FS = errorfs.Wrap(under, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpRemove && strings.HasSuffix(op.Path, reserveName) {
			d.gaveUp.Store(true)
		}
		if d.closed.Load() && (op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpFilePreallocate) {
			if d.gaveUp.Load() && !strings.HasSuffix(op.Path, reserveName) {
				return nil
			}
			return syscall.ENOSPC
		}
		return nil
	}))
	return d
}

func (d *smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	used := d.used.Load()
	return vfs.DiskUsage{TotalBytes: diskSize, AvailBytes: diskSize - used, UsedBytes: used}, nil
}

// quick looks at the disk all the time.
var quick = DiskOptions{HighPercent: 95, ReserveBytes: 1 << 20, Interval: time.Millisecond}

// until waits for a state that a watcher brings about.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 20_000 {
		if is() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("never: " + what)
}

func exists(fs vfs.FS, name string) bool {
	_, err := fs.Stat("data/" + name)
	return err == nil
}

func TestWritingEndsAtTheHighMark(t *testing.T) {
	disk := newSmallDisk(vfs.NewMem())
	s, err := Open("data", Options{FS: disk, Disk: quick})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	if err := s.Writable(); err != nil || !exists(disk, reserveName) {
		t.Fatalf("an empty disk: %v, a reserve: %t", err, exists(disk, reserveName))
	}
	for _, step := range []struct {
		percent  uint64
		writable bool
	}{{94, true}, {95, false}, {94, false}, {91, false}, {89, true}, {94, true}} {
		disk.used.Store(diskSize / 100 * step.percent)
		if step.writable != (s.Writable() == nil) {
			until(t, fmt.Sprintf("%d %% in use, writable: %t", step.percent, step.writable), func() bool { return step.writable == (s.Writable() == nil) })
		}
		time.Sleep(5 * time.Millisecond) // some looks later it is the same
		err := s.Writable()
		if step.writable != (err == nil) || err != nil && !errors.Is(err, ErrFull) {
			t.Fatalf("%d %% in use: %v", step.percent, err)
		}
		if u := s.Disk(); !u.Known || u.Total != diskSize || u.Reserve != 1<<20 || (u.Full == nil) != step.writable {
			t.Errorf("%d %% in use: %+v", step.percent, u)
		}
	}
}

// A reserve beyond what is available is not begun, for that would fill the disk of others;
// one that an earlier process has left counts as available.
func TestReserveNeedsRoom(t *testing.T) {
	under := vfs.NewMem()
	for _, c := range []struct {
		used     uint64
		reserve  int64
		writable bool
	}{
		{0, 16 << 20, true},
		{diskSize - 12<<20, 16 << 20, true}, // more than that is left beside the reserve of before
		{0, 2 * diskSize, false},
	} {
		disk := newSmallDisk(under)
		var begun atomic.Bool
		disk.FS = errorfs.Wrap(disk.FS, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, reserveName) {
				begun.Store(true)
			}
			return nil
		}))
		disk.used.Store(c.used)
		s, err := Open("data", Options{FS: disk, Disk: DiskOptions{ReserveBytes: c.reserve, Interval: time.Hour}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Writable(); c.writable != (err == nil) || c.writable != begun.Load() {
			t.Errorf("%d bytes in use, a reserve of %d: %v, begun: %t", c.used, c.reserve, err, begun.Load())
		}
		closeStore(t, s)
		if f, err := under.Stat("data/" + reserveName); err == nil && f.Size() == 0 { // in memory nothing is allocated
			left, err := under.Create("data/"+reserveName, vfs.WriteCategoryUnspecified)
			if err = errors.Join(err, writeZeros(left, c.reserve), left.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// When no space is left in the middle of a write, the reserve is given up for what is
// under way; nothing acknowledged is lost.
func TestNoSpaceInTheMiddleOfAWrite(t *testing.T) {
	mem := crashfs.New()
	disk := newSmallDisk(mem)
	s, err := Open("data", Options{FS: disk, Disk: quick, Fatal: func(reason string) { panic(reason) }})
	if err != nil {
		t.Fatal(err)
	}
	key := AppendKey(nil, Point, Space{Collection: 1}, []byte("a"))
	disk.used.Store(diskSize)
	disk.closed.Store(true)
	disk.gaveUp.Store(false)
	commit(t, s, true, func(b *Batch) error { return b.Set(key, make([]byte, 100_000)) })
	if err := s.Writable(); !errors.Is(err, ErrFull) {
		t.Errorf("without space: %v", err)
	}
	if exists(disk, reserveName) {
		t.Error("the reserve was not given up")
	}
	crashed := mem.CrashClone(vfs.CrashCloneCfg{})
	room := s.Room()
	disk.closed.Store(false)
	disk.used.Store(0)
	<-room
	until(t, "writable", func() bool { return s.Writable() == nil })
	if !exists(disk, reserveName) {
		t.Error("there is no new reserve")
	}
	closeStore(t, s)
	s = open(t, crashed)
	defer closeStore(t, s)
	if got, err := s.Get(nil, key); err != nil || len(got) != 100_000 {
		t.Errorf("after a crash: %d bytes, %v", len(got), err)
	}
}

// A start on a full disk reads what is there, writes nothing, and goes over to writing
// when there is room, while what was being read is read on.
func TestStartOnAFullDisk(t *testing.T) {
	mem := vfs.NewMem()
	s := open(t, mem)
	sp := Space{Collection: 1}
	key := func(n int) []byte { return AppendKey(nil, Point, sp, fmt.Appendf(nil, "%06d", n)) }
	const points = 5000
	for n := range points {
		commit(t, s, n == points-1, func(b *Batch) error { return b.Set(key(n), bytes.Repeat([]byte{byte(n)}, 300)) })
	}
	closeStore(t, s)

	disk := newSmallDisk(mem)
	disk.used.Store(diskSize)
	disk.closed.Store(true)
	s, err := Open("data", Options{FS: disk, Disk: quick})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Writable(); !errors.Is(err, ErrFull) {
		t.Fatalf("a store on a full disk: %v", err)
	}
	b := s.NewBatch()
	if err := b.Set(key(points), nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(true); !errors.Is(err, ErrFull) {
		t.Errorf("a write on a full disk: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	commit(t, s, false, func(b *Batch) error { return b.Set(key(points+1), []byte("of the start")) })
	if err := s.SyncLog(); err != nil {
		t.Fatal(err)
	}
	before := s.Snapshot()
	prefix := AppendKey(nil, Point, sp, nil)
	count := func(snap *Snapshot, during func()) int {
		n := 0
		err := snap.Scan(prefix, nil, func(_, value []byte) (bool, error) {
			if n++; n == points/2 {
				during()
			}
			return len(value) > 0, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	n := count(before, func() {
		disk.closed.Store(false)
		disk.used.Store(diskSize / 2)
		<-s.Reopened()
		commit(t, s, true, func(b *Batch) error { return b.Set(key(points), []byte("new")) })
		if err := s.engine.Load().db.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := s.engine.Load().db.Compact(t.Context(), []byte{0}, []byte{0xff}, false); err != nil {
			t.Fatal(err)
		}
	})
	if n != points {
		t.Errorf("a scan that began before the disk had room found %d points", n)
	}
	if n := count(before, func() {}); n != points {
		t.Errorf("another one found %d points", n)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "the first engine is closed", func() bool {
		s.mu.RLock()
		defer s.mu.RUnlock()
		return s.former == nil
	})
	if err := s.Writable(); err != nil {
		t.Errorf("with room again: %v", err)
	}
	closeStore(t, s)
	s = open(t, mem)
	defer closeStore(t, s)
	if got := scanAll(t, s, prefix, nil); len(got) != points+2 {
		t.Errorf("%d points after all", len(got))
	}
}

// TestOpeningToWriteFails has tables removed by an opening that then fails: those that are read
// from stay until another one has succeeded, and what only the attempt has made is removed.
func TestOpeningToWriteFails(t *testing.T) {
	mem := vfs.NewMem()
	key := AppendKey(nil, Point, Space{Collection: 1}, []byte("a"))
	s := open(t, mem)
	if err := s.Flush(); err != nil { // a table that an opening reads
		t.Fatal(err)
	}
	commit(t, s, true, func(b *Batch) error { return b.Set(key, []byte("value")) })
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	var attempts atomic.Int64
	disk := newSmallDisk(errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, openingName) {
			attempts.Add(1)
			return syscall.EIO
		}
		return nil
	})))
	disk.used.Store(diskSize)
	s, err := Open("data", Options{FS: disk, Disk: quick})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	names, err := mem.List("data")
	if err != nil {
		t.Fatal(err)
	}
	disk.used.Store(0)
	until(t, "an attempt", func() bool { return attempts.Load() > 0 })
	for _, name := range append(names, "new") {
		if name == "new" {
			f, err := s.folder.Create("data/new", vfs.WriteCategoryUnspecified)
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
		}
		if strings.HasSuffix(name, ".sst") || name == "new" {
			if err := s.folder.Remove("data/" + name); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := attempts.Load()
	until(t, "an attempt has failed since", func() bool { return attempts.Load() > before+1 })
	if got, err := s.Get(nil, key); err != nil || string(got) != "value" || exists(mem, "new") {
		t.Errorf("got %q, %v; the new file is there: %t", got, err, exists(mem, "new"))
	}
}

// Files that hold a store cannot be made on a full disk, which is said.
func TestFirstStartOnAFullDisk(t *testing.T) {
	disk := newSmallDisk(vfs.NewMem())
	disk.used.Store(diskSize)
	if _, err := Open("data", Options{FS: disk, Disk: quick}); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v", err)
	}
}

// A disk that fails to make a write durable ends the process with a status of its own;
// what was acknowledged before is there at the next start. A child does it.
func TestDiskFails(t *testing.T) {
	if dir := os.Getenv("STORAGE_TEST_FAILING_DISK"); dir != "" {
		failingDisk(t, dir)
		return
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestDiskFails$")
	cmd.Env = append(os.Environ(), "STORAGE_TEST_FAILING_DISK="+dir)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != ExitFailed {
		t.Fatalf("the child ended with %v\n%s", err, out)
	}
	acknowledged := strings.Count(string(out), "acknowledged\n")
	if acknowledged != 20 {
		t.Fatalf("%d writes were acknowledged\n%s", acknowledged, out)
	}
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	for n := range acknowledged {
		if _, err := s.Get(nil, AppendKey(nil, Point, Space{}, []byte{byte(n)})); err != nil {
			t.Errorf("write %d: %v", n, err)
		}
	}
}

func failingDisk(t *testing.T, dir string) {
	var failing atomic.Bool
	fs := errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if failing.Load() && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) && strings.HasSuffix(op.Path, ".log") {
			return syscall.EIO
		}
		return nil
	}))
	s, err := Open(dir, Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 30 {
		failing.Store(n == 20)
		commit(t, s, true, func(b *Batch) error { return b.Set(AppendKey(nil, Point, Space{}, []byte{byte(n)}), nil) })
		fmt.Println("acknowledged")
	}
	t.Fatal("the process goes on although its disk has failed")
}
