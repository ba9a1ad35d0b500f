package main

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// spent is what something took: time on the clock, and of the processors by the
// whole process, the collector's work included.
type spent struct{ wall, cpu time.Duration }

// watch starts a stopwatch.
func watch() func() spent {
	wall, cpu := time.Now(), processTime()
	return func() spent {
		cpu := processTime() - cpu
		return spent{wall: time.Since(wall), cpu: cpu}
	}
}

// atLeast is for how long a search of all queries is repeated: a single pass on a small
// graph takes milliseconds, which is how the caches fill and not how it goes on.
const atLeast = 200 * time.Millisecond

// repeat makes passes for a while and returns the rows that the last one found and what one
// took.
func repeat(while time.Duration, pass func() ([]int, error)) (rows []int, took spent, err error) {
	stop, passes := watch(), time.Duration(0)
	for begun := time.Now(); passes == 0 || time.Since(begun) < while; passes++ {
		if rows, err = pass(); err != nil {
			return nil, spent{}, err
		}
	}
	took = stop()
	return rows, spent{wall: took.wall / passes, cpu: took.cpu / passes}, nil
}

// settle waits until the process has nothing left to do by itself, such as compactions after
// an import: what it does beside a measurement counts as that measurement's.
func settle(ctx context.Context) error {
	const look, busy = 300 * time.Millisecond, 0.02 // of a processor
	for {
		stop := watch()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look):
		}
		if took := stop(); took.cpu.Seconds() < busy*took.wall.Seconds() {
			return nil
		}
	}
}

func processTime() time.Duration {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		return 0 // it cannot fail with these arguments
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// ownBytes is the memory of the process that no file is behind; 0 where that is
// not known.
func ownBytes() int64 {
	kib, err := strconv.ParseInt(strings.TrimSuffix(field("/proc/self/status", "RssAnon:"), " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

// quantile returns the q-quantile by the nearest rank.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func median(values []float64) float64 { return quantile(values, 0.5) }
