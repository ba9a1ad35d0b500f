// Package filter reads and evaluates filters in Qdrant's form.
package filter

import (
	"fmt"

	"freshet/server/payload"
	"freshet/server/point"
)

// Filter passes a point if every Must condition holds, at least one of Should,
// none of MustNot, and at least MinCount of MinShould. A list without
// conditions passes everything.
type Filter struct {
	must, should, mustNot, minShould []condition
	minCount                         int
}

// Limits of one filter.
const (
	MaxDepth      = 64
	MaxConditions = 8192
	MaxValues     = 1 << 20 // that conditions list, and ids
)

// Subject is the point a filter is evaluated on. Payload may be nil for a
// point without one; it is asked for only if a condition looks at it.
type Subject interface {
	ID() (point.ID, error)
	Payload() (map[string]any, error)
	HasVector(name string) bool
}

// ValidationError reports a well-formed filter with a value outside its
// limits. Path is relative to the filter, such as must[0].
type ValidationError struct{ Path, Text string }

func (e *ValidationError) Error() string { return fmt.Sprintf("%s: %s", e.Path, e.Text) }

// condition is one clause compiled. at.doc is what its paths start from.
type condition interface {
	match(at *place) (bool, error)
}

// place is a point, or one element of an array in its payload, under
// evaluation.
type place struct {
	subject Subject
	doc     any
	loaded  bool
}

func (at *place) payload() (any, error) {
	if !at.loaded {
		doc, err := at.subject.Payload()
		if err != nil {
			return nil, err
		}
		at.doc, at.loaded = doc, true
	}
	return at.doc, nil
}

// Match says whether the point passes.
func (f *Filter) Match(s Subject) (bool, error) { return f.match(&place{subject: s}) }

func (f *Filter) match(at *place) (bool, error) {
	for _, c := range f.must {
		if ok, err := c.match(at); err != nil || !ok {
			return false, err
		}
	}
	for _, c := range f.mustNot {
		if ok, err := c.match(at); err != nil || ok {
			return false, err
		}
	}
	if ok, err := atLeast(at, f.should, 1); err != nil || !ok {
		return false, err
	}
	return atLeast(at, f.minShould, f.minCount)
}

// atLeast says whether n of the conditions hold; without conditions it is true.
func atLeast(at *place, conditions []condition, n int) (bool, error) {
	if len(conditions) == 0 {
		return true, nil
	}
	for _, c := range conditions {
		ok, err := c.match(at)
		if err != nil {
			return false, err
		}
		if ok {
			if n--; n <= 0 {
				return true, nil
			}
		}
	}
	return false, nil
}

// Empty says whether the filter passes everything.
func (f *Filter) Empty() bool {
	return len(f.must)+len(f.should)+len(f.mustNot)+len(f.minShould) == 0
}

// Where returns a filter that passes points with a value at the path that passes a test.
func Where(path payload.Path, test Test) *Filter {
	return &Filter{must: []condition{&field{path: path, tests: []Test{test}}}}
}

// And returns a filter that passes what both pass.
func And(a, b *Filter) *Filter { return &Filter{must: []condition{a, b}} }
