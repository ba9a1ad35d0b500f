package server

import (
	"context"
	"errors"

	"freshet/server/filter"
	"freshet/server/payload"
	"freshet/server/point"
)

// Retrieve returns the points with the ids, in the order asked. Unknown ids
// are left out, repeated ones returned once.
func (c *Collection) Retrieve(ctx context.Context, ids []point.ID, withPayload payload.Selector, withVector VectorSelector) ([]Record, error) {
	v, err := c.acquire()
	if err != nil {
		return nil, err
	}
	defer v.release()
	seen := make(map[point.ID]bool, len(ids))
	records := make([]Record, 0, len(ids))
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		if ctx.Err() != nil {
			return nil, deadline(ctx)
		}
		slot, ok := c.ids.visible(id.AppendKey(nil), v.slots)
		if !ok {
			continue
		}
		record, err := c.record(v, slot, withPayload, withVector)
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	return records, nil
}

// Scroll returns one page of the points that match, in id order.
func (c *Collection) Scroll(ctx context.Context, r ScrollRequest) (ScrollPage, error) {
	v, err := c.acquire()
	if err != nil {
		return ScrollPage{}, err
	}
	defer v.release()
	return c.scroll(ctx, v, r)
}

func (c *Collection) scroll(ctx context.Context, v *view, r ScrollRequest) (ScrollPage, error) {
	var from []byte
	if !r.Offset.IsZero() {
		from = r.Offset.AppendKey(nil)
	}
	page := ScrollPage{Records: []Record{}}
	var failed error
	err := c.scanMatches(ctx, v, r.Filter, from, func(key []byte, s stored) bool {
		id, err := point.FromKey(key)
		if err != nil {
			failed = err
			return false
		}
		if len(page.Records) >= r.Limit {
			page.Next = id
			return false
		}
		slot, ok := c.ids.visible(key, v.slots)
		if !ok {
			failed = errors.New("a stored point has no slot: " + id.String())
			return false
		}
		s.payload = append([]byte(nil), s.payload...)
		record, err := c.shape(v, id, slot, s, r.WithPayload, r.WithVector)
		page.Records = append(page.Records, record)
		failed = err
		return err == nil
	})
	return page, errors.Join(err, failed)
}

// Count returns how many points match the filter (nil: all).
func (c *Collection) Count(ctx context.Context, f *filter.Filter) (int, error) {
	v, err := c.acquire()
	if err != nil {
		return 0, err
	}
	defer v.release()
	if f == nil || f.Empty() {
		return v.points, nil
	}
	n := 0
	err = c.scanMatches(ctx, v, f, nil, func([]byte, stored) bool {
		n++
		return true
	})
	return n, err
}
