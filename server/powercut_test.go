package server

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/server/point"
	"freshet/storage/crashfs"
)

// cutsOfStore is how often the power is taken from one store before another one is begun.
const cutsOfStore = 50

// TestPowerCuts takes the power away amid writes, again and again from a store that goes
// on, and opens what is left each time. A start costs less than the histories of
// TestCrashes, so there are many more of these.
func TestPowerCuts(t *testing.T) {
	first := firstSeed(t)
	for n := range (rounds(t, alone(1000)) + cutsOfStore - 1) / cutsOfStore {
		seed := first + uint64(n)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			powerCuts(t, seed)
		})
	}
}

// history is what batches have left, each with its number as the position of a stream: the
// state that belongs to a position is known.
type history struct {
	states  atomic.Pointer[[][]string] // by position
	durable atomic.Int64               // position that no cut may go behind
}

var cutStream = Stream{Source: "s", Topic: "t"}

func powerCuts(t *testing.T, seed uint64) {
	fs := crashfs.New()
	db := openDB(t, fs)
	defer closeDB(t, db)
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	h := &history{}
	h.states.Store(&[][]string{{}})
	writing, cutting := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
	points := map[uint64]string{}
	for range cutsOfStore {
		batches := 1 + writing.IntN(6)
		cutAfter := int64(len(*h.states.Load()) - 1 + cutting.IntN(batches))
		reached := make(chan struct{})
		wrote := make(chan error, 1)
		go func() {
			wrote <- h.write(db, c, points, writing, batches, func(begun int64) {
				if begun == cutAfter {
					close(reached)
				}
			})
		}()
		<-reached
		durable := h.durable.Load()
		cut := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: cutting.IntN(101), RNG: cutting})
		if err := <-wrote; err != nil {
			t.Fatal(err)
		}
		h.check(t, cut, durable)
	}
}

// write applies some batches. begun is told the position before each.
func (h *history) write(db *DB, c *Collection, points map[uint64]string, rng *rand.Rand, batches int, begun func(int64)) error {
	for range batches {
		at := int64(len(*h.states.Load()))
		var ops []Op
		for range 1 + rng.IntN(4) {
			id := rng.Uint64N(20)
			v := Version{Stream: cutStream, Offset: at, Time: at}
			if rng.IntN(4) == 0 {
				ops = append(ops, remove(v, point.Number(id)))
				delete(points, id)
				continue
			}
			ops = append(ops, upsert(point.Number(id), v, float32(at), float32(id), ""))
			points[id] = fmt.Sprintf("%d: [%d %d] {}", id, at, id)
		}
		states := append(slices.Clone(*h.states.Load()), listed(maps.Clone(points)))
		h.states.Store(&states)
		begun(at - 1)
		b := Batch{Ops: ops, Positions: []Position{{Stream: cutStream, Next: at}}, Sync: rng.IntN(3) == 0}
		if _, err := c.Apply(context.Background(), b); err != nil {
			return err
		}
		if b.Sync {
			h.durable.Store(at)
		}
		if rng.IntN(20) == 0 {
			if err := db.store.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// check opens what a cut has left: the state of exactly the position that is stored, none
// before what was durable, and each point is found.
func (h *history) check(t *testing.T, fs *crashfs.FS, durable int64) {
	t.Helper()
	db := openDB(t, fs)
	defer closeDB(t, db)
	c := openedCollection(t, db)
	position, _, err := c.Position(cutStream)
	if err != nil {
		t.Fatal(err)
	}
	at := position.Next
	states := *h.states.Load()
	if at < durable || at >= int64(len(states)) {
		t.Fatalf("the position is %d of %d, %d was durable", at, len(states), durable)
	}
	if found := contents(t, c); !slices.Equal(found, states[at]) {
		t.Fatalf("at the position %d there are %q instead of %q", at, found, states[at])
	}
	for _, text := range states[at] {
		var id, x, y int
		if _, err := fmt.Sscanf(text, "%d: [%d %d]", &id, &x, &y); err != nil {
			t.Fatal(err)
		}
		hits, err := c.Search(context.Background(), SearchRequest{Vector: Dense{float32(x), float32(y)}, Limit: 1})
		if err != nil || len(hits) != 1 || hits[0].ID != point.Number(uint64(id)) {
			t.Fatalf("a search for point %d finds %v, %v", id, hits, err)
		}
	}
}
