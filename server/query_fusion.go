package server

import (
	"cmp"
	"context"

	"freshet/hnsw"
	"freshet/server/fusion"
)

// Fusion merges the prefetches by the places of their points, or with Distributions
// by how their scores are distributed. K of 0 is the default.
type Fusion struct {
	Distributions bool
	K             int
	Weights       []float32 // of the prefetches, nil for 1 each
}

func (q Fusion) check(r *SearchRequest) error {
	switch {
	case len(r.Prefetch) == 0:
		return errorf(WrongInput, "Validation failed: cannot apply Fusion without prefetches")
	case r.Using != "":
		return errorf(BadRequest, "Fusion queries cannot be combined with the 'using' field.")
	case q.Weights != nil && len(q.Weights) != len(r.Prefetch):
		return errorf(WrongInput, "Validation failed: RRF weights length (%d) does not match number of prefetches (%d)", len(q.Weights), len(r.Prefetch))
	}
	return nil
}

func (Fusion) examples() []Example { return nil }

func (q Fusion) answer(_ context.Context, n *node) (ranking, error) {
	lists := make([][]hnsw.Hit, len(n.from))
	for i := range n.from {
		lists[i] = n.from[i].hits
	}
	var hits []hnsw.Hit
	if q.Distributions {
		hits = fusion.Distributions(lists)
	} else {
		hits = fusion.ReciprocalRanks(lists, cmp.Or(q.K, fusion.DefaultK), q.Weights)
	}
	found := n.best(hits, atLeast)
	found.values = orderValues(found.hits, n.from)
	return found, nil
}
