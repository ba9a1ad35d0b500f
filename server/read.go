package server

import (
	"context"
	"errors"
	"slices"

	"freshet/server/filter"
	"freshet/server/payload"
	"freshet/server/point"
	"freshet/storage"
)

// Retrieve returns the points with the ids, in the order asked. Unknown ids
// are left out, repeated ones returned once.
func (c *Collection) Retrieve(ctx context.Context, ids []point.ID, withPayload payload.Selector, withVector VectorSelector) ([]Record, error) {
	v, err := c.acquire()
	if err != nil {
		return nil, err
	}
	defer v.release()
	return c.retrieve(ctx, v, ids, withPayload, withVector)
}

func (c *Collection) retrieve(ctx context.Context, v *view, ids []point.ID, withPayload payload.Selector, withVector VectorSelector) ([]Record, error) {
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
		if records, err = appendRecord(ctx, records, record); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// Origin says what wrote a point.
type Origin struct {
	Version       // of a REST write: with the zero Stream
	Expires int64 // as Point.Expires
}

// Written returns a point with all it has and what wrote it; nil if there is none.
func (c *Collection) Written(id point.ID) (*Record, Origin, error) {
	v, err := c.acquire()
	if err != nil {
		return nil, Origin{}, err
	}
	defer v.release()
	key := id.AppendKey(nil)
	slot, ok := c.ids.visible(key, v.slots)
	if !ok {
		return nil, Origin{}, nil
	}
	value, err := v.snapshot.Get(nil, storage.AppendKey(nil, storage.Point, c.space, key))
	if err != nil {
		return nil, Origin{}, err
	}
	s, err := decodeStored(value)
	if err != nil {
		return nil, Origin{}, err
	}
	from := Origin{Expires: s.expires}
	if from.Version, err = full(v.origins, s.version); err != nil {
		return nil, Origin{}, err
	}
	from.Timestamp = s.timestamp
	record, err := c.shape(v, id, slot, s, payload.All(), VectorSelector{All: true})
	return &record, from, err
}

// Scroll returns one page of the points that match, in id order.
func (c *Collection) Scroll(ctx context.Context, r ScrollRequest) (ScrollPage, error) {
	if r.Filter == nil {
		r.Filter = &filter.Filter{}
	}
	if r.Order != nil {
		return c.scrollOrdered(ctx, r)
	}
	sel, err := c.choose(r.Filter)
	if err != nil {
		return ScrollPage{}, err
	}
	defer sel.v.release()
	return sel.page(ctx, r)
}

// page reads one page of the points that pass, in id order.
func (s *selection) page(ctx context.Context, r ScrollRequest) (ScrollPage, error) {
	var from []byte
	if !r.Offset.IsZero() {
		from = r.Offset.AppendKey(nil)
	}
	few, err := s.fewFor(ctx, r.Limit)
	if err != nil {
		return ScrollPage{}, err
	}
	if few {
		return s.pageOf(ctx, s.keys(from), &r)
	}
	page := ScrollPage{Records: []Record{}}
	var failed error
	err = s.scan(ctx, from, nil, func(key []byte, slot uint32, stored stored) bool {
		id, err := point.FromKey(key)
		if err != nil {
			failed = err
			return false
		}
		if len(page.Records) >= r.Limit {
			page.Next = id
			return false
		}
		stored.payload = slices.Clone(stored.payload)
		record, err := s.c.shape(s.v, id, slot, stored, r.WithPayload, r.WithVector)
		if err == nil {
			page.Records, err = appendRecord(ctx, page.Records, record)
		}
		failed = err
		return err == nil
	})
	return page, errors.Join(err, failed)
}

// fewFor says whether a page is found faster by sorting the ids of all matches
// than by going through the points in order until it is full. It resolves few
// doubts itself.
func (s *selection) fewFor(ctx context.Context, limit int) (bool, error) {
	doubts, points := int(s.doubts.GetCardinality()), s.v.points
	few := func(n int) bool { return n*n/2 < limit*points }
	if doubts*getCost > points || !few(doubts+int(s.sure.GetCardinality())) {
		return false, nil
	}
	return true, s.resolve(ctx)
}

// pageOf reads the first points of a list.
func (s *selection) pageOf(ctx context.Context, keys [][]byte, r *ScrollRequest) (ScrollPage, error) {
	page := ScrollPage{Records: []Record{}}
	for _, key := range keys[:min(len(keys), r.Limit)] {
		if ctx.Err() != nil {
			return ScrollPage{}, deadline(ctx)
		}
		slot, ok := s.c.ids.visible(key, s.v.slots)
		if !ok {
			return ScrollPage{}, errNoSlot
		}
		record, err := s.c.record(s.v, slot, r.WithPayload, r.WithVector)
		if err != nil {
			return ScrollPage{}, err
		}
		if page.Records, err = appendRecord(ctx, page.Records, record); err != nil {
			return ScrollPage{}, err
		}
	}
	var err error
	if len(keys) > r.Limit {
		page.Next, err = point.FromKey(keys[r.Limit])
	}
	return page, err
}

// Count returns how many points match the filter (nil: all).
func (c *Collection) Count(ctx context.Context, f *filter.Filter) (int, error) {
	if f == nil || f.Empty() {
		v, err := c.acquire()
		if err != nil {
			return 0, err
		}
		defer v.release()
		return v.points, nil
	}
	sel, err := c.choose(f)
	if err != nil {
		return 0, err
	}
	defer sel.v.release()
	if err := sel.resolve(ctx); err != nil {
		return 0, searchError(ctx, err)
	}
	return int(sel.sure.GetCardinality()), nil
}
