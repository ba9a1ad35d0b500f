package ingest

import (
	"math"
	"time"
)

// cost is what a batch of n records takes, fixed + each·n seconds, by least squares over
// the batches of the last windows. The older ones count less.
type cost struct {
	fixed, each float64
	known       bool // batches had different sizes: the two can be told apart

	past, window sums
}

// sums are those that a straight line is fitted by: of sizes x and seconds t.
type sums struct{ n, x, t, xx, xt float64 }

const (
	// forgetting is the weight of what was known before a window.
	forgetting = 0.7
	// upheaval is the factor by which a window's batches differ from what was known when
	// that is void: an endpoint has become slow, or has recovered.
	upheaval = 2.0
	// spread is the standard deviation of sizes, by their mean, that a line takes.
	// Without it the line that is known follows by the whole.
	spread = 0.05
	// enough is the part of the highest possible rate that is worth larger batches.
	enough = 0.9
)

func (c *cost) add(records int, took time.Duration) {
	x, t := float64(records), took.Seconds()
	c.window.n++
	c.window.x += x
	c.window.t += t
	c.window.xx += x * x
	c.window.xt += x * t
}

// fit takes up what was added.
func (c *cost) fit() {
	w := c.window
	c.window = sums{}
	factor := 1.0 // of what batches took to what they would have by what was known
	if expected := c.fixed*w.n + c.each*w.x; c.known && expected > 0 {
		factor = w.t / expected
	}
	if factor > upheaval || factor < 1/upheaval {
		c.past, c.known = sums{}, false
	}
	p := &c.past
	p.n, p.x, p.t = p.n*forgetting+w.n, p.x*forgetting+w.x, p.t*forgetting+w.t
	p.xx, p.xt = p.xx*forgetting+w.xx, p.xt*forgetting+w.xt
	x, t := p.x/p.n, p.t/p.n
	variance := p.xx/p.n - x*x
	if math.Sqrt(max(variance, 0)) <= spread*x {
		c.fixed, c.each = c.fixed*factor, c.each*factor
		return
	}
	c.known = true
	switch c.each = (p.xt/p.n - x*t) / variance; {
	case c.each < 0:
		c.fixed, c.each = t, 0
	case c.each*x > t:
		c.fixed, c.each = 0, p.xt/p.xx
	default:
		c.fixed = t - c.each*x
	}
}

// of returns the seconds for a batch.
func (c *cost) of(records float64) float64 { return c.fixed + c.each*records }

// limitFor returns the size of batches that take so many records per second. Sizes that
// would hardly take more are not asked for.
func (c *cost) limitFor(rate float64) float64 {
	most := float64(maxBatch)
	if c.each > 0 {
		most = min(most, enough/(1-enough)*c.fixed/c.each)
	}
	if rate*c.each >= 1 {
		return most
	}
	return min(rate*c.fixed/(1-rate*c.each), most)
}
