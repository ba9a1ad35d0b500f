package main

import (
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
