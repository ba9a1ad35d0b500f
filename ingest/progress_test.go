package ingest

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestProgressOfACatchUp(t *testing.T) {
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	var p progress
	now := time.Unix(1000, 0)
	step := func(records, backlog int) *CatchUp {
		now = now.Add(time.Second)
		p.observe(now, records, backlog, 500, log)
		return p.status()
	}
	if c := step(0, behindFrom-1); c != nil {
		t.Errorf("a small backlog is %+v", c)
	}
	if c := step(0, 50_000); c == nil || c.Left != 50_000 || c.Applied != 0 || c.TimeLeft >= 0 {
		t.Errorf("at the beginning: %+v", c)
	}
	// 3,000 are applied a second, while 1,000 arrive.
	var c *CatchUp
	for i := 1; i <= 12; i++ {
		c = step(3000, 50_000-2000*i)
	}
	if want := (CatchUp{Began: time.Unix(1002, 0), Applied: 36_000, Left: 26_000, Rate: 3000, TimeLeft: 13 * time.Second}); *c != want {
		t.Errorf("got %+v, want %+v", *c, want)
	}
	// It becomes slower than what arrives.
	for range 60 {
		c = step(500, int(c.Left)+500)
	}
	if c.Rate < 500 || c.Rate > 510 || c.TimeLeft >= 0 {
		t.Errorf("while the backlog grows: %+v", c)
	}
	if c := step(1000, 500); c != nil {
		t.Errorf("what one batch takes is %+v", c)
	}
	for text, n := range map[string]int{
		`msg="catching up"`: 8, `msg="catching up" left=50000`: 1, "applied=30000 left=30000 per_second=3000 time_left=15s": 1,
		"time_left=unknown": 5, `msg="caught up" applied=67000 took=1m13s`: 1,
	} {
		if got := strings.Count(logged.String(), text); got != n {
			t.Errorf("%q is in the log %d times, want %d:\n%s", text, got, n, &logged)
		}
	}
}
