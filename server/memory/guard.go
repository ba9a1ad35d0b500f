package memory

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

// Shares of the limit, in percent.
const (
	// growthPercent is what may be in use for data to be taken that stay. The rest is for
	// requests in progress, and for garbage between two collections.
	growthPercent  = 80
	releasePercent = 75 // of which growth goes on
	// requestPercent is what may be in use for large requests to be taken.
	requestPercent = 90
	// heapPercent is what the Go heap, with its garbage, and all else may take together.
	// The collector falls behind by some of the rest where much is allocated at once.
	heapPercent = 85
	// leastHeapPercent is left to the Go heap whatever else there is: with less it would
	// do nothing but collect garbage.
	leastHeapPercent = 10
)

// interval is the time between two looks. Data come in at some MB in that time.
const interval = 200 * time.Millisecond

// Guard keeps the process below its limit: it tells the garbage collector what is left
// for the Go heap beside what lies outside of it (vectors, codes, links), and its users
// when nothing more is to be taken. The nil Guard has no limit.
type Guard struct {
	limit int64
	log   *slog.Logger

	pressed atomic.Bool            // large requests are to be refused
	full    atomic.Pointer[string] // why data that stay are refused; nil: they are not
	mu      sync.Mutex
	room    chan struct{} // closed while full is nil

	// Only Look uses these.
	blind bool  // the last look failed
	heap  int64 // limit that the runtime was given
}

// NewGuard returns a guard of a limit in bytes. Nothing is looked at before Run.
func NewGuard(limit int64, log *slog.Logger) *Guard {
	g := &Guard{limit: limit, log: log, room: make(chan struct{})}
	close(g.room)
	return g
}

// Limit returns the limit, 0 if there is none.
func (g *Guard) Limit() int64 {
	if g == nil {
		return 0
	}
	return g.limit
}

// Run looks at the memory from time to time until ctx ends.
func (g *Guard) Run(ctx context.Context) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		g.Look(measure())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Full returns why nothing is taken that stays in memory, "" while there is room.
func (g *Guard) Full() string {
	if g == nil {
		return ""
	}
	if why := g.full.Load(); why != nil {
		return *why
	}
	return ""
}

// Room returns a channel that is closed once Full is "". It is to be asked for before Full.
func (g *Guard) Room() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.room
}

// Pressed says that there is no room for what needs much memory, if only for a moment.
func (g *Guard) Pressed() bool { return g != nil && g.pressed.Load() }

// Use is what the process has in memory, in bytes.
type Use struct {
	Live    int64 // Go objects, as of the last garbage collection
	Runtime int64 // stacks and what the runtime needs for itself
	Outside int64 // beyond the reach of the runtime
}

func (u Use) total() int64 { return u.Live + u.Runtime + u.Outside }

// Look takes note of what is in use. Run calls it.
func (g *Guard) Look(u Use, err error) {
	if err != nil {
		if !g.blind {
			g.log.Warn("how much memory is in use cannot be found out", "err", err)
		}
		g.blind = true
		return
	}
	g.blind = false
	if heap := max(g.share(heapPercent)-u.Outside, g.share(leastHeapPercent)); heap != g.heap {
		g.heap = heap
		debug.SetMemoryLimit(heap)
	}
	total := u.total()
	g.pressed.Store(total >= g.share(requestPercent))
	g.mu.Lock()
	defer g.mu.Unlock()
	switch isFull := g.full.Load() != nil; {
	case !isFull && total >= g.share(growthPercent):
		why := fmt.Sprintf("%d MiB of memory are in use of the %d MiB that the process may take, and no data are added from %d %% on; that goes on below %d %%",
			total>>20, g.limit>>20, growthPercent, releasePercent)
		g.full.Store(&why)
		g.room = make(chan struct{})
		g.log.Error("no data are added for now, searches go on", "reason", why)
	case isFull && total < g.share(releasePercent):
		g.full.Store(nil)
		close(g.room)
		g.log.Info("there is memory again, data are added")
	}
}

func (g *Guard) share(percent int64) int64 { return g.limit / 100 * percent }

// measure asks the runtime and the system.
func measure() (Use, error) {
	resident, err := Resident()
	if err != nil {
		return Use{}, err
	}
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	n := make([]int64, len(samples))
	for i, s := range samples {
		n[i] = int64(s.Value.Uint64())
	}
	mapped := n[1] - n[2]
	return Use{Live: n[0], Runtime: max(0, mapped-n[3]-n[4]-n[5]), Outside: max(0, resident-mapped)}, nil
}

// Resident returns how many bytes of the process are in RAM.
func Resident() (int64, error) {
	const file = "/proc/self/statm"
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(raw), &size, &resident); err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	return resident * int64(os.Getpagesize()), nil
}
