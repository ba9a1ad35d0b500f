package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// pipeline consumes for a session. While a batch is applied, what arrives is decoded and
// becomes the next one, which is handed over when the batch before is visible. So batches
// are applied one after the other, in the order of the logs, with all that had arrived by
// then, up to the limit; and decoding them costs no time.
type pipeline struct {
	*session
	applying *underway   // nil if nothing is
	ended    time.Time   // when the last batch became visible
	outside  []partition // whose positions the broker does not have
}

// underway is a batch that is being applied.
type underway struct {
	*decoded
	until context.Context // ends when it is applied
	done  chan error
	ended time.Time // to be read when done
}

// consume applies what arrives, at once, up to the limit. Its last batch is awaited:
// whoever reads the positions next must not be overtaken by it.
func (s *session) consume(ctx context.Context) error {
	s.progress.observe(time.Now(), 0, s.backlog(), s.control.limit, s.log)
	s.publish()
	p := &pipeline{session: s}
	err := p.run(ctx)
	if failed := p.settle(); failed != nil {
		err = failed
	}
	if ctx.Err() == nil && !lacksRoom(err) {
		s.noteStuck(true)
	}
	return err
}

// noteStuck notes whether records cannot be consumed.
func (s *source) noteStuck(stuck bool) (before bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, s.stuck = s.stuck, stuck
	return before
}

// run ends with the first fault.
func (p *pipeline) run(ctx context.Context) error {
	for {
		if err := p.awaitRoom(ctx); err != nil {
			return err
		}
		next, err := p.gather(ctx)
		if err != nil {
			return err
		}
		if err := p.settle(); err != nil {
			return err
		}
		p.start(ctx, next)
	}
}

// gather returns the next batch: once the batch before is applied, or sooner if there is no
// room for more. Nothing is read while there is no room.
func (p *pipeline) gather(ctx context.Context) (*decoded, error) {
	d := newDecoded()
	for {
		if !p.busy() || len(p.outside) > 0 || p.isFull() {
			if d.read > 0 {
				return d, nil
			}
			if err := p.settle(); err != nil {
				return nil, err
			}
			p.parkOutside()
		}
		limit := p.control.limit
		fetches := p.poll(ctx, limit-d.read)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if d.read == 0 {
			d.polled = time.Now()
		}
		if err := p.fetchErrors(fetches); err != nil {
			return nil, err
		}
		if records := p.received(fetches); len(records) > 0 {
			p.unapplied.Add(d.count(records))
			if err := p.decode(ctx, records, d); err != nil {
				return nil, err
			}
		}
		switch {
		case d.read >= limit:
			return d, nil
		case p.cfg.Route != "" && p.applying == nil:
			if err := p.advanceIdle(ctx); err != nil {
				return nil, err
			}
		}
	}
}

// busy says whether a batch is still being applied.
func (p *pipeline) busy() bool { return p.applying != nil && p.applying.until.Err() == nil }

// poll waits for records; not longer than a batch is applied, and not for long while
// collections are to be brought forward.
func (p *pipeline) poll(ctx context.Context, limit int) kgo.Fetches {
	switch {
	case p.applying != nil:
		ctx = p.applying.until
	case p.cfg.Route != "" && p.lags():
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, advanceIdleEvery)
		defer cancel()
	}
	return p.client.PollRecords(ctx, limit)
}

// start begins to apply a batch.
func (p *pipeline) start(ctx context.Context, d *decoded) {
	until, applied := context.WithCancel(ctx)
	u := &underway{decoded: d, until: until, done: make(chan error, 1)}
	p.applying = u
	p.noteOldest(d)
	go func() {
		err := p.apply(ctx, d)
		if err == nil && p.cfg.Route != "" {
			err = p.advanceIdle(ctx)
		}
		u.ended = time.Now()
		p.unapplied.Add(-d.bytes)
		u.done <- err
		applied()
	}()
}

// settle waits until nothing is being applied.
func (p *pipeline) settle() error {
	u := p.applying
	if u == nil {
		return nil
	}
	p.applying = nil
	defer p.noteHeld()()
	if err := <-u.done; err != nil {
		return err
	}
	backlog := p.backlog()
	p.control.observe(batch{
		ended: u.ended, took: u.ended.Sub(u.polled), spent: u.ended.Sub(later(u.polled, p.ended)),
		records: u.read, backlog: backlog,
	})
	p.ended = u.ended
	p.progress.observe(u.ended, u.read, backlog, p.control.limit, p.log)
	p.publish()
	if p.noteStuck(false) {
		p.recovered()
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// received lists the records of the partitions that are consumed, in the order
// of each log.
func (s *session) received(fetches kgo.Fetches) []*kgo.Record {
	records := make([]*kgo.Record, 0, fetches.NumRecords())
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		s.mu.Lock()
		state := s.partitions[partition{f.Topic, f.Partition}]
		consumed := state != nil && state.state == Running
		if consumed {
			state.end = max(state.end, f.HighWatermark)
			if len(f.Records) > 0 {
				state.faults = 0
				if state.oldest.IsZero() {
					state.oldest = f.Records[0].Timestamp
				}
			}
		}
		s.mu.Unlock()
		if consumed && len(f.Records) > 0 {
			records = append(records, f.Records...)
		}
	})
	return records
}

// backlog returns how many records are known to wait.
func (s *session) backlog() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waitingRecords()
}

// waitingRecords is backlog for a caller that has mu.
func (s *session) waitingRecords() int {
	n := int64(0)
	for _, state := range s.partitions {
		if state.state == Running {
			n += max(state.end-state.next, 0)
		}
	}
	return int(n)
}

// fetchErrors handles the errors of single partitions. What it cannot handle
// ends the session.
func (p *pipeline) fetchErrors(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		switch {
		case errors.Is(e.Err, kerr.OffsetOutOfRange):
			p.outside = append(p.outside, partition{e.Topic, e.Partition})
		case isEnd(e.Err) && e.Topic == "": // of poll
		case kerr.IsRetriable(e.Err):
			p.log.Debug("fetch", "topic", e.Topic, "partition", e.Partition, "err", e.Err)
		default:
			return fmt.Errorf("topic %q, partition %d: %w", e.Topic, e.Partition, e.Err)
		}
	}
	return nil
}

// isEnd says whether an error is that of a context.
func isEnd(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// parkOutside leaves the partitions alone whose positions the broker does not have. What
// was read of them has to be applied before, as their positions are looked at next.
func (p *pipeline) parkOutside() {
	for _, outside := range p.outside {
		p.outOfRange(outside)
	}
	p.outside = nil
}
