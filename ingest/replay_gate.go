package ingest

import (
	"context"
	"fmt"

	"freshet/server"
	"freshet/server/point"
	"freshet/server/sources"
)

// Defaults of a gate.
const (
	gateLag        = 1000
	gateLagSeconds = 10
	gateFraction   = 0.9
	gateQueries    = 100
	gateNeighbours = 10
)

// Limits of a gate that measures.
const (
	maxGateQueries    = 10_000
	maxGateNeighbours = 1000
)

// completeGate fills in the defaults of a gate and checks it.
func completeGate(g *sources.Gate) error {
	if g.MaxLag == nil {
		g.MaxLag = new(int64)
		*g.MaxLag = gateLag
	}
	if g.MaxLagSeconds == nil {
		g.MaxLagSeconds = new(float64)
		*g.MaxLagSeconds = gateLagSeconds
	}
	if g.MinPointsFraction == nil {
		g.MinPointsFraction = new(float64)
		*g.MinPointsFraction = gateFraction
	}
	switch {
	case *g.MaxLag < 0:
		return invalid("gate.max_lag", "value %d invalid, must be 0 or larger", *g.MaxLag)
	case *g.MaxLagSeconds < 0:
		return invalid("gate.max_lag_seconds", "value %g invalid, must be 0 or larger", *g.MaxLagSeconds)
	case g.MinPoints < 0:
		return invalid("gate.min_points", "value %d invalid, must be 0 or larger", g.MinPoints)
	case *g.MinPointsFraction < 0:
		return invalid("gate.min_points_fraction", "value %g invalid, must be 0 or larger", *g.MinPointsFraction)
	}
	o := g.Overlap
	if o == nil {
		return nil
	}
	fallback(&o.Queries, gateQueries)
	fallback(&o.Limit, gateNeighbours)
	switch {
	case o.AtLeast <= 0 || o.AtLeast > 1:
		return invalid("gate.overlap.at_least", "value %g invalid, must be above 0 and at most 1", o.AtLeast)
	case o.Queries < 1 || o.Queries > maxGateQueries:
		return invalid("gate.overlap.queries", "value %d invalid, must be from 1 to %d", o.Queries, maxGateQueries)
	case o.Limit < 1 || o.Limit > maxGateNeighbours:
		return invalid("gate.overlap.limit", "value %d invalid, must be from 1 to %d", o.Limit, maxGateNeighbours)
	}
	return nil
}

// gateFits tells whether a collection has what a gate measures.
func gateFits(name string, cfg server.Config, g *sources.Gate) error {
	if g.Overlap == nil {
		return nil
	}
	_, dense := cfg.Vectors.Named[g.Overlap.Using]
	_, sparse := cfg.SparseVectors[g.Overlap.Using]
	if !dense && !sparse {
		return invalid("gate.overlap.using", "the collection `%s` has no vector %.200q", name, g.Overlap.Using)
	}
	return nil
}

// replayStatus tells how far a replay has come and what keeps its gate closed. The
// neighbours are compared only if nothing else does.
func (m *Manager) replayStatus(ctx context.Context, r *replay) (sources.ReplayStatus, error) {
	status := sources.ReplayStatus{
		Into: r.Into, Collection: r.Collection, SwitchAlias: r.SwitchAlias, Sources: r.Sources,
		Started: r.Started, Switched: r.Switched, Gap: r.Gap, Gate: r.Gate, WaitsFor: []string{},
	}
	wait := func(format string, args ...any) {
		status.WaitsFor = append(status.WaitsFor, fmt.Sprintf(format, args...))
	}
	made, err := m.named(r.Into)
	if err != nil {
		wait("the collection `%s`, which is gone", r.Into)
	}
	old, err := m.named(r.Collection)
	if err != nil && r.Switched == nil {
		wait("the collection `%s`, which is gone", r.Collection)
	}
	if made != nil {
		if err := m.measureLag(r, made, old, &status, wait); err != nil {
			return status, err
		}
	}
	for c, points := range map[*server.Collection]*int{made: &status.Points, old: &status.OldPoints} {
		if c == nil {
			continue
		}
		info, err := c.Info()
		if err != nil {
			return status, err
		}
		*points = info.Points
	}
	if r.Switched != nil {
		status.State, status.WaitsFor = sources.Switched, []string{}
		return status, nil
	}
	if least := max(float64(r.Gate.MinPoints), *r.Gate.MinPointsFraction*float64(status.OldPoints)); float64(status.Points) < least {
		wait("%d points of at least %.0f", status.Points, least)
	}
	if at := m.aliased(r.SwitchAlias); r.SwitchAlias != "" && at != r.Collection {
		wait("the alias `%s`, which does not name the collection `%s` any more", r.SwitchAlias, r.Collection)
	}
	if o := r.Gate.Overlap; o != nil && len(status.WaitsFor) == 0 {
		overlap, err := neighboursShared(ctx, old, made, o)
		if err != nil {
			return status, err
		}
		if status.Overlap = &overlap; overlap < o.AtLeast {
			wait("an overlap of %.4f of at least %g", overlap, o.AtLeast)
		}
	}
	status.State = sources.Ready
	if len(status.WaitsFor) > 0 {
		status.State = sources.CatchingUp
	}
	return status, nil
}

// named returns a collection by its name, not by an alias.
func (m *Manager) named(collection string) (*server.Collection, error) {
	c, err := m.db.Collection(collection)
	if err == nil && c.Name() != collection {
		err = &server.Error{Kind: server.NotFound, Text: fmt.Sprintf("Collection `%s` doesn't exist!", collection)}
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// measureLag adds up how far the new collection is behind the logs, and behind the
// old collection where that has seen more of them.
func (m *Manager) measureLag(r *replay, made, old *server.Collection, status *sources.ReplayStatus, wait func(string, ...any)) error {
	reached := map[server.Stream]int64{}
	if old != nil {
		positions, err := old.Positions()
		if err != nil {
			return err
		}
		for _, p := range positions {
			reached[p.Stream] = p.Next
		}
	}
	stored, err := made.Positions()
	if err != nil {
		return err
	}
	ageless := false
	for _, name := range r.Sources {
		g, err := m.find(sources.Key{Collection: r.Into, Name: name})
		if err != nil {
			wait("the source `%s`, which is gone", name)
			continue
		}
		s := g.current().status()
		if s.State != Running {
			wait("the source `%s`, which is %s", name, s.State)
		}
		seen := map[partition]bool{}
		for _, p := range s.Partitions {
			seen[partition{p.Topic, p.Partition}] = true
			if p.State != Running {
				wait("source `%s`, topic `%s`, partition %d, which is in state %s: %s", name, p.Topic, p.Partition, p.State, p.Error)
			}
			end := max(p.End, reached[server.Stream{Source: name, Topic: p.Topic, Partition: p.Partition}])
			status.Lag += max(end-p.Next, 0)
			status.LagSeconds = max(status.LagSeconds, p.lagSeconds())
			ageless = ageless || p.State == Running && p.LagTime == UnknownAge
		}
		for _, p := range stored {
			if p.Stream.Source == name && !seen[partition{p.Stream.Topic, p.Stream.Partition}] {
				wait("source `%s`, topic `%s`, partition %d, of which nothing is known yet", name, p.Stream.Topic, p.Stream.Partition)
			}
		}
	}
	if status.Lag > *r.Gate.MaxLag {
		wait("a lag of %d records, at most %d", status.Lag, *r.Gate.MaxLag)
	}
	if ageless {
		wait("records wait of which it is not known how old they are")
	}
	if status.LagSeconds > *r.Gate.MaxLagSeconds {
		wait("a lag of %.1f s, at most %g", status.LagSeconds, *r.Gate.MaxLagSeconds)
	}
	return nil
}

// neighboursShared returns the mean share of their neighbours that points drawn from
// the old collection have in the new one as well. Each collection is searched by its
// own vector of the point, so that models with other dimensions can be compared.
func neighboursShared(ctx context.Context, old, made *server.Collection, o *sources.OverlapGate) (float64, error) {
	drawn, err := old.Search(ctx, server.SearchRequest{Query: server.Sample{}, Limit: o.Queries})
	if err != nil {
		return 0, err
	}
	sum, n := 0.0, 0
	for _, hit := range drawn {
		before, err := neighboursOf(ctx, old, hit.ID, o)
		if err != nil {
			return 0, err
		}
		if len(before) == 0 {
			continue // it has no such vector, no neighbours, or has just been deleted
		}
		after, err := neighboursOf(ctx, made, hit.ID, o)
		if err != nil {
			return 0, err
		}
		shared := 0
		for id := range before {
			if after[id] {
				shared++
			}
		}
		sum += float64(shared) / float64(len(before))
		n++
	}
	if n == 0 {
		return 1, nil // there is nothing to compare
	}
	return sum / float64(n), nil
}

// neighboursOf returns none for a point that is not there or has no such vector.
func neighboursOf(ctx context.Context, c *server.Collection, id point.ID, o *sources.OverlapGate) (map[point.ID]bool, error) {
	hits, err := c.Search(ctx, server.SearchRequest{ID: id, Using: o.Using, Limit: o.Limit})
	if err != nil {
		if kind := server.KindOf(err); kind == server.NotFound || kind == server.WrongInput {
			return nil, nil
		}
		return nil, err
	}
	found := make(map[point.ID]bool, len(hits))
	for _, hit := range hits {
		found[hit.ID] = true
	}
	return found, nil
}
