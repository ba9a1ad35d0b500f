package storage

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/storage/crashfs"
)

// A mark is never ahead of what a power cut leaves: marks move amid writes, logs that end
// and are used again, and power cuts.
func TestMarksAmidPowerCuts(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	fs := crashfs.New()
	s, err := Open("data", Options{FS: fs, Disk: DiskOptions{Interval: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	key := func(n int) []byte { return AppendKey(nil, Point, Space{Collection: 1}, []byte{byte(n >> 8), byte(n)}) }
	marks := map[mark]bool{}
	for n := range 300 {
		commit(t, s, false, func(b *Batch) error { return b.Set(key(2*n), make([]byte, rng.IntN(40_000))) })
		commit(t, s, rng.IntN(2) == 0, func(b *Batch) error { return b.Set(key(2*n+1), make([]byte, rng.IntN(100))) })
		switch rng.IntN(6) {
		case 0:
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
		case 1:
			if err := s.SyncLog(); err != nil {
				t.Fatal(err)
			}
			last := *s.logs.last.Load()
			// Its name is in the folder before the folder is synced.
			until(t, "the mark of the last sync is durable", func() bool {
				is, err := markOf(fs.CrashClone(vfs.CrashCloneCfg{}), "data")
				return err == nil && is == last
			})
			marks[last] = true
			if rng.IntN(2) == 0 {
				crashed := fs.CrashClone(vfs.CrashCloneCfg{})
				damageLogs(t, crashed, last)
				if _, err := Open("data", Options{FS: crashed}); err == nil || !strings.Contains(err.Error(), restoreLog) {
					t.Fatalf("a log that lacks the last byte of %s was taken: %v", last, err)
				}
			}
		default:
			continue
		}
		crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		left := open(t, crashed)
		for i := range 2*n + 2 {
			if _, err := left.Get(nil, key(i)); err != nil {
				t.Fatalf("after %d of %d: %v", i, 2*n+2, err)
			}
		}
		closeStore(t, left)
	}
	closeStore(t, s)
	logs := map[uint64]bool{}
	for m := range marks {
		logs[m.log] = true
	}
	if len(marks) < 10 || len(logs) < 5 {
		t.Errorf("hardly anything was tried: %d marks of %d logs", len(marks), len(logs))
	}
}

// damageLogs changes the last byte that a mark vouches for.
func damageLogs(t *testing.T, fs *crashfs.FS, m mark) {
	t.Helper()
	name := "data/" + strings.SplitN(m.String(), "-", 2)[0] + ".log"
	f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, m.bytes-1)
	if err == nil {
		last[0] ^= 1
		_, err = f.WriteAt(last, m.bytes-1)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}
