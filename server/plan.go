package server

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"

	"freshet/hnsw"
)

// How a filtered search is done. With all points that match known, n of them,
// there are two ways: to look at each, n distances in the order of memory; or to
// walk the graph and collect matches, which comes by walkDistances×ef points for
// ef of them if all match, and by as many more as fewer match. A distance of a
// walk costs as much as walkCost of the other kind: the row is anywhere in memory,
// and the candidates are kept in order. Where matches are not where the query is
// a walk comes by far more points than that; so it gives up when it has cost as
// much as looking at all the matches.
//
// Of a filter that indexes do not settle, payloads have to be read, which costs
// far more than distances: the way that reads fewer is taken.
const (
	walkDistances = 12
	walkCost      = 3
	// Up to so many times ef, and twice that of the hits wanted, matches are looked at
	// on their vectors at once: most of them would be anyhow.
	fewMatches = 2

	planSample = 200 // payloads read to estimate how many match
)

func (s *search) filtered(ctx context.Context) ([]hnsw.Hit, error) {
	sel := s.selection
	s.query.Ef = max(s.query.Ef, s.query.K)
	if doubts := int(sel.doubts.GetCardinality()); doubts > 0 && !s.r.Exact {
		matches, err := s.estimate(ctx, doubts)
		if err != nil {
			return nil, err
		}
		// A walk reads this many payloads for each match it needs.
		if 2*walkDistances*s.query.Ef < matches {
			hits, err := s.walk(ctx, s.graph.Len()/2)
			if done(hits, err, s.query.K) {
				return hits, err
			}
		}
	}
	if err := sel.resolve(ctx); err != nil {
		return nil, err
	}
	next := sel.sure.ManyIterator()
	n := int(sel.sure.GetCardinality())
	if s.r.Exact || n <= fewMatches*(s.query.Ef+2*s.query.K) {
		return s.graph.ExactAmong(ctx, s.query, next.NextMany, nil)
	}
	expected := walkDistances * float64(s.query.Ef) * float64(s.graph.Len()) / float64(n)
	if expected*walkCost < float64(n) {
		hits, err := s.walk(ctx, n/walkCost)
		if done(hits, err, s.query.K) {
			return hits, err
		}
	}
	return s.graph.Among(ctx, s.query, next.NextMany, nil)
}

// done says whether nothing else has to be tried after a walk. Some matches may
// be out of the graph's reach.
func done(hits []hnsw.Hit, err error, k int) bool {
	return err == nil && len(hits) >= k || err != nil && !errors.Is(err, hnsw.ErrGaveUp)
}

// estimate returns about how many points match, by a sample of those in doubt.
func (s *search) estimate(ctx context.Context, doubts int) (int, error) {
	sample, matched := roaring.New(), roaring.New()
	for i := range min(planSample, doubts) {
		slot, err := s.selection.doubts.Select(uint32(i * doubts / min(planSample, doubts)))
		if err != nil {
			return 0, err
		}
		sample.Add(slot)
	}
	if err := s.selection.match(ctx, sample, matched); err != nil {
		return 0, err
	}
	share := float64(matched.GetCardinality()) / float64(sample.GetCardinality())
	return int(s.selection.sure.GetCardinality()) + int(share*float64(doubts)), nil
}

// walk searches the graph for points of the selection, looking at those in doubt
// that it comes by. It gives up after so many distances.
func (s *search) walk(ctx context.Context, budget int) ([]hnsw.Hit, error) {
	sel := s.selection
	// Walks ask for a bit at a time, which takes a bitmap ten times as long.
	sure, doubts := denseOf(sel.sure), denseOf(sel.doubts)
	defer func() { dense.Put(sure); dense.Put(doubts) }()
	var failed error
	m := matcher{s: sel}
	q := s.query
	// With some more it finds matches so surely as a search without filter finds all.
	q.Ef += q.Ef/4 + 8
	q.Budget = budget
	if sel.doubts.IsEmpty() {
		q.Accepted = int(sel.sure.GetCardinality())
	}
	q.Accept = func(slot uint32) bool {
		if sure.has(slot) {
			return true
		}
		if !doubts.has(slot) || failed != nil {
			return false
		}
		var ok bool
		ok, failed = m.match(ctx, slot)
		return ok
	}
	hits, err := s.graph.Search(ctx, q, nil)
	if failed != nil {
		return nil, failed
	}
	return hits, err
}

// bits is a set of slots with a bit for each.
type bits struct{ words []uint64 }

// dense holds *bits, to be used again.
var dense = sync.Pool{New: func() any { return &bits{} }}

func denseOf(set *roaring.Bitmap) *bits {
	b := dense.Get().(*bits)
	n := int(set.DenseSize())
	b.words = slices.Grow(b.words[:0], n)[:n]
	clear(b.words)
	set.WriteDenseTo(b.words)
	return b
}

func (b *bits) has(slot uint32) bool {
	word := slot >> 6
	return int(word) < len(b.words) && b.words[word]>>(slot&63)&1 != 0
}
