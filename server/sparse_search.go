package server

import (
	"bytes"
	"context"
	"fmt"
	"math"

	"freshet/hnsw"
	"freshet/server/sparse"
	"freshet/storage"
)

// checkSparse checks a vector that is stored as a sparse one, or searched with.
func checkSparse(name string, v Vector) error {
	s, ok := v.(Sparse)
	switch {
	case v == nil:
		return wrongForm(denseForm, sparseForm)
	case !ok:
		return wrongForm(v.form(), sparseForm)
	case len(s.Indices) != len(s.Values):
		return errorf(WrongInput, "Vector %q has %d indices and %d values", name, len(s.Indices), len(s.Values))
	}
	for i := 1; i < len(s.Indices); i++ {
		if s.Indices[i-1] >= s.Indices[i] {
			return errorf(WrongInput, "The indices of vector %q do not ascend", name)
		}
	}
	return checkFinite(name, s.Values, Float32)
}

// storedVector reads a slot's vector of a kind, nil if it has none of the name.
func (c *Collection) storedVector(v *view, name string, slot uint32, kind byte) (Vector, error) {
	if !v.set.hasVector(name, slot) {
		return nil, nil
	}
	value, err := v.snapshot.Get(nil, storage.AppendKey(nil, storage.Vector, c.space, c.ids.key(slot)))
	if err != nil {
		return nil, err
	}
	var found Vector
	err = eachVector(value, func(raw rawVector) error {
		if string(raw.name) == name && raw.kind == kind {
			found = raw.decode()
		}
		return nil
	})
	if err == nil && found == nil {
		err = fmt.Errorf("the vector %q of slot %d is missing in the store", name, slot)
	}
	return found, err
}

// runSparse finds the points whose sparse vectors have the largest dot products with
// the query's, exactly, the best first, ties by id.
func (s *search) runSparse(ctx context.Context) ([]hnsw.Hit, error) {
	c := s.c
	given, err := s.given()
	if err != nil {
		return nil, err
	}
	vector, _ := given.(Sparse)
	state := s.v.sparse[s.r.Using]
	q := &sparse.Query{
		Indices: vector.Indices, Values: c.weights(s.r.Using, state, vector), K: min(saturatingAdd(s.r.Limit, s.r.Offset), state.Len()),
		Above:  float32(math.Inf(-1)),
		Before: func(a, b uint32) bool { return bytes.Compare(c.ids.key(a), c.ids.key(b)) < 0 },
	}
	if s.r.ScoreThreshold != nil {
		q.Above = *s.r.ScoreThreshold
	}
	q.Accept = func(slot uint32) (bool, error) { return slot != s.self && s.v.slots.Visible(slot), nil }
	if s.selection != nil {
		if err := s.limitSparse(ctx, q, state); err != nil {
			return nil, err
		}
	}
	found, err := state.Search(ctx, q)
	if err != nil || s.r.Offset >= len(found) {
		return nil, err
	}
	hits := make([]hnsw.Hit, 0, len(found)-s.r.Offset)
	for _, h := range found[s.r.Offset:] {
		hits = append(hits, hnsw.Hit{Slot: h.Slot, Score: h.Score})
	}
	return hits, nil
}

// weights returns the values of a query as they are multiplied with those of points.
func (c *Collection) weights(name string, state *sparse.State, v Sparse) []float32 {
	if c.Config().SparseVectors[name].Modifier == IDF {
		return state.Weights(v.Indices, v.Values)
	}
	return v.Values
}

// A document that is looked up in the lists costs about as much as this many entries
// that are gone through.
const lookupCost = 8

// limitSparse limits a search to the selection: to the slots that pass, where these are
// few; else points in doubt are looked at as they would come among the best, or all
// before, whichever reads fewer payloads.
func (s *search) limitSparse(ctx context.Context, q *sparse.Query, state *sparse.State) error {
	sel := s.selection
	lazy, err := s.fewReads(ctx, q.K)
	if err != nil {
		return err
	}
	if !lazy {
		if err := sel.resolve(ctx); err != nil {
			return err
		}
		if int(sel.sure.GetCardinality())*len(q.Indices)*lookupCost < state.Entries(q.Indices) {
			q.Among = sel.sure.ToArray()
		}
	}
	m := matcher{s: sel}
	q.Accept = func(slot uint32) (bool, error) {
		switch {
		case slot == s.self:
			return false, nil
		case sel.sure.Contains(slot):
			return true, nil
		case !sel.doubts.Contains(slot):
			return false, nil
		default:
			return m.match(ctx, slot)
		}
	}
	return nil
}

// fewReads says whether few enough of the points in doubt would come among the k best
// for these to be looked at one by one.
func (s *search) fewReads(ctx context.Context, k int) (bool, error) {
	doubts := int(s.selection.doubts.GetCardinality())
	if doubts == 0 || k == 0 {
		return false, nil
	}
	matches, err := s.estimate(ctx, doubts)
	if err != nil || matches == 0 {
		return false, err
	}
	// Of documents in any order, so many are among the k best so far.
	better := float64(k) * (1 + math.Log(max(1, float64(matches)/float64(k))))
	return better*float64(s.v.points)/float64(matches)*getCost < float64(doubts), nil
}

// sparseLoad is how many sparse vectors are put into a segment at a time.
const sparseLoad = 1 << 14

func (l *loading) addSparse(name string, d sparse.Doc) {
	l.docs[name] = append(l.docs[name], d)
	if len(l.docs[name]) == sparseLoad {
		l.c.set().sparse[name].Add(l.docs[name])
		l.docs[name] = nil
	}
}

// handSparse gives the sparse vectors that wait to their indexes.
func (l *loading) handSparse() {
	for name, docs := range l.docs {
		l.c.set().sparse[name].Add(docs)
	}
	clear(l.docs)
}
