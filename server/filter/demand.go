package filter

import (
	"github.com/google/uuid"

	"freshet/server/payload"
)

// Uses is a set of ways in which a payload index is asked.
type Uses uint16

// The ways.
const (
	Keywords Uses = 1 << iota
	Integers
	IntegerRanges
	FloatRanges
	Words
	Phrases
	Prefixes
	Flags
	UUIDs
	Moments
	Places

	anyUse = 1<<iota - 1
)

// Conditions returns how many conditions the filter consists of, those of filters
// within it among them.
func (f *Filter) Conditions() int {
	n := 0
	f.each("", func(string, condition) bool {
		n++
		return true
	})
	return n
}

// Largest returns the size of the largest condition: how many ids or values it
// lists, or points of a polygon.
func (f *Filter) Largest() int {
	largest := 0
	f.each("", func(_ string, c condition) bool {
		switch c := c.(type) {
		case *hasID:
			largest = max(largest, len(c.set))
		case *field:
			for _, t := range c.tests {
				largest = max(largest, sizeOf(t))
			}
		}
		return true
	})
	return largest
}

func sizeOf(t Test) int {
	switch t := t.(type) {
	case OneOf:
		return len(t.Values)
	case NoneOf:
		return len(t.Values)
	case polygon:
		return t.Edges()
	default:
		return 1
	}
}

// Demand is a field that a filter looks at, by its path (see payload.Path.Key and
// String), and the ways in which an index of it could help, of which one is enough.
type Demand struct {
	Key, Path string
	Uses      Uses
}

// Demands calls visit for the fields that an index could help with, until it
// returns false.
func (f *Filter) Demands(visit func(d Demand) bool) {
	f.each("", func(prefix string, c condition) bool {
		fc, ok := c.(*field)
		if !ok {
			return true
		}
		d := Demand{Path: prefix + fc.path.String(), Uses: fc.uses()}
		d.Key = d.Path
		if p, err := payload.ParsePath(d.Path); err == nil {
			d.Key = p.Key()
		}
		return d.Uses == 0 || visit(d)
	})
}

// each calls visit for the conditions in all filters within f, until it returns
// false. prefix is what their paths are relative to.
func (f *Filter) each(prefix string, visit func(prefix string, c condition) bool) bool {
	for _, list := range [][]condition{f.must, f.should, f.mustNot, f.minShould} {
		for _, c := range list {
			var ok bool
			switch c := c.(type) {
			case *Filter:
				ok = c.each(prefix, visit)
			case *nested:
				ok = c.filter.each(prefix+c.path.String()+"[].", visit)
			default:
				ok = visit(prefix, c)
			}
			if !ok {
				return false
			}
		}
	}
	return true
}

func (c *field) uses() Uses {
	if len(c.raws) > 0 {
		return anyUse
	}
	var uses Uses
	for _, t := range c.tests {
		uses |= usesOf(t)
	}
	return uses
}

func usesOf(t Test) Uses {
	switch t := t.(type) {
	case OneOf:
		return usesOfValues(t.Values)
	case NoneOf:
		return usesOfValues(t.Values)
	case Range:
		return FloatRanges | IntegerRanges
	case TimeRange:
		return Moments
	case Text:
		switch t.Op {
		case Phrase:
			return Phrases
		case Prefix:
			return Prefixes
		default:
			return Words
		}
	default:
		return Places
	}
}

// usesOfValues returns none for no values: nothing has to be looked up.
func usesOfValues(values map[any]struct{}) Uses {
	var uses Uses
	allUUIDs := true
	for v := range values {
		switch v := v.(type) {
		case string:
			uses |= Keywords
			allUUIDs = allUUIDs && uuid.Validate(v) == nil
		case bool:
			uses |= Flags
		default:
			uses |= Integers
		}
	}
	if uses == Keywords && allUUIDs {
		uses |= UUIDs
	}
	return uses
}
