package ingest

import (
	"log/slog"
	"math"
	"time"
)

const (
	// behindFrom is how many records have to wait for a catch-up to begin; with less it
	// is over before anyone looks.
	behindFrom = 10_000
	// progressEvery is the time between two lines in the log.
	progressEvery = 10 * time.Second
	// rateTime is for about how long what was measured counts.
	rateTime = 10 * time.Second
)

// progress follows how a source catches up with its topics: from a backlog of some size
// to one that the next batch takes. It looks at no clock and belongs to one goroutine.
type progress struct {
	began   time.Time // zero while there is nothing to catch up with
	applied int64     // since then
	left    int64
	// Records per second: applied, and by which the backlog shrinks.
	rate, gain float64
	noted      time.Time // of the last observation
	logged     time.Time
}

// CatchUp tells how a source catches up with its topics.
type CatchUp struct {
	Began   time.Time
	Applied int64   // records since then
	Left    int64   // records that wait
	Rate    float64 // records applied per second, lately
	// TimeLeft is until nothing waits if all goes on as lately; negative if it is not
	// known, or there is none.
	TimeLeft time.Duration
}

// observe takes note of records that were applied and of those that wait behind them,
// of which a batch takes limit.
func (p *progress) observe(now time.Time, records, backlog, limit int, log *slog.Logger) {
	switch {
	case p.began.IsZero() && backlog < behindFrom:
		return
	case p.began.IsZero():
		*p = progress{began: now, left: int64(backlog), noted: now, logged: now}
		log.Info("catching up", "left", backlog)
		return
	case backlog <= limit:
		p.applied += int64(records)
		log.Info("caught up", "applied", p.applied, "took", now.Sub(p.began).Round(time.Millisecond))
		*p = progress{}
		return
	}
	p.applied += int64(records)
	if passed := now.Sub(p.noted).Seconds(); passed > 0 {
		// The mean since the beginning, and later that of about so long.
		weight := min(passed/min(now.Sub(p.began), rateTime).Seconds(), 1)
		p.rate += (float64(records)/passed - p.rate) * weight
		p.gain += (float64(p.left-int64(backlog))/passed - p.gain) * weight
	}
	p.left, p.noted = int64(backlog), now
	if now.Sub(p.logged) >= progressEvery {
		p.logged = now
		c := p.status()
		timeLeft := "unknown"
		if c.TimeLeft >= 0 {
			timeLeft = c.TimeLeft.Round(time.Second).String()
		}
		log.Info("catching up", "applied", c.Applied, "left", c.Left, "per_second", math.Round(c.Rate), "time_left", timeLeft)
	}
}

// status returns nil while there is nothing to catch up with.
func (p *progress) status() *CatchUp {
	if p.began.IsZero() {
		return nil
	}
	c := &CatchUp{Began: p.began, Applied: p.applied, Left: p.left, Rate: p.rate, TimeLeft: -1}
	if most := time.Duration(math.MaxInt64).Seconds(); p.gain > 0 && float64(p.left)/p.gain < most {
		c.TimeLeft = time.Duration(float64(p.left) / p.gain * float64(time.Second))
	}
	return c
}
