package server

import (
	"cmp"
	"fmt"
	"strconv"
)

// OptimizersConfig holds the parameters of an optimizer, which this engine does not
// have. Clients set them and read them back. Members that are nil were not set.
type OptimizersConfig struct {
	DeletedThreshold       *float64 `json:"deleted_threshold,omitempty"`
	VacuumMinVectorNumber  *uint64  `json:"vacuum_min_vector_number,omitempty"`
	DefaultSegmentNumber   *uint64  `json:"default_segment_number,omitempty"`
	MaxSegmentSize         *uint64  `json:"max_segment_size,omitempty"`
	MemmapThreshold        *uint64  `json:"memmap_threshold,omitempty"`
	IndexingThreshold      *uint64  `json:"indexing_threshold,omitempty"`
	FlushIntervalSec       *uint64  `json:"flush_interval_sec,omitempty"`
	MaxOptimizationThreads *Threads `json:"max_optimization_threads,omitempty"`
	PreventUnoptimized     *bool    `json:"prevent_unoptimized,omitempty"`
}

// WALConfig holds the parameters of a log of writes; this engine's log has its own.
type WALConfig struct {
	CapacityMB    *uint64 `json:"wal_capacity_mb,omitempty"`
	SegmentsAhead *uint64 `json:"wal_segments_ahead,omitempty"`
	RetainClosed  *uint64 `json:"wal_retain_closed,omitempty"`
}

// Threads is a number of threads, or `"auto"`, as JSON.
type Threads string

// UnmarshalJSON reads either.
func (t *Threads) UnmarshalJSON(raw []byte) error {
	if _, err := strconv.ParseUint(string(raw), 10, 64); err != nil && string(raw) != `"auto"` {
		return fmt.Errorf("data did not match any variant of untagged enum MaxOptimizationThreads")
	}
	*t = Threads(raw)
	return nil
}

// MarshalJSON writes what was read.
func (t Threads) MarshalJSON() ([]byte, error) { return []byte(t), nil }

// Merge returns o with the members that diff sets.
func (o OptimizersConfig) Merge(diff OptimizersConfig) OptimizersConfig {
	o.DeletedThreshold = cmp.Or(diff.DeletedThreshold, o.DeletedThreshold)
	o.VacuumMinVectorNumber = cmp.Or(diff.VacuumMinVectorNumber, o.VacuumMinVectorNumber)
	o.DefaultSegmentNumber = cmp.Or(diff.DefaultSegmentNumber, o.DefaultSegmentNumber)
	o.MaxSegmentSize = cmp.Or(diff.MaxSegmentSize, o.MaxSegmentSize)
	o.MemmapThreshold = cmp.Or(diff.MemmapThreshold, o.MemmapThreshold)
	o.IndexingThreshold = cmp.Or(diff.IndexingThreshold, o.IndexingThreshold)
	o.FlushIntervalSec = cmp.Or(diff.FlushIntervalSec, o.FlushIntervalSec)
	o.MaxOptimizationThreads = cmp.Or(diff.MaxOptimizationThreads, o.MaxOptimizationThreads)
	o.PreventUnoptimized = cmp.Or(diff.PreventUnoptimized, o.PreventUnoptimized)
	return o
}

func (o *OptimizersConfig) validate(path string) error {
	if x := o.DeletedThreshold; x != nil && (*x < 0 || *x > 1) {
		return invalid(path+".deleted_threshold", "value %v invalid, must be from 0.0 to 1.0", *x)
	}
	return noLess(path+".vacuum_min_vector_number", o.VacuumMinVectorNumber, 100)
}

func (w *WALConfig) validate(path string) error {
	if err := noLess(path+".wal_capacity_mb", w.CapacityMB, 1); err != nil {
		return err
	}
	return noLess(path+".wal_retain_closed", w.RetainClosed, 1)
}

// noLess returns an error if n is set to less than least.
func noLess(path string, n *uint64, least uint64) error {
	if n != nil && *n < least {
		return invalid(path, "value %d invalid, must be %d or larger", *n, least)
	}
	return nil
}
