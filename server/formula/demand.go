package formula

import (
	"freshet/server/filter"
	"freshet/server/payload"
)

// Demands calls visit for the fields of payloads that the formula reads, until it
// returns false.
func (f *Formula) Demands(visit func(d filter.Demand) bool) { demands(f.root, visit) }

func demands(e expression, visit func(d filter.Demand) bool) bool {
	field := func(path payload.Path, uses filter.Uses) bool {
		return visit(filter.Demand{Key: path.Key(), Path: path.String(), Uses: uses})
	}
	switch e := e.(type) {
	case variable:
		return field(e.path, filter.Integers|filter.IntegerRanges|filter.FloatRanges)
	case moment:
		return field(e.path, filter.Moments)
	case distance:
		return field(e.to, filter.Places)
	case condition:
		more := true
		e.filter.Demands(func(d filter.Demand) bool {
			more = visit(d)
			return more
		})
		return more
	case sum:
		return all(visit, e...)
	case product:
		return all(visit, e...)
	case quotient:
		return all(visit, e.left, e.right)
	case power:
		return all(visit, e.base, e.exponent)
	case function:
		return demands(e.of, visit)
	case decay:
		return all(visit, e.x, e.target)
	default: // constants and scores
		return true
	}
}

func all(visit func(d filter.Demand) bool, list ...expression) bool {
	for _, e := range list {
		if !demands(e, visit) {
			return false
		}
	}
	return true
}
