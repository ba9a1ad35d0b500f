package kernels

import (
	"math/rand/v2"
	"testing"
	"unsafe"
)

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
// results are equal, to the last bit. With extreme the sums are the largest.
func checkCodes(t *testing.T, dim, n int, shift uint, random *rand.Rand, extreme bool) {
	t.Helper()
	r, rows := codeArena(20, dim, shift, func() byte {
		if extreme {
			return 255
		}
		return byte(random.IntN(256))
	})
	q := make([]byte, r.Blocks*CodeBlock)
	for k := range dim {
		code := int8(-127)
		if !extreme {
			code = int8(random.IntN(255) - 127)
		}
		q[k] = byte(code)
	}
	slots := make([]uint32, n)
	for i := range slots {
		slots[i] = uint32(random.IntN(len(rows)))
	}
	for level := Plain; level <= Best; level++ {
		out := make([]int32, n+1)
		out[n] = 42
		DotCodes(level, &q[0], r, slots, out)
		for i, slot := range slots {
			var want int64
			for k, x := range rows[slot] {
				want += int64(int8(q[k])) * int64(x)
			}
			if int64(out[i]) != want {
				t.Fatalf("%v dim %d slot %d: %d, want %d", level, dim, slot, out[i], want)
			}
		}
		if out[n] != 42 {
			t.Fatalf("%v wrote beyond its output", level)
		}
	}
}

// checkHalves does the same for codes of 4 bits.
func checkHalves(t *testing.T, dim, n int, shift uint, random *rand.Rand, extreme bool) {
	t.Helper()
	blocks := (dim + HalfBlock - 1) / HalfBlock
	r, rows := codeArena(20, blocks*CodeBlock, shift, func() byte {
		if extreme {
			return 255
		}
		return byte(random.IntN(256))
	})
	q := make([]byte, blocks*HalfBlock)
	for k := range dim {
		code := int8(-127)
		if !extreme {
			code = int8(random.IntN(255) - 127)
		}
		q[k] = byte(code)
	}
	slots := make([]uint32, n)
	for i := range slots {
		slots[i] = uint32(random.IntN(len(rows)))
	}
	for level := Plain; level <= Best; level++ {
		out := make([]int32, n+1)
		out[n] = 42
		DotHalves(level, &q[0], r, slots, out)
		for i, slot := range slots {
			var want int64
			for k := range q {
				block, within := k/HalfBlock, k%HalfBlock
				x := rows[slot][block*CodeBlock+within%CodeBlock]
				if within >= CodeBlock {
					x >>= 4
				}
				want += int64(int8(q[k])) * int64(x&15)
			}
			if int64(out[i]) != want {
				t.Fatalf("%v dim %d slot %d: %d, want %d", level, dim, slot, out[i], want)
			}
		}
		if out[n] != 42 {
			t.Fatalf("%v wrote beyond its output", level)
		}
	}
}

func TestCodeKernels(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, dim := range []int{1, 2, 31, 32, 63, 64, 65, 96, 128, 300, 384, 385, 768, 1536, 65536} {
		for _, n := range []int{0, 1, 2, 7, 8, 9, 10, 33} {
			checkCodes(t, dim, n, 3, random, false)
			checkCodes(t, dim, n, 3, random, true)
			checkHalves(t, dim, n, 3, random, false)
			checkHalves(t, dim, n, 3, random, true)
		}
	}
}

func FuzzCodeKernels(f *testing.F) {
	f.Add(uint16(384), uint8(9), uint8(2), uint64(7), false)
	f.Add(uint16(1), uint8(1), uint8(0), uint64(1), true)
	f.Add(uint16(65), uint8(33), uint8(6), uint64(3), false)
	f.Fuzz(func(t *testing.T, dim uint16, n, shift uint8, seed uint64, extreme bool) {
		checkCodes(t, int(dim)%4000+1, int(n), uint(shift%6), rand.New(rand.NewPCG(seed, 1)), extreme)
		checkHalves(t, int(dim)%4000+1, int(n), uint(shift%6), rand.New(rand.NewPCG(seed, 1)), extreme)
	})
}

func BenchmarkCodeKernels(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	const dim = 384
	slots, out := make([]uint32, 32), make([]int32, 32)
	r, rows := codeArena(1<<14, dim, 12, func() byte { return byte(random.IntN(256)) })
	q := make([]byte, dim)
	for level := Plain; level <= Best; level++ {
		b.Run(level.String(), func(b *testing.B) {
			for b.Loop() {
				for i := range slots {
					slots[i] = uint32(random.IntN(len(rows)))
				}
				DotCodes(level, &q[0], r, slots, out)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(slots)), "ns/distance")
		})
	}
}
