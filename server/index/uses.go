package index

import (
	"slices"

	"freshet/server/filter"
)

// Uses returns the ways in which an index of the schema can be asked.
func (s Schema) Uses() filter.Uses {
	switch s.Type {
	case Keyword:
		return filter.Keywords | filter.Prefixes
	case Integer:
		var uses filter.Uses
		if s.lookup {
			uses |= filter.Integers
		}
		if s.ranges {
			uses |= filter.IntegerRanges
		}
		return uses
	case Text:
		if s.analyzer.Phrases() {
			return filter.Words | filter.Phrases
		}
		return filter.Words
	default:
		return usesOfType[s.Type]
	}
}

var usesOfType = map[Type]filter.Uses{
	Float: filter.FloatRanges, Bool: filter.Flags, UUID: filter.UUIDs, Datetime: filter.Moments, Geo: filter.Places,
	Keyword: filter.Keywords | filter.Prefixes, Integer: filter.Integers | filter.IntegerRanges, Text: filter.Words | filter.Phrases,
}

// TypesFor returns the types of index that can be asked in one of the ways, sorted.
func TypesFor(uses filter.Uses) []Type {
	var types []Type
	for t, can := range usesOfType {
		if can&uses != 0 {
			types = append(types, t)
		}
	}
	slices.Sort(types)
	return types
}
