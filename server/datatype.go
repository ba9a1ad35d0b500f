package server

import (
	"math"
	"slices"

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

// The finite numbers of half precision have 11 significant bits, are at most
// maxHalf, and below leastNormalHalf multiples of 2^-24.
const (
	maxHalf         = 65504
	leastNormalHalf = 1.0 / (1 << 14)
)

// roundToHalf returns the number of half precision that is nearest to x, the even one
// of two. It is infinite if x is too large.
func roundToHalf(x float32) float32 {
	if math.Abs(float64(x)) < leastNormalHalf {
		return float32(math.RoundToEven(float64(x)*(1<<24)) / (1 << 24))
	}
	const dropped = 23 - 10 // bits of the mantissa
	b := math.Float32bits(x)
	b += 1<<(dropped-1) - 1 + b>>dropped&1
	x = math.Float32frombits(b &^ (1<<dropped - 1))
	if math.Abs(float64(x)) > maxHalf {
		return float32(math.Copysign(math.Inf(1), float64(x)))
	}
	return x
}

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

// settle makes of a vector, in place, what is stored of it: rounded, and of length 1
// under Cosine. Bytes cannot be of length 1; they stay as they are.
func (p VectorParams) settle(v []float32) {
	if p.Distance == Cosine && !p.unscaled() {
		hnsw.Normalize(v)
	}
	p.Datatype.round(v)
}

// unscaled says whether stored vectors are not of the length that the graph wants.
func (p VectorParams) unscaled() bool { return p.Distance == Cosine && p.Datatype == Uint8 }

// compared returns what the graph holds for a stored vector. It may be v itself, and it
// may be a copy.
func (p VectorParams) compared(v []float32) []float32 {
	if !p.unscaled() {
		return v
	}
	v = append([]float32(nil), v...)
	hnsw.Normalize(v)
	return v
}

// settleRows is settle for rows that follow one another.
func (p VectorParams) settleRows(rows []float32) {
	for row := range slices.Chunk(rows, max(1, p.Size)) {
		p.settle(row)
	}
}

// comparedRows is compared for rows that follow one another.
func (p VectorParams) comparedRows(rows []float32) []float32 {
	if !p.unscaled() {
		return rows
	}
	rows = slices.Clone(rows)
	for row := range slices.Chunk(rows, p.Size) {
		hnsw.Normalize(row)
	}
	return rows
}

// query returns what is compared with stored vectors to search for v.
func (p VectorParams) query(v []float32) []float32 {
	v = append([]float32(nil), v...)
	p.settle(v)
	return p.compared(v)
}

// params returns what a vector is configured to be.
func (c *Collection) params(name string) VectorParams {
	return c.set().params[name]
}

// settle makes of given vectors what is stored of them.
func (c *Collection) settle(vectors Vectors) {
	for name, v := range vectors {
		c.params(name).settleRows(rowsOf(v))
	}
}
