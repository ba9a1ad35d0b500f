package kernels

import (
	"math"
	"math/rand/v2"
	"slices"
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

// checkDistances compares the levels that the CPU has with the definition, on
// codes of 8 or 4 bits. With extreme the sums are the largest.
func checkDistances(t *testing.T, half bool, dim, n int, shift uint, random *rand.Rand, extreme bool) {
	t.Helper()
	bytes, distances := (dim+CodeBlock-1)/CodeBlock*CodeBlock, Bytes
	if half {
		bytes, distances = (dim+HalfBlock-1)/HalfBlock*CodeBlock, Halves
	}
	r, rows := codeArena(20, bytes, shift, func() byte {
		if extreme {
			return 255
		}
		return byte(1 + random.IntN(255))
	})
	// decoded is the code at position k of a row.
	decoded := func(row []byte, k int) float64 {
		if !half {
			return float64(row[k]) - ByteBias
		}
		x := row[k/HalfBlock*CodeBlock+k%CodeBlock]
		if k%HalfBlock >= CodeBlock {
			x >>= 4
		}
		return float64(x&15) - HalfBias
	}
	terms := &Rows{Shift: shift + 1, Stride: int(unsafe.Sizeof(Term{}))}
	for range len(rows)>>terms.Shift + 1 {
		chunk := make([]Term, 1<<terms.Shift)
		for i := range chunk {
			chunk[i] = Term{Extra: random.NormFloat64(), Step: float32(random.NormFloat64())}
		}
		terms.Table = append(terms.Table, unsafe.Pointer(&chunk[0]))
	}
	q := CodeQuery{Base: random.NormFloat64(), Factor: random.Float64()}
	codes := make([]byte, (dim+HalfBlock-1)/HalfBlock*HalfBlock)
	for k := range dim {
		code := int32(-127)
		if !extreme {
			code = int32(random.IntN(255) - 127)
		}
		codes[k] = byte(code)
		q.Sum += code
	}
	stored := slices.Clone(codes)
	for k := range stored {
		stored[k] ^= ByteBias
	}
	slots := make([]uint32, n)
	for i := range slots {
		slots[i] = uint32(random.IntN(len(rows)))
	}
	for level := Plain; level <= Best; level++ {
		for _, q.Stored = range []bool{false, true} {
			if q.Codes = &codes[0]; q.Stored {
				q.Codes = &stored[0]
			}
			if half && q.Stored {
				break
			}
			out := make([]float32, n+1)
			out[n] = 42
			distances(level, &q, r, terms, slots, out)
			for i, slot := range slots {
				var product float64
				for k := range dim {
					product += float64(int8(codes[k])) * decoded(rows[slot], k)
				}
				term := (*Term)(terms.At(slot))
				want := term.Extra + q.Base - q.Factor*float64(term.Step)*product
				if math.Abs(float64(out[i])-want) > 1e-6*(3+math.Abs(want)) {
					t.Fatalf("%v dim %d half %v stored %v slot %d: %g, want %g", level, dim, half, q.Stored, slot, out[i], want)
				}
			}
			if out[n] != 42 {
				t.Fatalf("%v wrote beyond its output", level)
			}
		}
	}
}

func TestCodeKernels(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, dim := range []int{1, 2, 31, 32, 63, 64, 65, 96, 128, 300, 384, 385, 768, 1536, 65536} {
		for _, n := range []int{0, 1, 2, 7, 8, 9, 10, 33} {
			checkDistances(t, false, dim, n, 3, random, false)
			checkDistances(t, false, dim, n, 3, random, true)
			checkDistances(t, true, dim, n, 3, random, false)
			checkDistances(t, true, dim, n, 3, random, true)
		}
	}
}

func FuzzCodeKernels(f *testing.F) {
	f.Add(uint16(384), uint8(9), uint8(2), uint64(7), false)
	f.Add(uint16(1), uint8(1), uint8(0), uint64(1), true)
	f.Add(uint16(65), uint8(33), uint8(6), uint64(3), false)
	f.Fuzz(func(t *testing.T, dim uint16, n, shift uint8, seed uint64, extreme bool) {
		checkDistances(t, false, int(dim)%4000+1, int(n), uint(shift%6), rand.New(rand.NewPCG(seed, 1)), extreme)
		checkDistances(t, true, int(dim)%4000+1, int(n), uint(shift%6), rand.New(rand.NewPCG(seed, 1)), extreme)
	})
}

func BenchmarkCodeKernels(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	const dim, count = 384, 1 << 14
	slots, out := make([]uint32, 32), make([]float32, 32)
	codes := make([]byte, dim)
	for name, kernel := range map[string]func(Level, *CodeQuery, *Rows, *Rows, []uint32, []float32){"bytes": Bytes, "halves": Halves} {
		r, _ := codeArena(count, map[string]int{"bytes": dim, "halves": dim / 2}[name], 12, func() byte { return byte(1 + random.IntN(255)) })
		terms := &Rows{Shift: 14, Stride: 16, Table: []unsafe.Pointer{unsafe.Pointer(&make([]byte, 16*count)[0])}}
		for level := Plain; level <= Best; level++ {
			b.Run(name+"/"+level.String(), func(b *testing.B) {
				for b.Loop() {
					for i := range slots {
						slots[i] = uint32(random.IntN(count))
					}
					kernel(level, &CodeQuery{Codes: &codes[0]}, r, terms, slots, out)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(slots)), "ns/distance")
			})
		}
	}
}
