package server

import (
	"cmp"
	"context"
	"slices"

	"freshet/hnsw"
	"freshet/server/filter"
	"freshet/storage"
)

// How a filtered search is done. Without payload indexes a filter is evaluated
// by reading payloads, so the question is which points to read:
//
//   - a filter that names ids: those;
//   - few points, or few that match in a sample: all of them, in key order, and
//     the matches are scored exactly;
//   - otherwise those that a walk of the graph comes by, the matches among
//     which are collected until there are ef of them.
const (
	planSample   = 200    // points evaluated to estimate the selectivity
	walkMinMatch = 10     // matches in the sample below which all points are read
	scanPoints   = 10_000 // collections up to this size are read whole
)

func (s *search) filtered(ctx context.Context) ([]hnsw.Hit, error) {
	if ids := s.r.Filter.IDs(); ids != nil {
		var slots []uint32
		for _, id := range ids {
			if slot, ok := s.c.ids.visible(id.AppendKey(nil), s.v.slots); ok {
				slots = append(slots, slot)
			}
		}
		slices.Sort(slots)
		slots = slices.Compact(slots)
		slots, err := s.matching(slots)
		if err != nil {
			return nil, err
		}
		return s.score(ctx, slots)
	}
	if s.r.Exact || s.v.points <= scanPoints {
		return s.scan(ctx)
	}
	likely, err := s.sample()
	if err != nil {
		return nil, err
	}
	if likely < walkMinMatch {
		return s.scan(ctx)
	}
	return s.walk(ctx)
}

// sample returns how many of planSample evenly spread points match.
func (s *search) sample() (int, error) {
	var slots []uint32
	total := uint32(s.c.slots.Len())
	for slot := uint32(0); slot < total; slot += max(1, total/planSample) {
		if s.v.slots.Visible(slot) {
			slots = append(slots, slot)
		}
	}
	n := len(slots)
	matches, err := s.matching(slots)
	if err != nil || n == 0 {
		return 0, err
	}
	return len(matches) * planSample / n, nil
}

// walk searches the graph and reads the payloads it comes by.
func (s *search) walk(ctx context.Context) ([]hnsw.Hit, error) {
	var failed error
	m := s.matcher()
	q := s.query
	q.Accept = func(slot uint32) bool {
		ok, err := m.match(slot)
		if err != nil && failed == nil {
			failed = err
		}
		return ok
	}
	hits, err := s.graph.Search(ctx, q, nil)
	if err == nil {
		err = failed
	}
	if err != nil || len(hits) >= s.query.K {
		return hits, err
	}
	return s.scan(ctx)
}

// scan reads every payload and scores the matches exactly.
func (s *search) scan(ctx context.Context) ([]hnsw.Hit, error) {
	var slots []uint32
	err := s.c.scanMatches(ctx, s.v, s.r.Filter, nil, func(key []byte, _ stored) bool {
		if slot, ok := s.c.ids.visible(key, s.v.slots); ok {
			slots = append(slots, slot)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	return s.score(ctx, slots)
}

// matching keeps the slots whose points match, in place.
func (s *search) matching(slots []uint32) ([]uint32, error) {
	m := s.matcher()
	kept := slots[:0]
	for _, slot := range slots {
		ok, err := m.match(slot)
		if err != nil {
			return nil, err
		}
		if ok {
			kept = append(kept, slot)
		}
	}
	return kept, nil
}

// score returns the best K of the slots that have the vector.
func (s *search) score(ctx context.Context, slots []uint32) ([]hnsw.Hit, error) {
	slots = slices.DeleteFunc(slots, func(slot uint32) bool { return !s.graph.Has(slot) })
	scores := make([]float32, len(slots))
	if err := s.graph.Score(ctx, s.query, slots, scores); err != nil {
		return nil, err
	}
	hits := make([]hnsw.Hit, len(slots))
	for i, slot := range slots {
		hits[i] = hnsw.Hit{Slot: slot, Score: scores[i]}
	}
	sign := -1
	if s.graph.Config().Metric.Ascending() {
		sign = 1
	}
	slices.SortFunc(hits, func(a, b hnsw.Hit) int {
		return cmp.Or(sign*cmp.Compare(a.Score, b.Score), cmp.Compare(a.Slot, b.Slot))
	})
	return hits[:min(len(hits), s.query.K)], nil
}

// matcher evaluates the filter on slots, one at a time.
type matcher struct {
	s        *search
	key, val []byte
}

func (s *search) matcher() *matcher { return &matcher{s: s} }

func (m *matcher) match(slot uint32) (bool, error) {
	c := m.s.c
	id := c.ids.key(slot)
	m.key = storage.AppendKey(m.key[:0], storage.Point, c.space, id)
	var err error
	if m.val, err = m.s.v.snapshot.Get(m.val[:0], m.key); err != nil {
		return false, err
	}
	record, err := decodeStored(m.val)
	if err != nil {
		return false, err
	}
	return c.matches(m.s.r.Filter, id, slot, record)
}

// matches evaluates a filter on a stored point.
func (c *Collection) matches(f *filter.Filter, key []byte, slot uint32, record stored) (bool, error) {
	return f.Match(&subject{c: c, key: key, slot: slot, raw: record.payload})
}

// scanMatches calls visit for every point of the view that matches the filter
// (nil: all), in id order from the encoded id from on (nil: the first), until
// visit returns false. key and record are valid only during the call.
func (c *Collection) scanMatches(ctx context.Context, v *view, f *filter.Filter, from []byte, visit func(key []byte, record stored) bool) error {
	prefix := storage.AppendKey(nil, storage.Point, c.space, nil)
	if from != nil {
		from = storage.AppendKey(nil, storage.Point, c.space, from)
	}
	all := f == nil || f.Empty()
	n := 0
	err := v.snapshot.Scan(prefix, from, func(key, value []byte) (bool, error) {
		if n++; n%256 == 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		record, err := decodeStored(value)
		if err != nil {
			return false, err
		}
		id := storage.Suffix(key)
		if !all {
			slot, _ := c.ids.visible(id, v.slots)
			ok, err := c.matches(f, id, slot, record)
			if err != nil || !ok {
				return true, err
			}
		}
		return visit(id, record), nil
	})
	return searchError(ctx, err)
}
