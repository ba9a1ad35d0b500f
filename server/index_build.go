package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"freshet/server/index"
	"freshet/server/payload"
)

// A build fills an index in slices between the writer's other work: it goes
// through the points in id order, and changes of points that it has passed go to
// the index too. Nobody reads the index before it is complete.
type build struct {
	index *index.Index
	next  []byte // encoded id of the first point not yet in it
	done  bool
}

// covers says whether the build has passed the point.
func (b *build) covers(key []byte) bool { return b.done || bytes.Compare(key, b.next) < 0 }

// buildSlice is how many points are read while other requests wait.
const buildSlice = 4096

// CreateIndex declares a payload index, in place of the field's earlier one, and
// returns when it is in use. When ctx ends before, there is no index.
func (db *DB) CreateIndex(ctx context.Context, name, field string, raw json.RawMessage) error {
	c, err := db.Collection(name)
	if err != nil {
		return err
	}
	f, err := newFieldIndex(field, raw)
	if err != nil {
		return err
	}
	leave, err := c.enterIndexing(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if err := c.admitIndex(field); err != nil {
		return err
	}
	err = c.build(ctx, f.index)
	if err == nil {
		err = db.updateConfigOf(c, func(cfg *Config) error {
			if cfg.Indexes == nil {
				cfg.Indexes = map[string]json.RawMessage{}
			}
			cfg.Indexes[field] = raw
			return nil
		})
	}
	// The end of ctx must not leave the build behind.
	return errors.Join(err, c.do(context.WithoutCancel(ctx), func() error {
		c.indexes.building = nil
		if err == nil {
			c.indexes.replace(field, f)
		}
		return nil
	}))
}

// DropIndex removes a payload index, if there is one.
func (db *DB) DropIndex(ctx context.Context, name, field string) error {
	c, err := db.Collection(name)
	if err != nil {
		return err
	}
	leave, err := c.enterIndexing(ctx)
	if err != nil {
		return err
	}
	defer leave()
	err = db.updateConfigOf(c, func(cfg *Config) error {
		delete(cfg.Indexes, field)
		return nil
	})
	if err != nil {
		return err
	}
	return c.do(context.WithoutCancel(ctx), func() error {
		c.indexes.replace(field, nil)
		return nil
	})
}

// enterIndexing waits for its turn to change which indexes there are.
func (c *Collection) enterIndexing(ctx context.Context) (leave func(), err error) {
	select {
	case c.indexing <- struct{}{}:
		select {
		case <-c.closing: // it may have been replaced, and its name be another's
			<-c.indexing
			return nil, errClosed
		default:
			return func() { <-c.indexing }, nil
		}
	case <-ctx.Done():
		return nil, deadline(ctx)
	}
}

// newFieldIndex makes an empty index of what was declared.
func newFieldIndex(field string, raw json.RawMessage) (*fieldIndex, error) {
	path, err := payload.ParsePath(field)
	if err != nil {
		return nil, invalid("field_name", "%v", err)
	}
	schema, err := index.ParseSchema(raw)
	if err != nil {
		return nil, invalid("field_schema", "%v", err)
	}
	return &fieldIndex{name: field, key: path.Key(), index: index.New(path, schema)}, nil
}

// replace puts an index in the place of the field's earlier one; nil removes it.
func (s *indexSet) replace(field string, f *fieldIndex) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fields = slices.DeleteFunc(s.fields, func(f *fieldIndex) bool { return f.name == field })
	if f != nil {
		s.fields = append(s.fields, f)
	}
}

// build fills an index and leaves it with the writer as the one being built.
func (c *Collection) build(ctx context.Context, ix *index.Index) error {
	b := &build{index: ix}
	for !b.done {
		if ctx.Err() != nil {
			return deadline(ctx)
		}
		err := c.do(ctx, func() error {
			c.indexes.building = b
			return c.buildSlice(ctx, b)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Collection) buildSlice(ctx context.Context, b *build) error {
	if err := cmp.Or(asFull(c.store.Writable()), inMemory(c.memory)); err != nil {
		return err
	}
	v, err := c.acquire()
	if err != nil {
		return err
	}
	defer v.release()
	next, err := c.fillIndexes(ctx, v, b.next, buildSlice, []*index.Index{b.index})
	if err != nil {
		return err
	}
	b.next, b.done = next, next == nil
	return nil
}

// openIndexes fills the declared indexes of a collection that has been loaded. A
// declaration that cannot be kept is left out: filters work without it.
func (c *Collection) openIndexes(ctx context.Context) error {
	v, err := c.acquire()
	if err != nil {
		return err
	}
	defer v.release()
	for slot := range uint32(c.slots.Len()) {
		if v.slots.Visible(slot) {
			c.indexes.live.Add(slot)
		}
	}
	declared := c.Config().Indexes
	var indexes []*index.Index
	for _, field := range slices.Sorted(maps.Keys(declared)) {
		f, err := newFieldIndex(field, declared[field])
		if err != nil {
			c.log.Error("a payload index is left out", "field", field, "err", err)
			continue
		}
		c.indexes.fields = append(c.indexes.fields, f)
		indexes = append(indexes, f.index)
	}
	if len(indexes) == 0 {
		return nil
	}
	for next := []byte{}; next != nil; {
		if next, err = c.fillIndexes(ctx, v, next, buildSlice, indexes); err != nil {
			return err
		}
	}
	return nil
}

// fillIndexes adds up to n points of the view to indexes, from an encoded id on,
// and returns the id to go on from, nil at the end.
func (c *Collection) fillIndexes(ctx context.Context, v *view, from []byte, n int, indexes []*index.Index) (next []byte, err error) {
	type point struct {
		slot    uint32
		payload []byte
		entries []*index.Entry
	}
	points := make([]point, 0, n)
	err = c.scanPoints(ctx, v, from, func(key, value []byte) (bool, error) {
		if len(points) == n {
			next = slices.Clone(key)
			return false, nil
		}
		slot, ok := c.ids.visible(key, v.slots)
		if !ok {
			return false, errNoSlot
		}
		record, err := decodeStored(value)
		points = append(points, point{slot: slot, payload: slices.Clone(record.payload)})
		return true, err
	})
	if err != nil {
		return nil, err
	}
	roots := rootsOf(indexes)
	var group errgroup.Group
	group.SetLimit(c.workers)
	for part := range slices.Chunk(points, max(1, n/(4*c.workers))) {
		group.Go(func() error {
			for i := range part {
				doc, err := roots.decode(part[i].slot, part[i].payload)
				if err != nil {
					return err
				}
				for _, ix := range indexes {
					part[i].entries = append(part[i].entries, ix.Read(doc))
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, p := range points {
		for i, ix := range indexes {
			ix.Add(p.slot, p.entries[i])
		}
	}
	return next, nil
}
