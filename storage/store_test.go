package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/storage/crashfs"
)

func open(t *testing.T, fs vfs.FS) *Store {
	t.Helper()
	s, err := Open("data", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func commit(t testing.TB, s *Store, sync bool, change func(*Batch) error) {
	t.Helper()
	b := s.NewBatch()
	if err := errors.Join(change(b), b.Commit(sync), b.Wait(), b.Close()); err != nil {
		t.Fatal(err)
	}
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func scanAll(t *testing.T, s *Store, prefix, from []byte) map[string]string {
	t.Helper()
	snap := s.Snapshot()
	got := map[string]string{}
	err := snap.Scan(prefix, from, func(k, v []byte) (bool, error) {
		got[string(k)] = string(v)
		return true, nil
	})
	if err := errors.Join(err, snap.Close()); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestBatchSurvivesReopen(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs)
	sp := Space{Collection: 7, Shard: 1}
	key := AppendKey(nil, Point, sp, []byte("id"))
	commit(t, s, true, func(b *Batch) error { return b.Set(key, []byte("value")) })
	closeStore(t, s)

	s = open(t, fs)
	defer closeStore(t, s)
	got, err := s.Get(nil, key)
	if err != nil || string(got) != "value" {
		t.Fatalf("after reopening: %q, %v", got, err)
	}
	if _, err := s.Get(nil, append(key, 'x')); !errors.Is(err, ErrNotFound) {
		t.Fatalf("missing key: %v", err)
	}
}

// A crash keeps a batch whole or drops it whole, and keeps every synced one,
// whatever part of the unsynced bytes reached the disk.
func TestCrashKeepsSyncedBatchesWhole(t *testing.T) {
	sp := Space{Collection: 1}
	keyOf := func(ks Keyspace, i int) []byte {
		return AppendKey(nil, ks, sp, binary.BigEndian.AppendUint32(nil, uint32(i)))
	}
	for _, percent := range []int{0, 30, 70, 100} {
		t.Run(fmt.Sprint(percent), func(t *testing.T) {
			fs := crashfs.New()
			s := open(t, fs)
			const batches, lastSynced = 60, 40
			for i := range batches {
				commit(t, s, i == lastSynced, func(b *Batch) error {
					return errors.Join(b.Set(keyOf(Point, i), make([]byte, 900)), b.Set(keyOf(Position, i), []byte("p")))
				})
			}
			crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(1, uint64(percent)))})
			closeStore(t, s)

			s = open(t, crashed)
			defer closeStore(t, s)
			kept := 0
			for i := range batches {
				_, pointErr := s.Get(nil, keyOf(Point, i))
				_, positionErr := s.Get(nil, keyOf(Position, i))
				if (pointErr == nil) != (positionErr == nil) {
					t.Fatalf("batch %d was torn: point %v, position %v", i, pointErr, positionErr)
				}
				if pointErr == nil {
					if kept != i {
						t.Fatalf("batch %d survived although %d did not", i, kept)
					}
					kept++
				}
			}
			if kept <= lastSynced {
				t.Fatalf("%d batches survived, %d were acknowledged", kept, lastSynced+1)
			}
		})
	}
}

// The folder itself, and those above it that were made with it, stay when the power goes.
func TestNewFolderStays(t *testing.T) {
	fs := crashfs.New()
	s, err := Open("a/b/data", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	key := AppendKey(nil, Point, Space{Collection: 1}, []byte("a"))
	commit(t, s, true, func(b *Batch) error { return b.Set(key, []byte("x")) })
	crashed := fs.CrashClone(vfs.CrashCloneCfg{})
	closeStore(t, s)
	if s, err = Open("a/b/data", Options{FS: crashed}); err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	if got, err := s.Get(nil, key); err != nil || string(got) != "x" {
		t.Errorf("after a crash: %q, %v", got, err)
	}
}

func TestSnapshotDoesNotMove(t *testing.T) {
	s := open(t, vfs.NewMem())
	defer closeStore(t, s)
	key := AppendKey(nil, Point, Space{Collection: 1}, []byte("a"))
	commit(t, s, false, func(b *Batch) error { return b.Set(key, []byte("old")) })
	snap := s.Snapshot()
	commit(t, s, false, func(b *Batch) error { return b.Set(key, []byte("new")) })
	got, err := snap.Get(nil, key)
	if err := errors.Join(err, snap.Close()); err != nil || string(got) != "old" {
		t.Fatalf("snapshot reads %q, %v", got, err)
	}
}

func TestScanAndDeleteSpace(t *testing.T) {
	s := open(t, vfs.NewMem())
	defer closeStore(t, s)
	one, two := Space{Collection: 1, Shard: 0xffff}, Space{Collection: 2}
	commit(t, s, false, func(b *Batch) error {
		var errs []error
		for _, sp := range []Space{one, two} {
			for _, ks := range perSpace {
				for _, id := range []string{"\x00", "m", "\xff\xff"} {
					errs = append(errs, b.Set(AppendKey(nil, ks, sp, []byte(id)), []byte(id)))
				}
			}
		}
		return errors.Join(errs...)
	})
	prefix := AppendKey(nil, Point, one, nil)
	if got := scanAll(t, s, prefix, nil); len(got) != 3 {
		t.Fatalf("the whole space has %d keys", len(got))
	}
	if got := scanAll(t, s, prefix, AppendKey(nil, Point, one, []byte("m"))); len(got) != 2 {
		t.Fatalf("from m on there are %d keys", len(got))
	}
	commit(t, s, true, func(b *Batch) error { return b.DeleteSpace(one) })
	for _, ks := range perSpace {
		if got := scanAll(t, s, AppendKey(nil, ks, one, nil), nil); len(got) != 0 {
			t.Errorf("key space %#x of a dropped space has %d keys", byte(ks), len(got))
		}
		if got := scanAll(t, s, AppendKey(nil, ks, two, nil), nil); len(got) != 3 {
			t.Errorf("key space %#x of the other space has %d keys", byte(ks), len(got))
		}
	}
}

func TestBoundsOfHighestPrefix(t *testing.T) {
	for _, c := range []struct{ prefix, upper string }{
		{"a", "b"}, {"a\xff", "b"}, {"\xff\xff", ""},
	} {
		_, upper := bounds([]byte(c.prefix))
		if string(upper) != c.upper {
			t.Errorf("bounds(%q) ends at %q, want %q", c.prefix, upper, c.upper)
		}
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs)
	key := []byte{byte(spaceFormat)}
	if err := s.engine.Load().db.Set(key, binary.BigEndian.AppendUint32(nil, Format+1), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	if _, err := Open("data", Options{FS: fs}); !errors.Is(err, ErrNewerFormat) {
		t.Fatalf("got %v", err)
	}
	// The refusal released the lock and left the folder as it was.
	if _, err := Open("data", Options{FS: fs}); !errors.Is(err, ErrNewerFormat) {
		t.Fatalf("second time: %v", err)
	}
}

func TestDamagedFormatIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs)
	if err := s.engine.Load().db.Set([]byte{byte(spaceFormat)}, []byte("x"), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	if _, err := Open("data", Options{FS: fs}); err == nil {
		t.Fatal("a damaged format record was accepted")
	}
}

func TestSecondOpenIsRefused(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrLocked) {
		t.Fatalf("in the same process: %v", err)
	}
	// fcntl locks do not exclude their own process, so ask another one.
	cmd := exec.Command(os.Args[0], "-test.run=TestOpenInChild")
	cmd.Env = append(os.Environ(), "STORAGE_TEST_DIR="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestOpenInChild is the other process of TestSecondOpenIsRefused; on its own
// it checks the same refusal on a folder it holds itself.
func TestOpenInChild(t *testing.T) {
	dir := os.Getenv("STORAGE_TEST_DIR")
	if dir == "" {
		dir = t.TempDir()
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer closeStore(t, s)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrLocked) {
		t.Fatalf("got %v", err)
	}
}
