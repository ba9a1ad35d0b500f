package server

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/server/point"
	"freshet/storage/crashfs"
)

// Writes, repairs, restarts and crashes in any order: after each the points are
// those of some moment at or after the last synced write, and a search finds them
// by their vectors.
func FuzzCrashes(f *testing.F) {
	f.Add(uint64(1), []byte("wwwwwwwwwwwwwwwwwwwwsrwwwwwwwwwwwwwwwwwwwwcwdwdwdwwwwwwwwwwwwwwwwwwwwsc"))
	f.Add(uint64(2), []byte("wdwdsrdddddddddddddwwwwwwwwwwwpppcppswrrwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwc"))
	f.Add(uint64(3), []byte(strings.Repeat("wwwwwdcwwsp", 12)))
	f.Add(uint64(4), []byte("wwwwwvxxwcxvwwxcvxxwhxcwvxhvxrhcvxwwvxc"))
	f.Fuzz(func(t *testing.T, seed uint64, steps []byte) {
		if len(steps) > 200 {
			return
		}
		crashes(t, seed, steps)
	})
}

func TestCrashes(t *testing.T) {
	// What is stored for the points of the first leaves some apart, which a load has to
	// see. It depends on how far repairs have come, so it is tried several times.
	seeds := slices.Repeat([]uint64{7162447087465073264}, under(4))
	first := firstSeed(t)
	for n := range rounds(t, under(60)) {
		seeds = append(seeds, first+uint64(n))
	}
	for _, seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 2))
		steps := make([]byte, r.IntN(100))
		often := "wdpsrc"[r.IntN(6)]
		for i := range steps {
			steps[i] = "wwwwwwdpsrc"[r.IntN(11)]
			if r.IntN(3) == 0 {
				steps[i] = often
			}
		}
		t.Run(fmt.Sprintf("%d-%s", seed, steps), func(t *testing.T) {
			t.Parallel()
			crashes(t, seed, steps)
		})
	}
}

// TestCrashesWhileVectorsComeAndGo adds a vector, removes it, and crashes between the two
// halves of that.
func TestCrashesWhileVectorsComeAndGo(t *testing.T) {
	for range 4 {
		seed := rand.Uint64()
		r := rand.New(rand.NewPCG(seed, 2))
		steps := []byte("wwvx")
		for range 50 {
			steps = append(steps, "wwdpsrcvxxh"[r.IntN(11)])
		}
		t.Run(fmt.Sprintf("%d-%s", seed, steps), func(t *testing.T) { crashes(t, seed, steps) })
	}
}

func crashes(t *testing.T, seed uint64, steps []byte) {
	run := &crashRun{t: t, fs: crashfs.New(), rng: rand.New(rand.NewPCG(seed, 1)), points: map[uint64]string{}}
	run.db = openDB(t, run.fs)
	run.c = newCollection(t, run.db, "c", vectorConfig(2, Euclid))
	run.remember(true)
	for i, step := range steps {
		run.step(step)
		// What writes one after the other have made is looked at after the last of them.
		if last := i == len(steps)-1; last || !strings.ContainsRune("wsdpx", rune(steps[i+1])) {
			run.check()
		}
	}
	closeDB(t, run.db)
}

type crashRun struct {
	t      *testing.T
	fs     *crashfs.FS
	rng    *rand.Rand
	db     *DB
	c      *Collection
	points map[uint64]string // as contents writes them
	past   []map[uint64]string
	named  bool // there is a vector "x"
}

// remember adds the present state to those a crash may fall back to, or makes it
// the oldest of them.
func (r *crashRun) remember(synced bool) {
	if synced {
		r.past = r.past[:0]
	}
	r.past = append(r.past, maps.Clone(r.points))
}

func (r *crashRun) step(step byte) {
	const ids, size = 80, 12
	var ops []Op
	switch step {
	case 'w', 's', 'd', 'p':
		for range size {
			id := r.rng.Uint64N(ids)
			switch {
			case step == 'd':
				ops = append(ops, remove(Version{}, point.Number(id)))
				delete(r.points, id)
			case step == 'p' && r.points[id] != "":
				ops = append(ops, Op{Kind: OverwritePayload, Select: Select{IDs: []point.ID{point.Number(id)}}, Payload: map[string]any{"p": 1}})
				at := strings.LastIndexByte(r.points[id], ' ')
				r.points[id] = r.points[id][:at] + ` {"p":1}`
			default:
				x, y := r.rng.Float32(), r.rng.Float32()
				ops = append(ops, upsert(point.Number(id), Version{}, x, y, ""))
				r.points[id] = fmt.Sprintf("%d: [%v %v] {}", id, x, y)
			}
		}
		apply(r.t, r.c, Batch{Ops: ops, Sync: step == 's'})
		r.remember(step == 's')
	case 'r':
		closeDB(r.t, r.db)
		r.remember(true)
		r.open()
		r.checkAll()
	case 'v':
		var err error
		if r.named {
			err = r.db.DropVector(context.Background(), "c", "x")
		} else {
			err = r.db.CreateVector(context.Background(), "c", "x", VectorParams{Size: 1, Distance: Dot})
		}
		if err != nil {
			r.t.Fatal(err)
		}
		r.named = !r.named
		r.remember(true)
	case 'x':
		if !r.named {
			return
		}
		for id := range r.points {
			if len(ops) < size {
				ops = append(ops, Op{Kind: UpdateVectors, Points: []Point{{ID: point.Number(id), Vectors: Vectors{"x": Dense{1}}}}})
			}
		}
		apply(r.t, r.c, Batch{Ops: ops})
	case 'h':
		if !r.named {
			return
		}
		// A crash between the two halves of a drop.
		err := r.db.changeVectors(context.Background(), r.c, func(cfg *Config) error {
			delete(cfg.Vectors.Named, "x")
			cfg.DroppedVectors = append(cfg.DroppedVectors, "x")
			return nil
		})
		if err != nil {
			r.t.Fatal(err)
		}
		r.named = false
		r.remember(true)
		r.step('c')
	case 'c':
		crashed := r.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: r.rng.IntN(101), RNG: r.rng})
		closeDB(r.t, r.db)
		r.fs = crashed
		r.open()
		got := contents(r.t, r.c)
		at := slices.IndexFunc(r.past, func(points map[uint64]string) bool { return slices.Equal(listed(points), got) })
		if at < 0 {
			r.t.Fatalf("after a crash there are %d points as they never were", len(got))
		}
		r.points = maps.Clone(r.past[at])
		r.remember(true) // opening has made it durable
		r.checkAll()
	}
}

func listed(points map[uint64]string) []string {
	list := []string{}
	for _, id := range slices.Sorted(maps.Keys(points)) {
		list = append(list, points[id])
	}
	return list
}

func (r *crashRun) open() {
	r.db = openDB(r.t, r.fs)
	r.c = openedCollection(r.t, r.db)
}

func (r *crashRun) check() {
	cfg := r.c.Config()
	if _, named := cfg.Vectors.Named["x"]; named != r.named || len(cfg.DroppedVectors) > 0 {
		r.t.Fatalf("the vector x is there: %t, instead of %t; to be dropped: %v", named, r.named, cfg.DroppedVectors)
	}
	if names := namesOf(r.t, r.c); !r.named && strings.Contains(names, "x:") {
		r.t.Fatalf("what was dropped is there: %s", names)
	}
	expect(r.t, r.c, listed(r.points)...)
	looked := 0
	for id := range r.points {
		if looked++; looked > 10 {
			break
		}
		r.find(id, 32)
	}
}

// checkAll checks that each point of a collection that was just opened is found by a
// search that looks at all there are.
func (r *crashRun) checkAll() {
	for id := range r.points {
		r.find(id, 128)
	}
}

func (r *crashRun) find(id uint64, ef int) {
	r.t.Helper()
	var x, y float32
	if _, err := fmt.Sscanf(r.points[id], fmt.Sprint(id)+": [%g %g]", &x, &y); err != nil {
		r.t.Fatal(err)
	}
	hits, err := r.c.Search(context.Background(), SearchRequest{Vector: Dense{x, y}, Limit: 1, Ef: ef})
	if err != nil || len(hits) != 1 || hits[0].ID != point.Number(id) {
		r.t.Fatalf("a search for point %d with ef %d finds %v, %v", id, ef, hits, err)
	}
}
