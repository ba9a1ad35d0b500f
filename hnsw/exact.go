package hnsw

import "context"

// exactBlock is how many slots are scored by one call.
const exactBlock = 256

// Exact is Search without the graph: it looks at every slot.
func (g *Graph) Exact(ctx context.Context, q Query, dst []Hit) ([]Hit, error) {
	if err := g.check(&q); err != nil || q.K <= 0 {
		return dst, err
	}
	s := g.acquire(q.Vector)
	defer s.release()
	s.pool = s.pool[:0]
	if all, ok := q.Vectors.(VectorScanner); ok && g.vectors == nil {
		if err := s.scan(ctx, all, &q); err != nil {
			return dst, err
		}
		return s.appendVisible(dst, s.pool, &q), nil
	}
	total := uint32(g.slots.Len())
	for slot := uint32(0); slot < total; {
		if err := ctx.Err(); err != nil {
			return dst, err
		}
		s.fresh = s.fresh[:0]
		for ; slot < total && len(s.fresh) < exactBlock; slot++ {
			if q.accepts(slot) && g.Has(slot) {
				s.fresh = append(s.fresh, slot)
			}
		}
		distances, err := s.measureVectors(ctx, &q)
		if err != nil {
			return dst, err
		}
		s.pool = s.offer(s.pool, distances, q.K)
	}
	return s.appendVisible(dst, s.pool, &q), nil
}
