package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/server/point"
	"freshet/storage"
)

// change works on the store of a closed database.
func changeStore(t testing.TB, fs vfs.FS, change func(s *storage.Store, b *storage.Batch) error) {
	t.Helper()
	s, err := storage.Open("data", storage.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	b := s.NewBatch()
	if err := errors.Join(change(s, b), b.Commit(true), b.Wait(), b.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// eachNode calls visit for every stored record of neighbours.
func eachNode(s *storage.Store, visit func(key, value []byte) error) error {
	snapshot := s.Snapshot()
	prefix := storage.AppendKey(nil, storage.Neighbours, storage.Space{Collection: 1}, nil)
	err := snapshot.Scan(prefix, nil, func(key, value []byte) (bool, error) {
		return true, visit(slices.Clone(key), slices.Clone(value))
	})
	return errors.Join(err, snapshot.Close())
}

func write(t testing.TB, c *Collection, rng *rand.Rand, rounds int) {
	t.Helper()
	for range rounds {
		var ops []Op
		for range 30 {
			id := point.Number(rng.Uint64N(300))
			switch rng.IntN(8) {
			case 0:
				ops = append(ops, remove(Version{}, id))
			default:
				ops = append(ops, upsert(id, Version{}, rng.Float32(), rng.Float32(), fmt.Sprintf(`{"n":%d}`, rng.IntN(9))))
			}
		}
		apply(t, c, Batch{Ops: ops})
	}
}

// However a collection comes to be opened, it has the same points, and it searches
// for neighbours only where those that are stored are of no use.
func TestGraphsAreLoaded(t *testing.T) {
	m := 4
	for _, test := range []struct {
		name   string
		change func(s *storage.Store, b *storage.Batch) error
		config func(*Config)
		all    bool // are searched for anew
		some   bool
	}{
		{name: "as it was"},
		{name: "another m", config: func(c *Config) { c.HNSW.M = &m }, all: true},
		{name: "a folder of format 1", all: true, change: func(s *storage.Store, b *storage.Batch) error {
			return eachNode(s, func(key, _ []byte) error { return b.Delete(key) })
		}},
		{name: "some are missing", some: true, change: func(s *storage.Store, b *storage.Batch) error {
			n := 0
			return eachNode(s, func(key, _ []byte) error {
				if n++; n%5 != 0 {
					return nil
				}
				return b.Delete(key)
			})
		}},
		{name: "some are damaged", some: true, change: func(s *storage.Store, b *storage.Batch) error {
			n := 0
			return eachNode(s, func(key, value []byte) error {
				if n++; n%5 != 0 {
					return nil
				}
				return b.Set(key, value[:len(value)-1])
			})
		}},
		{name: "one without a point", change: func(s *storage.Store, b *storage.Batch) error {
			record := nodeRecord{id: point.Number(9999).AppendKey(nil), born: 1, stored: 1}
			key := storage.AppendKey(nil, storage.Neighbours, storage.Space{Collection: 1}, []byte{0, 0, 9, 9})
			return b.Set(key, record.append(nil))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			fs := vfs.NewMem()
			db := openDB(t, fs)
			c := newCollection(t, db, "c", vectorConfig(2, Euclid))
			rng := rand.New(rand.NewPCG(1, 77))
			write(t, c, rng, under(60))
			if test.config != nil {
				err := db.UpdateConfig(context.Background(), "c", func(cfg *Config) error { test.config(cfg); return nil })
				if err != nil {
					t.Fatal(err)
				}
			}
			want := contents(t, c)
			closeDB(t, db)
			if test.change != nil {
				changeStore(t, fs, test.change)
			}
			for pass := range 2 {
				db = openDB(t, fs)
				c = openedCollection(t, db)
				expect(t, c, want...)
				// A node may have lost most of its neighbours in the writes before.
				n, few := c.searched, len(want)/10
				if pass > 0 && n > few {
					t.Errorf("neighbours of %d points are searched for at the second start, too", n)
				}
				if pass == 0 && (n == len(want) != test.all || n > few != (test.some || test.all)) {
					t.Errorf("neighbours of %d points of %d were searched for", n, len(want))
				}
				if pass == 0 {
					write(t, c, rng, 5)
					want = contents(t, c)
				}
				closeDB(t, db)
			}
		})
	}
}

// A start that is cut short after the parameters of the graph were changed has not made the
// graph by the new ones: the next start still has to.
func TestGraphsOfAStartThatIsCutShort(t *testing.T) {
	fs := vfs.NewMem()
	db := openDB(t, fs)
	write(t, newCollection(t, db, "c", vectorConfig(2, Euclid)), rand.New(rand.NewPCG(1, 77)), 10)
	setM := func(m int) {
		err := db.UpdateConfig(context.Background(), "c", func(cfg *Config) error { cfg.HNSW.M = &m; return nil })
		if err != nil {
			t.Fatal(err)
		}
		closeDB(t, db)
	}
	setM(24)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Open(ctx, "data", Options{FS: fs}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	db = openDB(t, fs)
	if c := openedCollection(t, db); c.searched != len(contents(t, c)) {
		t.Errorf("neighbours of %d points of %d were searched for", c.searched, len(contents(t, c)))
	}
	setM(8)
	if _, err := Open(ctx, "data", Options{FS: fs}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	changeStore(t, fs, func(s *storage.Store, _ *storage.Batch) error {
		snapshot := s.Snapshot()
		value, err := snapshot.Get(nil, storage.AppendKey(nil, storage.Meta, storage.Space{Collection: 1}, []byte(graphsMeta)))
		if len(value) > 0 {
			t.Errorf("all neighbours are said to be of %s", value)
		}
		return errors.Join(err, snapshot.Close())
	})
}

func openedCollection(t testing.TB, db *DB) *Collection {
	t.Helper()
	c, err := db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func FuzzNodeRecord(f *testing.F) {
	record := nodeRecord{
		id: point.Number(7).AppendKey(nil), born: 3, stored: 300,
		neighbours: map[string][][]uint32{"": {{5, 1, 1 << 31}, {9}}, "named": {{}}},
	}
	f.Add(record.append(nil))
	f.Fuzz(func(t *testing.T, value []byte) {
		n, err := decodeNode(value)
		if err != nil {
			return
		}
		again, err := decodeNode(n.append(nil))
		a, errA := json.Marshal(n.neighbours)
		b, errB := json.Marshal(again.neighbours)
		if err := errors.Join(err, errA, errB); err != nil {
			t.Fatal(err)
		}
		if again.born != n.born || again.stored != n.stored || string(again.id) != string(n.id) || string(a) != string(b) {
			t.Fatalf("%+v became %+v", n, again)
		}
	})
}
