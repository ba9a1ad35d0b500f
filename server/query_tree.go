package server

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"freshet/hnsw"
	"freshet/server/filter"
	"freshet/server/index"
	"freshet/server/point"
)

// Query is a kind of query besides that for the points nearest to a vector: MMR,
// Recommend, Discover, Context, Feedback, Fusion, Formula, OrderBy and Sample.
type Query interface {
	// check refuses what contradicts itself or the request.
	check(r *SearchRequest) error
	// examples returns the vectors and points the query refers to.
	examples() []Example
	// answer finds the node's points, best first.
	answer(ctx context.Context, n *node) (ranking, error)
}

// Example is a vector or, with ID, a point that stands for its vector.
type Example struct {
	ID     point.ID
	Vector Vector
}

// Lookup says where the vectors of a query's points come from: another collection,
// and another name of vector if Vector is not nil.
type Lookup struct {
	Collection *Collection
	Vector     *string
}

// MaxPrefetchDepth bounds how deep prefetches may be nested.
const MaxPrefetchDepth = 64

// ranking is what a query found, best first.
type ranking struct {
	hits   []hnsw.Hit
	values []*index.Value // by which hits were ordered, nil for none; as many as hits, or nil
}

// tree is a request under way that is more than one search: a query with those whose
// results it merges or scores anew. All are answered on one view.
type tree struct {
	c      *Collection
	v      *view
	shared map[*filter.Filter]*sharedSelection
	views  map[*Collection]*view // of collections that vectors are looked up in
	orders orders
	root   *node
	hidden map[uint32]bool // slots of points the queries refer to, not returned
}

// node is one query of a tree.
type node struct {
	*tree
	r        *SearchRequest
	query    Query
	wanted   int            // points
	filter   *filter.Filter // its own and those of the nodes above, nil for none
	prefetch []*node
	from     []ranking // of the prefetches
}

// simple says whether the request is one search, or a list.
func (r *SearchRequest) simple() bool {
	return r.Query == nil && r.Prefetch == nil && r.LookupFrom == nil
}

// kind returns the request's query. Nil is a list.
func (r *SearchRequest) kind() Query {
	switch {
	case r.Query != nil:
		return r.Query
	case r.List:
		return listing{}
	default:
		return nearest{Example{ID: r.ID, Vector: r.Vector}}
	}
}

// check refuses requests that contradict themselves.
func (r *SearchRequest) check(depth int) error {
	switch {
	case depth > MaxPrefetchDepth:
		return errorf(BadRequest, "prefetches may be nested %d deep", MaxPrefetchDepth)
	case r.List && len(r.Prefetch) > 0:
		return errorf(BadRequest, "A query is needed to merge the prefetches. Can't have prefetches without defining a query.")
	case r.List && r.ScoreThreshold != nil:
		return errorf(BadRequest, "A query is needed to use the score_threshold. Can't have score_threshold without defining a query.")
	}
	if r.Query != nil {
		if err := r.Query.check(r); err != nil {
			return err
		}
	}
	for i := range r.Prefetch {
		if err := r.Prefetch[i].check(depth + 1); err != nil {
			return err
		}
	}
	return nil
}

// planner makes trees of requests. It takes note of their filters and of the
// collections they look up vectors in.
type planner struct {
	filters map[*filter.Filter]int // how many searches have it
	both    map[[2]*filter.Filter]*filter.Filter
	lookups map[*Collection]bool
	orders  orders
}

// views returns the current views of the collections that vectors are looked up in.
// They must be released.
func (p *planner) views() (map[*Collection]*view, error) {
	if len(p.lookups) == 0 {
		return nil, nil
	}
	views := make(map[*Collection]*view, len(p.lookups))
	for c := range p.lookups {
		v, err := c.acquire()
		if err != nil {
			for _, v := range views {
				v.release()
			}
			return nil, err
		}
		views[c] = v
	}
	return views, nil
}

func (p *planner) tree(c *Collection, r *SearchRequest) *tree {
	t := &tree{c: c, hidden: map[uint32]bool{}}
	t.root = p.node(t, r, nil)
	return t
}

func (p *planner) node(t *tree, r *SearchRequest, above *filter.Filter) *node {
	n := &node{tree: t, r: r, query: r.kind(), wanted: saturatingAdd(r.Limit, r.Offset), filter: p.and(above, r.Filter)}
	if l := r.LookupFrom; l != nil && l.Collection != t.c {
		if p.lookups == nil {
			p.lookups = map[*Collection]bool{}
		}
		p.lookups[l.Collection] = true
	}
	if q, ok := n.query.(OrderBy); ok {
		if p.orders == nil {
			p.orders = orders{}
		}
		p.orders[q.Field.Key()] = nil
	}
	for i := range r.Prefetch {
		n.prefetch = append(n.prefetch, p.node(t, &r.Prefetch[i], n.filter))
	}
	if len(n.prefetch) > 0 {
		return n // its points come from prefetches, which have the filter
	}
	if _, needsAll := n.query.(interface{ needsAll() }); needsAll && n.filter == nil {
		n.filter = everything
	}
	p.count(n.filter)
	return n
}

// count notes that a search has the filter, nil for none.
func (p *planner) count(f *filter.Filter) {
	if f == nil {
		return
	}
	if p.filters == nil {
		p.filters = map[*filter.Filter]int{}
	}
	p.filters[f]++
}

// and returns the filter that passes what both do, the same for the same two.
func (p *planner) and(a, b *filter.Filter) *filter.Filter {
	switch {
	case b == nil || b.Empty():
		return a
	case a == nil:
		return b
	}
	pair := [2]*filter.Filter{a, b}
	if p.both == nil {
		p.both = map[[2]*filter.Filter]*filter.Filter{}
	}
	if p.both[pair] == nil {
		p.both[pair] = filter.And(a, b)
	}
	return p.both[pair]
}

// run answers the tree's request.
func (t *tree) run(ctx context.Context) ([]ScoredPoint, error) {
	if err := t.hide(t.root); err != nil {
		return nil, err
	}
	found, err := t.root.run(ctx)
	if err != nil {
		return nil, err
	}
	r := t.root.r
	if _, isSample := t.root.query.(Sample); isSample && len(r.Prefetch) == 0 {
		found.hits = found.hits[:min(len(found.hits), r.Limit)] // pages of a sample mean nothing
	} else {
		skipped := min(len(found.hits), r.Offset)
		found.hits = found.hits[skipped:]
		if found.values != nil {
			found.values = found.values[skipped:]
		}
	}
	return t.points(ctx, found)
}

// points reads what is to be seen of the points that the root found.
func (t *tree) points(ctx context.Context, found ranking) ([]ScoredPoint, error) {
	s := search{c: t.c, v: t.v, r: t.root.r}
	points, err := s.points(ctx, found.hits)
	if _, isListed := t.root.query.(interface{ unscored() }); isListed {
		for i := range points {
			points[i].Version = 0
		}
	}
	if found.values != nil {
		for i := range points {
			points[i].Order = found.values[i]
		}
	}
	return points, err
}

// hide notes the points that queries of this collection refer to.
func (t *tree) hide(n *node) error {
	if n.r.LookupFrom == nil || n.r.LookupFrom.Collection == t.c {
		for _, e := range n.query.examples() {
			if e.ID.IsZero() {
				continue
			}
			slot, ok := t.c.ids.visible(e.ID.AppendKey(nil), t.v.slots)
			if !ok {
				return noPoint(e.ID)
			}
			t.hidden[slot] = true
		}
	}
	for _, p := range n.prefetch {
		if err := t.hide(p); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) run(ctx context.Context) (ranking, error) {
	n.from = make([]ranking, len(n.prefetch))
	err := n.c.cores.each(len(n.prefetch), func(i int) error {
		var err error
		if n.from[i], err = n.prefetch[i].run(ctx); err != nil {
			return err
		}
		return take(ctx, hitRoom*len(n.from[i].hits))
	})
	if err != nil {
		return ranking{}, err
	}
	return n.query.answer(ctx, n)
}

// candidates returns the slots that the prefetches found.
func (n *node) candidates() *roaring.Bitmap {
	slots := roaring.New()
	for _, list := range n.from {
		for _, h := range list.hits {
			slots.Add(h.Slot)
		}
	}
	return slots
}

// selection returns the points the node may return: those the prefetches found, or
// those that pass its filter; nil for all.
func (n *node) selection(ctx context.Context) (*selection, error) {
	switch {
	case len(n.prefetch) > 0:
		return &selection{c: n.c, v: n.v, sure: n.candidates(), doubts: roaring.New()}, nil
	case n.filter != nil:
		return n.shared[n.filter].take(ctx)
	default:
		return nil, nil
	}
}

// vector returns the vector of an example. It is nil for a point that has none.
func (n *node) vector(e Example) (Vector, error) {
	c, v, name := n.c, n.v, n.r.Using
	if e.ID.IsZero() {
		return e.Vector, v.set.checkVector(name, e.Vector)
	}
	if l := n.r.LookupFrom; l != nil {
		c = l.Collection
		if c != n.c {
			v = n.views[c]
		}
		if l.Vector != nil {
			name = *l.Vector
		}
	}
	if !v.set.hasName(name) {
		return nil, noVector(name)
	}
	slot, ok := c.ids.visible(e.ID.AppendKey(nil), v.slots)
	if !ok {
		return nil, noPoint(e.ID)
	}
	vector, err := c.vector(v, name, slot)
	if vector == nil || err != nil {
		return nil, err
	}
	return vector, n.v.set.checkVector(n.r.Using, vector)
}

// vectors returns the vectors of examples, without points that have none.
func (n *node) vectors(examples []Example) ([]Vector, error) {
	var list []Vector
	for _, e := range examples {
		v, err := n.vector(e)
		if err != nil {
			return nil, err
		}
		if v != nil {
			list = append(list, v)
		}
	}
	return list, nil
}

// nearest returns the k points nearest to a vector. Those that prefetches found are
// scored exactly.
func (n *node) nearest(ctx context.Context, v Vector, k int) ([]hnsw.Hit, error) {
	r := *n.r
	r.Query, r.Vector, r.ID = nil, v, point.ID{}
	r.Limit, r.Offset = saturatingAdd(k, len(n.hidden)), 0
	r.Exact = r.Exact || len(n.prefetch) > 0
	s := search{c: n.c, v: n.v, r: &r, self: noSlot}
	var err error
	if s.selection, err = n.selection(ctx); err != nil {
		return nil, err
	}
	hits, err := s.run(ctx)
	if err != nil {
		return nil, err
	}
	hits = n.shown(hits)
	return hits[:min(len(hits), k)], nil
}

// shown leaves the hidden points out.
func (n *node) shown(hits []hnsw.Hit) []hnsw.Hit {
	return slices.DeleteFunc(hits, func(h hnsw.Hit) bool { return n.hidden[h.Slot] })
}

// best sorts hits of which those with larger scores are better, ties by id, and
// returns as many as are wanted of those that keep says yes to.
func (n *node) best(hits []hnsw.Hit, keep func(score, threshold float32) bool) ranking {
	hits = n.shown(hits)
	if t := n.r.ScoreThreshold; t != nil {
		hits = slices.DeleteFunc(hits, func(h hnsw.Hit) bool { return !keep(h.Score, *t) })
	}
	slices.SortFunc(hits, n.c.compareHits)
	return ranking{hits: hits[:min(len(hits), n.wanted)]}
}

func above(score, threshold float32) bool   { return score > threshold }
func atLeast(score, threshold float32) bool { return score >= threshold }

// compareHits orders by score, the larger first, and then by id.
func (c *Collection) compareHits(a, b hnsw.Hit) int {
	if order := cmp.Compare(b.Score, a.Score); order != 0 || a.Slot == b.Slot {
		return order
	}
	return bytes.Compare(c.ids.key(a.Slot), c.ids.key(b.Slot))
}
