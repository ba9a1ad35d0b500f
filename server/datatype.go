package server

import (
	"math"
	"slices"

	"github.com/x448/float16"

	"freshet/hnsw"
)

// Datatype says to what the numbers of a vector are rounded. Graphs hold float32 all
// the same: what is stored, shown and compared is the rounded numbers.
type Datatype string

// The datatypes; none is Float32.
const (
	Float32 Datatype = "float32"
	Float16 Datatype = "float16" // of IEEE 754, to the nearest
	Uint8   Datatype = "uint8"   // cut to a whole number from 0 to 255
)

func (d Datatype) known() bool {
	switch d {
	case "", Float32, Float16, Uint8:
		return true
	default:
		return false
	}
}

// round rounds the numbers in place.
func (d Datatype) round(v []float32) {
	switch d {
	case Uint8:
		for i, x := range v {
			v[i] = float32(uint8(min(max(x, 0), 255)))
		}
	case Float16:
		for i, x := range v {
			v[i] = roundToHalf(x)
		}
	case Float32: // is what they are
	}
}

// roundToHalf returns the number of half precision that is nearest to x, the even one
// of two. It is infinite if x is too large.
func roundToHalf(x float32) float32 { return float16.Fromfloat32(x).Float32() }

// fits says whether the number stays finite when it is rounded.
func (d Datatype) fits(x float32) bool {
	if d == Float16 {
		x = roundToHalf(x)
	}
	return !math.IsNaN(float64(x)) && !math.IsInf(float64(x), 0)
}

// suffix names what half precision cannot hold, for an error.
func (d Datatype) suffix() string {
	if d == Float16 {
		return " of half precision"
	}
	return ""
}

// settle makes of the rows of a vector, in place, what is stored of them: rounded, and
// of length 1 under Cosine. Bytes cannot be of length 1; they stay as they are.
func (p VectorParams) settle(rows []float32) {
	if p.Distance == Cosine && !p.unscaled() {
		p.normalize(rows)
	}
	p.Datatype.round(rows)
}

func (p VectorParams) normalize(rows []float32) {
	for row := range slices.Chunk(rows, p.Size) {
		hnsw.Normalize(row)
	}
}

// unscaled says whether stored vectors are not of the length that the graph wants.
func (p VectorParams) unscaled() bool { return p.Distance == Cosine && p.Datatype == Uint8 }

// compared returns what stored rows are compared as. It may be the rows themselves, and
// it may be a copy.
func (p VectorParams) compared(rows []float32) []float32 {
	if !p.unscaled() {
		return rows
	}
	rows = slices.Clone(rows)
	p.normalize(rows)
	return rows
}

// query returns what is compared with stored rows to search for some.
func (p VectorParams) query(rows []float32) []float32 {
	rows = slices.Clone(rows)
	p.settle(rows)
	return p.compared(rows)
}

// params returns what a vector is configured to be.
func (c *Collection) params(name string) VectorParams {
	return c.set().params[name]
}

// settle makes of given vectors what is stored of them.
func (c *Collection) settle(vectors Vectors) {
	for name, v := range vectors {
		c.params(name).settle(rowsOf(v))
	}
}
