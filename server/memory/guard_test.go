package memory

import (
	"errors"
	"log/slog"
	"math"
	"runtime/debug"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// TestMarks follows a process whose memory fills and empties.
func TestMarks(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	g := NewGuard(1000<<20, slog.New(slog.DiscardHandler))
	for _, step := range []struct {
		live, outside int64 // MiB
		full, pressed bool
		heap          int64 // MiB
	}{
		{live: 100, outside: 100, heap: 750},
		{live: 100, outside: 699, heap: 151},
		{live: 100, outside: 700, full: true, heap: 150},
		{live: 200, outside: 700, full: true, pressed: true, heap: 150},
		{live: 10, outside: 900, full: true, pressed: true, heap: 100},
		{live: 60, outside: 700, full: true, heap: 150},
		{live: 40, outside: 700, heap: 150},
	} {
		room := g.Room()
		g.Look(Use{Live: step.live << 20, Outside: step.outside << 20}, nil)
		if full := g.Full() != ""; full != step.full || isClosed(g.Room()) == full || g.Pressed() != step.pressed {
			t.Errorf("%+v: full %q, pressed %t", step, g.Full(), g.Pressed())
		}
		if !step.full && !isClosed(room) {
			t.Errorf("%+v: who waited waits on", step)
		}
		if heap := debug.SetMemoryLimit(-1); heap>>20 != step.heap {
			t.Errorf("%+v: the heap may take %d MiB", step, heap>>20)
		}
	}
	g.Look(Use{Live: 900 << 20}, nil)
	g.Look(Use{}, errors.New("not to be read"))
	if why := g.Full(); !strings.Contains(why, "900 MiB") || !strings.Contains(why, "1000 MiB") {
		t.Errorf("full: %q", why)
	}
}

func TestNoLimit(t *testing.T) {
	var g *Guard
	if g.Full() != "" || g.Pressed() || g.Limit() != 0 {
		t.Error("there is a limit")
	}
}

// TestMeasure finds memory where it was taken.
func TestMeasure(t *testing.T) {
	const n = 64 << 20
	take := func(b []byte) {
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
	}
	debug.FreeOSMemory() // of an earlier run
	before, err := measure()
	if err != nil {
		t.Fatal(err)
	}
	outside, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Munmap(outside); err != nil {
			t.Error(err)
		}
	}()
	take(outside)
	between, err := measure()
	if err != nil {
		t.Fatal(err)
	}
	if grown := between.Outside - before.Outside; math.Abs(float64(grown-n)) > n/4 {
		t.Errorf("outside the heap: %d bytes more, want %d", grown, n)
	}
	heap := make([]byte, n)
	take(heap)
	debug.FreeOSMemory() // collects garbage, so that what lives is known
	after, err := measure()
	if err != nil {
		t.Fatal(err)
	}
	if grown := after.Live - between.Live; grown < n*3/4 || grown > n*5/4 {
		t.Errorf("in the heap: %d bytes more, want %d", grown, n)
	}
	if heap[0] != 1 {
		t.Error("the memory was not used")
	}
}
