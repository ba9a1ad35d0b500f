package ingest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"freshet/server"
)

// markEvery is the time between looks at the ends of logs, which bounds how exactly the
// age of what is visible is known while nobody asks for it.
const markEvery = time.Second

// CatchUp returns once reads of a collection see everything that was in the logs of its
// sources at a time. What waiting cannot bring is told at once (Unavailable); when ctx
// ends first the error (Timeout) says what is missing.
func (m *Manager) CatchUp(ctx context.Context, collection string, since time.Time) error {
	c, err := m.db.Collection(collection)
	if err != nil {
		if len(m.of(collection)) == 0 {
			return nil
		}
		return err
	}
	positions, err := c.Positions()
	if err != nil {
		return err
	}
	all := m.feeding(collection, positions)
	var want []server.Position
	for _, g := range all {
		missing, err := g.current().missing(ctx, c, since)
		if err != nil {
			return err
		}
		want = append(want, missing...)
	}
	if len(want) == 0 {
		return nil
	}
	return c.WaitPositions(ctx, want)
}

// AsOf returns the newest time of which it is known that positions of a collection have
// everything that was in the logs then. It is false where there are no sources, or one
// has not caught up since it was started.
func (m *Manager) AsOf(collection string, positions []server.Position) (time.Time, bool) {
	all := m.feeding(collection, positions)
	c, err := m.db.Collection(collection)
	if len(all) == 0 || err != nil {
		return time.Time{}, false
	}
	applied := byStream(positions)
	var asOf time.Time
	for i, g := range all {
		at, ok := g.current().asOf(c, applied)
		if !ok {
			return time.Time{}, false
		}
		if i == 0 || at.Before(asOf) {
			asOf = at
		}
	}
	return asOf, true
}

func byStream(positions []server.Position) map[server.Stream]server.Position {
	applied := make(map[server.Stream]server.Position, len(positions))
	for _, p := range positions {
		applied[p.Stream] = p
	}
	return applied
}

func (s *source) asOf(c *server.Collection, applied map[server.Stream]server.Position) (asOf time.Time, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, list := range s.marks {
		if !s.concerns(c, p.topic) {
			continue
		}
		i := list.newest(applied[s.stream(p)])
		if i < 0 {
			return time.Time{}, false
		}
		if at := list[i].at; !known || at.Before(asOf) {
			asOf, known = at, true
		}
	}
	return asOf, known
}

// missing returns the positions that reads have to see so that they have what was in
// the logs at a time.
func (s *source) missing(ctx context.Context, c *server.Collection, since time.Time) ([]server.Position, error) {
	positions, err := c.Positions()
	if err != nil {
		return nil, err
	}
	if at, ok := s.asOf(c, byStream(positions)); ok && !at.Before(since) {
		return nil, nil
	}
	if err := s.mark(ctx, since); err != nil {
		return nil, err
	}
	if positions, err = c.Positions(); err != nil {
		return nil, err
	}
	applied := byStream(positions)
	s.mu.Lock()
	defer s.mu.Unlock()
	var want []server.Position
	for p, list := range s.marks {
		x, ok := list.since(since)
		if !s.concerns(c, p.topic) {
			continue
		}
		if at := applied[s.stream(p)]; !ok || x.reached(at) {
			continue
		}
		if why := s.hopeless(p); why != "" {
			return nil, &server.Error{Kind: server.Unavailable, RetryAfter: time.Second, Text: fmt.Sprintf(
				"source %q does not consume topic %q, partition %d: %s; applied up to %d of %d",
				s.cfg.Name, p.topic, p.number, why, applied[s.stream(p)].Next, x.end)}
		}
		want = append(want, server.Position{Stream: s.stream(p), Next: x.end, TopicID: x.topicID})
	}
	return want, nil
}

// hopeless says why it is of no use to wait for a partition; "" if it is not so. The
// caller holds mu.
func (s *source) hopeless(p partition) string {
	switch {
	case s.paused: // also while it starts
		return string(Paused)
	case s.state == Stopped:
		return string(Stopped)
	}
	if err := s.db.Writable(); err != nil {
		return err.Error()
	}
	if state := s.partitions[p]; state != nil && (state.state == Gap || state.state == Failed) {
		return fmt.Sprintf("%s, %s", state.state, state.err)
	}
	return ""
}

// marking is a look at the ends of the logs that is under way.
type marking struct {
	began time.Time
	done  chan struct{} // closed when it is over
	err   error
}

// mark takes marks that are not older than a time. Those who ask while a look is under
// way share it, or the next.
func (s *source) mark(ctx context.Context, since time.Time) error {
	for {
		s.mu.Lock()
		x, first := s.marking, s.marking == nil
		if first {
			x = &marking{began: time.Now(), done: make(chan struct{})}
			s.marking = x
		}
		s.mu.Unlock()
		if first {
			x.err = s.takeMarks(ctx, x.began)
			s.mu.Lock()
			s.marking = nil
			s.mu.Unlock()
			close(x.done)
		}
		select {
		case <-x.done:
		case <-ctx.Done():
			return late(ctx)
		}
		left := errors.Is(x.err, context.Canceled) || errors.Is(x.err, context.DeadlineExceeded)
		switch {
		case first && ctx.Err() != nil:
			return late(ctx)
		case first || !left && !x.began.Before(since):
			return x.err // otherwise it began too early, or who made it went away
		}
	}
}

// late is the error of a request that ends while brokers are asked.
func late(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &server.Error{Kind: server.Timeout, RetryAfter: time.Second, Text: "the brokers have not said in time where the logs end"}
	}
	return ctx.Err()
}

// takeMarks asks the brokers where the logs end, over the connection of the session if
// there is one.
func (s *source) takeMarks(ctx context.Context, began time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	s.mu.Lock()
	ses := s.connected
	s.mu.Unlock()
	var ends map[partition]bounds
	var err error
	if ses != nil {
		ends, err = ses.readable(ctx)
	} else {
		err = s.look(ctx, func(l *look) error {
			ends, err = l.readable(ctx)
			return err
		})
	}
	if err != nil {
		if known := (*server.Error)(nil); errors.As(err, &known) || ctx.Err() != nil {
			return err
		}
		return &server.Error{Kind: server.Unavailable, Text: "the brokers cannot be asked where the logs end", Err: err}
	}
	applied := map[server.Stream]server.Position{}
	if c, err := s.db.Collection(s.cfg.Collection); err == nil {
		positions, err := c.Positions()
		if err != nil {
			return err
		}
		applied = byStream(positions)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := make(map[partition]marks, len(ends))
	for p, b := range ends {
		kept[p] = s.marks[p].add(mark{began, b.end, b.topicID}, applied[s.stream(p)])
		if s.partitions[p] == nil && ses != nil {
			ses.lookSoon() // a new partition
		}
	}
	s.marks = kept
	return nil
}

// lookSoon asks for a look at the partitions.
func (s *session) lookSoon() {
	select {
	case s.assign <- struct{}{}:
	default: // one is on its way
	}
}

// readable returns where the logs end for those who read them as the source does: where
// only what is committed is read, at the first transaction that is open.
func (s *session) readable(ctx context.Context) (map[partition]bounds, error) {
	ids, err := s.existing(ctx)
	if err != nil {
		return nil, err
	}
	list := s.admin.ListCommittedOffsets
	if s.kafka.IsolationLevel == "read_uncommitted" {
		list = s.admin.ListEndOffsets
	}
	listed, err := list(ctx, slices.Collect(maps.Keys(ids))...)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list end offsets: %w", err)
	}
	ends := map[partition]bounds{}
	listed.Each(func(o kadm.ListedOffset) {
		ends[partition{o.Topic, o.Partition}] = bounds{end: o.Offset, topicID: ids[o.Topic]}
	})
	return ends, nil
}

// keepMarks takes marks from time to time. What goes wrong shows as age.
func (s *session) keepMarks(ctx context.Context) error {
	tick := time.NewTicker(min(s.refresh, markEvery))
	defer tick.Stop()
	for {
		if err := s.mark(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.log.Debug("the ends of the logs are not known", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// open lets others ask the brokers over the connection of the session, until close.
func (s *source) open(ses *session) (closed func()) {
	set := func(ses *session) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.connected = ses
	}
	set(ses)
	return func() { set(nil) }
}
