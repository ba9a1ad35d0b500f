package ingest

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// scenario is a model of a database and of those who write to it, without a clock.
type scenario struct {
	length time.Duration
	// rate is how many records arrive per second at a time.
	rate func(at time.Duration) float64
	// cost is how long a batch of n records takes that begins at a time.
	cost func(at time.Duration, n int, rng *rand.Rand) time.Duration
}

// law sets the limit of batches.
type law interface {
	observe(b batch)
	size() int
}

func (c *controller) size() int { return c.limit }

// articleLaw is the article's: it judges each call by itself.
type articleLaw struct{ limit int }

func (l *articleLaw) size() int { return l.limit }

func (l *articleLaw) observe(b batch) {
	switch {
	case b.took > 100*time.Millisecond:
		l.limit = max(1, int(float64(l.limit)*0.8))
	case b.took < 50*time.Millisecond:
		l.limit = min(500, int(float64(l.limit)*1.1))
	}
}

// trace is what came of a scenario.
type trace struct {
	batches []simulated
	arrived int
	waiting int             // at the end
	ages    []time.Duration // of all records, when they became visible
}

// simulated is one batch.
type simulated struct {
	ended time.Duration
	took  time.Duration
	age   time.Duration // of its oldest record, when it became visible
	limit int           // after it
}

// simulate runs a law against a scenario.
func simulate(s scenario, l law) *trace {
	const tick = time.Millisecond
	rng := rand.New(rand.NewPCG(1, 2))
	var arrivals []time.Duration
	due := 0.0
	for at := time.Duration(0); at < s.length; at += tick {
		for due += s.rate(at) * tick.Seconds(); due >= 1; due-- {
			arrivals = append(arrivals, at)
		}
	}
	tr := &trace{}
	applied, arrived := 0, 0
	for now := time.Duration(0); now < s.length; {
		for arrived < len(arrivals) && arrivals[arrived] <= now {
			arrived++
		}
		if arrived == applied {
			now += tick
			continue
		}
		n := min(arrived-applied, l.size())
		took := s.cost(now, n, rng)
		oldest := arrivals[applied]
		now += took
		for _, at := range arrivals[applied : applied+n] {
			tr.ages = append(tr.ages, now-at)
		}
		applied += n
		for arrived < len(arrivals) && arrivals[arrived] <= now {
			arrived++
		}
		l.observe(batch{ended: time.Unix(0, int64(now)), took: took, spent: took, records: n, backlog: arrived - applied})
		tr.batches = append(tr.batches, simulated{now, took, now - oldest, l.size()})
	}
	tr.arrived, tr.waiting = len(arrivals), len(arrivals)-applied
	return tr
}

// between returns the P99 of the calls and of the records' ages in a span of time, and
// the lowest and the highest limit.
func (tr *trace) between(from, to time.Duration) (call, age time.Duration, low, high int) {
	var calls, ages []time.Duration
	low = math.MaxInt
	for _, b := range tr.batches {
		if b.ended >= from && b.ended < to {
			calls, ages = append(calls, b.took), append(ages, b.age)
			low, high = min(low, b.limit), max(high, b.limit)
		}
	}
	return percentile(calls, 0.99), percentile(ages, 0.99), low, high
}

// settled returns after how many windows from a time on no window's P99 is above the
// target any more.
func (tr *trace) settled(from, to, target time.Duration) int {
	windows, last := 0, 0
	var calls []time.Duration
	var opened time.Duration
	for _, b := range tr.batches {
		if b.ended < from || b.ended >= to {
			continue
		}
		if len(calls) == 0 {
			opened = b.ended - b.took
		}
		calls = append(calls, b.took)
		if len(calls) < windowBatches && b.ended-opened < windowTime {
			continue
		}
		windows++
		if percentile(calls, 0.99) > target {
			last = windows
		}
		calls = calls[:0]
	}
	return last
}

// reversals counts how often the limit went up after it had gone down, or down after up.
func (tr *trace) reversals(from, to time.Duration) int {
	n, before, direction := 0, 0, 0
	for _, b := range tr.batches {
		if b.ended < from || b.ended >= to {
			continue
		}
		if before != 0 && b.limit != before {
			now := 1
			if b.limit < before {
				now = -1
			}
			if direction != 0 && now != direction {
				n++
			}
			direction = now
		}
		before = b.limit
	}
	return n
}

func constant(rate float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return rate }
}

// bursts has the records of so long arrive at once.
func bursts(rate float64, every time.Duration) func(time.Duration) float64 {
	return func(at time.Duration) float64 {
		if at%every != 0 {
			return 0
		}
		return rate * every.Seconds() / ms.Seconds()
	}
}

// linear is a cost without noise.
func linear(fixed, each time.Duration) func(time.Duration, int, *rand.Rand) time.Duration {
	return func(_ time.Duration, n int, _ *rand.Rand) time.Duration { return fixed + time.Duration(n)*each }
}

// slower is a cost that is so many times as high for a while.
func slower(fixed, each time.Duration, times float64, from, to time.Duration) func(time.Duration, int, *rand.Rand) time.Duration {
	return func(at time.Duration, n int, _ *rand.Rand) time.Duration {
		took := fixed + time.Duration(n)*each
		if at >= from && at < to {
			took = time.Duration(float64(took) * times)
		}
		return took
	}
}

const ms = time.Millisecond

// TestSimulation has each scenario settle in a number of windows, with a bounded number
// of reversals, all that arrived applied in the end, and records that are young again.
func TestSimulation(t *testing.T) {
	const target = 100 * ms
	const unsettled = 10_000 // windows: chance, or the cost, is above the target
	slow := func(rate func(time.Duration) float64, times float64, length, from, to time.Duration) scenario {
		return scenario{length, rate, slower(2*ms, 2*ms/5, times, from, to)}
	}
	for name, x := range map[string]struct {
		scenario
		from      time.Duration // when what is to be settled has happened
		to        time.Duration // 0: the end
		windows   int           // in which it settles
		reversals int           // of the limit
		age       time.Duration // P99 of the records', in the last quarter of the time
		lowest    int           // limit
		over      bool          // it is said in the end that no size meets the target
	}{
		"calm":      {scenario{60 * time.Second, constant(300), linear(2*ms, ms/2)}, 0, 0, 0, 0, 5 * ms, 100, false},
		"too large": {scenario{60 * time.Second, bursts(300, time.Second), linear(5*ms, 2*ms)}, 0, 0, 6, 2, 800 * ms, 30, false},
		"step": {scenario{60 * time.Second, func(at time.Duration) float64 {
			if at < 20*time.Second {
				return 50
			}
			return 1500
		}, linear(20*ms, ms/2)}, 20 * time.Second, 0, 2, 2, 250 * ms, 90, false},
		"ramp": {scenario{
			90 * time.Second, func(at time.Duration) float64 { return 20 * at.Seconds() },
			linear(10*ms, ms/2),
		}, 0, 0, 3, 6, 250 * ms, 50, false},
		"noise": {scenario{120 * time.Second, bursts(300, time.Second), func(_ time.Duration, n int, rng *rand.Rand) time.Duration {
			return time.Duration(float64(5*ms+time.Duration(n)*ms) * math.Exp(0.2*rng.NormFloat64()))
		}}, 0, 0, 1000, 8, 600 * ms, 30, false},
		"tenfold":  {slow(bursts(100, time.Second), 10, 120*time.Second, 30*time.Second, 80*time.Second), 30 * time.Second, 80 * time.Second, 15, 6, 100 * ms, 10, false},
		"recovery": {slow(constant(1000), 10, 120*time.Second, 30*time.Second, 40*time.Second), 40 * time.Second, 0, 60, 6, 10 * ms, 20, false},
		"a stall of 10 s": {scenario{120 * time.Second, constant(500), func(at time.Duration, n int, _ *rand.Rand) time.Duration {
			took := 2*ms + time.Duration(n)*2*ms/5
			if at >= 20*time.Second && at < 30*time.Second {
				took += 2 * time.Second
			}
			return took
		}}, 30 * time.Second, 0, 10, 6, 5 * ms, 45, false},
		"idle, then a burst": {scenario{120 * time.Second, func(at time.Duration) float64 {
			if at >= 60*time.Second && at < 61*time.Second {
				return 3000
			}
			return 5
		}, linear(2*ms, ms)}, 60 * time.Second, 0, 5, 4, 5 * ms, 50, false},
		"a backlog":                     {scenario{60 * time.Second, bursts(500, 60*time.Second), linear(5*ms, ms/5)}, 0, 0, 2, 2, time.Minute, 100, false},
		"a fixed cost below the target": {scenario{60 * time.Second, constant(1500), linear(60*ms, ms/5)}, 10 * time.Second, 0, 1, 4, 200 * ms, 100, false},
		"a fixed cost above the target": {scenario{60 * time.Second, constant(1000), linear(150*ms, ms/10)}, 0, 0, unsettled, 6, 400 * ms, 60, true},
		"a few slow calls": {scenario{120 * time.Second, constant(500), func(_ time.Duration, n int, rng *rand.Rand) time.Duration {
			took := 10*ms + time.Duration(n)*ms/5
			if rng.IntN(30) == 0 {
				took += 400 * ms
			}
			return took
		}}, 0, 0, unsettled, 40, 500 * ms, 20, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newController(lawOf(t))
			tr := simulate(x.scenario, c)
			if x.to == 0 {
				x.to = x.length
			}
			if n := tr.settled(x.from, x.to, target); n > x.windows {
				t.Errorf("settles after %d windows", n)
			}
			if n := tr.reversals(0, x.length); n > x.reversals {
				t.Errorf("the limit turned %d times", n)
			}
			lateCall, lateAge, _, _ := tr.between(x.length*3/4, x.length)
			if lateAge > x.age {
				t.Errorf("records are %s old in the end", lateAge)
			}
			if lateCall > target && x.windows < unsettled {
				t.Errorf("batches take %s in the end", lateCall)
			}
			_, _, low, high := tr.between(0, x.length)
			if low < x.lowest {
				t.Errorf("the limit went down to %d", low)
			}
			if tr.waiting > tr.arrived/100 {
				t.Errorf("%d of %d records wait in the end", tr.waiting, tr.arrived)
			}
			if c.over != x.over {
				t.Errorf("over budget: %t", c.over)
			}
			call, age, _, _ := tr.between(0, x.length)
			t.Logf("P99 of calls %s, of ages %s; limit %d to %d, at last %d (%s); %d windows, %d reversals",
				call, age, low, high, c.limit, c.why, tr.settled(x.from, x.to, target), tr.reversals(0, x.length))
		})
	}
}

// TestTheArticlesLaw shows where the article's law fails, and that ours does not.
func TestTheArticlesLaw(t *testing.T) {
	run := func(s scenario) (article, ours *trace, c *controller) {
		c = newController(lawOf(t))
		return simulate(s, &articleLaw{limit: 500}), simulate(s, c), c
	}
	t.Run("a stall leaves it at one", func(t *testing.T) {
		article, ours, c := run(scenario{120 * time.Second, constant(500), func(at time.Duration, n int, _ *rand.Rand) time.Duration {
			took := 4*ms + time.Duration(n)*2*ms/5
			if at >= 20*time.Second && at < 30*time.Second {
				return 10*time.Second - (at - 20*time.Second) + took
			}
			if at >= 30*time.Second && at < 36*time.Second {
				took += 100 * ms
			}
			return took
		}})
		if last := article.batches[len(article.batches)-1].limit; last > 9 || article.waiting < article.arrived/4 {
			t.Errorf("the article's ended at %d, with %d of %d records waiting", last, article.waiting, article.arrived)
		}
		if c.limit < 45 || ours.waiting > 100 {
			t.Errorf("ours ended at %d, with %d records waiting", c.limit, ours.waiting)
		}
		_, late, _, _ := ours.between(60*time.Second, 120*time.Second)
		if late > 20*ms {
			t.Errorf("a minute later records are %s old", late)
		}
		t.Logf("P99 of records' ages: the article's %s, ours %s", percentile(article.ages, 0.99), percentile(ours.ages, 0.99))
	})
	t.Run("an idle topic drifts up", func(t *testing.T) {
		article, ours, _ := run(scenario{60 * time.Second, func(at time.Duration) float64 {
			if at >= 30*time.Second && at < 30*time.Second+ms {
				return 500_000
			}
			return 20
		}, linear(2*ms, ms)})
		theirs, _, _, _ := article.between(30*time.Second, 32*time.Second)
		own, _, _, _ := ours.between(30*time.Second, 32*time.Second)
		if theirs < 490*ms || own > 150*ms {
			t.Errorf("the burst's longest batch: the article's %s, ours %s", theirs, own)
		}
	})
	t.Run("a fixed cost sends it to one", func(t *testing.T) {
		article, ours, c := run(scenario{60 * time.Second, constant(500), linear(110*ms, ms/10)})
		if last := article.batches[len(article.batches)-1].limit; last != 1 || article.waiting < article.arrived/2 {
			t.Errorf("the article's ended at %d, with %d of %d records waiting", last, article.waiting, article.arrived)
		}
		if !c.over || ours.waiting > 200 {
			t.Errorf("ours ended at %d, over budget: %t, with %d records waiting", c.limit, c.over, ours.waiting)
		}
	})
	t.Run("it is content while records grow old", func(t *testing.T) {
		article, ours, _ := run(scenario{120 * time.Second, func(at time.Duration) float64 {
			if at < 5*time.Second {
				return 50 // while something else keeps it small
			}
			return 1000
		}, func(at time.Duration, n int, _ *rand.Rand) time.Duration {
			if at < 5*time.Second {
				return 120 * ms
			}
			return 60*ms + time.Duration(n)*ms/5
		}})
		call, age, _, _ := article.between(60*time.Second, 120*time.Second)
		if call > 100*ms || age < 20*time.Second {
			t.Errorf("the article's calls take %s, its records are %s old", call, age)
		}
		call, age, _, _ = ours.between(60*time.Second, 120*time.Second)
		if call > 100*ms || age > 250*ms {
			t.Errorf("our calls take %s, our records are %s old", call, age)
		}
	})
}
