package storage

import (
	"bytes"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/storage/crashfs"
)

// cutting is a file system that is cloned before each change of a name, as a kill and as a
// power cut would leave it.
type cutting struct {
	*crashfs.FS
	t      *testing.T
	mu     sync.Mutex
	rng    *rand.Rand
	clones []clone
}

type clone struct {
	before string
	fs     *crashfs.FS
}

func (c *cutting) cut(operation, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, left := range []int{0, 100} { // percent of what is not synced
		c.clones = append(c.clones, clone{operation + " " + name, c.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: left, RNG: c.rng})})
	}
}

// Create waits for the logs that are not needed any more to be gone before there is another:
// they are removed in the background.
func (c *cutting) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if filepath.Ext(name) == ".log" {
		until(c.t, "the logs that were read are gone", func() bool { return len(logsOf(c)) == 0 })
	}
	c.cut("create", name)
	return c.FS.Create(name, category)
}

func (c *cutting) Rename(from, to string) error {
	c.cut("rename", to)
	return c.FS.Rename(from, to)
}

func (c *cutting) Remove(name string) error {
	c.cut("remove", name)
	return c.FS.Remove(name)
}

func logsOf(fs vfs.FS) []string {
	names, err := fs.List("data")
	return slices.DeleteFunc(names, func(name string) bool { return err != nil || filepath.Ext(name) != ".log" })
}

// TestOpeningIsCutShort cuts an opening that has a log to read short wherever names change:
// the next one finds everything. A long log is made into a table for each part that fills a
// write buffer.
func TestOpeningIsCutShort(t *testing.T) {
	fs := crashfs.New()
	key := func(i int) []byte { return AppendKey(nil, Point, Space{Collection: 1}, []byte{byte(i)}) }
	for round, values := range []int{1, 1, 200, 1} {
		value := bytes.Repeat([]byte{byte(round)}, 50_000)
		s := open(t, fs)
		for i := range values {
			commit(t, s, true, func(b *Batch) error { return b.Set(key(i), value) })
		}
		closeStore(t, s)
		watched := &cutting{FS: fs, t: t, rng: rand.New(rand.NewPCG(1, 1))}
		smallBuffer := Options{FS: watched, BufferBytes: leastBuffer}
		s, err := Open("data", smallBuffer)
		if err != nil {
			t.Fatal(err)
		}
		closeStore(t, s)
		without := 0
		for _, cut := range watched.clones {
			if len(logsOf(cut.fs)) == 0 {
				without++
			}
			left, err := Open("data", Options{FS: cut.fs})
			if err != nil {
				t.Errorf("before %s: %v", cut.before, err)
				continue
			}
			for i := range values {
				if got, err := left.Get(nil, key(i)); err != nil || !bytes.Equal(got, value) {
					t.Errorf("before %s: value %d has %d bytes, %v", cut.before, i, len(got), err)
				}
			}
			closeStore(t, left)
		}
		if without == 0 {
			t.Errorf("none of %d moments is one without a log", len(watched.clones))
		}
	}
	if exists(fs, openingName) {
		t.Error("openings that came to their end left their file")
	}
}
