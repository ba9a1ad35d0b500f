package server

import (
	"bytes"
	"context"
	"math"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"freshet/hnsw"
	"freshet/server/filter"
	"freshet/server/point"
)

// MatrixRequest asks for the nearest neighbours of some points among each other: of
// Sample points drawn from those that pass the filter and have the vector Using.
type MatrixRequest struct {
	Filter *filter.Filter // nil: all points
	Using  string         // vector name
	Sample int            // points
	Limit  int            // neighbours of each
}

// MaxMatrix bounds how many neighbours of all points together are returned.
const MaxMatrix = 1 << 20

// Matrix is points in the order of their ids, and of each the nearest others, the best
// first. It is empty where there are fewer than two points.
type Matrix struct {
	IDs  []point.ID
	Rows [][]Neighbour
}

// Neighbour is a point by its place among Matrix.IDs, with its score.
type Neighbour struct {
	Place int
	Score float32
}

// Demand returns what the request asks for.
func (r *MatrixRequest) Demand() Demand {
	return Demand{Limit: saturatingMultiply(r.Sample, r.Limit), Filter: r.Filter}
}

// SearchMatrix draws points and compares each with all others, exactly.
func (c *Collection) SearchMatrix(ctx context.Context, r MatrixRequest) (Matrix, error) {
	f := r.Filter
	if f == nil {
		f = everything
	}
	sel, err := c.choose(f)
	if err != nil {
		return Matrix{}, err
	}
	defer sel.v.release()
	slots, err := sel.sample(ctx, r.Using, r.Sample)
	if err != nil {
		return Matrix{}, searchError(ctx, err)
	}
	if len(slots) < 2 {
		return Matrix{}, nil
	}
	limit := min(r.Limit, len(slots)-1)
	if limit*len(slots) > MaxMatrix {
		return Matrix{}, errorf(BadRequest, "`limit` neighbours of `sample` points are %d, at most %d may be asked for", limit*len(slots), MaxMatrix)
	}
	m := Matrix{IDs: make([]point.ID, len(slots)), Rows: make([][]Neighbour, len(slots))}
	places := make(map[uint32]int, len(slots))
	for i, slot := range slots {
		places[slot] = i
		if m.IDs[i], err = point.FromKey(c.ids.key(slot)); err != nil {
			return Matrix{}, err
		}
	}
	among := &selection{c: c, v: sel.v, filter: sel.filter, sure: roaring.BitmapOf(slots...), doubts: roaring.New()}
	err = c.cores.each(len(slots), func(i int) error {
		s := search{c: c, v: sel.v, self: noSlot, selection: among, r: &SearchRequest{ID: m.IDs[i], Using: r.Using, Limit: limit, Exact: true}}
		hits, err := s.run(ctx)
		m.Rows[i] = neighbours(hits, places)
		return err
	})
	if err != nil {
		return Matrix{}, searchError(ctx, err)
	}
	return m, nil
}

func neighbours(hits []hnsw.Hit, places map[uint32]int) []Neighbour {
	row := make([]Neighbour, len(hits))
	for i, h := range hits {
		row[i] = Neighbour{Place: places[h.Slot], Score: h.Score}
	}
	return row
}

// sample draws up to n of the points that pass and have a vector of the name, and
// returns their slots in the order of their ids.
func (s *selection) sample(ctx context.Context, name string, n int) ([]uint32, error) {
	if !s.v.set.hasName(name) {
		return nil, noVector(name)
	}
	if err := s.resolve(ctx); err != nil {
		return nil, err
	}
	var slots []uint32
	for it := s.sure.Iterator(); it.HasNext(); {
		if slot := it.Next(); s.v.set.hasVector(name, slot) {
			slots = append(slots, slot)
		}
	}
	drawn := make([]uint32, min(n, len(slots)))
	for i, rank := range draw(len(slots), len(drawn)) {
		drawn[i] = slots[rank]
	}
	slices.SortFunc(drawn, func(a, b uint32) int { return bytes.Compare(s.c.ids.key(a), s.c.ids.key(b)) })
	return drawn, nil
}

func saturatingMultiply(a, b int) int {
	if b > 0 && a > math.MaxInt/b {
		return math.MaxInt
	}
	return a * b
}
