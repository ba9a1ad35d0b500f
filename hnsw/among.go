package hnsw

import (
	"context"
	"errors"
)

// ErrGaveUp is what a search with an Accept returns that has come to its
// Budget.
var ErrGaveUp = errors.New("hnsw: the walk has come to its budget")

// amongBlock is how many slots are looked at between two looks at the context.
const amongBlock = 512

// Among is Search among some slots that the view shows, looking at each once: on
// codes where there are any, scoring the best on their vectors. next fills a
// buffer with further slots and returns their number, 0 at the end; ascending
// slots are read fastest.
func (g *Graph) Among(ctx context.Context, q Query, next func([]uint32) int, dst []Hit) ([]Hit, error) {
	return g.among(ctx, q, next, dst, false)
}

// ExactAmong is Among on vectors alone.
func (g *Graph) ExactAmong(ctx context.Context, q Query, next func([]uint32) int, dst []Hit) ([]Hit, error) {
	return g.among(ctx, q, next, dst, true)
}

func (g *Graph) among(ctx context.Context, q Query, next func([]uint32) int, dst []Hit, exact bool) ([]Hit, error) {
	if err := g.check(&q); err != nil || q.K <= 0 {
		return dst, err
	}
	s := g.acquire(q.Vector)
	defer s.release()
	if q.IgnoreCodes {
		s.ignoreCodes(&q)
	}
	exact = exact || s.codes == nil
	keep := q.K
	if !exact {
		keep = max(q.Ef, rescoreStep+2*q.K)
	}
	s.pool = s.pool[:0]
	if cap(s.block) < amongBlock {
		s.block = make([]uint32, amongBlock)
	}
	for {
		n := next(s.block[:amongBlock])
		if n == 0 {
			break
		}
		if err := ctx.Err(); err != nil {
			return dst, err
		}
		s.fresh = s.fresh[:0]
		for _, slot := range s.block[:n] {
			if slot < s.limit && (!exact || g.Has(slot)) {
				s.fresh = append(s.fresh, slot)
			}
		}
		distances, err := s.measureAmong(ctx, &q, exact)
		if err != nil {
			return dst, err
		}
		for _, k := range s.nearer(s.pool, distances, keep) {
			// A row of codes without vector has a distance too. That few are asked
			// for theirs spares the others a line of memory.
			if g.Has(key(k).slot()) {
				s.pool, _ = insert(s.pool, k, keep)
			}
		}
	}
	best := s.pool
	if !exact {
		var err error
		if best, err = s.rescore(ctx, s.pool, &q); err != nil {
			return dst, err
		}
	}
	return s.appendVisible(dst, best, &q), nil
}

func (s *searcher) measureAmong(ctx context.Context, q *Query, exact bool) ([]float32, error) {
	if exact {
		return s.measureVectors(ctx, q)
	}
	return s.measureAhead(), nil
}
