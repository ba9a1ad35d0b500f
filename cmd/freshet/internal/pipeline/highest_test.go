package pipeline

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestHighest lets the search loose on servers of which it is known what they keep up with.
func TestHighest(t *testing.T) {
	for name, x := range map[string]struct {
		rates          []int
		server, sender float64 // what the server and the producer are capable of
		sought         []int
		says           string
	}{
		"above the rates": {[]int{100, 1000}, 3000, 1e6, []int{2000, 4000, 2800, 3300}, "Highest rate kept up with: 2800 records/s; at 3300 the lag grew"},
		"between them":    {[]int{1000, 2000}, 1500, 1e6, []int{1400, 1700, 1500}, "Highest rate kept up with: 1500 records/s; at 1700 the lag grew"},
		"below them":      {[]int{1000}, 400, 1e6, []int{500, 250, 350, 420}, "Highest rate kept up with: 350 records/s; at 420 the lag grew"},
		"none":            {[]int{4}, 0, 1e6, []int{2, 1}, "No rate was kept up with: the lag grew at 1 records/s"},
		"producer":        {[]int{1000}, 1e6, 1500, []int{2000}, "Kept up with 1500 records/s; where the lag would grow is not known: asked for 2000, the producer reached no more"},
		"both":            {[]int{1000}, 1400, 1500, []int{2000, 1200, 1300}, "Highest rate kept up with: 1300 records/s; at 1500 the lag grew"},
		"the bound":       {[]int{60_000}, 1e6, 1e6, nil, "Kept up with 60000 records/s, the highest rate that was tried"},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{Options: &Options{Duration: time.Second}}
			var steps []Step
			take := func(rate int) {
				offered := min(float64(rate), x.sender)
				steps = append(steps, Step{Rate: rate, Produced: offered, KeepsUp: offered <= x.server})
			}
			for _, rate := range x.rates {
				take(rate)
			}
			var sought []int
			for rate := b.next(steps); rate > 0 && len(sought) <= maxSought; rate = b.next(steps) {
				sought = append(sought, rate)
				take(rate)
			}
			if !slices.Equal(sought, x.sought) {
				t.Errorf("sought %v, want %v", sought, x.sought)
			}
			if got := highest(steps).String(); got != x.says {
				t.Errorf("says %q, want %q", got, x.says)
			}
		})
	}
	if highest(nil) != nil {
		t.Error("a rate without a step")
	}
}

// TestVerdict tells a producer that is too slow from a server that keeps up.
func TestVerdict(t *testing.T) {
	for want, s := range map[string]Step{
		"kept up with": {Rate: 100, Produced: 99, KeepsUp: true},
		"the lag grew": {Rate: 100, Produced: 99},
		"the producer reached only 60/s; kept up with": {Rate: 100, Produced: 60, KeepsUp: true},
		"the producer reached only 60/s; the lag grew": {Rate: 100, Produced: 60},
	} {
		if got := s.Verdict(); got != want {
			t.Errorf("%+v: %q, want %q", s, got, want)
		}
	}
}

func TestGrows(t *testing.T) {
	const rate, every = 1000, 0.5
	for name, x := range map[string]struct {
		lag   string // a mark for each moment: how many hundred records wait
		grows bool
	}{
		"never any":              {"000000000000", false},
		"batches":                {"121211212121", false},
		"stall in the beginning": {"999741000000", false},
		"stall near the end":     {"000000009000", false},
		"overload":               {"123456789999", true},
		"overload by a tenth":    {"001122334455", true},
		"high, not higher":       {"999999999999", false},
		"too few":                {"19", false},
	} {
		t.Run(name, func(t *testing.T) {
			var moments []Moment
			for i, mark := range strings.Split(x.lag, "") {
				moments = append(moments, Moment{At: every * float64(i+1), Produced: rate, Lag: 100 * int64(mark[0]-'0')})
			}
			// What comes after the end does not count.
			end := time.Duration(every * float64(len(moments)) * float64(time.Second))
			moments = append(moments, Moment{At: every * float64(len(moments)+1), Lag: 100_000})
			if got := grows(moments, end); got != x.grows {
				t.Errorf("grows: %v", got)
			}
		})
	}
}

// TestQuantiles compares a histogram with the times themselves.
func TestQuantiles(t *testing.T) {
	var h histogram
	if h.quantile(0.5) != 0 {
		t.Error("a median of nothing")
	}
	for i := range 10_000 {
		h.add(time.Duration(i+1) * 37 * time.Microsecond)
	}
	for _, q := range []float64{0.01, 0.5, 0.99, 1} {
		want := time.Duration(q * 10_000 * 37 * float64(time.Microsecond))
		if got := h.quantile(q); (got - want).Abs() > want/99 {
			t.Errorf("%v: %v, want %v", q, got, want)
		}
	}
	h = histogram{}
	h.add(0)
	h.add(100 * 365 * 24 * time.Hour)
	if low, high := h.quantile(0.5), h.quantile(1); low != 0 || high < 365*24*time.Hour {
		t.Errorf("from %v to %v", low, high)
	}
}
