package server

import (
	"context"
	"maps"
	"slices"
	"sync"

	"freshet/server/filter"
)

// SearchBatch answers several searches as of the same moment, using all cores
// that are to spare. A filter that several of them have is evaluated once. After an
// error it returns the first search, in their order, that failed.
func (c *Collection) SearchBatch(ctx context.Context, requests []SearchRequest) (found [][]ScoredPoint, failed int, err error) {
	v, shared, err := c.chooseFor(requests)
	if err != nil {
		return nil, 0, err
	}
	defer v.release()
	found = make([][]ScoredPoint, len(requests))
	failed, err = c.cores.each(len(requests), func(i int) error {
		s := search{c: c, v: v, r: &requests[i], self: noSlot}
		var err error
		if f := s.r.selects(); f != nil {
			s.selection, err = shared[f].take(ctx)
		}
		if err == nil {
			found[i], err = s.answer(ctx)
		}
		return searchError(ctx, err)
	})
	if err != nil {
		return nil, failed, err
	}
	return found, 0, nil
}

// everything is the filter of lists that have none.
var everything = &filter.Filter{}

// selects returns the filter that a request needs a selection for, or nil.
func (r *SearchRequest) selects() *filter.Filter {
	switch {
	case r.Filter != nil && !r.Filter.Empty():
		return r.Filter
	case r.List:
		return everything
	default:
		return nil
	}
}

// sharedSelection is a selection that several searches use.
type sharedSelection struct {
	selection *selection
	searches  int
	settle    bool // doubts are resolved once, for all
	once      sync.Once
	err       error
}

// chooseFor evaluates the filters of searches on one view. The caller must release
// the view.
func (c *Collection) chooseFor(requests []SearchRequest) (*view, map[*filter.Filter]*sharedSelection, error) {
	shared := map[*filter.Filter]*sharedSelection{}
	for i := range requests {
		f := requests[i].selects()
		if f == nil {
			continue
		}
		if shared[f] == nil {
			shared[f] = &sharedSelection{}
		}
		shared[f].searches++
	}
	filters := slices.Collect(maps.Keys(shared))
	v, selections, err := c.chooseAll(filters)
	for i, sel := range selections {
		s := shared[filters[i]]
		s.selection = sel
		// What the searches would read of payloads if each walked by itself.
		s.settle = s.searches > 1 && s.searches*2*walkDistances*defaultEf >= int(sel.doubts.GetCardinality())
	}
	return v, shared, err
}

// take returns the selection for one of the searches.
func (s *sharedSelection) take(ctx context.Context) (*selection, error) {
	switch {
	case s.searches == 1:
		return s.selection, nil
	case s.settle:
		s.once.Do(func() { s.err = s.selection.resolve(ctx) })
		return s.selection, s.err
	default:
		return s.selection.clone(), nil
	}
}

// answer finds the points and reads what is to be seen of them.
func (s *search) answer(ctx context.Context) ([]ScoredPoint, error) {
	if s.r.List {
		return s.list(ctx)
	}
	hits, err := s.run(ctx)
	if err != nil {
		return nil, err
	}
	return s.points(ctx, hits)
}

// list answers a request without a query: every point counts the same.
func (s *search) list(ctx context.Context) ([]ScoredPoint, error) {
	page, err := s.selection.page(ctx, ScrollRequest{
		Limit: saturatingAdd(s.r.Limit, s.r.Offset), WithPayload: s.r.WithPayload, WithVector: s.r.WithVector,
	})
	points := []ScoredPoint{}
	for i := s.r.Offset; i < len(page.Records); i++ {
		page.Records[i].Version = 0
		points = append(points, ScoredPoint{Record: page.Records[i], Score: 1})
	}
	return points, err
}
