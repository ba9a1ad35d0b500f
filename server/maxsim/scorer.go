package maxsim

import (
	"context"
	"math"
	"slices"
	"unsafe"

	"freshet/hnsw"
	"freshet/hnsw/kernels"
)

// Scorer compares slots with a query. It is for one goroutine.
type Scorer struct {
	x        *Index
	query    *rows
	memory   kernels.Rows
	numbers  []uint32 // 0, 1, … for the rows of a slot
	distance []float32
}

// Scorer returns a scorer for a query of rows that follow one another in values.
func (x *Index) Scorer(values []float32) *Scorer {
	blocks := x.blocks()
	return &Scorer{x: x, query: x.pad(values), memory: kernels.Rows{
		Table: make([]unsafe.Pointer, 1), Shift: 31, Stride: 4 * kernels.Block * blocks, Blocks: blocks,
	}}
}

// Clone returns a scorer of the same query for another goroutine.
func (s *Scorer) Clone() *Scorer {
	clone := *s
	clone.memory.Table = make([]unsafe.Pointer, 1)
	clone.numbers, clone.distance = nil, nil
	return &clone
}

// Ask makes the rows of a slot those of the query.
func (s *Scorer) Ask(slot uint32) {
	if s.query = s.x.at(slot); s.query == nil {
		s.query = &rows{}
	}
}

// Similarity returns how near the rows of a slot are to the query, larger being nearer:
// for Dot and Cosine the sum of the largest dot products, for Euclid minus the sum of the
// smallest squared distances, for Manhattan minus the sum of the smallest distances. It
// is finite. A slot without rows is as far as can be.
func (s *Scorer) Similarity(ctx context.Context, slot uint32) (float32, error) {
	r := s.x.at(slot)
	if r == nil {
		return -math.MaxFloat32, nil
	}
	for len(s.numbers) < r.count {
		s.numbers = append(s.numbers, uint32(len(s.numbers)))
	}
	s.distance = slices.Grow(s.distance[:0], r.count)[:r.count]
	s.memory.Table[0] = unsafe.Pointer(unsafe.SliceData(r.values))
	sum := 0.0
	stride := s.memory.Blocks * kernels.Block
	for i := range s.query.count {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		sum += float64(s.best(&s.query.values[i*stride], r.count))
	}
	s.memory.Table[0] = nil
	return finite(sum), nil
}

// best returns the similarity of a row of the query to the nearest of a slot's rows.
func (s *Scorer) best(query *float32, count int) float32 {
	numbers := s.numbers[:count]
	switch s.x.metric {
	case hnsw.Euclid:
		kernels.L2(kernels.Best, query, &s.memory, numbers, s.distance)
		return -slices.Min(s.distance)
	case hnsw.Manhattan:
		kernels.L1(kernels.Best, query, &s.memory, numbers, s.distance)
		return -slices.Min(s.distance)
	default:
		kernels.Dot(kernels.Best, query, &s.memory, numbers, s.distance)
		return slices.Max(s.distance)
	}
}

// Score turns a similarity into what the metric means to a user.
func (x *Index) Score(similarity float32) float32 {
	switch x.metric {
	case hnsw.Euclid:
		return float32(math.Sqrt(float64(max(-similarity, 0))))
	case hnsw.Manhattan:
		return -similarity
	default:
		return similarity
	}
}

// finite returns a sum as float32, or the nearest there is. Infinities of both signs
// make it the lowest.
func finite(sum float64) float32 {
	if math.IsNaN(sum) {
		return -math.MaxFloat32
	}
	return float32(min(max(sum, -math.MaxFloat32), math.MaxFloat32))
}
