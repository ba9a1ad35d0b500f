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
func (n *node) searches(ctx context.Context, queries []server.SearchRequest) (took []time.Duration) {
	for i := 0; ; i++ {
		if sleep(ctx, searchesEach) != nil {
			return took
		}
		c, err := n.db.Collection(n.collection)
		if err != nil {
			continue
		}
		began := time.Now()
		if _, err := c.Search(ctx, again(queries[i%len(queries)])); err == nil {
			took = append(took, time.Since(began))
		}
	}
}

func requests(vectors [][]float32) []server.SearchRequest {
	list := make([]server.SearchRequest, len(vectors))
	for i, v := range vectors {
		list[i] = server.SearchRequest{Vector: server.Dense(v), Limit: topK}
	}
	return list
}

// again returns a request that can be used up: the database normalises what it is given.
func again(r server.SearchRequest) server.SearchRequest {
	if v, ok := r.Vector.(server.Dense); ok {
		r.Vector = slices.Clone(v)
	}
	return r
}

// recall compares what searches find with what is nearest. A row counts if its score
// is at least that of the last one of the exact ones, less rounding.
func (b *bench) recall(ctx context.Context, n *node, queries []server.SearchRequest) error {
	c, err := n.db.Collection(n.collection)
	if err != nil {
		return err
	}
	found, wanted := 0, 0
	var took []time.Duration
	for i, query := range queries {
		b.Progress("comparing searches with exact ones", int64(i), int64(len(queries)))
		began := time.Now()
		hits, err := c.Search(ctx, again(query))
		if err != nil {
			return err
		}
		took = append(took, time.Since(began))
		query.Exact = true
		exact, err := c.Search(ctx, again(query))
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
	points, err := c.Count(ctx, nil)
	if t := times(took); err == nil && t != nil && wanted > 0 {
		b.report.Recall = &Recall{K: topK, Queries: len(took), Points: points, Recall: float64(found) / float64(wanted), Search: *t}
	}
	return err
}

const rounding = 1e-5

// atLeast says whether a score is as good as another one.
func atLeast(d server.Distance, score, other float32) bool {
	if d == server.Euclid || d == server.Manhattan {
		return float64(score) <= float64(other)+rounding*(1+float64(other))
	}
	return float64(score) >= float64(other)-rounding
}
