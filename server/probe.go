package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// A probe makes a search again, as it was made and exactly, on one view, and notes the
// recall. One goroutine makes them for all collections, one at a time, with pauses that keep
// it within a share of one core's time. While it scans it offers again and again to give way
// to what waits for a processor, and it soon gives up, as slots that die are not used again
// while its view is read.
const (
	probeEvery   = time.Second      // the least time between two probes of the same searches
	probeLongest = 10 * time.Second // one that takes longer is given up
	probeStep    = 256              // slots looked at between two offers to give way
)

var errLongProbe = fmt.Errorf("the exact search takes longer than %s", probeLongest)

// probeRecall makes probes until ctx ends.
func (db *DB) probeRecall(ctx context.Context, percent float64) {
	paced(ctx, percent, db.probesDue)
}

// paced does what is due, one after the other, until ctx ends, and rests after each for so
// long that it is at work for that many percent of the time.
func paced(ctx context.Context, percent float64, due func() []func(context.Context)) {
	for rest(ctx, probeEvery) {
		for _, probe := range due() {
			began := time.Now()
			probe(ctx)
			if took := time.Since(began); !rest(ctx, time.Duration(float64(took)*(100-percent)/percent)) {
				return
			}
		}
	}
}

// rest waits, and says whether ctx goes on.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// probesDue returns a probe for each search that waits. They hold names only, as a
// collection may be dropped before its turn.
func (db *DB) probesDue() []func(context.Context) {
	var due []func(context.Context)
	for _, name := range db.Collections() {
		c, err := db.Collection(name)
		if err != nil {
			continue // dropped since
		}
		for using, r := range c.set().recall {
			if r.waiting.Load() == nil {
				continue
			}
			due = append(due, func(ctx context.Context) {
				if c, err := db.Collection(name); err == nil {
					c.probe(ctx, using, runtime.Gosched)
				}
			})
		}
	}
	return due
}

// probe makes the search again that waits for it, if there is one. The exact one calls
// yield again and again.
func (c *Collection) probe(ctx context.Context, using string, yield func()) {
	v, err := c.acquire()
	if err != nil {
		return // it is closed
	}
	defer v.release()
	r := v.set.recall[using]
	if r == nil {
		return // dropped since
	}
	request := r.waiting.Load()
	if request == nil {
		return
	}
	defer r.waiting.Store(nil) // at the end: by then the search below would wait itself
	ctx, end := c.untilClosed(ctx)
	defer end()
	began := time.Now()
	s := search{c: c, v: v, r: request, self: noSlot}
	share, ok, err := s.recall(ctx, yield)
	r.spent(time.Since(began))
	switch {
	case ok:
		r.note(share)
	case err == nil, KindOf(err) == NotFound, errors.Is(context.Cause(ctx), context.Canceled):
		// no point is left to find, or that which was searched for, or it ends
	default:
		c.log.Warn("recall was not measured", "vector", using, "err", cmp.Or(context.Cause(ctx), err))
	}
}

// untilClosed returns a context for one probe, which also ends when the collection is
// closed: that waits for those who read.
func (c *Collection) untilClosed(ctx context.Context) (_ context.Context, end func()) {
	ctx, cancel := context.WithTimeoutCause(ctx, probeLongest, errLongProbe)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-c.closing:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		cancel()
		watch.Wait()
	}
}

// recall makes the search, and returns the share of the nearest that it finds; ok is false
// if there are none.
func (s *search) recall(ctx context.Context, yield func()) (share float64, ok bool, err error) {
	found, err := s.run(ctx)
	if err != nil {
		return 0, false, err
	}
	q, seen := s.query, 0
	q.Accept = func(slot uint32) bool {
		if seen++; seen%probeStep == 0 {
			yield()
		}
		return q.View.Visible(slot)
	}
	nearest, err := s.graph.Exact(ctx, q, nil)
	if nearest = s.cut(nearest); err != nil || len(nearest) == 0 {
		return 0, false, err
	}
	return shareOf(nearest, found), true, nil
}
