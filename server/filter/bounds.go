package filter

import (
	"github.com/RoaringBitmap/roaring/v2"

	"freshet/server/point"
)

// Bounds is what indexes know of which points pass: those in Sure do, those not
// in Possible do not, the rest have to be looked at. Sure is part of Possible;
// the two are the same bitmap where the indexes know all. Unless they are Own, made
// for these bounds alone, the bitmaps may belong to an index: they must not be
// changed, nor kept beyond the index's next change.
type Bounds struct {
	Sure, Possible *roaring.Bitmap
	Own            bool
}

// Exactly returns the bounds of a set that is known and belongs to an index.
func Exactly(set *roaring.Bitmap) Bounds { return Bounds{Sure: set, Possible: set} }

// Made returns the bounds of a set that is known and was made for them.
func Made(set *roaring.Bitmap) Bounds { return Bounds{Sure: set, Possible: set, Own: true} }

func unknown(ix Indexes) Bounds { return Bounds{Sure: none, Possible: ix.All()} }

// Exact says whether nothing has to be looked at.
func (b Bounds) Exact() bool { return b.Sure == b.Possible }

// Indexes knows points by number.
type Indexes interface {
	// All returns all points. What else Indexes return is part of it.
	All() *roaring.Bitmap
	// Field returns the index of a field (see payload.Path.Key), nil if it has none.
	Field(path string) Index
	// IDs returns the points that have one of the ids, in a set of its own.
	IDs(ids []point.ID) *roaring.Bitmap
}

// Index bounds the points that pass a test of its field.
type Index interface {
	Test(t Test) Bounds
	// Raw bounds them among all points: those without the field may pass too.
	Raw(t RawTest, all *roaring.Bitmap) Bounds
}

// minShouldWork bounds the operations on bitmaps that one min_should may cost.
const minShouldWork = 4096

var none = roaring.New()

// Bounds evaluates the filter on indexes, reading no point.
func (f *Filter) Bounds(ix Indexes) Bounds {
	b := Exactly(ix.All())
	for i, c := range f.must {
		if o := boundsOf(c, ix); i == 0 {
			b = o // part of all
		} else {
			b = b.and(o)
		}
	}
	for _, c := range f.mustNot {
		b = b.andNot(boundsOf(c, ix))
	}
	if len(f.should) > 0 {
		one := Exactly(none)
		for _, c := range f.should {
			one = one.or(boundsOf(c, ix))
		}
		b = b.and(one)
	}
	if len(f.minShould) > 0 {
		b = b.and(f.boundsOfMinShould(ix))
	}
	return b
}

// boundsOfMinShould counts for each point how many conditions it passes:
// reached[n] holds those with at least n.
func (f *Filter) boundsOfMinShould(ix Indexes) Bounds {
	if f.minCount > len(f.minShould) {
		return Exactly(none)
	}
	if f.minCount*len(f.minShould) > minShouldWork {
		return unknown(ix)
	}
	reached := make([]Bounds, f.minCount+1)
	reached[0] = Exactly(ix.All())
	for n := range f.minCount {
		reached[n+1] = Exactly(none)
	}
	for _, c := range f.minShould {
		b := boundsOf(c, ix)
		for n := f.minCount; n > 0; n-- {
			reached[n] = reached[n].or(reached[n-1].and(b))
		}
	}
	return reached[f.minCount]
}

func boundsOf(c condition, ix Indexes) Bounds {
	switch c := c.(type) {
	case *Filter:
		return c.Bounds(ix)
	case *hasID:
		return Made(ix.IDs(c.list))
	case *field:
		return c.bounds(ix)
	default: // what an element passes by itself, or needs no payload, is not indexed
		return unknown(ix)
	}
}

func (c *field) bounds(ix Indexes) Bounds {
	b := Exactly(none)
	index := ix.Field(c.path.Key())
	for _, t := range c.tests {
		switch one, isOne := t.(OneOf); {
		case isOne && len(one.Values) == 0:
		case index == nil:
			return unknown(ix)
		default:
			b = b.or(index.Test(t))
		}
	}
	for _, t := range c.raws {
		if index == nil {
			return unknown(ix)
		}
		b = b.or(index.Raw(t, ix.All()))
	}
	return b
}

func (b Bounds) and(o Bounds) Bounds {
	if b.Exact() && o.Exact() {
		return Made(roaring.And(b.Sure, o.Sure))
	}
	return tidy(roaring.And(b.Sure, o.Sure), roaring.And(b.Possible, o.Possible))
}

func (b Bounds) or(o Bounds) Bounds {
	switch {
	case b.Possible.IsEmpty():
		return o
	case o.Possible.IsEmpty():
		return b
	case b.Exact() && o.Exact():
		return Made(roaring.Or(b.Sure, o.Sure))
	default:
		return tidy(roaring.Or(b.Sure, o.Sure), roaring.Or(b.Possible, o.Possible))
	}
}

func (b Bounds) andNot(o Bounds) Bounds {
	if b.Exact() && o.Exact() {
		return Made(roaring.AndNot(b.Sure, o.Sure))
	}
	return tidy(roaring.AndNot(b.Sure, o.Possible), roaring.AndNot(b.Possible, o.Sure))
}

// tidy makes bounds of sets of their own, one set of those that have met.
func tidy(sure, possible *roaring.Bitmap) Bounds {
	if sure.GetCardinality() == possible.GetCardinality() {
		return Made(sure)
	}
	return Bounds{Sure: sure, Possible: possible, Own: true}
}
