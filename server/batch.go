package server

import (
	"context"
	"maps"
	"slices"
	"sync"

	"freshet/server/filter"
)

// SearchBatch answers several searches as of the same moment, using all cores
// that are to spare. A filter that several of them have is evaluated once. The error of a search
// is an ItemError, that of the first, in their order, that failed.
func (c *Collection) SearchBatch(ctx context.Context, requests []SearchRequest) ([][]ScoredPoint, error) {
	b, err := c.planBatch(requests)
	if err != nil {
		return nil, err
	}
	defer b.release()
	found := make([][]ScoredPoint, len(requests))
	err = c.cores.each(len(requests), func(i int) error {
		var err error
		if found[i], err = b.answer(ctx, i); err != nil {
			return &ItemError{i, searchError(ctx, err)}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// batch is searches under way on one view.
type batch struct {
	c        *Collection
	v        *view
	requests []SearchRequest
	shared   map[*filter.Filter]*sharedSelection
	trees    []*tree               // of the requests that are not simple; nil if all are
	views    map[*Collection]*view // of collections that vectors are looked up in
}

// planBatch checks the requests and evaluates their filters on the current view. The
// batch must be released.
func (c *Collection) planBatch(requests []SearchRequest) (b *batch, err error) {
	b = &batch{c: c, requests: requests}
	var p planner
	for i := range requests {
		r := &requests[i]
		if err := r.check(0); err != nil {
			return nil, &ItemError{i, err}
		}
		if r.simple() {
			p.count(r.selects())
			continue
		}
		if b.trees == nil {
			b.trees = make([]*tree, len(requests))
		}
		b.trees[i] = p.tree(c, r)
	}
	if b.views, err = p.views(); err != nil {
		return nil, err
	}
	if b.v, b.shared, err = c.chooseFor(p.filters, p.orders); err != nil {
		b.release()
		return nil, err
	}
	for _, t := range b.trees {
		if t != nil {
			t.v, t.shared, t.views, t.orders = b.v, b.shared, b.views, p.orders
		}
	}
	return b, nil
}

func (b *batch) release() {
	if b.v != nil {
		b.v.release()
	}
	for _, v := range b.views {
		v.release()
	}
}

// tree returns the tree of a request, which is made if the request is simple.
func (b *batch) tree(i int) *tree {
	if b.trees != nil && b.trees[i] != nil {
		return b.trees[i]
	}
	var p planner
	t := p.tree(b.c, &b.requests[i])
	t.v, t.shared, t.views = b.v, b.shared, b.views
	return t
}

func (b *batch) answer(ctx context.Context, i int) ([]ScoredPoint, error) {
	if b.trees != nil && b.trees[i] != nil {
		return b.trees[i].run(ctx)
	}
	s := search{c: b.c, v: b.v, r: &b.requests[i], self: noSlot}
	if f := s.r.selects(); f != nil {
		var err error
		if s.selection, err = b.shared[f].take(ctx); err != nil {
			return nil, err
		}
	}
	return s.answer(ctx)
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

// chooseFor evaluates filters on one view, each for so many searches, and takes orders.
// The caller must release the view.
func (c *Collection) chooseFor(searches map[*filter.Filter]int, o orders) (*view, map[*filter.Filter]*sharedSelection, error) {
	filters := slices.Collect(maps.Keys(searches))
	v, selections, err := c.chooseAll(filters, o)
	if err != nil || len(filters) == 0 {
		return v, nil, err
	}
	shared := make(map[*filter.Filter]*sharedSelection, len(filters))
	for i, sel := range selections {
		n := searches[filters[i]]
		shared[filters[i]] = &sharedSelection{
			selection: sel, searches: n,
			// What the searches would read of payloads if each walked by itself.
			settle: n > 1 && n*2*walkDistances*defaultEf >= int(sel.doubts.GetCardinality()),
		}
	}
	return v, shared, nil
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
