package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// codeKernels are the kernels on codes with their definition, and the range of
// codes they are for.
var codeKernels = map[string]struct {
	kernel  CodeFunc
	exact   func(query, row byte) int64
	largest int // of a row's codes; a query of dot is signed
}{
	"dot": {DotCodes, func(q, r byte) int64 { return int64(int8(q)) * int64(r) }, 255},
	"l2":  {L2Codes, func(q, r byte) int64 { return (int64(q) - int64(r)) * (int64(q) - int64(r)) }, 127},
	"l1":  {L1Codes, func(q, r byte) int64 { return max(int64(q)-int64(r), int64(r)-int64(q)) }, 255},
}

func codeArena(count, dim int, shift uint, fill func() byte) (*Rows, [][]byte) {
	blocks := (dim + CodeBlock - 1) / CodeBlock
	r := &Rows{Shift: shift, Stride: blocks * CodeBlock, Blocks: blocks}
	var rows [][]byte
	for len(rows) < count {
		chunk := make([]byte, blocks*CodeBlock<<shift)
		r.Table = append(r.Table, unsafe.Pointer(&chunk[0]))
		for i := range 1 << shift {
			row := chunk[i*blocks*CodeBlock:][:blocks*CodeBlock]
			for k := range dim {
				row[k] = fill()
			}
			rows = append(rows, row)
		}
	}
	return r, rows
}

// checkCodes compares every level that the CPU has with the definition: the
// results are equal, to the last bit.
func checkCodes(t *testing.T, dim, n int, shift uint, random *rand.Rand, extreme bool) {
	t.Helper()
	for name, f := range codeKernels {
		fill := func() byte {
			if extreme { // the largest sums there can be
				return byte(f.largest)
			}
			return byte(random.IntN(f.largest + 1))
		}
		r, rows := codeArena(20, dim, shift, fill)
		q := make([]byte, (dim+CodeBlock-1)/CodeBlock*CodeBlock)
		for k := range dim {
			switch {
			case name == "dot" && extreme:
				q[k] = 0x81 // -127
			case name == "dot":
				q[k] = byte(int8(random.IntN(255) - 127))
			case !extreme:
				q[k] = fill()
			}
		}
		slots := make([]uint32, n)
		for i := range slots {
			slots[i] = uint32(random.IntN(len(rows)))
		}
		for level := Plain; level <= Best; level++ {
			out := make([]int32, n+1)
			out[n] = 42
			f.kernel(level, &q[0], r, slots, out)
			for i, slot := range slots {
				var want int64
				for k, x := range rows[slot] {
					want += f.exact(q[k], x)
				}
				if int64(out[i]) != want {
					t.Fatalf("%s %v dim %d slot %d: %d, want %d", name, level, dim, slot, out[i], want)
				}
			}
			if out[n] != 42 {
				t.Fatalf("%s %v wrote beyond its output", name, level)
			}
		}
	}
}

func TestCodeKernels(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, dim := range []int{1, 2, 31, 32, 63, 64, 65, 96, 128, 300, 384, 385, 768, 1536, 65536} {
		for _, n := range []int{0, 1, 2, 7, 8, 9, 10, 33} {
			checkCodes(t, dim, n, 3, random, false)
			checkCodes(t, dim, n, 3, random, true)
		}
	}
}

func FuzzCodeKernels(f *testing.F) {
	f.Add(uint16(384), uint8(9), uint8(2), uint64(7), false)
	f.Add(uint16(1), uint8(1), uint8(0), uint64(1), true)
	f.Add(uint16(65), uint8(33), uint8(6), uint64(3), false)
	f.Fuzz(func(t *testing.T, dim uint16, n, shift uint8, seed uint64, extreme bool) {
		checkCodes(t, int(dim)%4000+1, int(n), uint(shift%6), rand.New(rand.NewPCG(seed, 1)), extreme)
	})
}

func BenchmarkCodeKernels(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	const dim = 384
	slots, out := make([]uint32, 32), make([]int32, 32)
	for name, f := range codeKernels {
		r, rows := codeArena(1<<14, dim, 12, func() byte { return byte(random.IntN(f.largest + 1)) })
		q := make([]byte, dim)
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
