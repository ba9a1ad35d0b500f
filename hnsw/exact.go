package hnsw

import (
	"context"
	"fmt"
)

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
	total := uint32(g.slots.Len())
	for slot := uint32(0); slot < total; {
		if err := ctx.Err(); err != nil {
			return dst, err
		}
		s.fresh = s.fresh[:0]
		for ; slot < total && len(s.fresh) < exactBlock; slot++ {
			if (q.Accept == nil || q.Accept(slot)) && g.Has(slot) && q.View.Visible(slot) {
				s.fresh = append(s.fresh, slot)
			}
		}
		for i, d := range s.measureExactly() {
			s.pool, _ = insert(s.pool, keyOf(d, s.fresh[i]), q.K)
		}
	}
	return s.appendVisible(dst, s.pool, &q), nil
}

// Score stores the scores of the slots in out. All must have a vector here.
func (g *Graph) Score(query []float32, slots []uint32, out []float32) error {
	if len(query) != g.cfg.Dim {
		return fmt.Errorf("hnsw: a query of %d dimensions on a graph of %d", len(query), g.cfg.Dim)
	}
	if len(slots) == 0 {
		return nil
	}
	s := g.acquire(query)
	defer s.release()
	g.dist.compute(&s.query[0], slots, out)
	for i := range slots {
		out[i] = g.cfg.Metric.score(out[i])
	}
	return nil
}
