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
	if err := g.check(&q); err != nil || q.K <= 0 {
		return dst, err
	}
	s := g.acquire(q.Vector)
	defer s.release()
	keep := q.K
	if s.codes != nil {
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
			if slot < s.limit && g.Has(slot) {
				s.fresh = append(s.fresh, slot)
			}
		}
		for i, d := range s.measure() {
			s.pool, _ = insert(s.pool, keyOf(d, s.fresh[i]), keep)
		}
	}
	return s.appendVisible(dst, s.rescore(s.pool, &q), &q), nil
}
