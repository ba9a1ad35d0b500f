package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"
)

var functions = map[string]struct {
	kernel Func
	exact  func(a, b float64) float64
}{
	"dot": {Dot, func(a, b float64) float64 { return a * b }},
	"l2":  {L2, func(a, b float64) float64 { return (a - b) * (a - b) }},
	"l1":  {L1, func(a, b float64) float64 { return math.Abs(a - b) }},
}

// arena returns rows in chunks of 1<<shift and the floats behind them.
func arena(count, dim int, shift uint, fill func() float32) (*Rows, [][]float32) {
	blocks := (dim + Block - 1) / Block
	r := &Rows{Shift: shift, Stride: blocks * Block * 4, Blocks: blocks}
	var rows [][]float32
	for len(rows) < count {
		chunk := make([]float32, blocks*Block<<shift)
		r.Table = append(r.Table, unsafe.Pointer(&chunk[0]))
		for i := range 1 << shift {
			row := chunk[i*blocks*Block:][:blocks*Block]
			for k := range dim {
				row[k] = fill()
			}
			rows = append(rows, row)
		}
	}
	return r, rows
}

func padded(dim int, fill func() float32) []float32 {
	q := make([]float32, (dim+Block-1)/Block*Block)
	for i := range dim {
		q[i] = fill()
	}
	return q
}

// check compares every level that the CPU has with float64 arithmetic. The
// error of a sum of n products is bounded by n units of the last place of the
// sum of their magnitudes.
func check(t *testing.T, dim int, r *Rows, rows [][]float32, q []float32, slots []uint32) {
	t.Helper()
	for name, f := range functions {
		for level := Plain; level <= Best; level++ {
			out := make([]float32, len(slots)+1)
			out[len(slots)] = 42
			f.kernel(level, &q[0], r, slots, out)
			for i, slot := range slots {
				var want, magnitude float64
				for k, x := range rows[slot] {
					term := f.exact(float64(q[k]), float64(x))
					want += term
					magnitude += math.Abs(term)
				}
				if diff := math.Abs(float64(out[i]) - want); diff > magnitude*float64(dim+4)*0x1p-23+1e-37 {
					t.Fatalf("%s %v dim %d slot %d: %v, want %v", name, level, dim, slot, out[i], want)
				}
			}
			if out[len(slots)] != 42 {
				t.Fatalf("%s %v wrote beyond its output", name, level)
			}
		}
	}
}

func TestKernels(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, dim := range []int{1, 2, 3, 15, 16, 17, 31, 33, 63, 64, 65, 96, 100, 128, 384, 385, 768, 1536, 4096} {
		for _, scale := range []float64{1, 1e-20, 1e15} {
			t.Run(fmt.Sprintf("%d/%g", dim, scale), func(t *testing.T) {
				fill := func() float32 { return float32(random.NormFloat64() * scale) }
				r, rows := arena(37, dim, 3, fill)
				q := padded(dim, fill)
				for _, n := range []int{0, 1, 2, 3, 4, 5, 8, 17, 40} {
					slots := make([]uint32, n)
					for i := range slots {
						slots[i] = uint32(random.IntN(len(rows)))
					}
					check(t, dim, r, rows, q, slots)
				}
			})
		}
	}
}

func FuzzKernels(f *testing.F) {
	f.Add(uint16(384), uint8(9), uint8(2), uint64(7))
	f.Add(uint16(1), uint8(1), uint8(0), uint64(1))
	f.Add(uint16(65), uint8(33), uint8(6), uint64(3))
	f.Fuzz(func(t *testing.T, dim uint16, n, shift uint8, seed uint64) {
		d := int(dim)%2000 + 1
		random := rand.New(rand.NewPCG(seed, 1))
		fill := func() float32 { return float32(random.NormFloat64() * math.Pow(10, float64(random.IntN(12)-6))) }
		r, rows := arena(20, d, uint(shift%6), fill)
		slots := make([]uint32, n)
		for i := range slots {
			slots[i] = uint32(random.IntN(len(rows)))
		}
		check(t, d, r, rows, padded(d, fill), slots)
	})
}

func BenchmarkKernels(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	const dim = 384
	fill := func() float32 { return float32(random.NormFloat64()) }
	r, rows := arena(1<<14, dim, 12, fill)
	q := padded(dim, fill)
	slots, out := make([]uint32, 32), make([]float32, 32)
	for name, f := range functions {
		for level := Plain; level <= Best; level++ {
			b.Run(fmt.Sprintf("%s/%v", name, level), func(b *testing.B) {
				for b.Loop() {
					for i := range slots {
						slots[i] = uint32(random.IntN(len(rows)))
					}
					f.kernel(level, &q[0], r, slots, out)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(slots)), "ns/distance")
			})
		}
	}
}
