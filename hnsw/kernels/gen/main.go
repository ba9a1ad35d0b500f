// Command gen writes the assembly of package kernels. Run it with
// go generate ./hnsw/kernels from the project's root.
package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"   //nolint:revive,staticcheck // avo is made to be read this way
	. "github.com/mmcloughlin/avo/operand" //nolint:revive,staticcheck // as above
	"github.com/mmcloughlin/avo/reg"
)

const signature = "func(query *float32, table *uintptr, slots *uint32, n int, out *float32, blocks int, shift uint64, stride int)"

func main() {
	ConstraintExpr("amd64,!purego")
	for _, metric := range []string{"dot", "l2", "l1"} {
		for _, isa := range []isa{avx512{}, avx2{}} {
			batch(metric, isa)
		}
	}
	for _, isa := range []codeISA{&vnni{}, &bytesAVX2{}, &vnni{halves: true}, &halvesAVX2{}} {
		distances(isa)
	}
	gather()
	keys()
	insertion()
	for _, w := range widths {
		encode(w)
		deviation(w)
	}
	Generate()
}

// isa is how one instruction set works on blocks of 16 floats.
type isa interface {
	// name ends the name of a kernel.
	name() string
	// begin returns zeroed accumulators for unroll blocks.
	begin(metric string) state
	unroll() int
}

type state interface {
	// block adds the block at byte offset disp of the row to an accumulator.
	block(query, row reg.Register, disp, accumulator int)
	// sum leaves the sum of the accumulators in the low lane of the result.
	sum() reg.VecVirtual
}

// ahead is how many rows before its use a row is prefetched.
const ahead = 4

func batch(metric string, isa isa) {
	name := metric + isa.name()
	TEXT(name, NOSPLIT, signature)
	Pragma("noescape")
	Doc(fmt.Sprintf("%s stores the %s of the query and the row of each of n slots in out.", name, metric))
	query := Load(Param("query"), GP64())
	table := Load(Param("table"), GP64())
	slots := Load(Param("slots"), GP64())
	n := Load(Param("n"), GP64())
	out := Load(Param("out"), GP64())
	size := Load(Param("blocks"), GP64()) // bytes of a row
	SHLQ(U8(6), size)
	shift := reg.RCX
	Load(Param("shift"), shift)
	stride := Load(Param("stride"), GP64())

	// address returns the row of the slot at position i.
	address := func(i reg.Register) reg.Register {
		slot, chunk := GP64(), GP64()
		MOVL(Mem{Base: slots, Index: i, Scale: 4}, slot.As32())
		MOVQ(slot, chunk)
		SHRQ(reg.CL, chunk)
		MOVQ(Mem{Base: table, Index: chunk, Scale: 8}, chunk)
		within := GP64()
		MOVQ(I32(-1), within)
		SHLQ(reg.CL, within)
		NOTQ(within)
		ANDQ(slot, within)
		IMULQ(stride, within)
		ADDQ(within, chunk)
		return chunk
	}

	last := GP64()
	MOVQ(n, last)
	DECQ(last)
	// The first rows have nobody before them to prefetch them.
	i := GP64()
	MOVQ(U32(1), i)
	Label(name + "_head")
	CMPQ(i, I32(ahead))
	JGE(LabelRef(name + "_start"))
	CMPQ(i, n)
	JGE(LabelRef(name + "_start"))
	first := address(i)
	end := GP64()
	LEAQ(Mem{Base: first, Index: size, Scale: 1}, end)
	Label(name + "_head_line")
	PREFETCHT0(Mem{Base: first})
	ADDQ(U8(64), first)
	CMPQ(first, end)
	JLT(LabelRef(name + "_head_line"))
	INCQ(i)
	JMP(LabelRef(name + "_head"))

	Label(name + "_start")
	XORQ(i, i)
	Label(name + "_row")
	CMPQ(i, n)
	JGE(LabelRef(name + "_done"))
	row := address(i)
	later := GP64()
	LEAQ(Mem{Base: i, Disp: ahead}, later)
	CMPQ(later, last)
	CMOVQGT(last, later)
	next := address(later)
	q := GP64()
	MOVQ(query, q)
	left := GP64()
	MOVQ(size, left)

	s := isa.begin(metric)
	step := 64 * isa.unroll()
	Label(name + "_wide")
	CMPQ(left, I32(step))
	JLT(LabelRef(name + "_narrow"))
	for k := range isa.unroll() {
		PREFETCHT0(Mem{Base: next, Disp: 64 * k})
		s.block(q, row, 64*k, k)
	}
	ADDQ(I32(step), q)
	ADDQ(I32(step), row)
	ADDQ(I32(step), next)
	SUBQ(I32(step), left)
	JMP(LabelRef(name + "_wide"))
	Label(name + "_narrow")
	CMPQ(left, U8(0))
	JLE(LabelRef(name + "_sum"))
	PREFETCHT0(Mem{Base: next})
	s.block(q, row, 0, 0)
	ADDQ(I32(64), q)
	ADDQ(U8(64), row)
	ADDQ(U8(64), next)
	SUBQ(U8(64), left)
	JMP(LabelRef(name + "_narrow"))
	Label(name + "_sum")
	total := s.sum()
	VMOVSS(total.AsX(), Mem{Base: out, Index: i, Scale: 4})
	INCQ(i)
	JMP(LabelRef(name + "_row"))
	Label(name + "_done")
	VZEROUPPER()
	RET()
}

// avx512 works on a block in one register.
type avx512 struct{}

func (avx512) name() string { return "AVX512" }
func (avx512) unroll() int  { return 4 }

type state512 struct {
	metric string
	acc    []reg.VecVirtual
	abs    reg.VecVirtual
}

func (a avx512) begin(metric string) state {
	s := &state512{metric: metric}
	for range a.unroll() {
		acc := ZMM()
		VPXORD(acc, acc, acc)
		s.acc = append(s.acc, acc)
	}
	if metric == "l1" {
		s.abs = ZMM()
		bits := GP32()
		MOVL(U32(0x7fffffff), bits)
		VPBROADCASTD(bits, s.abs)
	}
	return s
}

func (s *state512) block(query, row reg.Register, disp, k int) {
	x := ZMM()
	VMOVUPS(Mem{Base: query, Disp: disp}, x)
	at := Mem{Base: row, Disp: disp}
	switch s.metric {
	case "dot":
		VFMADD231PS(at, x, s.acc[k])
	case "l2":
		VSUBPS(at, x, x)
		VFMADD231PS(x, x, s.acc[k])
	default:
		VSUBPS(at, x, x)
		VPANDD(s.abs, x, x)
		VADDPS(x, s.acc[k], s.acc[k])
	}
}

func (s *state512) sum() reg.VecVirtual {
	VADDPS(s.acc[1], s.acc[0], s.acc[0])
	VADDPS(s.acc[3], s.acc[2], s.acc[2])
	VADDPS(s.acc[2], s.acc[0], s.acc[0])
	high := YMM()
	VEXTRACTF64X4(U8(1), s.acc[0], high)
	low := YMM()
	VADDPS(s.acc[0].AsY(), high, low)
	return fold(low)
}

// avx2 works on a block in two registers.
type avx2 struct{}

func (avx2) name() string { return "AVX2" }
func (avx2) unroll() int  { return 2 }

type state256 struct {
	metric string
	acc    []reg.VecVirtual
	abs    reg.VecVirtual
}

func (a avx2) begin(metric string) state {
	s := &state256{metric: metric}
	for range 2 * a.unroll() {
		acc := YMM()
		VXORPS(acc, acc, acc)
		s.acc = append(s.acc, acc)
	}
	if metric == "l1" {
		s.abs = YMM()
		bits, x := GP32(), XMM()
		MOVL(U32(0x7fffffff), bits)
		VMOVD(bits, x)
		VPBROADCASTD(x, s.abs)
	}
	return s
}

func (s *state256) block(query, row reg.Register, disp, k int) {
	for half := range 2 {
		x, acc := YMM(), s.acc[2*k+half]
		VMOVUPS(Mem{Base: query, Disp: disp + 32*half}, x)
		at := Mem{Base: row, Disp: disp + 32*half}
		switch s.metric {
		case "dot":
			VFMADD231PS(at, x, acc)
		case "l2":
			VSUBPS(at, x, x)
			VFMADD231PS(x, x, acc)
		default:
			VSUBPS(at, x, x)
			VANDPS(s.abs, x, x)
			VADDPS(x, acc, acc)
		}
	}
}

func (s *state256) sum() reg.VecVirtual {
	VADDPS(s.acc[1], s.acc[0], s.acc[0])
	VADDPS(s.acc[3], s.acc[2], s.acc[2])
	VADDPS(s.acc[2], s.acc[0], s.acc[0])
	return fold(s.acc[0])
}

// fold adds the eight lanes of y.
func fold(y reg.VecVirtual) reg.VecVirtual {
	high, x := XMM(), XMM()
	VEXTRACTF128(U8(1), y, high)
	VADDPS(y.AsX(), high, x)
	VPERMILPD(U8(1), x, high)
	VADDPS(high, x, x)
	VMOVSHDUP(x, high)
	VADDSS(high, x, x)
	return x
}
