package hnsw

import "context"

// Distances stores how far the vectors of slots are from q's in out: the negative dot
// product, the squared distance for Euclid, the distance for Manhattan. Each slot has
// to be one that q's View shows and that has a vector.
func (g *Graph) Distances(ctx context.Context, q Query, slots []uint32, out []float32) error {
	if err := g.check(&q); err != nil {
		return err
	}
	s := g.acquire(q.Vector)
	defer s.release()
	for len(slots) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(len(slots), exactBlock)
		s.fresh = append(s.fresh[:0], slots[:n]...)
		distances, err := s.measureVectors(ctx, &q)
		if err != nil {
			return err
		}
		copy(out, distances)
		slots, out = slots[n:], out[n:]
	}
	return nil
}

// AppendNeighbours appends the neighbours of a slot at the lowest level to dst. Any
// of them may be dead, or younger than a view.
func (g *Graph) AppendNeighbours(dst []uint32, slot uint32) []uint32 {
	if !g.Has(slot) {
		return dst
	}
	return readList(dst, g.list(slot, 0), noLimit)
}
