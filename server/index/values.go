package index

import (
	"cmp"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/google/uuid"

	"freshet/server/filter"
	"freshet/server/text"
)

// typed is what the types have in common: how values are read, and where they
// are kept.
type typed[K any] struct {
	of     func(v any) (K, bool) // a payload value as the type has it
	list   func(e *Entry) *[]K   // where an entry has the values
	stores []store[K]
}

// store takes the values of one slot, and gives them up together.
type store[K any] interface {
	add(keys []K, slot uint32)
	remove(keys []K, slot uint32)
	bytes() int64
}

func (t *typed[K]) read(v any, e *Entry) bool {
	key, ok := t.of(v)
	if ok {
		list := t.list(e)
		*list = append(*list, key)
	}
	return ok
}

func (t *typed[K]) add(slot uint32, e *Entry) {
	for _, s := range t.stores {
		s.add(*t.list(e), slot)
	}
}

func (t *typed[K]) remove(slot uint32, e *Entry) {
	for _, s := range t.stores {
		s.remove(*t.list(e), slot)
	}
}

func (t *typed[K]) bytes() (n int64) {
	for _, s := range t.stores {
		n += s.bytes()
	}
	return n
}

func newValues(s Schema) values {
	switch s.Type {
	case Integer:
		v := &integers{typed: typed[int64]{of: asIs[int64], list: func(e *Entry) *[]int64 { return &e.ints }}}
		if s.lookup {
			v.lookup = newTerms(noBytes[int64])
			v.stores = append(v.stores, v.lookup)
		}
		if s.ranges {
			v.order = newSorted(cmp.Compare[int64], true)
			v.stores = append(v.stores, v.order)
		}
		return v
	case Float:
		v := &floats{order: newSorted(cmp.Compare[float64], true)}
		v.typed = typed[float64]{filter.Number, func(e *Entry) *[]float64 { return &e.floats }, []store[float64]{v.order}}
		return v
	case Datetime:
		v := &moments{order: newSorted(cmp.Compare[int64], true)}
		v.typed = typed[int64]{filter.Moment, func(e *Entry) *[]int64 { return &e.ints }, []store[int64]{v.order}}
		return v
	case Geo:
		v := &spots{order: newSorted(compareSpots, false)}
		v.typed = typed[spot]{asSpot, func(e *Entry) *[]spot { return &e.spots }, []store[spot]{v.order}}
		return v
	case Bool:
		return newMatched(asIs[bool], noBytes[bool], func(e *Entry) *[]bool { return &e.bools })
	case UUID:
		return newMatched(asUUID, noBytes[uuid.UUID], func(e *Entry) *[]uuid.UUID { return &e.uuids })
	case Text:
		return &words{newMatched(asIs[string], stringBytes, func(e *Entry) *[]string { return &e.strings }), s.analyzer}
	default:
		return newMatched(asIs[string], stringBytes, func(e *Entry) *[]string { return &e.strings })
	}
}

func asIs[K any](v any) (K, bool) { key, ok := v.(K); return key, ok }

// asUUID reads a UUID in its usual form. Other forms count as values of another
// type: a match compares texts.
func asUUID(v any) (id uuid.UUID, ok bool) {
	s, ok := v.(string)
	if !ok || len(s) != 36 {
		return id, false
	}
	id, err := uuid.Parse(s)
	return id, err == nil && id.String() == s
}

func asSpot(v any) (spot, bool) {
	lon, lat, ok := filter.Spot(v)
	return spotAt(lon, lat), ok
}

func noBytes[K any](K) int64 { return 0 }

// stringBytes is what the bytes of a string take, rounded as the allocator does.
func stringBytes(s string) int64 { return int64(len(s)+15) &^ 15 }

func distinct[T cmp.Ordered](list []T) []T {
	if len(list) < 2 {
		return list
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// matched holds values that are matched whole: keywords, UUIDs, booleans.
type matched[K comparable] struct {
	typed[K]
	terms *terms[K]
}

func newMatched[K comparable](of func(any) (K, bool), keyBytes func(K) int64, list func(*Entry) *[]K) *matched[K] {
	m := &matched[K]{terms: newTerms(keyBytes)}
	m.typed = typed[K]{of, list, []store[K]{m.terms}}
	return m
}

func (m *matched[K]) test(t filter.Test, ix *Index) (b filter.Bounds, others, ok bool) {
	return m.terms.test(t, ix, m.of)
}

// test answers for one of some values, and for none of them.
func (t *terms[K]) test(test filter.Test, ix *Index, of func(any) (K, bool)) (b filter.Bounds, others, ok bool) {
	switch test := test.(type) {
	case filter.OneOf:
		keys, all := keysOf(test.Values, of)
		return filter.Exactly(t.any(keys)), !all, true
	case filter.NoneOf:
		keys, all := keysOf(test.Values, of)
		b := t.other(keys, ix)
		if all { // then values of another type are not among them
			b.Sure.Or(ix.others)
			b.Possible.Or(ix.others)
		}
		return b, !all, true
	case filter.OtherKey:
		var key K
		if _, isFlag := any(key).(bool); isFlag {
			return b, false, false
		}
		keys, _ := keysOf(test.Values, of)
		return t.other(keys, ix), true, true
	}
	return b, false, false
}

// other returns the slots with a value of the type that is none of the keys.
func (t *terms[K]) other(keys []K, ix *Index) filter.Bounds {
	with := t.any(keys)
	sure := roaring.AndNot(ix.indexed, with)
	if !with.Intersects(ix.several) {
		return filter.Made(sure)
	}
	// Who has one of the values may have another one beside it.
	return filter.Bounds{Sure: sure, Possible: roaring.Or(sure, roaring.And(with, ix.several)), Own: true}
}

// keysOf returns the values of a set that are of a type, and whether all are.
func keysOf[K any](set map[any]struct{}, of func(any) (K, bool)) (keys []K, all bool) {
	all = true
	for v := range set {
		if key, ok := of(v); ok {
			keys = append(keys, key)
		} else {
			all = false
		}
	}
	return keys, all
}

// integers holds int64; what is beyond counts as of another type.
type integers struct {
	typed[int64]
	lookup *terms[int64]
	order  *sorted[int64]
}

func (n *integers) test(t filter.Test, ix *Index) (b filter.Bounds, others, ok bool) {
	if r, isRange := t.(filter.Range); isRange && n.order != nil {
		// The order of integers is that of the floats they are compared as.
		found := n.order.within(ix,
			func(x int64) bool { return !r.Above(float64(x)) }, func(x int64) bool { return !r.Below(float64(x)) })
		return filter.Made(found), true, true
	}
	if n.lookup != nil {
		return n.lookup.test(t, ix, n.of)
	}
	if one, isOne := t.(filter.OneOf); isOne {
		keys, all := keysOf(one.Values, n.of)
		return filter.Exactly(n.order.equal(keys, ix.most)), !all, true
	}
	return b, false, false
}

type floats struct {
	typed[float64]
	order *sorted[float64]
}

func (f *floats) test(t filter.Test, ix *Index) (b filter.Bounds, others, ok bool) {
	r, ok := t.(filter.Range)
	if !ok {
		return b, false, false
	}
	found := f.order.within(ix, func(x float64) bool { return !r.Above(x) }, func(x float64) bool { return !r.Below(x) })
	return filter.Made(found), false, true
}

// moments holds microseconds since 1970.
type moments struct {
	typed[int64]
	order *sorted[int64]
}

func (m *moments) test(t filter.Test, ix *Index) (b filter.Bounds, others, ok bool) {
	r, ok := t.(filter.TimeRange)
	if !ok {
		return b, false, false
	}
	found := m.order.within(ix, func(x int64) bool { return !r.Above(x) }, func(x int64) bool { return !r.Below(x) })
	return filter.Made(found), false, true
}

type spots struct {
	typed[spot]
	order *sorted[spot]
}

func (p *spots) test(t filter.Test, ix *Index) (b filter.Bounds, others, ok bool) {
	a, ok := t.(filter.Area)
	if !ok {
		return b, false, false
	}
	return spotsIn(p.order, a, ix.most), false, true
}

// words holds the tokens of texts.
type words struct {
	*matched[string]
	analyzer *text.Analyzer
}

func (w *words) read(v any, e *Entry) bool {
	s, ok := v.(string)
	if ok {
		e.strings = append(e.strings, w.analyzer.Tokens(s)...)
	}
	return ok
}

func (w *words) test(t filter.Test, ix *Index) (b filter.Bounds, others, ok bool) {
	want, isText := t.(filter.Text)
	if !isText || want.Analyzer == nil {
		return b, false, false
	}
	if len(want.Tokens) == 0 {
		return filter.Exactly(none), false, true
	}
	if want.Op == filter.AnyWord {
		return filter.Exactly(w.terms.any(want.Tokens)), false, true
	}
	found := w.terms.all(want.Tokens)
	switch {
	case len(want.Tokens) == 1:
		return filter.Exactly(found), false, true
	case want.Consecutive():
		return filter.Bounds{Sure: none, Possible: found}, false, true
	case !found.Intersects(ix.several):
		return filter.Exactly(found), false, true
	}
	// The words of several values are not told apart.
	return filter.Bounds{Sure: roaring.AndNot(found, ix.several), Possible: found}, false, true
}
