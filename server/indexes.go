package server

import (
	"bytes"
	"slices"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"

	"freshet/server/filter"
	"freshet/server/index"
	"freshet/server/payload"
	"freshet/server/point"
	"freshet/server/text"
)

// indexSet is the payload indexes of a collection, and which points there are.
// Its state is that of the current view: the writer changes it and publishes the
// view under the lock, and a reader that wants both takes them under the lock.
type indexSet struct {
	mu     sync.RWMutex
	live   *roaring.Bitmap // slots of the points of the current view
	fields []*fieldIndex
	since  *touched // what the next commit will touch; the writer's

	building *build // the writer's
}

// fieldIndex is an index that is complete.
type fieldIndex struct {
	name  string // as it was declared
	key   string // see payload.Path.Key
	index *index.Index
}

func newIndexSet() *indexSet { return &indexSet{live: roaring.New(), since: &touched{}} }

// touched is the slots that one commit took from points or gave to them, or whose
// points it wrote. A view leads to those of the commits after it, so that a reader can
// tell what the indexes still say of its view. It is changed and read under the lock of
// the indexes.
type touched struct {
	slots []uint32
	next  *touched // nil if there was no such commit yet
}

// all returns the slots of this commit and of those after it.
func (t *touched) all() *roaring.Bitmap {
	set := roaring.New()
	for ; t.next != nil; t = t.next {
		set.AddMany(t.slots)
	}
	return set
}

// entryChange takes a point out of an index, or puts it in, or both.
type entryChange struct {
	index         *index.Index
	out, in       uint32 // slots, noSlot for none
	before, after *index.Entry
}

// indexChange is what a commit changes in an indexSet.
type indexChange struct {
	out, in []uint32 // slots
	touched []uint32 // those, and the slots of points that keep theirs
	entries []entryChange
}

// indexed works out what the transaction changes in the indexes. Payloads are
// read here, once each and before anybody has to wait.
func (tx *tx) indexed(staged stagedSlots) (indexChange, error) {
	var change indexChange
	c := tx.c
	all := c.indexes.all()
	roots := rootsOf(all)
	for i, id := range tx.order {
		p := tx.points[id]
		out, in := noSlot, noSlot
		if slot, ok := c.ids.current([]byte(id)); ok {
			out = slot
		}
		if p.exists {
			if in = staged.slots[i]; in == noSlot {
				in = out
			}
		}
		change.write(out, in)
		indexes := all
		if b := c.indexes.building; b != nil && !b.covers([]byte(id)) {
			indexes = all[:len(all)-1]
		}
		same := bytes.Equal(p.was, p.stored.payload)
		if len(indexes) == 0 || out == in && same {
			continue
		}
		before, err := roots.decode(out, p.was)
		if err != nil {
			return change, err
		}
		after := before
		if !same || out == noSlot {
			if after, err = roots.decode(in, p.stored.payload); err != nil {
				return change, err
			}
		}
		for _, ix := range indexes {
			e := entryChange{ix, out, in, ix.Read(before), ix.Read(after)}
			if out != in || !e.before.Equal(e.after) {
				change.entries = append(change.entries, e)
			}
		}
	}
	return change, nil
}

// rootSet is the members of payloads that indexes read.
type rootSet map[string]bool

func rootsOf(indexes []*index.Index) rootSet {
	r := rootSet{}
	for _, ix := range indexes {
		r[ix.Root()] = true
	}
	return r
}

// decode reads what indexes need of a point's payload, nil for no point.
func (r rootSet) decode(slot uint32, raw []byte) (map[string]any, error) {
	if slot == noSlot || len(raw) == 0 {
		return nil, nil
	}
	return payload.DecodeMembers(raw, func(name string) bool { return r[name] })
}

// write notes that a point was written, which had one slot and has another.
func (change *indexChange) write(out, in uint32) {
	if out != noSlot {
		change.touched = append(change.touched, out)
	}
	if out == in {
		return
	}
	if out != noSlot {
		change.out = append(change.out, out)
	}
	if in != noSlot {
		change.in = append(change.in, in)
		change.touched = append(change.touched, in)
	}
}

// all returns the writer's indexes, the one that is being built at the end.
func (s *indexSet) all() []*index.Index {
	list := make([]*index.Index, 0, len(s.fields)+1)
	for _, f := range s.fields {
		list = append(list, f.index)
	}
	if s.building != nil {
		list = append(list, s.building.index)
	}
	return list
}

// update makes a commit's change; publish makes the commit visible with it.
func (s *indexSet) update(change indexChange, publish func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, slot := range change.out {
		s.live.Remove(slot)
	}
	for _, slot := range change.in {
		s.live.Add(slot)
	}
	for _, e := range change.entries {
		if e.out != noSlot {
			e.index.Remove(e.out, e.before)
		}
		if e.in != noSlot {
			e.index.Add(e.in, e.after)
		}
	}
	next := &touched{}
	s.since.slots, s.since.next = change.touched, next
	s.since = next
	publish()
}

// indexesOf answers a filter for one view, whose state the set has.
type indexesOf struct {
	*indexSet
	ids  *idTable
	view *view
}

// All implements filter.Indexes.
func (s indexesOf) All() *roaring.Bitmap { return s.live }

// Field implements filter.Indexes.
func (s *indexSet) Field(key string) filter.Index {
	if ix := s.index(key); ix != nil {
		return ix
	}
	return nil
}

// index returns the index of a field by its key, nil if it has none.
func (s *indexSet) index(key string) *index.Index {
	for _, f := range s.fields {
		if f.key == key {
			return f.index
		}
	}
	return nil
}

// IDs implements filter.Indexes.
func (s indexesOf) IDs(ids []point.ID) *roaring.Bitmap {
	found := roaring.New()
	var key []byte
	for _, id := range ids {
		key = id.AppendKey(key[:0])
		if slot, ok := s.ids.visible(key, s.view.slots); ok {
			found.Add(slot)
		}
	}
	return found
}

// hasTexts says whether there are text indexes.
func (s *indexSet) hasTexts() bool {
	return slices.ContainsFunc(s.fields, func(f *fieldIndex) bool { return f.index.Analyzer() != nil })
}

func (s *indexSet) analyzer(key string) *text.Analyzer {
	if ix := s.index(key); ix != nil {
		return ix.Analyzer()
	}
	return nil
}

// IndexInfo describes a payload index.
type IndexInfo struct {
	Schema index.Schema
	Points int   // that have a value of the index's type
	Bytes  int64 // of memory, about
}

// info describes the complete indexes by field.
func (s *indexSet) info() map[string]IndexInfo {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make(map[string]IndexInfo, len(s.fields))
	for _, f := range s.fields {
		all[f.name] = IndexInfo{Schema: f.index.Schema(), Points: f.index.Points(), Bytes: f.index.Bytes()}
	}
	return all
}
