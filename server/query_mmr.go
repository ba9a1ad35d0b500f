package server

import (
	"context"

	"freshet/hnsw"
)

// MMR asks for points near to an example and unlike each other (maximal marginal
// relevance, Carbonell and Goldstein 1998). They come in the order in which they are
// chosen, with the scores they have as the nearest.
type MMR struct {
	Example
	Diversity  float32 // 0: the nearest as they are, up to 1: the most different
	Candidates int     // so many of the nearest are chosen from; 0 for the limit
}

// MaxMMRCandidates bounds how many points are chosen from.
const MaxMMRCandidates = 16384

func (MMR) check(*SearchRequest) error { return nil }
func (q MMR) examples() []Example      { return []Example{q.Example} }

func (q MMR) answer(ctx context.Context, n *node) (ranking, error) {
	v, err := n.needVector(q.Example)
	if err != nil {
		return ranking{}, err
	}
	candidates := q.Candidates
	if candidates == 0 {
		candidates = n.r.Limit
	}
	hits, err := n.nearest(ctx, v, min(candidates, MaxMMRCandidates))
	if err != nil || len(hits) == 0 {
		return ranking{}, err
	}
	hits, err = q.choose(ctx, n, v, hits)
	return ranking{hits: hits}, err
}

// choose takes, one after the other, the candidate whose nearness to the query
// exceeds its nearness to what has been chosen most.
func (q MMR) choose(ctx context.Context, n *node, v Vector, hits []hnsw.Hit) ([]hnsw.Hit, error) {
	slots := make([]uint32, len(hits))
	for i, h := range hits {
		slots[i] = h.Slot
	}
	similar := make([]float32, len(hits)) // to the query
	if err := n.plainSimilarities(ctx, v, slots, similar); err != nil {
		return nil, err
	}
	lambda := 1 - float64(q.Diversity)
	closest := make([]float64, len(hits)) // similarity to the most similar of the chosen
	to := make([]float32, len(hits))
	taken := make([]bool, len(hits))
	chosen := make([]hnsw.Hit, 0, min(n.wanted, len(hits)))
	for len(chosen) < cap(chosen) {
		next, best := -1, 0.0
		for i := range hits {
			if taken[i] {
				continue
			}
			score := lambda * float64(similar[i])
			if len(chosen) > 0 {
				score -= (1 - lambda) * closest[i]
			}
			if next < 0 || score > best {
				next, best = i, score
			}
		}
		taken[next] = true
		chosen = append(chosen, hits[next])
		if len(chosen) == cap(chosen) {
			break
		}
		if err := n.likeness(ctx, slots[next], slots, to); err != nil {
			return nil, err
		}
		for i, s := range to {
			if len(chosen) == 1 || float64(s) > closest[i] {
				closest[i] = float64(s)
			}
		}
	}
	return chosen, nil
}

// likeness stores in out how much like a chosen point the candidates are. Of
// multivectors, where it is not the same the other way round, the candidate's rows are
// those of the query, as in Qdrant.
func (n *node) likeness(ctx context.Context, chosen uint32, candidates []uint32, out []float32) error {
	x := n.v.set.multi[n.r.Using]
	if x == nil {
		own, err := n.c.vector(n.v, n.r.Using, chosen)
		if err != nil {
			return err
		}
		return n.plainSimilarities(ctx, own, candidates, out)
	}
	scorer := x.Scorer(nil)
	for i, slot := range candidates {
		scorer.Ask(slot)
		var err error
		if out[i], err = scorer.Similarity(ctx, chosen); err != nil {
			return err
		}
	}
	return nil
}

// plainSimilarities stores in out how near the vectors of slots are to a vector, those
// of sparse ones by their values, without a modifier. That is what Qdrant chooses by.
func (n *node) plainSimilarities(ctx context.Context, v Vector, slots []uint32, out []float32) error {
	var s similarity
	var err error
	if plain, ok := v.(Sparse); ok {
		s.sparse = n.v.sparse[n.r.Using].Scorer(plain.Indices, plain.Values)
	} else {
		s, err = n.c.similarityTo(n.v, n.r.Using, v)
	}
	if err != nil {
		return err
	}
	return s.of(ctx, slots, out)
}
