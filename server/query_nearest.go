package server

import (
	"context"

	"freshet/hnsw"
)

// nearest asks for the points nearest to an example.
type nearest struct{ Example }

func (q nearest) check(*SearchRequest) error { return nil }
func (q nearest) examples() []Example        { return []Example{q.Example} }

func (q nearest) answer(ctx context.Context, n *node) (ranking, error) {
	v, err := n.needVector(q.Example)
	if err != nil {
		return ranking{}, err
	}
	hits, err := n.nearest(ctx, v, n.wanted)
	return ranking{hits: hits}, err
}

// needVector is vector with an error for a point that has none.
func (n *node) needVector(e Example) (Vector, error) {
	v, err := n.vector(e)
	if err == nil && v == nil && !e.ID.IsZero() {
		name := n.r.Using
		if l := n.r.LookupFrom; l != nil && l.Vector != nil {
			name = *l.Vector
		}
		err = errorf(NotFound, "Vector with name %q for point not found", name)
	}
	return v, err
}

// listing asks for points in the order of their ids.
type listing struct{}

func (listing) check(*SearchRequest) error { return nil }
func (listing) examples() []Example        { return nil }
func (listing) needsAll()                  {}
func (listing) unscored()                  {}

func (listing) answer(ctx context.Context, n *node) (ranking, error) {
	sel, err := n.selection(ctx)
	if err != nil {
		return ranking{}, err
	}
	page, err := sel.page(ctx, ScrollRequest{Limit: saturatingAdd(n.wanted, len(n.hidden))})
	if err != nil {
		return ranking{}, err
	}
	hits := make([]hnsw.Hit, len(page.Records))
	for i := range page.Records {
		slot, ok := n.c.ids.visible(page.Records[i].ID.AppendKey(nil), n.v.slots)
		if !ok {
			return ranking{}, errNoSlot
		}
		hits[i] = hnsw.Hit{Slot: slot, Score: 1}
	}
	hits = n.shown(hits)
	return ranking{hits: hits[:min(len(hits), n.wanted)]}, nil
}
