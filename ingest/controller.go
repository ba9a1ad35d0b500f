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

// Draining: the rate has to be above that of arrivals by so much, and what waits has to
// be gone in about so long. Before it is known what a batch costs, one may always take
// that part of the backlog.
const (
	headroom   = 1.1
	drainTime  = time.Second
	drainShare = 4
)

// move is why the limit last moved, or why it stays while the target is missed.
type move string

const (
	moveNone    move = "start"
	moveSlow    move = "slow"        // P99 above the target
	moveFast    move = "fast"        // P99 below the lower threshold, and batches were full
	moveBacklog move = "backlog"     // a smaller limit would not drain what arrives
	moveOver    move = "over_budget" // no size meets the target: what counts is to drain
)

// moves lists them, but for the beginning.
var moves = []move{moveSlow, moveFast, moveBacklog, moveOver}

// controller sets the limit of records in a batch. Once per window it compares the 99th
// percentile of the batches' durations with its law: above the target the limit shrinks,
// below the lower threshold it grows if batches were full, so that an idle topic does not
// drift upwards, and by at least one record, so that no limit is a trap. Two things
// overrule the law. Where no size would meet the target, to shrink would cost throughput
// and gain nothing. And a limit that drains less than what arrives makes records older,
// however fast each batch is. Both are told from what batches have cost. It looks at no
// clock and belongs to one goroutine.
type controller struct {
	law   Batch
	limit int

	window  []time.Duration
	full    bool // a batch of the window was full
	records int  // of the window
	opened  time.Time

	cost    cost
	closed  time.Time // end of the last window
	backlog int       // at that time
	arrival float64   // records per second

	p99   time.Duration // of the last window
	moved move
	why   string // moved, with its figures
	over  bool   // the target is missed, and a smaller limit is no remedy
	count map[move]int
}

func newController(law Batch) *controller {
	return &controller{law: law, limit: min(max(startLimit, law.Min), law.Max), moved: moveNone, why: string(moveNone), count: map[move]int{}}
}

// batch is what the controller learns of one batch.
type batch struct {
	ended   time.Time
	took    time.Duration // from the poll to visibility
	spent   time.Duration // the part of it after the batch before was visible
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
	c.records += b.records
	c.cost.add(b.records, b.spent)
	if len(c.window) < windowBatches && b.ended.Sub(c.opened) < windowTime {
		return
	}
	c.p99 = percentile(c.window, 0.99)
	c.measureArrival(b)
	c.cost.fit()
	c.decide(b.backlog)
	c.window, c.full, c.records, c.closed, c.backlog = c.window[:0], false, 0, b.ended, b.backlog
}

// measureArrival follows how many records arrive: those that were applied, and those by
// which the backlog has grown.
func (c *controller) measureArrival(b batch) {
	if c.closed.IsZero() {
		c.closed = c.opened
	}
	passed := b.ended.Sub(c.closed).Seconds()
	if passed <= 0 {
		return
	}
	rate := max(float64(c.records+b.backlog-c.backlog), 0) / passed
	c.arrival += (rate - c.arrival) / 2
}

func (c *controller) decide(backlog int) {
	target, slow := c.law.target(), c.p99 > c.law.target()
	next, moved := c.limit, c.moved
	c.over = slow && c.cost.known && c.predict(c.law.Min) > target
	larger := max(c.limit+1, int(float64(c.limit)*c.law.Grow))
	switch {
	case c.over:
		moved = moveOver
		if c.full && backlog > 0 {
			next = larger
		}
	case slow:
		next, moved = int(float64(c.limit)*c.law.Shrink), moveSlow
	case c.p99 < c.law.growBelow() && c.full:
		next, moved = larger, moveFast
	}
	if floor := c.floor(backlog); next < floor {
		c.over = c.over || slow
		next, moved = floor, moveBacklog
	}
	next = min(max(next, c.law.Min), c.law.Max)
	if next == c.limit {
		return
	}
	c.limit, c.moved = next, moved
	c.count[moved]++
	c.why = fmt.Sprintf("%s: P99 %s, target %s, %d records wait, %.0f arrive per second",
		moved, c.p99.Round(time.Millisecond), target, backlog, c.arrival)
}

// predict returns what the P99 would be at another limit, all else being equal.
func (c *controller) predict(limit int) time.Duration {
	now := c.cost.of(float64(c.limit))
	if now <= 0 {
		return c.p99
	}
	return time.Duration(float64(c.p99) * c.cost.of(float64(limit)) / now)
}

// floor returns the limit that drains, by Little's law: the one with which batches take
// more records per second than arrive, and the backlog goes away besides.
func (c *controller) floor(backlog int) int {
	if !c.cost.known {
		return backlog / drainShare
	}
	return int(math.Ceil(c.cost.limitFor(c.arrival*headroom + float64(backlog)/drainTime.Seconds())))
}

// percentile returns the q-quantile of unsorted values by the nearest rank, 0
// for none.
func percentile(values []time.Duration, q float64) time.Duration {
	return rank(slices.Sorted(slices.Values(values)), q)
}

// rank is percentile of values that are sorted.
func rank(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}
