package formula

import "math"

type sum []expression

func (e sum) eval(c *context) (float64, error) {
	total := 0.0
	for _, term := range e {
		x, err := term.eval(c)
		if err != nil {
			return 0, err
		}
		total += x
	}
	return total, nil
}

// product is 0 as soon as a factor is; what follows it is not evaluated and need not
// have a value.
type product []expression

func (e product) eval(c *context) (float64, error) {
	total := 1.0
	for _, factor := range e {
		x, err := factor.eval(c)
		if err != nil || x == 0 {
			return 0, err
		}
		total *= x
	}
	return total, nil
}

type quotient struct {
	left, right expression
	byZero      *float64 // value of a division by zero, nil for an error
}

func (e quotient) eval(c *context) (float64, error) {
	left, err := e.left.eval(c)
	if err != nil || left == 0 {
		return 0, err
	}
	right, err := e.right.eval(c)
	if err != nil {
		return 0, err
	}
	if right == 0 && e.byZero != nil {
		return *e.byZero, nil
	}
	x := left / right
	if !finite(x) {
		return 0, noNumber("%s/%s = %s", format(left), format(right), format(x))
	}
	return x, nil
}

type power struct{ base, exponent expression }

func (e power) eval(c *context) (float64, error) {
	base, err := e.base.eval(c)
	if err != nil {
		return 0, err
	}
	exponent, err := e.exponent.eval(c)
	if err != nil {
		return 0, err
	}
	x := math.Pow(base, exponent)
	if !finite(x) {
		return 0, noNumber("%s^%s = %s", format(base), format(exponent), format(x))
	}
	return x, nil
}

// function is a function of one number; before and after are what errors write
// around the number.
type function struct {
	f             func(float64) float64
	before, after string
	of            expression
}

func (e function) eval(c *context) (float64, error) {
	x, err := e.of.eval(c)
	if err != nil {
		return 0, err
	}
	y := e.f(x)
	if !finite(y) {
		return 0, noNumber("%s%s%s = %s", e.before, format(x), e.after, format(y))
	}
	return y, nil
}

// functions by the member that names them.
var functions = map[string]function{
	"neg":   {f: func(x float64) float64 { return -x }, before: "-"},
	"abs":   {f: math.Abs, before: "abs(", after: ")"},
	"sqrt":  {f: math.Sqrt, before: "√"},
	"exp":   {f: math.Exp, before: "exp(", after: ")"},
	"ln":    {f: math.Log, before: "ln(", after: ")"},
	"log10": {f: math.Log10, before: "log10(", after: ")"},
}

// decay falls from 1 at the target to its midpoint at scale away from it.
type decay struct {
	shape     func(t, rate float64) float64
	rate      float64
	x, target expression
}

func (e decay) eval(c *context) (float64, error) {
	x, err := e.x.eval(c)
	if err != nil {
		return 0, err
	}
	target, err := e.target.eval(c)
	if err != nil {
		return 0, err
	}
	y := e.shape(math.Abs(x-target), e.rate)
	if !finite(y) {
		return 0, noNumber("decay(%s, %s) = %s", format(x), format(target), format(y))
	}
	return y, nil
}

// decays by the member that names them: the rate for a midpoint and a scale, and
// the value at a distance.
var decays = map[string]struct {
	rate  func(midpoint, scale float64) float64
	shape func(t, rate float64) float64
}{
	"lin_decay": {
		rate:  func(m, s float64) float64 { return (1 - m) / s },
		shape: func(t, rate float64) float64 { return max(0, 1-rate*t) },
	},
	"exp_decay": {
		rate:  func(m, s float64) float64 { return math.Log(m) / s },
		shape: func(t, rate float64) float64 { return math.Exp(rate * t) },
	},
	"gauss_decay": {
		rate:  func(m, s float64) float64 { return math.Log(m) / (s * s) },
		shape: func(t, rate float64) float64 { return math.Exp(rate * t * t) },
	},
}
