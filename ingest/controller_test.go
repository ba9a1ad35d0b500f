package ingest

import (
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
	}{
		{"slow shrinks", 500, 101 * time.Millisecond, true, 0, 400},
		{"slow shrinks to one at the least", 1, 101 * time.Millisecond, true, 0, 1},
		{"between leaves it", 500, 75 * time.Millisecond, true, 0, 500},
		{"exactly at the thresholds leaves it", 100, 50 * time.Millisecond, true, 0, 100},
		{"fast and full grows", 100, 49 * time.Millisecond, true, 0, 110},
		{"fast and full grows by one at the least", 9, time.Millisecond, true, 0, 10},
		{"fast and full grows to the maximum", 499, time.Millisecond, true, 0, 500},
		{"fast but not full leaves it", 100, time.Millisecond, false, 0, 100},
		{"slow, with a backlog, stays able to drain it", 500, time.Second, true, 1600, 400},
		{"slow, with a large backlog, grows", 100, time.Second, true, 1 << 20, 500},
	} {
		c := newController(lawOf(t))
		c.limit = x.limit
		window(c, x.took, x.full, x.backlog)
		if c.limit != x.want {
			t.Errorf("%s: limit %d, want %d (%s)", x.name, c.limit, x.want, c.why)
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
