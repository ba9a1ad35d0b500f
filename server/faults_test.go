package server

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"freshet/server/point"
	"freshet/storage/crashfs"
)

// faultyChild says that this process is the one in which files fail. What has failed for
// good cannot be closed, and would be seen as leaks.
const faultyChild = "FRESHET_TEST_FAULTS"

// TestFaults has one file operation fail, the first, the second and so on, while always the
// same is done, and takes the power away then. What was acknowledged is there.
func TestFaults(t *testing.T) {
	if os.Getenv(faultyChild) != "" {
		faults(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestFaults$", "-test.v", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), faultyChild+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "operations have failed") {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(string(out))
}

func faults(t *testing.T) {
	seed := firstSeed(t)
	all := faultyRun(t, seed, -1)
	// Under the race detector some of them, each time others.
	some := rand.New(rand.NewPCG(seed, 1)).Perm(all)
	some = some[:min(rounds(t, under(all)), all)]
	slices.Sort(some)
	for _, n := range some {
		faultyRun(t, seed, n)
	}
	if t.Failed() {
		os.Exit(1)
	}
	fmt.Printf("%d of %d operations have failed, each in its turn, with seed %d\n", len(some), all, seed)
	os.Exit(0)
}

// faultyRun has the n-th file operation fail, none if n is negative, and returns how many
// there were.
func faultyRun(t *testing.T, seed uint64, n int) int {
	mem := crashfs.New()
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	var count atomic.Int64
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if count.Add(1)-1 == int64(n) {
			return fmt.Errorf("%s %s: %w", fmt.Sprint(op.Kind), op.Path, syscall.EIO)
		}
		return nil
	}))
	failed := make(chan string, 16)
	run := &faultyWork{points: map[uint64]string{}}
	ended := make(chan error, 1)
	go func() {
		ended <- run.do(Options{FS: fs, SyncInterval: time.Hour, fatal: func(reason string) {
			failed <- reason
			select {} // as if the process had ended
		}})
	}()
	var how string
	select {
	case how = <-failed:
	case err := <-ended:
		how = fmt.Sprint(err)
		if n < 0 && err != nil {
			t.Errorf("without a fault: %v", err)
		}
	case <-time.After(time.Minute):
		t.Errorf("operation %d: nothing goes on after it failed", n)
		return 0
	}
	crashed := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
	run.check(t, crashed, fmt.Sprintf("operation %d failed, seed %d, which led to: %s", n, seed, how))
	return int(count.Load())
}

// faultyWork is what is done, with what may be found after it.
type faultyWork struct {
	points map[uint64]string
	past   atomic.Pointer[[][]string] // states that a crash may leave
}

// may adds the present state to those, or makes it the only one.
func (w *faultyWork) may(only bool) {
	states := [][]string{listed(w.points)}
	if before := w.past.Load(); !only && before != nil {
		states = append(slices.Clone(*before), states...)
	}
	w.past.Store(&states)
}

func (w *faultyWork) do(o Options) error {
	ctx := context.Background()
	for session := range 3 {
		db, err := Open(ctx, "data", o)
		if err != nil {
			return err
		}
		if session == 0 {
			w.may(true)
			if err := db.CreateCollection(ctx, "c", vectorConfig(2, Euclid)); err != nil {
				return err
			}
		}
		c, err := db.Collection("c")
		if err != nil {
			return err
		}
		for i := range uint64(12) {
			id := i*5%11 + uint64(session)
			op := upsert(point.Number(id), Version{}, float32(i), float32(session), "")
			w.points[id] = fmt.Sprintf("%d: [%d %d] {}", id, i, session)
			if i%4 == 3 {
				op = remove(Version{}, point.Number(id))
				delete(w.points, id)
			}
			w.may(false)
			synced := i%3 == 2
			if _, err := c.Apply(ctx, Batch{Ops: []Op{op}, Sync: synced}); err != nil {
				return err
			}
			if synced {
				w.may(true)
			}
		}
		if err := db.UpdateAliases(ctx, []AliasAction{{Create: &Alias{Alias: "a", Collection: "c"}}}); err != nil {
			return err
		}
		if err := db.store.Flush(); err != nil {
			return err
		}
		if err := db.Close(); err != nil {
			return err
		}
		w.may(true)
	}
	return nil
}

func (w *faultyWork) check(t *testing.T, fs vfs.FS, what string) {
	db, err := Open(context.Background(), "data", Options{FS: fs})
	if err != nil {
		t.Errorf("%s, after which the folder cannot be opened: %v", what, err)
		return
	}
	defer closeDB(t, db)
	found := []string{}
	if c, err := db.Collection("c"); err == nil {
		found = contents(t, c)
	} else if KindOf(err) != NotFound {
		t.Errorf("%s, after which: %v", what, err)
	}
	states := *cmp.Or(w.past.Load(), &[][]string{{}})
	if !slices.ContainsFunc(states, func(state []string) bool { return slices.Equal(state, found) }) {
		t.Errorf("%s\nfound:   %q\nallowed: %q", what, found, states)
	}
}
