package ingest

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// A window is closed, and the limit decided on, after so many batches or so
// much time, whichever comes first.
const (
	windowBatches = 20
	windowTime    = time.Second
)

// startLimit is the limit before anything has been measured.
const startLimit = 100

// drainShare is the part of the backlog that one batch may always take: a
// limit that cannot drain the backlog makes records older, however fast each
// batch is.
const drainShare = 4

// controller sets the limit of records in a batch, by this law: when the 99th
// percentile of a window's batch durations is above the target, the limit
// shrinks; when it is below the lower threshold and batches were full, it
// grows. Growing is by at least one record, so that no limit is a trap; an
// idle topic, whose batches are never full, does not drift upwards; and the
// limit never falls below a quarter of the backlog. It does not look at a
// clock and belongs to one goroutine.
type controller struct {
	law    Batch
	limit  int
	window []time.Duration
	full   bool // a batch of the window was full
	opened time.Time
	p99    time.Duration // of the last window
	why    string        // why the limit last moved
	over   bool          // the target is missed and the backlog forbids smaller batches
}

func newController(law Batch) *controller {
	return &controller{law: law, limit: min(max(startLimit, law.Min), law.Max), why: "start"}
}

// batch is what the controller learns of one batch.
type batch struct {
	ended   time.Time
	took    time.Duration // from the poll to visibility
	records int
	backlog int // records known to wait behind it
}

// observe takes note of a batch and decides once the window is complete.
func (c *controller) observe(b batch) {
	if len(c.window) == 0 {
		c.opened = b.ended.Add(-b.took)
	}
	c.window = append(c.window, b.took)
	c.full = c.full || b.records >= c.limit
	if len(c.window) < windowBatches && b.ended.Sub(c.opened) < windowTime {
		return
	}
	c.p99 = percentile(c.window, 0.99)
	c.decide(b.backlog)
	c.window, c.full = c.window[:0], false
}

func (c *controller) decide(backlog int) {
	next, why := c.limit, ""
	switch {
	case c.p99 > c.law.target():
		next = int(float64(c.limit) * c.law.Shrink)
		why = fmt.Sprintf("P99 %s above %s", c.p99.Round(time.Millisecond), c.law.target())
	case c.p99 < c.law.growBelow() && c.full:
		next = max(c.limit+1, int(float64(c.limit)*c.law.Grow))
		why = fmt.Sprintf("P99 %s below %s", c.p99.Round(time.Millisecond), c.law.growBelow())
	}
	c.over = false
	if floor := backlog / drainShare; next < floor {
		c.over = c.p99 > c.law.target()
		next, why = floor, fmt.Sprintf("backlog of %d records", backlog)
	}
	next = min(max(next, c.law.Min), c.law.Max)
	if next != c.limit {
		c.limit, c.why = next, why
	}
}

// percentile returns the q-quantile of unsorted values by the nearest rank, 0
// for none.
func percentile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}
