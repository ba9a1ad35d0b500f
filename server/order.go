package server

import (
	"bytes"
	"context"

	"freshet/hnsw"
	"freshet/server/filter"
	"freshet/server/index"
	"freshet/server/payload"
)

// OrderBy asks for points in the order of a field's values, ties in the order of their
// ids, both in the same direction. The field needs an index of integers, floats or
// moments. Points without a value are left out; one with several comes once for each.
//
// It is a Query, and the order of a scroll.
type OrderBy struct {
	Field      payload.Path
	Descending bool
	Start      *index.Value // the first value that may come, nil for all
}

func (OrderBy) check(r *SearchRequest) error {
	if r.ScoreThreshold != nil {
		return errorf(BadRequest, "Can't use score_threshold with an order_by query.")
	}
	return nil
}

func (OrderBy) examples() []Example { return nil }
func (OrderBy) needsAll()           {}
func (OrderBy) unscored()           {}

func (q OrderBy) answer(ctx context.Context, n *node) (ranking, error) {
	sel, err := n.selection(ctx)
	if err != nil {
		return ranking{}, err
	}
	return sel.ordered(ctx, n.orders, q, n.wanted, n.hidden)
}

// orders are those of payload indexes at the moment of a view, by payload.Path.Key. Who
// needs one makes a place for it before the view is taken.
type orders map[string]index.Order

// fill takes the orders that are asked for. It is called with the lock of the indexes
// held.
func (o orders) fill(set *indexSet) {
	for key := range o {
		if ix := set.index(key); ix != nil {
			o[key] = ix.Order()
		}
	}
}

// orderCheck is how many pairs of an order are passed between two looks at the context.
const orderCheck = 1 << 16

// ordered returns the first points of a selection in an order.
func (s *selection) ordered(ctx context.Context, o orders, q OrderBy, limit int, hidden map[uint32]bool) (ranking, error) {
	order := o[q.Field.Key()]
	if order == nil {
		return ranking{}, errorf(WrongInput, "No range index for `order_by` key: `%s`. Please create one to use `order_by`. Check https://qdrant.tech/documentation/concepts/indexing/#payload-index to see which payload schemas support Range conditions", q.Field)
	}
	var found ranking
	var last index.Value
	ties := top[uint32]{compare: func(a, b uint32) int {
		if q.Descending {
			a, b = b, a
		}
		return bytes.Compare(s.c.ids.key(a), s.c.ids.key(b))
	}}
	flush := func() {
		value := last
		for _, slot := range ties.list() {
			found.hits = append(found.hits, hnsw.Hit{Slot: slot, Score: 1})
			found.values = append(found.values, &value)
		}
		ties.items, ties.limit = ties.items[:0], limit-len(found.hits)
	}
	ties.limit = limit
	m := orderMatcher{matcher: matcher{s: s}}
	seen := 0
	for value, slot := range order.Pairs(q.Descending, q.Start) {
		if seen++; seen%orderCheck == 0 && ctx.Err() != nil {
			return ranking{}, searchError(ctx, ctx.Err())
		}
		if value != last && len(ties.items) > 0 {
			if flush(); ties.limit == 0 {
				return found, nil
			}
		}
		last = value
		if hidden[slot] {
			continue
		}
		ok, err := m.passes(ctx, slot)
		if err != nil {
			return ranking{}, searchError(ctx, err)
		}
		if ok {
			ties.add(slot)
		}
	}
	flush()
	return found, nil
}

// orderValues returns the values by which lists ordered the points of hits, the first
// of each point.
func orderValues(hits []hnsw.Hit, lists []ranking) []*index.Value {
	bySlot := map[uint32]*index.Value{}
	for _, list := range lists {
		for i, v := range list.values {
			if slot := list.hits[i].Slot; bySlot[slot] == nil {
				bySlot[slot] = v
			}
		}
	}
	if len(bySlot) == 0 {
		return nil
	}
	values := make([]*index.Value, len(hits))
	for i, h := range hits {
		values[i] = bySlot[h.Slot]
	}
	return values
}

// orderMatcher looks at points in doubt one by one, until it would have cost less to
// look at all of them in the order of the store; then it does that.
type orderMatcher struct {
	matcher
	looked int
}

func (m *orderMatcher) passes(ctx context.Context, slot uint32) (bool, error) {
	s := m.s
	if s.sure.Contains(slot) {
		return true, nil
	}
	if !s.doubts.Contains(slot) {
		return false, nil
	}
	if m.looked++; m.looked*getCost > s.v.points {
		err := s.resolve(ctx)
		return s.sure.Contains(slot), err
	}
	return m.match(ctx, slot)
}

// scrollOrdered returns the first points of an order.
func (c *Collection) scrollOrdered(ctx context.Context, r ScrollRequest) (ScrollPage, error) {
	if !r.Offset.IsZero() {
		return ScrollPage{}, errorf(WrongInput, "Cannot use an `offset` when using `order_by`. The alternative for paging is to use `order_by.start_from` and a filter to exclude the IDs that you've already seen for the `order_by.start_from` value")
	}
	o := orders{r.Order.Field.Key(): nil}
	v, sels, err := c.chooseAll([]*filter.Filter{r.Filter}, o)
	if err != nil {
		return ScrollPage{}, err
	}
	defer v.release()
	found, err := sels[0].ordered(ctx, o, *r.Order, r.Limit, nil)
	if err != nil {
		return ScrollPage{}, err
	}
	page := ScrollPage{Records: []Record{}}
	for i, h := range found.hits {
		if ctx.Err() != nil {
			return ScrollPage{}, deadline(ctx)
		}
		record, err := c.record(v, h.Slot, r.WithPayload, r.WithVector)
		if err != nil {
			return ScrollPage{}, err
		}
		record.Order = found.values[i]
		if page.Records, err = appendRecord(ctx, page.Records, record); err != nil {
			return ScrollPage{}, err
		}
	}
	return page, nil
}
