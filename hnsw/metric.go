package hnsw

import (
	"fmt"
	"math"

	"freshet/hnsw/kernels"
)

// Metric is how far apart two vectors are.
type Metric uint8

// The metrics. For Cosine the vectors, stored and searched for, are normalised
// by the caller; it is then the same as Dot.
const (
	Cosine Metric = iota
	Dot
	Euclid
	Manhattan
)

func (m Metric) String() string {
	if int(m) < len(metricNames) {
		return metricNames[m]
	}
	return fmt.Sprintf("Metric(%d)", uint8(m))
}

var metricNames = [...]string{"Cosine", "Dot", "Euclid", "Manhattan"}

// Ascending says whether a smaller score is a better one.
func (m Metric) Ascending() bool { return m == Euclid || m == Manhattan }

// score turns a distance inside the graph, smaller always being nearer, into
// what the metric means to a user.
func (m Metric) score(distance float32) float32 {
	switch m {
	case Euclid:
		return float32(math.Sqrt(float64(max(distance, 0)))) // on codes it can be below
	case Manhattan:
		return distance
	default:
		return -distance
	}
}

// unitTolerance is how far from 1 the length may be of a vector that is left as it is.
const unitTolerance = 1e-6

// Normalize scales v to length 1 in place. What has that length but for rounding stays as
// it is to the last bit, so that a vector that is read and written again is the same, and
// every processor makes the same of it. It returns false, and leaves v as it is, if all of
// it is zero.
func Normalize(v []float32) bool {
	length := math.Sqrt(squares(v))
	if length == 0 {
		return false
	}
	if math.Abs(length-1) > unitTolerance {
		scale := 1 / length
		for i, x := range v {
			v[i] = float32(float64(x) * scale)
		}
	}
	return true
}

// squares adds up the squares of the components. These are exact in 64 bits, also where a
// processor multiplies and adds in one step, and the order is always the same.
func squares(v []float32) float64 {
	var a, b, c, d float64 // independent chains of additions
	for ; len(v) >= 4; v = v[4:] {
		w, x, y, z := float64(v[0]), float64(v[1]), float64(v[2]), float64(v[3])
		a += w * w
		b += x * x
		c += y * y
		d += z * z
	}
	for _, x := range v {
		a += float64(x) * float64(x)
	}
	return a + b + (c + d)
}

// distances computes distances of a query to slots by one call of a kernel. It
// is the one seam between the graph and the arithmetic.
type distances struct {
	kernel  kernels.Func
	negate  bool
	vectors *arena
	level   kernels.Level
}

func newDistances(m Metric, vectors *arena) distances {
	d := distances{vectors: vectors, level: kernels.Best}
	switch m {
	case Euclid:
		d.kernel = kernels.L2
	case Manhattan:
		d.kernel = kernels.L1
	default:
		d.kernel, d.negate = kernels.Dot, true
	}
	return d
}

// compute stores the distance of the padded query to each slot in out; smaller
// is nearer.
func (d *distances) compute(query *float32, slots []uint32, out []float32) {
	d.computeRows(query, d.vectors.rows.Load(), slots, out)
}

// computeRows is compute on rows elsewhere.
func (d *distances) computeRows(query *float32, rows *kernels.Rows, slots []uint32, out []float32) {
	d.kernel(d.level, query, rows, slots, out)
	if d.negate {
		for i := range slots {
			out[i] = -out[i]
		}
	}
}
