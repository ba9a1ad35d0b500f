package server

import (
	"context"
	"math"
	"slices"

	"freshet/server/filter"
	"freshet/server/payload"
	"freshet/server/point"
)

// GroupRequest asks for the best points of each group. A group is the points that have
// one string or integer in a field; a point with several values is in several groups.
type GroupRequest struct {
	Search SearchRequest // its Limit and Offset are not used
	By     payload.Path
	Limit  int // groups
	Size   int // points of a group
	Lookup *GroupLookup
}

// GroupLookup asks for the points whose ids are the keys of groups.
type GroupLookup struct {
	Collection  *Collection
	WithPayload payload.Selector
	WithVector  VectorSelector
}

// Group is the best points of one group, of which there is at least one.
type Group struct {
	Key    any // a string, an int64, or a uint64 beyond
	Hits   []ScoredPoint
	Lookup *Record // nil if it was not asked for, or there is none
}

// Demands appends what the request asks for to dst.
func (r *GroupRequest) Demands(dst []Demand) []Demand {
	s := r.Search
	s.Limit = saturatingMultiply(r.Limit, r.Size)
	return s.Demands(dst)
}

// SearchGroups returns the groups of the best points, in the order of these, as of one
// moment.
func (c *Collection) SearchGroups(ctx context.Context, r GroupRequest) ([]Group, error) {
	g, err := c.planGroups(&r)
	if err != nil {
		return nil, err
	}
	defer g.release()
	if err := g.find(ctx); err != nil {
		return nil, searchError(ctx, err)
	}
	groups, err := g.read(ctx)
	return groups, searchError(ctx, err)
}

// grouping is a GroupRequest under way.
//
// A search finds the best points of all. Those that follow look for what is missing yet:
// at first among points with a key that is not known, until there are enough groups, and
// then among those with the keys of groups that are not full. So each finds a beginning
// of the whole ranking of the groups it is about. Where prefetches or MMR decide what
// there is to choose from, a filter would change it; then all of it is asked for at once.
type grouping struct {
	r      *GroupRequest
	b      *batch
	t      *tree
	among  *selection // what the request's filter lets through, nil for all
	lookup *view      // of r.Lookup.Collection
	m      matcher

	keys   []any // of groups, in the order they were found
	groups map[any]*members
}

// members are the points of one group that were found.
type members struct {
	ranking
	slots    map[uint32]bool // of points that may come again, as they are ordered by a value
	complete bool            // there are no more
}

func (c *Collection) planGroups(r *GroupRequest) (*grouping, error) {
	g := &grouping{r: r, groups: map[any]*members{}}
	s := r.Search
	s.Limit, s.Offset = saturatingMultiply(r.Limit, r.Size), 0
	if len(s.Prefetch) > 0 {
		s.Prefetch = enlarged(s.Prefetch, r.Size)
		keyed := filter.Where(r.By, filter.OtherKey{})
		if s.Filter != nil {
			keyed = filter.And(s.Filter, keyed)
		}
		s.Filter = keyed
	}
	var err error
	if g.b, err = c.planBatch([]SearchRequest{s}); err != nil {
		return nil, err
	}
	switch {
	case r.Lookup == nil:
	case r.Lookup.Collection == c:
		g.b.v.acquire()
		g.lookup = g.b.v
	default:
		if g.lookup, err = r.Lookup.Collection.acquire(); err != nil {
			g.b.release()
			return nil, err
		}
	}
	g.t = g.b.tree(0)
	g.m = matcher{s: &selection{c: c, v: g.b.v}}
	if shared := g.t.shared[g.t.root.filter]; shared != nil {
		g.among = shared.selection
	}
	return g, nil
}

// enlarged returns prefetches that find points enough for groups of a size.
func enlarged(prefetches []SearchRequest, size int) []SearchRequest {
	list := slices.Clone(prefetches)
	for i := range list {
		list[i].Limit = saturatingMultiply(list[i].Limit, size)
		list[i].Prefetch = enlarged(list[i].Prefetch, size)
	}
	return list
}

func (g *grouping) release() {
	g.b.release()
	if g.lookup != nil {
		g.lookup.release()
	}
}

func (g *grouping) find(ctx context.Context) error {
	if err := g.t.hide(g.t.root); err != nil {
		return err
	}
	wanted := g.t.root.r.Limit
	_, isMMR := g.t.root.query.(MMR)
	if isMMR || len(g.t.root.prefetch) > 0 {
		wanted = math.MaxInt
	}
	all, err := g.search(ctx, nil, wanted, func(any) bool { return true })
	if err != nil || all || wanted == math.MaxInt {
		return err
	}
	if err := g.findOthers(ctx); err != nil {
		return err
	}
	return g.fill(ctx)
}

// findOthers looks for groups that are not known until there are enough.
func (g *grouping) findOthers(ctx context.Context) error {
	for len(g.keys) < g.r.Limit {
		known := map[any]struct{}{}
		for _, key := range g.keys {
			known[key] = struct{}{}
		}
		test := filter.OtherKey{Values: known}
		all, err := g.search(ctx, filter.Where(g.r.By, test), saturatingMultiply(g.r.Limit-len(g.keys), g.r.Size), test.Holds)
		if err != nil || all {
			return err
		}
	}
	return nil
}

// fill looks for points of the groups that are not full.
func (g *grouping) fill(ctx context.Context) error {
	for most, before := 1, math.MaxInt; ; {
		missing := map[any]struct{}{}
		for key, group := range g.groups {
			if !group.complete && len(group.hits) < g.r.Size {
				missing[key] = struct{}{}
			}
		}
		if len(missing) == 0 {
			return nil
		}
		// So many points are enough for one group to be full, unless some come twice.
		if len(missing) == before {
			most = saturatingMultiply(most, 2)
		}
		before = len(missing)
		wanted := saturatingMultiply(saturatingMultiply(len(missing), g.r.Size), most)
		test := filter.OneOf{Values: missing}
		all, err := g.search(ctx, filter.Where(g.r.By, test), wanted, test.Holds)
		if err != nil || all {
			return err
		}
	}
}

// search looks for points among those that pass f, nil for all, and puts them into the
// groups of those of their keys that it is about. It says whether that were all points.
func (g *grouping) search(ctx context.Context, f *filter.Filter, wanted int, about func(key any) bool) (all bool, err error) {
	root := g.t.root
	if f != nil {
		sel := g.t.c.narrow(g.t.v, g.among, f)
		root.filter = f
		g.t.shared = map[*filter.Filter]*sharedSelection{f: {selection: sel, searches: 1}}
	}
	root.wanted = wanted
	found, err := root.run(ctx)
	if err != nil {
		return false, err
	}
	all = len(found.hits) < wanted
	groups, err := g.sort(ctx, found, about)
	if err != nil {
		return false, err
	}
	for key, group := range groups {
		if before := g.groups[key]; before == nil || len(group.hits) >= len(before.hits) {
			g.groups[key] = group
		}
		g.groups[key].complete = all
	}
	return all, nil
}

// sort puts points into groups, at most as many as are wanted.
func (g *grouping) sort(ctx context.Context, found ranking, about func(key any) bool) (map[any]*members, error) {
	groups := map[any]*members{}
	open := 0 // groups that are not full
	for i, h := range found.hits {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if open == 0 && len(groups) > 0 && len(g.keys) == g.r.Limit {
			break
		}
		keys, err := g.keysOf(h.Slot)
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			if !about(key) {
				continue
			}
			group := groups[key]
			if group == nil {
				if g.groups[key] == nil {
					if len(g.keys) == g.r.Limit {
						continue
					}
					g.keys = append(g.keys, key)
				}
				group = &members{}
				groups[key] = group
				open++
			}
			if len(group.hits) < g.r.Size && group.add(found, i) && len(group.hits) == g.r.Size {
				open--
			}
		}
	}
	return groups, nil
}

// add appends a point of a ranking, if it is new.
func (m *members) add(found ranking, i int) bool {
	h := found.hits[i]
	if found.values == nil {
		m.hits = append(m.hits, h)
		return true
	}
	if m.slots[h.Slot] {
		return false
	}
	if m.slots == nil {
		m.slots = map[uint32]bool{}
	}
	m.slots[h.Slot] = true
	m.hits, m.values = append(m.hits, h), append(m.values, found.values[i])
	return true
}

// keysOf returns the keys of the groups that a point is in.
func (g *grouping) keysOf(slot uint32) ([]any, error) {
	raw, err := g.m.payload(slot)
	if err != nil || len(raw) == 0 {
		return nil, err
	}
	root := g.r.By.Root()
	doc, err := payload.DecodeMembers(raw, func(name string) bool { return name == root })
	if err != nil {
		return nil, err
	}
	var keys []any
	known := map[any]bool{}
	g.r.By.Values(doc, func(v any) bool {
		if (filter.OtherKey{}).Holds(v) && !known[v] {
			known[v] = true
			keys = append(keys, v)
		}
		return true
	})
	return keys, nil
}

// read reads what is to be seen of the groups.
func (g *grouping) read(ctx context.Context) ([]Group, error) {
	groups := make([]Group, len(g.keys))
	for i, key := range g.keys {
		hits, err := g.t.points(ctx, g.groups[key].ranking)
		if err != nil {
			return nil, err
		}
		groups[i] = Group{Key: key, Hits: hits}
	}
	if g.lookup == nil {
		return groups, nil
	}
	var ids []point.ID
	for _, key := range g.keys {
		if id := idOfKey(key); !id.IsZero() {
			ids = append(ids, id)
		}
	}
	l := g.r.Lookup
	records, err := l.Collection.retrieve(ctx, g.lookup, ids, l.WithPayload, l.WithVector)
	if err != nil {
		return nil, err
	}
	byID := make(map[point.ID]*Record, len(records))
	for i := range records {
		byID[records[i].ID] = &records[i]
	}
	for i, key := range g.keys {
		groups[i].Lookup = byID[idOfKey(key)]
	}
	return groups, nil
}

// idOfKey returns the id that a group's key is, the zero ID if it can be none.
func idOfKey(key any) point.ID {
	switch key := key.(type) {
	case string:
		if id, err := point.Parse(key); err == nil {
			return id
		}
	case int64:
		if key >= 0 {
			return point.Number(uint64(key))
		}
	case uint64:
		return point.Number(key)
	}
	return point.ID{}
}
