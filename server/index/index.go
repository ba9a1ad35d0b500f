package index

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/google/uuid"

	"freshet/server/filter"
	"freshet/server/payload"
	"freshet/server/text"
)

// Index is the index of one field. One goroutine at a time may change it, and
// none may read it then.
type Index struct {
	path   payload.Path
	schema Schema
	values values

	indexed *roaring.Bitmap         // slots with a value of the type
	several *roaring.Bitmap         // those with more than one
	others  *roaring.Bitmap         // slots with a value of another type, null aside
	null    *roaring.Bitmap         // slots that filter.Null holds for
	counts  map[int]*roaring.Bitmap // slots with a raw value of so many values
	filled  *roaring.Bitmap         // slots with a raw value of at least one
	most    uint32                  // all slots ever added are below
}

// values is the part of an index that depends on the type.
type values interface {
	// read notes a value in an entry, if it is of the type.
	read(v any, e *Entry) bool
	add(slot uint32, e *Entry)
	remove(slot uint32, e *Entry)
	// test returns the slots that have a value that passes, and whether values of
	// other types may pass. It says no if it does not know.
	test(t filter.Test, ix *Index) (b filter.Bounds, others, ok bool)
	bytes() int64
}

// New returns an empty index of the values at a path.
func New(path payload.Path, schema Schema) *Index {
	return &Index{
		path: path, schema: schema, values: newValues(schema),
		indexed: roaring.New(), several: roaring.New(), others: roaring.New(), null: roaring.New(),
		filled: roaring.New(), counts: map[int]*roaring.Bitmap{},
	}
}

// Schema returns what the index was declared as.
func (ix *Index) Schema() Schema { return ix.schema }

// Key returns the path in its common form (see payload.Path.Key).
func (ix *Index) Key() string { return ix.path.Key() }

// Root returns the member of payloads that the values are in.
func (ix *Index) Root() string { return ix.path.Root() }

// Analyzer returns that of a text index, nil for other types.
func (ix *Index) Analyzer() *text.Analyzer { return ix.schema.analyzer }

// Entry is what an index holds of one point.
type Entry struct {
	counts  []int
	null    bool
	other   bool
	values  int
	strings []string
	ints    []int64
	floats  []float64
	uuids   []uuid.UUID
	spots   []spot
	bools   []bool
}

// Read takes from a payload, of which it needs the member Root, what the index
// holds of it. doc is nil for a point without payload. Read may be called while the index
// is changed.
func (ix *Index) Read(doc map[string]any) *Entry {
	e := &Entry{}
	if doc == nil {
		return e
	}
	ix.path.Raw(doc, func(raw any) bool {
		e.counts = append(e.counts, filter.Values(raw))
		e.null = e.null || filter.HasNull(raw)
		list, ok := raw.([]any)
		if !ok {
			ix.readValue(raw, e)
		}
		for _, v := range list {
			ix.readValue(v, e)
		}
		return true
	})
	e.counts = distinct(e.counts)
	e.strings, e.ints, e.floats = distinct(e.strings), distinct(e.ints), distinct(e.floats)
	return e
}

func (ix *Index) readValue(v any, e *Entry) {
	switch {
	case v == nil:
	case ix.values.read(v, e):
		e.values++
	default:
		e.other = true
	}
}

// Equal says whether two entries of one index are the same.
func (e *Entry) Equal(o *Entry) bool {
	return slices.Equal(e.counts, o.counts) && e.null == o.null && e.other == o.other && e.values == o.values &&
		slices.Equal(e.strings, o.strings) && slices.Equal(e.ints, o.ints) && slices.Equal(e.floats, o.floats) &&
		slices.Equal(e.uuids, o.uuids) && slices.Equal(e.spots, o.spots) && slices.Equal(e.bools, o.bools)
}

// Add puts a point in.
func (ix *Index) Add(slot uint32, e *Entry) {
	ix.most = max(ix.most, slot+1)
	ix.change(e, (*roaring.Bitmap).Add, slot)
	ix.values.add(slot, e)
}

// Remove takes a point out that was put in with an equal entry.
func (ix *Index) Remove(slot uint32, e *Entry) {
	ix.change(e, (*roaring.Bitmap).Remove, slot)
	ix.values.remove(slot, e)
}

// change adds a slot to, or removes it from, what all types keep.
func (ix *Index) change(e *Entry, do func(*roaring.Bitmap, uint32), slot uint32) {
	for _, n := range e.counts {
		set := ix.counts[n]
		if set == nil {
			set = roaring.New()
			ix.counts[n] = set
		}
		if do(set, slot); set.IsEmpty() {
			delete(ix.counts, n)
		}
	}
	for _, s := range []struct {
		set *roaring.Bitmap
		in  bool
	}{
		{ix.indexed, e.values > 0},
		{ix.several, e.values > 1},
		{ix.others, e.other},
		{ix.null, e.null},
		{ix.filled, len(e.counts) > 0 && e.counts[len(e.counts)-1] > 0},
	} {
		if s.in {
			do(s.set, slot)
		}
	}
}

// Points returns how many points have a value of the index's type.
func (ix *Index) Points() int { return int(ix.indexed.GetCardinality()) }

// Bytes returns about how much memory the index takes.
func (ix *Index) Bytes() int64 {
	n := ix.values.bytes()
	for _, set := range []*roaring.Bitmap{ix.indexed, ix.several, ix.others, ix.null, ix.filled} {
		n += bitmapBytes(set)
	}
	for _, set := range ix.counts {
		n += bitmapBytes(set)
	}
	return n
}

// Test implements filter.Index.
func (ix *Index) Test(t filter.Test) filter.Bounds {
	b, others, ok := ix.values.test(t, ix)
	switch {
	case !ok:
		return filter.Bounds{Sure: none, Possible: roaring.Or(ix.indexed, ix.others)}
	case others && !ix.others.IsEmpty():
		return filter.Bounds{Sure: b.Sure, Possible: roaring.Or(b.Possible, ix.others)}
	default:
		return b
	}
}

// Raw implements filter.Index.
func (ix *Index) Raw(t filter.RawTest, all *roaring.Bitmap) filter.Bounds {
	var set *roaring.Bitmap
	not := false
	switch t := t.(type) {
	case filter.Empty:
		set, not = ix.filled, !t.Not
	case filter.Null:
		set, not = ix.null, t.Not
	case filter.Count:
		set = ix.counting(t, all)
	default:
		return filter.Bounds{Sure: none, Possible: all}
	}
	if not {
		set = roaring.AndNot(all, set)
	}
	return filter.Exactly(set)
}

// counting returns the slots with a raw value of so many values; a point without
// raw value has none.
func (ix *Index) counting(t filter.Count, all *roaring.Bitmap) *roaring.Bitmap {
	found := []*roaring.Bitmap{none}
	known := []*roaring.Bitmap{none}
	for n, set := range ix.counts {
		known = append(known, set)
		if t.Contains(float64(n)) {
			found = append(found, set)
		}
	}
	if t.Contains(0) {
		found = append(found, roaring.AndNot(all, roaring.FastOr(known...)))
	}
	return roaring.FastOr(found...)
}
