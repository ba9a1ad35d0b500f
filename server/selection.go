package server

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"freshet/server/filter"
	"freshet/storage"
)

// selection is the points of a view that pass a filter. What the indexes know is
// settled from the start; the others are looked at when it has to be known.
type selection struct {
	c      *Collection
	v      *view
	filter *filter.Filter
	sure   *roaring.Bitmap // slots of points that pass
	doubts *roaring.Bitmap // slots of points whose payload has to be looked at
}

// choose evaluates a filter on the current view as far as the indexes go. The
// caller must release the selection's view.
func (c *Collection) choose(f *filter.Filter) (*selection, error) {
	_, sels, err := c.chooseAll([]*filter.Filter{f}, nil)
	if err != nil {
		return nil, err
	}
	return sels[0], nil
}

// chooseAll evaluates filters on one view, as far as the indexes go, and takes the
// orders of the same moment. The caller must release the view.
func (c *Collection) chooseAll(filters []*filter.Filter, o orders) (*view, []*selection, error) {
	if len(filters)+len(o) > 0 {
		c.indexes.mu.RLock()
		defer c.indexes.mu.RUnlock()
	}
	v, err := c.acquire()
	if err != nil {
		return nil, nil, err
	}
	o.fill(c.indexes)
	sels := make([]*selection, len(filters))
	for i, f := range filters {
		sels[i] = c.evaluate(v, f)
	}
	return v, sels, nil
}

// evaluate is called with the lock of the indexes held.
func (c *Collection) evaluate(v *view, f *filter.Filter) *selection {
	set := c.indexes
	sel := &selection{c: c, v: v, filter: f}
	if set.hasTexts() {
		sel.filter = f.Bind(set.analyzer)
	}
	b := sel.filter.Bounds(indexesOf{set, c.ids, v})
	if sel.sure = b.Sure; !b.Own {
		sel.sure = b.Sure.Clone()
	}
	if b.Exact() {
		sel.doubts = roaring.New()
	} else {
		sel.doubts = roaring.AndNot(b.Possible, b.Sure)
	}
	return sel
}

// narrow returns the points of a view that pass a filter, and are part of a selection
// if that is not nil. The view need not be the current one: points that were written
// since are in doubt.
func (c *Collection) narrow(v *view, of *selection, f *filter.Filter) *selection {
	set := c.indexes
	set.mu.RLock()
	defer set.mu.RUnlock()
	b := f.Bounds(indexesOf{set, c.ids, v})
	since := v.since.all()
	sure, possible := roaring.AndNot(b.Sure, since), roaring.AndNot(b.Possible, since)
	for it := since.Iterator(); it.HasNext(); {
		if slot := it.Next(); v.slots.Visible(slot) {
			possible.Add(slot)
		}
	}
	if of != nil {
		f = filter.And(of.filter, f)
		sure.And(of.sure)
		possible.And(roaring.Or(of.sure, of.doubts))
	}
	possible.AndNot(sure)
	return &selection{c: c, v: v, filter: f, sure: sure, doubts: possible}
}

// clone returns a selection that is resolved for itself.
func (s *selection) clone() *selection {
	c := *s
	c.sure, c.doubts = s.sure.Clone(), s.doubts.Clone()
	return &c
}

// A payload found by its key costs about this many times one read in order.
const getCost = 4

// resolve looks at all the points in doubt.
func (s *selection) resolve(ctx context.Context) error {
	n := int(s.doubts.GetCardinality())
	if n == 0 {
		return nil
	}
	matched, err := s.matching(ctx, n)
	if err != nil {
		return err
	}
	s.sure.Or(matched)
	s.doubts.Clear()
	return nil
}

func (s *selection) matching(ctx context.Context, n int) (*roaring.Bitmap, error) {
	matched := roaring.New()
	if n*getCost < s.v.points {
		return matched, s.match(ctx, s.doubts, matched)
	}
	return matched, s.scan(ctx, nil, s.doubts, func(_ []byte, slot uint32, _ stored) bool {
		matched.Add(slot)
		return true
	})
}

// match adds those of the slots whose points pass to matched.
func (s *selection) match(ctx context.Context, slots, matched *roaring.Bitmap) error {
	m := matcher{s: s}
	for it := slots.Iterator(); it.HasNext(); {
		slot := it.Next()
		ok, err := m.match(ctx, slot)
		if err != nil {
			return err
		}
		if ok {
			matched.Add(slot)
		}
	}
	return nil
}

// matcher evaluates the filter on single points.
type matcher struct {
	s        *selection
	key, val []byte
}

func (m *matcher) match(ctx context.Context, slot uint32) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	return m.s.filter.Match(&subject{c: m.s.c, key: m.s.c.ids.key(slot), slot: slot, load: func() ([]byte, error) {
		return m.payload(slot)
	}})
}

// payload returns the payload of a slot's point. It is valid until the next call.
func (m *matcher) payload(slot uint32) ([]byte, error) {
	c := m.s.c
	m.key = storage.AppendKey(m.key[:0], storage.Point, c.space, c.ids.key(slot))
	var err error
	if m.val, err = m.s.v.snapshot.Get(m.val[:0], m.key); err != nil {
		return nil, err
	}
	record, err := decodeStored(m.val)
	return record.payload, err
}

// payloads calls visit with the payloads of the points that pass and whose slots are
// among some. They are valid only during the call.
func (s *selection) payloads(ctx context.Context, among *roaring.Bitmap, visit func(payload []byte) error) error {
	if int(among.GetCardinality())*getCost >= s.v.points {
		var failed error
		err := s.scan(ctx, nil, among, func(_ []byte, _ uint32, record stored) bool {
			failed = visit(record.payload)
			return failed == nil
		})
		return errors.Join(err, failed)
	}
	m := matcher{s: s}
	for it := among.Iterator(); it.HasNext(); {
		slot := it.Next()
		ok, err := m.match(ctx, slot)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		raw, err := m.payload(slot)
		if err != nil {
			return err
		}
		if err := visit(raw); err != nil {
			return err
		}
	}
	return nil
}

// scan calls visit for the points that pass and whose slots are among some (nil:
// all), in id order from the encoded id from on (nil: the first), until visit
// returns false. key and record are valid only during the call.
func (s *selection) scan(ctx context.Context, from []byte, among *roaring.Bitmap, visit func(key []byte, slot uint32, record stored) bool) error {
	return s.c.scanPoints(ctx, s.v, from, func(key []byte, value []byte) (bool, error) {
		slot, ok := s.c.ids.visible(key, s.v.slots)
		if !ok {
			return false, errNoSlot
		}
		if among != nil && !among.Contains(slot) {
			return true, nil
		}
		pass := s.sure.Contains(slot)
		if !pass && !s.doubts.Contains(slot) {
			return true, nil
		}
		record, err := decodeStored(value)
		if err != nil {
			return false, err
		}
		if !pass {
			pass, err = s.filter.Match(&subject{c: s.c, key: key, slot: slot, load: func() ([]byte, error) { return record.payload, nil }})
			if err != nil || !pass {
				return true, err
			}
		}
		return visit(key, slot, record), nil
	})
}

// keys returns the encoded ids of the points that pass, in order, from an
// encoded id on (nil: the first). The selection must be resolved.
func (s *selection) keys(from []byte) [][]byte {
	keys := make([][]byte, 0, s.sure.GetCardinality())
	for it := s.sure.Iterator(); it.HasNext(); {
		if key := s.c.ids.key(it.Next()); bytes.Compare(key, from) >= 0 {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, bytes.Compare)
	return keys
}

var errNoSlot = errors.New("a stored point has no slot")

// scanPoints calls visit for every point of a view in id order, from the encoded
// id from on (nil: the first), until it returns false.
func (c *Collection) scanPoints(ctx context.Context, v *view, from []byte, visit func(key, value []byte) (bool, error)) error {
	prefix := storage.AppendKey(nil, storage.Point, c.space, nil)
	if from != nil {
		from = storage.AppendKey(nil, storage.Point, c.space, from)
	}
	err := v.snapshot.Scan(prefix, from, func(key, value []byte) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		return visit(storage.Suffix(key), value)
	})
	return searchError(ctx, err)
}
