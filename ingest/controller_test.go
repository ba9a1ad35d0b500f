package ingest

import (
	"math"
	"testing"
	"time"
)

func lawOf(t *testing.T) Batch {
	t.Helper()
	c := Config{Sources: []Source{{}}}
	c.SetDefaults()
	return c.Sources[0].Batch
}

// window feeds batches of one duration until the controller has decided.
func window(c *controller, took time.Duration, full bool, backlog int) {
	ended := time.Unix(0, 0)
	for {
		n := 1
		if full {
			n = c.limit
		}
		ended = ended.Add(took)
		c.observe(batch{ended: ended, took: took, spent: took, records: n, backlog: backlog})
		if len(c.window) == 0 {
			return
		}
	}
}

func TestControllerFollowsItsLaw(t *testing.T) {
	for _, x := range []struct {
		name    string
		limit   int
		took    time.Duration
		full    bool
		backlog int
		want    int
		over    bool
	}{
		{"slow shrinks", 500, 101 * time.Millisecond, true, 0, 400, false},
		{"slow shrinks to one at the least", 1, 101 * time.Millisecond, true, 0, 1, false},
		{"between leaves it", 500, 75 * time.Millisecond, true, 0, 500, false},
		{"exactly at the thresholds leaves it", 100, 50 * time.Millisecond, true, 0, 100, false},
		{"and at the other one", 500, 100 * time.Millisecond, true, 0, 500, false},
		{"fast and full grows", 100, 49 * time.Millisecond, true, 0, 110, false},
		{"fast and full grows by one at the least", 9, time.Millisecond, true, 0, 10, false},
		{"fast and full grows to the maximum", 499, time.Millisecond, true, 0, 500, false},
		{"fast but not full leaves it", 100, time.Millisecond, false, 0, 100, false},
		{"slow, with a backlog, stays able to drain it", 500, time.Second, true, 1600, 400, false},
		{"slow, with a large backlog, grows", 100, time.Second, true, 1 << 20, 500, true},
	} {
		c := newController(lawOf(t))
		c.limit = x.limit
		window(c, x.took, x.full, x.backlog)
		if c.limit != x.want || c.over != x.over {
			t.Errorf("%s: limit %d, want %d (%s), over budget: %v", x.name, c.limit, x.want, c.why, c.over)
		}
		moved := 0
		for _, n := range c.count {
			moved += n
		}
		if want := map[bool]int{true: 1}[c.limit != x.limit]; moved != want {
			t.Errorf("%s: %d moves are counted, want %d", x.name, moved, want)
		}
	}
}

// TestControllerLooksAtTheWholeWindow: a full batch counts wherever in its window it was, and in
// no other.
func TestControllerLooksAtTheWholeWindow(t *testing.T) {
	c := newController(lawOf(t))
	ended := time.Unix(0, 0)
	for i := range 2 * windowBatches {
		n := 1
		if i == 0 {
			n = c.limit
		}
		ended = ended.Add(time.Millisecond)
		c.observe(batch{ended: ended, took: time.Millisecond, spent: time.Millisecond, records: n})
	}
	if c.limit != 110 {
		t.Errorf("the limit is %d", c.limit)
	}
}

// TestControllerOverBudget grows to drain what waits, and not without need.
func TestControllerOverBudget(t *testing.T) {
	for backlog, want := range map[int]int{0: 100, 20: 110} {
		c := newController(lawOf(t))
		c.cost = cost{fixed: 1, known: true}
		window(c, time.Second, true, backlog)
		if c.limit < want || backlog == 0 && c.limit > want || !c.over {
			t.Errorf("%d records wait: limit %d, over budget: %v", backlog, c.limit, c.over)
		}
	}
}

// TestCost fits lines to what batches took.
func TestCost(t *testing.T) {
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
	for _, x := range []struct {
		name        string
		before      cost
		batches     [][2]float64 // records, seconds
		fixed, each float64
		known       bool
	}{
		{"a line", cost{}, [][2]float64{{10, 2}, {20, 3}}, 1, 0.1, true},
		{"one size tells nothing", cost{}, [][2]float64{{10, 2}, {10, 3}}, 0, 0, false},
		{"one size moves the line that is known", cost{fixed: 1, each: 0.1, known: true}, [][2]float64{{10, 3}}, 1.5, 0.15, true},
		{"larger ones that took less", cost{}, [][2]float64{{10, 3}, {20, 1}}, 2, 0, true},
		{"more than by their size", cost{}, [][2]float64{{10, 1}, {20, 3}}, 0, 70. / 500, true},
		{"much slower", cost{fixed: 1, known: true}, [][2]float64{{10, 2.1}}, 2.1, 0, false},
		{"much faster", cost{fixed: 1, known: true}, [][2]float64{{10, 0.4}}, 0.4, 0, false},
	} {
		c := x.before
		for _, b := range x.batches {
			c.add(int(b[0]), time.Duration(b[1]*float64(time.Second)))
		}
		c.fit()
		if !near(c.fixed, x.fixed) || !near(c.each, x.each) || c.known != x.known {
			t.Errorf("%s: %g and %g each, known: %v", x.name, c.fixed, c.each, c.known)
		}
	}
	c := cost{fixed: 1, each: 0.1}
	for rate, want := range map[float64]float64{0: 0, 5: 10, 9: 90, 9.9: 90, 10: 90, 20: 90} { // at most 10 a second
		if got := c.limitFor(rate); !near(got, want) {
			t.Errorf("for %g records a second batches of %g, want %g", rate, got, want)
		}
	}
}

// TestControllerLeavesAnIdleTopicAlone checks that batches of one record do
// not drive the limit up.
func TestControllerLeavesAnIdleTopicAlone(t *testing.T) {
	c := newController(lawOf(t))
	before := c.limit
	for range 1000 {
		window(c, time.Millisecond, false, 0)
	}
	if c.limit != before {
		t.Errorf("the limit drifted from %d to %d", before, c.limit)
	}
}

func TestPercentile(t *testing.T) {
	var values []time.Duration
	if got := percentile(values, 0.99); got != 0 {
		t.Errorf("of nothing: %d", got)
	}
	for i := range 100 {
		values = append(values, time.Duration(100-i))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 50, 0.99: 99, 1: 100} {
		if got := percentile(values, q); got != want {
			t.Errorf("%g: %d, want %d", q, got, want)
		}
	}
}
