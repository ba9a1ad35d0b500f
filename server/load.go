package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"freshet/hnsw"
	"freshet/storage"
)

// metaOperation is the field of storage.Meta that holds the number of the last
// operation.
const metaOperation = "operation"

// loadBatch is how many points are placed in the graphs at a time while a
// collection is loaded: enough to keep every core busy, few enough that most of
// a point's neighbours are already linked.
const loadBatch = 512

// load reads what the store holds of the collection and rebuilds the graphs.
func (c *Collection) load(ctx context.Context) error {
	snapshot := c.store.Snapshot()
	err := c.loadFrom(ctx, snapshot)
	if closeErr := snapshot.Close(); err == nil {
		err = closeErr
	}
	return err
}

func (c *Collection) loadFrom(ctx context.Context, snapshot *storage.Snapshot) error {
	value, err := snapshot.Get(nil, storage.AppendKey(nil, storage.Meta, c.space, []byte(metaOperation)))
	switch {
	case errors.Is(err, storage.ErrNotFound):
	case err != nil:
		return err
	case len(value) != 8:
		return fmt.Errorf("the operation number has %d bytes instead of 8", len(value))
	default:
		c.operation = binary.BigEndian.Uint64(value)
	}
	err = snapshot.Scan(storage.AppendKey(nil, storage.Position, c.space, nil), nil, func(key, value []byte) (bool, error) {
		return true, c.streams.load(storage.Suffix(key), value)
	})
	if err != nil {
		return err
	}
	c.applied = c.streams.next
	if err := c.letters.load(c, snapshot); err != nil {
		return err
	}
	if err := c.dropOldTombstones(ctx, snapshot, time.Now()); err != nil {
		return err
	}
	return c.loadPoints(ctx, snapshot)
}

func (c *Collection) loadPoints(ctx context.Context, snapshot *storage.Snapshot) error {
	started, reported := time.Now(), time.Now()
	items := map[string][]hnsw.Item{}
	waiting := 0
	err := snapshot.Scan(storage.AppendKey(nil, storage.Vector, c.space, nil), nil, func(key, value []byte) (bool, error) {
		vectors, err := decodeVectors(value)
		if err != nil {
			return false, err
		}
		slot, err := c.slots.Alloc()
		if err != nil {
			return false, err
		}
		c.ids.put(storage.Suffix(key), slot, unread)
		c.points++
		c.vectorCount += len(vectors)
		for name, v := range vectors {
			if g := c.graphs[name]; g == nil || len(v) != g.Config().Dim {
				return false, fmt.Errorf("a point has a vector %q of %d dimensions that the collection does not", name, len(v))
			}
			items[name] = append(items[name], hnsw.Item{Slot: slot, Vector: v})
		}
		if waiting++; waiting < loadBatch {
			return true, nil
		}
		waiting = 0
		if time.Since(reported) > 5*time.Second {
			reported = time.Now()
			c.log.Info("building the graph", "points", c.points)
		}
		return true, c.link(ctx, items)
	})
	if err == nil {
		err = c.link(ctx, items)
	}
	if err == nil && c.points > 0 {
		c.log.Info("collection loaded", "points", c.points, "took", time.Since(started).Round(time.Millisecond))
	}
	return err
}

// link places the items in their graphs and empties the lists.
func (c *Collection) link(ctx context.Context, items map[string][]hnsw.Item) error {
	for name, list := range items {
		staged, err := c.graphs[name].Stage(ctx, list, c.workers)
		if err != nil {
			return err
		}
		staged.Link()
		items[name] = list[:0]
	}
	return nil
}
