package server

import (
	"context"
	"math"

	"freshet/hnsw"
	"freshet/server/maxsim"
	"freshet/server/sparse"
)

// similarity tells how near vectors are to one of its own, larger being nearer: by
// the dot product, minus the squared distance for Euclid, minus the distance for
// Manhattan.
type similarity struct {
	graph  *hnsw.Graph
	query  hnsw.Query
	sparse *sparse.Scorer // of sparse vectors
	multi  *maxsim.Scorer // of multivectors
}

// similarityTo returns the similarity to a vector that fits those with the name.
func (c *Collection) similarityTo(v *view, name string, vector Vector) (similarity, error) {
	if err := v.set.checkVector(name, vector); err != nil {
		return similarity{}, err
	}
	if s, ok := vector.(Sparse); ok {
		state := v.sparse[name]
		return similarity{sparse: state.Scorer(s.Indices, c.weights(name, state, s))}, nil
	}
	if x := v.set.multi[name]; x != nil {
		return similarity{multi: x.Scorer(v.set.params[name].query(rowsOf(vector)))}, nil
	}
	g := v.set.graphs[name]
	given, _ := vector.(Dense)
	dense := v.set.params[name].query(given)
	return similarity{graph: g, query: hnsw.Query{Vector: dense, K: 1, View: v.slots, Vectors: c.vectorReader(v, name)}}, nil
}

// of stores the similarities of slots, which have vectors of the name, in out. All are
// finite.
func (s *similarity) of(ctx context.Context, slots []uint32, out []float32) error {
	if s.sparse != nil {
		for i, slot := range slots {
			out[i] = s.sparse.Score(slot)
		}
		return ctx.Err()
	}
	if s.multi != nil {
		for i, slot := range slots {
			var err error
			if out[i], err = s.multi.Similarity(ctx, slot); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.graph.Distances(ctx, s.query, slots, out); err != nil {
		return err
	}
	for i, d := range out[:len(slots)] {
		if d != d { // infinities that cancel each other out
			d = math.MaxFloat32
		}
		out[i] = min(max(-d, -math.MaxFloat32), math.MaxFloat32)
	}
	return nil
}
