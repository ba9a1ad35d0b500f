package ingest

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A start finds records waiting of which nothing tells the age: positions have no time. Where
// they are read that is known soon. Where they are not, for a gap, a pause or want of room,
// the log is asked for the first of them, once.

// keepAges looks from time to time for records of unknown age. What goes wrong leaves it
// unknown until the next look.
func (s *session) keepAges(ctx context.Context) error {
	tick := time.NewTicker(s.refresh)
	defer tick.Stop()
	for {
		if from := s.undated(); len(from) > 0 {
			if err := s.date(ctx, from); err != nil && ctx.Err() == nil {
				s.log.Debug("the age of records that wait is not known", "err", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// undated returns where records wait that nobody reads and whose age is not known.
func (s *session) undated() map[partition]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := map[partition]int64{}
	for p, state := range s.partitions {
		if lag, _ := state.waiting(); lag == 0 || !state.waitingSince().IsZero() {
			continue
		}
		switch {
		case state.state == Gap && !state.vanished:
			from[p] = state.behind
		case state.state == Running && (s.paused || s.noRoom != ""):
			from[p] = state.next
		}
	}
	return from
}

// date takes note of the timestamps of the first records from the offsets given.
func (s *session) date(ctx context.Context, from map[partition]int64) error {
	return s.look(ctx, func(l *look) error {
		for p, offset := range from {
			from[p] = max(offset, l.logs[p].start)
		}
		return l.read(ctx, from, func(r *kgo.Record) (more bool, err error) {
			p := partition{r.Topic, r.Partition}
			if _, ok := from[p]; ok {
				delete(from, p)
				l.client.RemoveConsumePartitions(map[string][]int32{p.topic: {p.number}}) // the first one is enough
				s.dated(p, r.Timestamp)
			}
			return len(from) > 0, nil
		})
	})
}

func (s *source) dated(p partition, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state := s.partitions[p]; state != nil && state.oldest.IsZero() {
		state.oldest = at
	}
}
