// Package formula reads and evaluates formulas, which score points by the scores that
// prefetches gave them, by their payload and by conditions. All is done in float64.
package formula

import (
	"fmt"
	"math"
	"strconv"

	"freshet/server/filter"
)

// Formula is an expression, with what stands for values that a point has not.
type Formula struct {
	root     expression
	defaults defaults
}

// Point is what a formula is evaluated on.
type Point interface {
	// Score returns the score that the point has in a prefetch, if it is there.
	Score(prefetch int) (score float32, ok bool)
	// Payload returns the decoded payload, nil for none.
	Payload() (map[string]any, error)
	// Holds says whether the point passes.
	Holds(f *filter.Filter) (bool, error)
}

// ValueError reports that a formula has no number for a point.
type ValueError struct{ Text string }

func (e *ValueError) Error() string { return e.Text }

func noNumber(format string, args ...any) error {
	return &ValueError{Text: "The expression " + fmt.Sprintf(format, args...) + " produced a non-finite number"}
}

// Eval returns the score of a point, which is finite.
func (f *Formula) Eval(p Point) (float32, error) {
	x, err := f.root.eval(&context{Point: p, defaults: &f.defaults})
	if err != nil {
		return 0, err
	}
	score := float32(x)
	if !finite(float64(score)) {
		return 0, noNumber("%s as f32 = %s", format(x), format(float64(score)))
	}
	return score, nil
}

// context is a point under evaluation.
type context struct {
	Point
	defaults *defaults
}

type expression interface {
	eval(c *context) (float64, error)
}

type constant float64

func (x constant) eval(*context) (float64, error) { return float64(x), nil }

// condition counts 1 for points that pass, 0 for others.
type condition struct{ filter *filter.Filter }

func (e condition) eval(c *context) (float64, error) {
	ok, err := c.Holds(e.filter)
	if ok {
		return 1, err
	}
	return 0, err
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// format writes a number as Qdrant's errors do.
func format(x float64) string {
	switch {
	case math.IsInf(x, 1):
		return "inf"
	case math.IsInf(x, -1):
		return "-inf"
	default:
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
}
