package hnsw

import (
	"fmt"
	"math"

	"github.com/viterin/vek/vek32"

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

// Normalize scales v to length 1 in place. It returns false, and leaves v as it
// is, if all of it is zero.
func Normalize(v []float32) bool {
	if len(v) == 0 {
		return false
	}
	largest := max(vek32.Max(v), -vek32.Min(v))
	if largest == 0 {
		return false
	}
	// Squares of components far from 1 would leave the range of float32.
	if largest > 1e15 || largest < 1e-15 {
		scale := 1 / float64(largest)
		for i, x := range v {
			v[i] = float32(float64(x) * scale)
		}
	}
	vek32.DivNumber_Inplace(v, float32(math.Sqrt(float64(vek32.Dot(v, v)))))
	return true
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
