package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"freshet/hnsw"
	"freshet/server/sparse"
	"freshet/storage"
)

// metaOperation is the field of storage.Meta that holds the number of the last
// operation.
const metaOperation = "operation"

// metaMoves is the field of storage.Meta that holds how many of the operations gave a point
// another slot: nobody asked for those. There is none before the first.
const metaMoves = "moves"

// metaPayload is the field of storage.Meta that holds how many bytes the payloads
// have together.
const metaPayload = "payload"

// loadBatch is how many vectors are handed to the graphs at a time.
const loadBatch = 512

// putMeta stores a field of storage.Meta. It is durable with the next write that is.
func (c *Collection) putMeta(field string, value []byte) error {
	b := c.store.NewBatch()
	err := b.Set(storage.AppendKey(nil, storage.Meta, c.space, []byte(field)), value)
	if err == nil {
		err = b.Commit(false)
	}
	return errors.Join(err, b.Close())
}

// load reads what the store holds of the collection and puts the graphs together.
func (c *Collection) load(ctx context.Context, progress *Progress) error {
	snapshot := c.store.Snapshot()
	return errors.Join(c.loadFrom(ctx, snapshot, progress), snapshot.Close())
}

func (c *Collection) loadFrom(ctx context.Context, snapshot *storage.Snapshot, progress *Progress) error {
	operation, _, err := c.metaNumber(snapshot, metaOperation)
	if err != nil {
		return err
	}
	c.operation = operation
	if c.moves, _, err = c.metaNumber(snapshot, metaMoves); err != nil {
		return err
	}
	if err := c.loadTime(snapshot); err != nil {
		return err
	}
	if err := c.loadPayloadBytes(ctx, snapshot); err != nil {
		return err
	}
	err = snapshot.Scan(storage.AppendKey(nil, storage.Position, c.space, nil), nil, func(key, value []byte) (bool, error) {
		return true, c.streams.load(storage.Suffix(key), value)
	})
	if err != nil {
		return err
	}
	c.applied = c.streams.applied
	if err := c.letters.load(c, snapshot); err != nil {
		return err
	}
	if err := c.findTombstones(snapshot); err != nil {
		return err
	}
	return c.loadPoints(ctx, snapshot, progress)
}

// metaNumber returns a field of storage.Meta that is a number of 8 bytes, and whether
// it is there.
func (c *Collection) metaNumber(snapshot *storage.Snapshot, field string) (uint64, bool, error) {
	value, err := snapshot.Get(nil, storage.AppendKey(nil, storage.Meta, c.space, []byte(field)))
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return 0, false, nil
	case err != nil:
		return 0, false, err
	case len(value) != 8:
		return 0, false, fmt.Errorf("the number %q has %d bytes instead of 8", field, len(value))
	default:
		return binary.BigEndian.Uint64(value), true, nil
	}
}

// loadPayloadBytes reads how many bytes the payloads have. A store of an earlier
// version does not say; there they are counted.
func (c *Collection) loadPayloadBytes(ctx context.Context, snapshot *storage.Snapshot) error {
	n, ok, err := c.metaNumber(snapshot, metaPayload)
	c.payloads = int64(n)
	if ok || err != nil {
		return err
	}
	return snapshot.Scan(storage.AppendKey(nil, storage.Point, c.space, nil), nil, func(_, value []byte) (bool, error) {
		record, err := decodeStored(value)
		c.payloads += int64(len(record.payload))
		return err == nil && ctx.Err() == nil, errors.Join(err, ctx.Err())
	})
}

// loading is the state of a load.
type loading struct {
	c       *Collection
	loaders map[string]*hnsw.Loader
	taken   []uint32               // slots with a record of neighbours
	born    []uint64               // by slot, as of its record; 0 for none that is of use
	found   []bool                 // by slot: its point is there
	dropped []string               // names of vectors that may be in records
	items   map[string][]hnsw.Item // that wait, by name of their vectors
	docs    map[string][]sparse.Doc
	waiting int
	shapes  []byte // of the graphs, unless what is stored is for these

	// room says that there is no memory for more vectors.
	room     func() error
	progress *loadProgress
}

func (c *Collection) loadPoints(ctx context.Context, snapshot *storage.Snapshot, progress *Progress) error {
	started := time.Now()
	l := &loading{c: c, dropped: c.Config().DroppedVectors, loaders: map[string]*hnsw.Loader{}, items: map[string][]hnsw.Item{}, docs: map[string][]sparse.Doc{}}
	if l.room = func() error { return inMemory(c.memory) }; progress != nil {
		l.room = func() error { return nil } // a start: what is there is served
	}
	for name, g := range c.set().graphs {
		l.loaders[name] = hnsw.NewLoader(g)
	}
	if err := l.nodes(snapshot); err != nil {
		return err
	}
	l.progress = newLoadProgress(c.log, progress, len(l.taken))
	if err := l.learn(snapshot); err != nil {
		return err
	}
	err := l.vectors(ctx, snapshot)
	l.handSparse()
	if err == nil {
		err = l.link(ctx)
	}
	if err == nil && c.points > 0 {
		c.log.Info("collection loaded", "points", c.points, "took", time.Since(started).Round(time.Millisecond))
	}
	return err
}

// nodes reads which slots are taken, and the neighbours that are stored, if they
// were chosen for graphs like these.
func (l *loading) nodes(snapshot *storage.Snapshot) error {
	c := l.c
	shapes, err := c.set().shapes()
	if err != nil {
		return err
	}
	stored, err := snapshot.Get(nil, storage.AppendKey(nil, storage.Meta, c.space, []byte(graphsMeta)))
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	fit := bytes.Equal(shapes, stored)
	if !fit {
		l.shapes = shapes
	}
	err = snapshot.Scan(storage.AppendKey(nil, storage.Neighbours, c.space, nil), nil, func(key, value []byte) (bool, error) {
		record, err := decodeNode(value)
		suffix := storage.Suffix(key)
		if err != nil || len(suffix) != 4 {
			c.log.Warn("neighbours are searched anew", "key", fmt.Sprintf("%x", key), "err", err)
			return true, nil
		}
		slot := binary.BigEndian.Uint32(suffix)
		if err := c.slots.Restore(slot); err != nil {
			return false, err
		}
		c.ids.put(record.id, slot, unread)
		l.taken = append(l.taken, slot)
		l.reach(slot)
		if !fit {
			return true, nil
		}
		l.born[slot] = record.born
		for name, neighbours := range record.neighbours {
			if loader := l.loaders[name]; loader != nil {
				if err := loader.Node(slot, record.born, record.stored, neighbours); err != nil {
					return false, err
				}
			}
		}
		return true, nil
	})
	c.slots.RestoreDone()
	if err != nil || fit {
		return err
	}
	// Until the load has replaced them all: one that is cut short leaves some of both.
	return c.putMeta(graphsMeta, nil)
}

// reach makes the tables by slot long enough.
func (l *loading) reach(slot uint32) {
	for len(l.born) <= int(slot) {
		l.born, l.found = append(l.born, 0), append(l.found, false)
	}
}

// learn shows the graphs some of the points before they get all.
func (l *loading) learn(snapshot *storage.Snapshot) error {
	samples := map[string][][]float32{}
	for i := range min(hnsw.LearnSample, len(l.taken)) {
		slot := l.taken[i*len(l.taken)/min(hnsw.LearnSample, len(l.taken))]
		value, err := snapshot.Get(nil, storage.AppendKey(nil, storage.Vector, l.c.space, l.c.ids.key(slot)))
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		vectors, err := decodeVectors(value)
		if err != nil {
			return err
		}
		for name, v := range vectors {
			dense, _ := v.(Dense)
			if g := l.c.set().graphs[name]; g != nil && len(dense) == g.Config().Dim {
				samples[name] = append(samples[name], l.c.params(name).compared(dense))
			}
		}
	}
	for name, sample := range samples {
		l.loaders[name].Learn(sample, len(l.taken))
	}
	return nil
}

// vectors reads all points, while a second goroutine puts the vectors read so far
// into their graphs.
func (l *loading) vectors(ctx context.Context, snapshot *storage.Snapshot) error {
	working, ctx := errgroup.WithContext(ctx)
	read := make(chan map[string][]hnsw.Item)
	working.Go(func() error {
		for items := range read {
			for name, some := range items {
				if err := l.loaders[name].Vectors(some, l.c.workers); err != nil {
					return err
				}
			}
		}
		return nil
	})
	hand := func() error {
		if err := l.room(); err != nil {
			return err
		}
		select {
		case read <- l.items:
			l.items, l.waiting = map[string][]hnsw.Item{}, 0
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := snapshot.Scan(storage.AppendKey(nil, storage.Vector, l.c.space, nil), nil, func(key, value []byte) (bool, error) {
		err := l.point(storage.Suffix(key), value)
		if err == nil && l.waiting >= loadBatch {
			err = hand()
		}
		return err == nil, err
	})
	if err == nil {
		err = hand()
	}
	close(read)
	if failed := working.Wait(); failed != nil {
		return failed
	}
	return err
}

// point adds a point with its vectors.
func (l *loading) point(key, value []byte) error {
	c := l.c
	vectors, err := decodeVectors(value)
	if err != nil {
		return err
	}
	slot, ok := c.ids.current(key)
	if !ok {
		if slot, err = c.slots.Alloc(); err != nil {
			return err
		}
		c.ids.put(key, slot, unread)
		l.reach(slot)
	}
	l.found[slot] = true
	c.points++
	maps.DeleteFunc(vectors, func(name string, _ Vector) bool { return slices.Contains(l.dropped, name) })
	for name, v := range vectors {
		c.vectorCounts[name]++
		if s, ok := v.(Sparse); ok && c.set().sparse[name] != nil {
			l.addSparse(name, sparse.Doc{Slot: slot, Indices: s.Indices, Values: s.Values})
			continue
		}
		if m, ok := v.(Multi); ok && c.set().multi[name] != nil && m.Dim == c.set().multi[name].Dim() {
			c.set().multi[name].Put(slot, c.params(name).compared(m.Values))
			continue
		}
		dense, _ := v.(Dense)
		if g := c.set().graphs[name]; g == nil || len(dense) != g.Config().Dim {
			return fmt.Errorf("a point has a %s vector %q of %d dimensions that the collection does not", v.form(), name, len(dense))
		}
		l.items[name] = append(l.items[name], hnsw.Item{Slot: slot, Vector: c.params(name).compared(dense)})
	}
	l.waiting++
	l.progress.point()
	return nil
}

// link links the graphs and stores the neighbours that had to be chosen anew.
func (l *loading) link(ctx context.Context) error {
	c := l.c
	orphans := slices.DeleteFunc(l.taken, func(slot uint32) bool { return l.found[slot] })
	for _, slot := range orphans {
		c.ids.retire(slot)
	}
	c.ids.forget(orphans)
	c.slots.Release(orphans)
	var anew []uint32
	for _, loader := range l.loaders {
		placed, err := loader.Link(ctx, c.workers)
		if err != nil {
			return err
		}
		anew = append(anew, placed...)
	}
	slices.Sort(anew)
	anew = slices.Compact(anew)
	if c.searched = len(anew); c.searched > 0 {
		c.log.Info("neighbours were searched anew", "points", c.searched)
	}
	for some := range slices.Chunk(anew, loadBatch) {
		err := c.storeNodes(some, func(slot uint32) (uint64, error) { return cmp.Or(l.born[slot], c.operation), nil })
		if err != nil {
			return err
		}
	}
	if l.shapes == nil {
		return nil
	}
	return c.putMeta(graphsMeta, l.shapes)
}
