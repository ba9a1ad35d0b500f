// Package kernels computes distances between one query and many rows of a
// chunked arena: one call per list of slots, with the rows ahead prefetched,
// because above some 100,000 vectors the time goes to memory, not arithmetic.
// It also makes the codes that distances are computed on.
//
// Each kernel exists in plain Go and, on amd64, for AVX2 with FMA and for
// AVX-512; the best one that the CPU has is chosen at start. They agree within
// rounding: the order of the additions differs.
//
//go:generate sh -c "cd gen && go run . -out ../kernels_amd64.s -stubs ../kernels_amd64.go -pkg kernels"
package kernels

import "unsafe"

// Block is the number of floats that rows and queries are padded to, with
// zeros.
const Block = 16

// Level is an instruction set the kernels are written for.
type Level uint8

// The levels, each including the ones before it.
const (
	Plain Level = iota
	AVX2
	AVX512
	VNNI // AVX-512 with VNNI
)

func (l Level) String() string {
	return [...]string{"plain", "avx2", "avx512", "vnni"}[l]
}

// Best is the highest level that this CPU has.
var Best = detect()

// Rows is an arena of rows of Blocks×64 bytes: Blocks×Block floats, or
// Blocks×CodeBlock codes. The row of slot s is at Table[s>>Shift] + (s &
// (1<<Shift-1))×Stride bytes. A row begins at a multiple of 64 bytes for the sake
// of speed.
type Rows struct {
	Table  []unsafe.Pointer
	Shift  uint
	Stride int // bytes
	Blocks int
}

// Func is a distance of a query, padded to Blocks×Block floats, to the rows of
// the slots: out[i] belongs to slots[i]. out is at least as long as slots.
type Func func(l Level, query *float32, rows *Rows, slots []uint32, out []float32)

// Dot computes the dot products.
func Dot(l Level, query *float32, rows *Rows, slots []uint32, out []float32) {
	if len(slots) == 0 {
		return
	}
	_ = out[len(slots)-1]
	dot(l, query, rows, slots, out)
}

// L2 computes the squared Euclidean distances.
func L2(l Level, query *float32, rows *Rows, slots []uint32, out []float32) {
	if len(slots) == 0 {
		return
	}
	_ = out[len(slots)-1]
	l2(l, query, rows, slots, out)
}

// L1 computes the sums of absolute differences.
func L1(l Level, query *float32, rows *Rows, slots []uint32, out []float32) {
	if len(slots) == 0 {
		return
	}
	_ = out[len(slots)-1]
	l1(l, query, rows, slots, out)
}

// At returns the address of a slot's row.
func (r *Rows) At(slot uint32) unsafe.Pointer {
	return unsafe.Add(r.Table[slot>>r.Shift], int(slot&(1<<r.Shift-1))*r.Stride)
}

// row returns the floats of a slot's row.
func (r *Rows) row(slot uint32) []float32 {
	return unsafe.Slice((*float32)(r.At(slot)), r.Blocks*Block)
}

func plainDot(query *float32, rows *Rows, slots []uint32, out []float32) {
	q := unsafe.Slice(query, rows.Blocks*Block)
	for i, slot := range slots {
		row := rows.row(slot)[:len(q)]
		var a, b, c, d float32 // independent chains of additions
		for k := 0; k+3 < len(q); k += 4 {
			a += q[k] * row[k]
			b += q[k+1] * row[k+1]
			c += q[k+2] * row[k+2]
			d += q[k+3] * row[k+3]
		}
		out[i] = a + b + (c + d)
	}
}

func plainL2(query *float32, rows *Rows, slots []uint32, out []float32) {
	q := unsafe.Slice(query, rows.Blocks*Block)
	for i, slot := range slots {
		row := rows.row(slot)[:len(q)]
		var a, b float32
		for k := 0; k+1 < len(q); k += 2 {
			x, y := q[k]-row[k], q[k+1]-row[k+1]
			a += x * x
			b += y * y
		}
		out[i] = a + b
	}
}

func plainL1(query *float32, rows *Rows, slots []uint32, out []float32) {
	q := unsafe.Slice(query, rows.Blocks*Block)
	for i, slot := range slots {
		row := rows.row(slot)[:len(q)]
		var a, b float32
		for k := 0; k+1 < len(q); k += 2 {
			a += max(q[k]-row[k], row[k]-q[k])
			b += max(q[k+1]-row[k+1], row[k+1]-q[k+1])
		}
		out[i] = a + b
	}
}
