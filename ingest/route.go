package ingest

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"freshet/ingest/decode"
	"freshet/server"
)

// A source with a route feeds many collections. It lives in one, its home, which keeps
// the dead letters. Each collection has its own position in each log, in the same commit
// as its data, and takes of what is read only what is behind it. So a record counts once
// in its collection, wherever the reading begins again: at the least of all positions.

// Bounds of a source with a route.
const (
	maxCollections   = 10_000
	parallelTargets  = 8
	advanceIdleEvery = 200 * time.Millisecond
)

// streamName tells the source from those of the same name that live in the collections
// which it feeds: a name has no slash.
func (s *Source) streamName() string {
	if s.Route != "" {
		return s.Collection + "/" + s.Name
	}
	return s.Name
}

// feeding lists the sources of a collection, and those with a route that have brought it
// something, as its positions tell.
func (m *Manager) feeding(collection string, positions []server.Position) []*managed {
	list := m.of(collection)
	m.mu.Lock()
	all := slices.Clone(m.list)
	m.mu.Unlock()
	for _, g := range all {
		cfg := &g.current().cfg
		feeds := func(p server.Position) bool { return p.Stream.Source == cfg.streamName() }
		if cfg.Route != "" && !slices.Contains(list, g) && slices.ContainsFunc(positions, feeds) {
			list = append(list, g)
		}
	}
	return list
}

// concerns says whether records of a topic may be for a collection, which has something
// of the source.
func (s *source) concerns(c *server.Collection, topic string) bool {
	if s.cfg.Route == "" || s.mapping.Varies() {
		return true
	}
	if home, err := s.db.Collection(s.cfg.Collection); err == nil && home == c {
		return true
	}
	name, ok := s.mapping.OfTopic(topic)
	if !ok {
		return false
	}
	target, err := s.db.Collection(name)
	return err == nil && target == c
}

// reached holds how far a collection has come: it takes nothing from before.
type reached map[partition]int64

// findTargets finds the collections that have positions of the source.
func (s *session) findTargets() error {
	targets := map[*server.Collection]reached{}
	for _, name := range s.db.Collections() {
		c, err := s.db.Collection(name)
		if server.KindOf(err) == server.NotFound {
			continue // dropped meanwhile
		}
		if err != nil {
			return err
		}
		at, err := s.reachedBy(c)
		if err != nil {
			return err
		}
		if len(at) > 0 || c == s.current() {
			targets[c] = at
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.targets = targets
	return nil
}

func (s *session) reachedBy(c *server.Collection) (reached, error) {
	positions, err := c.Positions()
	if err != nil {
		return nil, err
	}
	return s.reachedAt(slices.Values(positions)), nil
}

// reachedAt returns how far the source is by positions, those of others among them.
func (s *source) reachedAt(positions iter.Seq[server.Position]) reached {
	at := reached{}
	for p := range positions {
		if p.Stream.Source == s.cfg.streamName() {
			at[partition{p.Stream.Topic, p.Stream.Partition}] = p.Next
		}
	}
	return at
}

// keepers lists the collections that have, or are to have, positions: the home first.
func (s *session) keepers() []*server.Collection {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.collection == nil {
		return nil
	}
	list := []*server.Collection{s.collection}
	for c := range s.targets {
		if c != s.collection {
			list = append(list, c)
		}
	}
	return list
}

// target returns the collection that a record is for, nil if it is a delete in one that
// does not exist. It makes the collection if it may.
func (s *session) target(ctx context.Context, name string, op *server.Op, d *decoded) (*server.Collection, error) {
	c, err := s.lookUp(name)
	switch {
	case err != nil:
		return nil, err
	case c == nil && op.Kind != server.Upsert:
		return nil, s.keepEarly(name, op, d)
	case c == nil:
		c, err = s.makeTarget(ctx, name, op, d)
	default:
		err = s.join(name, c, d)
	}
	return c, err
}

// makeTarget makes a collection of the record that is its first.
func (s *session) makeTarget(ctx context.Context, name string, op *server.Op, d *decoded) (*server.Collection, error) {
	if n := len(s.keepers()) - 1; n >= s.cfg.OnCreate.MaxCollections {
		return nil, decode.Bad(decode.UnknownCollection, "there is no collection %q, and the source feeds %d already: on_create.max_collections", name, n)
	}
	s.early.making.Lock() // until its deletes are taken nobody is to find them overdue
	defer s.early.making.Unlock()
	c, err := s.make(ctx, name, op)
	if err != nil {
		return nil, err
	}
	return c, s.join(name, c, d)
}

// join has the source feed a collection, if it does not yet, and takes what was kept for
// the name.
func (s *session) join(name string, c *server.Collection, d *decoded) error {
	s.mu.Lock()
	_, known := s.targets[c]
	s.mu.Unlock()
	if !known {
		at, err := s.reachedBy(c)
		if err != nil {
			return err
		}
		if len(at) > 0 {
			return errReplaced // it has come from a snapshot, and may be behind
		}
		s.mu.Lock()
		s.targets[c] = at
		s.mu.Unlock()
	}
	s.takeEarly(name, c, d)
	return nil
}

// lookUp returns the collection of a name, nil if a record may make it.
func (s *source) lookUp(name string) (*server.Collection, error) {
	c, err := s.db.Collection(name)
	switch {
	case err == nil:
		return c, nil
	case server.KindOf(err) != server.NotFound:
		return nil, err
	case !s.cfg.OnCreate.Auto:
		return nil, decode.Bad(decode.UnknownCollection, "there is no collection %q; on_create.auto lets the source make it", name)
	default:
		return nil, nil
	}
}

// makeHome makes the collection that a source with a route lives in. It has no vectors.
func (s *session) makeHome(ctx context.Context) (*server.Collection, error) {
	err := s.db.CreateCollection(ctx, s.cfg.Collection, server.Config{})
	if err != nil && server.KindOf(err) != server.Exists {
		return nil, err
	}
	return s.db.Collection(s.cfg.Collection)
}

// has says whether a collection has a record already.
func (s *session) has(c *server.Collection, p partition, offset int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, ok := s.targets[c][p]
	return ok && offset < next
}

// ahead returns those of the positions that bring a collection forward.
func (s *session) ahead(c *server.Collection, positions []server.Position) []server.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []server.Position
	for _, p := range positions {
		if next, ok := s.targets[c][partition{p.Stream.Topic, p.Stream.Partition}]; !ok || next < p.Next {
			list = append(list, p)
		}
	}
	return list
}

func (s *session) reach(c *server.Collection, positions []server.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.targets[c]
	if at == nil {
		return // of a source without a route
	}
	for _, p := range positions {
		at[partition{p.Stream.Topic, p.Stream.Partition}] = p.Next
	}
}

// deal applies what each collection gets of a batch, and then what the home does: the
// batch without operations of others. Each has its own commit.
func (s *session) deal(ctx context.Context, home server.Batch, shares map[*server.Collection][]server.Op) (server.Applied, error) {
	var mu sync.Mutex
	var sum server.Applied
	s.behind = true
	of := map[*server.Collection][]server.Position{}
	if !s.mapping.Varies() {
		of = s.byTopic(home.Positions)
		for c := range of {
			if _, ok := shares[c]; !ok {
				shares[c] = nil // it gets positions only
			}
		}
	}
	apply := func(ctx context.Context, c *server.Collection, b server.Batch) error {
		b.Positions = home.Positions
		if c != s.current() && !s.mapping.Varies() {
			b.Positions = of[c]
		}
		b.Positions = s.ahead(c, b.Positions)
		applied, err := commit(ctx, c, b)
		if err != nil {
			return fmt.Errorf("collection %q: %w", c.Name(), err)
		}
		s.reach(c, b.Positions)
		mu.Lock()
		defer mu.Unlock()
		sum.Upserted += applied.Upserted
		sum.Deleted += applied.Deleted
		sum.Stale += applied.Stale
		sum.Crossed += applied.Crossed
		sum.Commit = max(sum.Commit, applied.Commit)
		sum.Index = max(sum.Index, applied.Index)
		return nil
	}
	g, groupCtx := errgroup.WithContext(ctx)
	g.SetLimit(parallelTargets)
	for c, ops := range shares {
		if c == s.current() {
			home.Ops = ops
			continue
		}
		g.Go(func() error { return apply(groupCtx, c, server.Batch{Ops: ops}) })
	}
	if err := g.Wait(); err != nil {
		return sum, err
	}
	// The home is last: a wait for the source is a wait for all.
	return sum, apply(ctx, s.current(), home)
}

// dealWithEarly deals a batch, and keeps the documents of early deletes in line with it.
func (s *session) dealWithEarly(ctx context.Context, d *decoded) (applied server.Applied, err error) {
	if err := s.db.PutDocuments(ctx, d.early); err != nil {
		return applied, err
	}
	if applied, err = s.deal(ctx, d.batch, d.shares); err != nil {
		return applied, err
	}
	s.noteEarly()
	return applied, s.db.DeleteDocuments(ctx, slices.Collect(maps.Keys(d.late))...)
}

// byTopic deals positions to the collections that get all records of their topics.
func (s *session) byTopic(positions []server.Position) map[*server.Collection][]server.Position {
	of := map[*server.Collection][]server.Position{}
	for _, p := range positions {
		name, ok := s.mapping.OfTopic(p.Stream.Topic)
		if !ok {
			continue
		}
		c, err := s.db.Collection(name)
		s.mu.Lock()
		_, known := s.targets[c]
		s.mu.Unlock()
		if err == nil && known {
			of[c] = append(of[c], p)
		}
	}
	return of
}

// advanceIdle brings the collections forward that got nothing for a while: what has been
// read since was not for them.
func (s *session) advanceIdle(ctx context.Context) error {
	began := time.Now()
	if !s.lags() || began.Before(s.advance) {
		return nil
	}
	home := s.current()
	s.mu.Lock()
	var positions []server.Position
	for p, next := range s.targets[home] {
		if state := s.partitions[p]; state != nil {
			// After a collection was put back the reading is behind the home.
			position := server.Position{Stream: s.stream(p), Next: next, TopicID: state.topicID}
			if state.next <= next {
				position.Next, position.Epoch = state.next, state.epoch
			}
			positions = append(positions, position)
		}
	}
	s.mu.Unlock()
	for _, c := range s.keepers() {
		ahead := s.ahead(c, positions)
		if c == home || len(ahead) == 0 {
			continue
		}
		if _, err := commit(ctx, c, server.Batch{Positions: ahead}); err != nil {
			return fmt.Errorf("collection %q: %w", c.Name(), err)
		}
		s.reach(c, ahead)
	}
	s.behind = false
	// With many collections it takes its time, but no large part of all.
	s.advance = time.Now().Add(max(advanceIdleEvery, 20*time.Since(began)))
	return nil
}

// lags says whether some collection may be behind the home. By topics each gets its
// positions with every batch.
func (s *session) lags() bool { return s.behind && s.mapping.Varies() }

// moveOthers gives the positions to the collections that a source with a route feeds
// beside its home, as far as they have some in the same logs.
func (l *look) moveOthers(ctx context.Context, home *server.Collection, positions []server.Position) error {
	if l.cfg.Route == "" {
		return nil
	}
	for _, name := range l.db.Collections() {
		c, err := l.db.Collection(name)
		if c == home || server.KindOf(err) == server.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		var moved []server.Position
		for _, p := range positions {
			before, known, err := c.Position(p.Stream)
			if err != nil {
				return err
			}
			if known {
				p.NewLog = l.logs[partition{p.Stream.Topic, p.Stream.Partition}].isNewFor(before)
				moved = append(moved, p)
			}
		}
		if len(moved) == 0 {
			continue
		}
		if _, err := commit(ctx, c, server.Batch{Positions: moved, Sync: true}); err != nil {
			return fmt.Errorf("collection %q: %w", name, err)
		}
	}
	return nil
}

// replaced says whether one of the collections was dropped or replaced.
func (s *session) replaced() bool {
	for _, c := range s.keepers() {
		select {
		case <-c.Closing():
			return true
		default:
		}
	}
	return false
}
