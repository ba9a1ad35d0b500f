package ingest

import (
	"context"
	"fmt"
	"time"

	"freshet/server"
)

// apply applies a batch.
func (s *session) apply(ctx context.Context, d *decoded) error {
	began := time.Now()
	kept, err := s.deliver(ctx, d.letters)
	if err != nil {
		return err
	}
	for _, l := range kept {
		d.batch.DeadLetters = append(d.batch.DeadLetters, s.localLetter(l))
	}
	d.batch.Positions = s.positionsOf(d)
	if c := s.current(); c == nil {
		s.held.hold(d.batch)
	} else if err := s.store(ctx, c, d, began); err != nil {
		return err
	}
	s.countLetters(d.letters, len(kept))
	for p, l := range d.stopped {
		s.parkFailed(p, l)
	}
	return nil
}

// parkFailed stops a partition at a bad record.
func (s *session) parkFailed(p partition, l letter) {
	s.mu.Lock()
	known := s.partitions[p]
	if known == nil {
		s.mu.Unlock()
		return // its topic was deleted meanwhile
	}
	state := *known
	s.mu.Unlock()
	state.next = l.record.Offset // there may be none before it that is not applied
	state.oldest = l.record.Timestamp
	state.state, state.err = Failed, fmt.Sprintf("offset %d: %v", l.record.Offset, l.err)
	s.park(p, &state)
}

// store applies a batch, of which applying began at a time, and before it what was held.
func (s *session) store(ctx context.Context, c *server.Collection, d *decoded, began time.Time) error {
	if err := s.release(ctx, c, &d.batch); err != nil {
		return err
	}
	positions := d.batch.Positions
	var applied server.Applied
	var err error
	if s.cfg.Route == "" {
		applied, err = commit(ctx, c, d.batch)
	} else {
		applied, err = s.dealWithEarly(ctx, d)
	}
	if err != nil {
		return fmt.Errorf("apply %d records: %w", d.read, err)
	}
	s.forgetBegun(positions)
	s.noteKeys(d.records, applied)
	s.metrics.batch(d, applied, began)
	s.applied(d, positions) // in the end: whom the status tells of a batch finds it counted
	return nil
}

// commit applies a batch and returns once that is done, even if ctx has ended: whoever
// reads the positions next, and begins there, must not be overtaken by it.
func commit(ctx context.Context, c *server.Collection, b server.Batch) (server.Applied, error) {
	return c.Apply(context.WithoutCancel(ctx), b)
}

// applied takes note of the positions reached.
func (s *session) applied(d *decoded, positions []server.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, position := range positions {
		if state := s.partitions[partition{position.Stream.Topic, position.Stream.Partition}]; state != nil {
			if position.Next > state.next {
				state.next, state.epoch = position.Next, position.Epoch
			}
			state.oldest = time.Time{}
			state.lookedAt(position.Next)
		}
	}
	s.tellProgress()
	for format, n := range d.formats {
		s.formats[format] += n
	}
	for _, r := range d.records {
		if state := s.partitions[partition{r.Topic, r.Partition}]; state != nil {
			state.last = r.Timestamp
		}
	}
}

// noteOldest notes which records of a batch, that is to be applied now, are the oldest. In a
// partition that has failed the bad record is older than those behind it, which may be in the
// batch and are left out.
func (s *source) noteOldest(d *decoded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, at := range d.oldest {
		if state := s.partitions[p]; state != nil && state.state == Running {
			state.oldest = at
		}
	}
}
