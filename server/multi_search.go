package server

import (
	"context"
	"encoding/json"
	"slices"

	"freshet/hnsw"
	"freshet/server/maxsim"
)

// MultivectorConfig says that points have several rows of numbers instead of one, and
// how these are compared.
type MultivectorConfig struct {
	Comparator Comparator `json:"comparator"`
}

// Comparator is how multivectors are compared; see package maxsim.
type Comparator string

// MaxSim is the only comparator there is.
const MaxSim Comparator = "max_sim"

// UnmarshalJSON reads the name of a comparator.
func (c *Comparator) UnmarshalJSON(raw []byte) error { return readVariant(raw, c, MaxSim) }

// UnmarshalJSON reads a configuration, which must name a comparator.
func (m *MultivectorConfig) UnmarshalJSON(raw []byte) error {
	type plain MultivectorConfig
	if err := json.Unmarshal(raw, (*plain)(m)); err != nil {
		return err
	}
	if m.Comparator == "" {
		return errVectorsConfig
	}
	return nil
}

// rowsOf returns the rows of a vector one after the other; a dense one is a single row.
func rowsOf(v Vector) []float32 {
	switch v := v.(type) {
	case Multi:
		return v.Values
	case Dense:
		return v
	default:
		return nil
	}
}

// checkMulti checks a vector that is stored as a multivector, or searched with.
func (set *vectorSet) checkMulti(name string, v Vector) error {
	dim := set.multi[name].Dim()
	var given int
	switch v := v.(type) {
	case nil:
		return wrongForm(denseForm, multiForm)
	case Multi:
		given = v.Dim
	case Dense:
		given = len(v)
	default:
		return wrongForm(v.form(), multiForm)
	}
	if given != dim {
		return errorf(WrongInput, "Vector dimension error: expected dim: %d, got %d", dim, given)
	}
	rows := rowsOf(v)
	if len(rows) == 0 || len(rows)%dim != 0 {
		return errorf(WrongInput, "Vector %q has %d numbers, which are not rows of %d", name, len(rows), dim)
	}
	return checkFinite(name, rows, set.params[name].Datatype)
}

// multiBlock is how many points one goroutine compares at a time. With rows as they are
// in practice that takes about a millisecond.
const multiBlock = 32

// runMulti finds the points whose multivectors are nearest to the query's, exactly, the
// best first, ties by id.
func (s *search) runMulti(ctx context.Context) ([]hnsw.Hit, error) {
	c, x := s.c, s.v.set.multi[s.r.Using]
	vector, err := s.given()
	if err != nil {
		return nil, err
	}
	slots, err := s.allowed(ctx)
	if err != nil {
		return nil, err
	}
	k := saturatingAdd(s.r.Limit, s.r.Offset)
	if s.self != noSlot {
		k = saturatingAdd(k, 1)
	}
	scorer := x.Scorer(s.v.set.params[s.r.Using].query(rowsOf(vector)))
	blocks := slices.Collect(slices.Chunk(slots, multiBlock))
	best := make([][]hnsw.Hit, len(blocks))
	err = c.cores.each(len(blocks), func(i int) error {
		var err error
		best[i], err = bestOf(ctx, scorer.Clone(), blocks[i])
		if err == nil && len(best[i]) > k {
			slices.SortFunc(best[i], c.compareHits)
			best[i] = slices.Clone(best[i][:k])
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	hits := slices.Concat(best...)
	slices.SortFunc(hits, c.compareHits)
	for i := range hits {
		hits[i].Score = x.Score(hits[i].Score)
	}
	return s.cutBy(hits, x.Ascending()), nil
}

// bestOf returns the similarities of slots.
func bestOf(ctx context.Context, scorer *maxsim.Scorer, slots []uint32) ([]hnsw.Hit, error) {
	hits := make([]hnsw.Hit, len(slots))
	for i, slot := range slots {
		similarity, err := scorer.Similarity(ctx, slot)
		if err != nil {
			return nil, err
		}
		hits[i] = hnsw.Hit{Slot: slot, Score: similarity}
	}
	return hits, nil
}

// allowed returns the slots with a multivector that the search may find.
func (s *search) allowed(ctx context.Context) ([]uint32, error) {
	x := s.v.set.multi[s.r.Using]
	var slots []uint32
	if s.selection != nil {
		if err := s.selection.resolve(ctx); err != nil {
			return nil, err
		}
		for it := s.selection.sure.Iterator(); it.HasNext(); {
			if slot := it.Next(); x.Has(slot) {
				slots = append(slots, slot)
			}
		}
		return slots, nil
	}
	for slot := range uint32(s.c.slots.Len()) {
		if x.Has(slot) && s.v.slots.Visible(slot) {
			slots = append(slots, slot)
		}
	}
	return slots, nil
}
