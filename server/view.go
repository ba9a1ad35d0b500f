package server

import (
	"maps"
	"slices"
	"sync/atomic"

	"freshet/hnsw"
	"freshet/server/sparse"
	"freshet/storage"
)

// view is what one read sees: the store and the graphs as of the same commit.
// The writer publishes a new one after every commit; a read holds one from
// beginning to end, so it never sees half of a batch. Counting the readers of a
// view also tells when the last reader of an old state has gone.
type view struct {
	snapshot *storage.Snapshot
	slots    hnsw.View
	points   int
	vectors  map[string]int // of points, by name
	// payloadBytes is how long the payloads are together.
	payloadBytes int64
	since        *touched // by later commits
	set          *vectorSet
	sparse       map[string]*sparse.State // by name
	// operation is the number of the newest operation in the view.
	operation uint64
	moves     uint64 // of the operations
	// applied holds the positions by stream; it is not changed any more.
	applied map[Stream]Position
	// origins is what the numbers of streams stand for.
	origins []origin

	refs     atomic.Int64 // readers, and one while the view is the current one
	released func(error)
}

// acquire takes a reference unless the view is already gone.
func (v *view) acquire() bool {
	for {
		n := v.refs.Load()
		if n == 0 {
			return false
		}
		if v.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (v *view) release() {
	if v.refs.Add(-1) == 0 {
		v.released(v.snapshot.Close())
	}
}

// gone says whether the view has been released by all.
func (v *view) gone() bool { return v.refs.Load() == 0 }

// acquire returns the current view. The caller must release it.
func (c *Collection) acquire() (*view, error) {
	for {
		v := c.view.Load()
		if v == nil {
			return nil, errClosed
		}
		if v.acquire() {
			return v, nil
		}
	}
}

// publish makes everything committed and linked so far visible to new reads.
func (c *Collection) publish() {
	c.slots.Publish()
	v := &view{
		snapshot: c.store.Snapshot(),
		set:      c.set(),
		since:    c.indexes.since,
		slots:    c.slots.View(),
		points:   c.points,
		vectors:  maps.Clone(c.vectorCounts),

		payloadBytes: c.payloads,
		operation:    c.operation,
		moves:        c.moves,
		applied:      c.applied,
		origins:      c.streams.byNum,
		released: func(err error) {
			if err != nil {
				c.log.Error("release of a snapshot failed", "err", err)
			}
			c.views.Done()
		},
	}
	for name, x := range v.set.sparse {
		if v.sparse == nil {
			v.sparse = make(map[string]*sparse.State, len(v.set.sparse))
		}
		v.sparse[name] = x.Publish()
	}
	v.refs.Store(1)
	c.views.Add(1)
	if old := c.view.Swap(v); old != nil {
		old.release()
	}
	// Here, too: where nothing is repaired nobody asks for the oldest.
	c.readers = slices.DeleteFunc(append(c.readers, v), (*view).gone)
	c.closeDropped()
	close(*c.moved.Swap(newSignal()))
}

// oldest returns the state of the slots in the oldest view that is still read. The
// writer calls it.
func (c *Collection) oldest() hnsw.View {
	c.readers = slices.DeleteFunc(c.readers, (*view).gone)
	if len(c.readers) == 0 {
		return c.slots.View()
	}
	return c.readers[0].slots
}

func newSignal() *chan struct{} {
	ch := make(chan struct{})
	return &ch
}
