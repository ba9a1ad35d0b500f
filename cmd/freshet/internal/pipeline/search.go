package pipeline

import (
	"context"
	"slices"
	"time"

	"freshet/server"
)

const (
	topK         = 10
	searchesEach = 20 * time.Millisecond // between the beginnings of two searches
)

// searches asks for neighbours until ctx ends, one search after the other, and returns
// how long each took. Before there is a collection it waits.
func (n *node) searches(ctx context.Context, queries [][]float32) (took []time.Duration) {
	for i := 0; ; i++ {
		if sleep(ctx, searchesEach) != nil {
			return took
		}
		c, err := n.db.Collection(collection)
		if err != nil {
			continue
		}
		began := time.Now()
		if _, err := c.Search(ctx, request(queries[i%len(queries)])); err == nil {
			took = append(took, time.Since(began))
		}
	}
}

func request(query []float32) server.SearchRequest {
	// The database normalises what it is given.
	return server.SearchRequest{Vector: server.Dense(slices.Clone(query)), Limit: topK}
}

// recall compares what searches find with what is nearest. A row counts if its score
// is at least that of the last one of the exact ones, less rounding.
func (b *bench) recall(ctx context.Context, n *node) error {
	c, err := n.db.Collection(collection)
	if err != nil {
		return err
	}
	found, wanted := 0, 0
	var took []time.Duration
	for _, query := range b.Vectors.Queries {
		r := request(query)
		began := time.Now()
		hits, err := c.Search(ctx, r)
		if err != nil {
			return err
		}
		took = append(took, time.Since(began))
		r.Vector, r.Exact = server.Dense(slices.Clone(query)), true
		exact, err := c.Search(ctx, r)
		if err != nil {
			return err
		}
		wanted += len(exact)
		for _, h := range hits {
			if len(exact) > 0 && atLeast(b.Distance, h.Score, exact[len(exact)-1].Score) {
				found++
			}
		}
	}
	b.report.recall(found, wanted, len(b.Vectors.Queries), took)
	return nil
}

const rounding = 1e-5

// atLeast says whether a score is as good as another one.
func atLeast(d server.Distance, score, other float32) bool {
	if d == server.Euclid || d == server.Manhattan {
		return float64(score) <= float64(other)+rounding*(1+float64(other))
	}
	return float64(score) >= float64(other)-rounding
}
