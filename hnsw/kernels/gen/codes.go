package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"   //nolint:revive,staticcheck // avo is made to be read this way
	. "github.com/mmcloughlin/avo/operand" //nolint:revive,staticcheck // as above
	"github.com/mmcloughlin/avo/reg"
)

// codeISA is how one instruction set works on blocks of 64 bytes of codes, of
// several rows at once: what is loaded of the query serves all of them.
type codeISA interface {
	name() string
	// spread is how many bytes of the query belong to a byte of the row.
	spread() int
	// begin zeroes accumulators for so many rows.
	begin(rows int)
	// blocks adds n blocks, one or two, of all rows. flip is a register of
	// bytes that turns the query's into signed ones.
	blocks(query reg.Register, rows []reg.Register, n int)
	// sums leaves the sum of each row in a lane of the result.
	sums() reg.VecVirtual
}

// group is the number of rows worked on together.
const group = 4

// distances writes the kernel that computes, for each of n slots,
// extra + base − factor × step × (product of codes − bias), where extra and step
// are the row's term.
func distances(isa codeISA) {
	name := "distances" + isa.name()
	TEXT(name, NOSPLIT, "func(query *byte, flip uint64, table *uintptr, shift uint64, stride int, blocks int, terms *uintptr, termShift uint64, slots *uint32, n int, base float64, factor float64, bias float64, out *float32)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes a distance for each of n slots.", name))
	table := Load(Param("table"), GP64())
	shift := Load(Param("shift"), GP64())
	stride := Load(Param("stride"), GP64())
	slots := Load(Param("slots"), GP64())
	out := Load(Param("out"), GP64())
	n := Load(Param("n"), GP64())

	for _, rows := range []int{group, 1} {
		label := fmt.Sprintf("%s_by%d", name, rows)
		Label(label)
		CMPQ(n, U8(rows))
		JL(LabelRef(label + "_done"))

		var row []reg.Register
		for k := range rows {
			slot, chunk := GP64(), GP64()
			MOVL(Mem{Base: slots, Disp: 4 * k}, slot.As32())
			SHRXQ(shift, slot, chunk)
			BZHIQ(shift, slot, slot)
			IMULQ(stride, slot)
			ADDQ(Mem{Base: table, Index: chunk, Scale: 8}, slot)
			row = append(row, slot)
		}
		query := Load(Param("query"), GP64())
		left := Load(Param("blocks"), GP64())
		isa.begin(rows)
		advance := func(n int) {
			ADDQ(I32(64*n*isa.spread()), query)
			for _, r := range row {
				ADDQ(I32(64*n), r)
			}
		}
		SUBQ(U8(2), left)
		JL(LabelRef(label + "_narrow"))
		Label(label + "_wide")
		isa.blocks(query, row, 2)
		advance(2)
		SUBQ(U8(2), left)
		JGE(LabelRef(label + "_wide"))
		Label(label + "_narrow")
		CMPQ(left, I8(-1))
		JNE(LabelRef(label + "_sum"))
		isa.blocks(query, row, 1)
		Label(label + "_sum")
		finish(isa.sums(), rows, slots, out)
		ADDQ(U8(4*rows), slots)
		ADDQ(U8(4*rows), out)
		SUBQ(U8(rows), n)
		JMP(LabelRef(label))
		Label(label + "_done")
	}
	VZEROUPPER()
	RET()
}

// param returns the place of a parameter, to read it where it is used.
func param(name string) Mem {
	p, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return p.Addr
}

// finish turns products of codes into distances. It works with doubles: the
// terms of far-off vectors may leave the range of float32 on the way.
func finish(ints reg.VecVirtual, rows int, slots, out reg.Register) {
	terms, shift := Load(Param("terms"), GP64()), Load(Param("termShift"), GP64())
	term := func(k int) Mem {
		slot, chunk := GP64(), GP64()
		MOVL(Mem{Base: slots, Disp: 4 * k}, slot.As32())
		SHRXQ(shift, slot, chunk)
		BZHIQ(shift, slot, slot)
		MOVQ(Mem{Base: terms, Index: chunk, Scale: 8}, chunk)
		ADDQ(slot, slot) // a term has 16 bytes: a double and, behind it, a float
		return Mem{Base: chunk, Index: slot, Scale: 8}
	}
	sum, steps := YMM(), XMM()
	if rows > 1 {
		var terms [group]reg.VecVirtual
		for k := range terms {
			terms[k] = XMM()
			VMOVUPD(term(k), terms[k])
		}
		low, high := XMM(), XMM()
		VUNPCKLPD(terms[1], terms[0], low)
		VUNPCKLPD(terms[3], terms[2], high)
		VINSERTF128(U8(1), high, low.AsY(), sum)
		VSHUFPS(U8(0xaa), terms[1], terms[0], terms[0])
		VSHUFPS(U8(0xaa), terms[3], terms[2], terms[2])
		VSHUFPS(U8(0x88), terms[2], terms[0], steps)
	} else {
		VMOVUPD(term(0), sum.AsX())
		VSHUFPS(U8(0xaa), sum.AsX(), sum.AsX(), steps)
	}
	product, step, c := YMM(), YMM(), YMM()
	VCVTDQ2PD(ints.AsX(), product)
	VBROADCASTSD(param("bias"), c)
	VSUBPD(c, product, product)
	VCVTPS2PD(steps, step)
	VBROADCASTSD(param("factor"), c)
	VMULPD(c, step, step) // exact, as floats times floats
	VMULPD(step, product, product)
	VBROADCASTSD(param("base"), c)
	VADDPD(c, sum, sum)
	VSUBPD(product, sum, sum) // not fused, so that a vector is at 0 from itself
	VCVTPD2PSY(sum, sum.AsX())
	if rows > 1 {
		VMOVUPS(sum.AsX(), Mem{Base: out})
	} else {
		VMOVSS(sum.AsX(), Mem{Base: out})
	}
}

// foldInts adds the eight lanes of each register: one sum for each in the low
// lanes of the result.
func foldInts(acc []reg.VecVirtual) reg.VecVirtual {
	if len(acc) == 1 {
		VPHADDD(acc[0], acc[0], acc[0])
		VPHADDD(acc[0], acc[0], acc[0])
	} else {
		VPHADDD(acc[1], acc[0], acc[0])
		VPHADDD(acc[3], acc[2], acc[2])
		VPHADDD(acc[2], acc[0], acc[0])
	}
	high := XMM()
	VEXTRACTI128(U8(1), acc[0], high)
	VPADDD(high, acc[0].AsX(), high)
	return high
}

// bytesAVX2 works on 32 codes in a register. VPMADDUBSW wants one side unsigned,
// and adds two products of 16 bits: with the query's signs moved to the row's
// codes, products of 127 and 127 fit.
type bytesAVX2 struct{ acc []reg.VecVirtual }

func (*bytesAVX2) name() string { return "BytesAVX2" }
func (*bytesAVX2) spread() int  { return 1 }

func (a *bytesAVX2) begin(rows int) {
	a.acc = zeroed(YMM, rows)
}

func (a *bytesAVX2) blocks(query reg.Register, rows []reg.Register, n int) {
	bias, flip, ones := YMM(), YMM(), YMM()
	bits, x := GP32(), XMM()
	MOVL(U32(0x80808080), bits)
	VMOVD(bits, x)
	VPBROADCASTD(x, bias)
	VPBROADCASTQ(param("flip"), flip)
	wordOnes(ones)
	for part := range 2 * n {
		signed, magnitude := YMM(), YMM()
		VPXOR(Mem{Base: query, Disp: 32 * part}, flip, signed)
		VPABSB(signed, magnitude)
		for k, row := range rows {
			x := YMM()
			VPXOR(Mem{Base: row, Disp: 32 * part}, bias, x)
			VPSIGNB(signed, x, x)
			VPMADDUBSW(x, magnitude, x)
			VPMADDWD(ones, x, x)
			VPADDD(x, a.acc[k], a.acc[k])
		}
	}
}

func (a *bytesAVX2) sums() reg.VecVirtual { return foldInts(a.acc) }

// halvesAVX2 works on 64 codes of 4 bits in a register: the low halves of a
// block's 64 bytes belong to the first 64 codes of the query, the high halves to
// the next 64.
type halvesAVX2 struct{ acc []reg.VecVirtual }

func (*halvesAVX2) name() string { return "HalvesAVX2" }
func (*halvesAVX2) spread() int  { return 2 }

func (a *halvesAVX2) begin(rows int) { a.acc = zeroed(YMM, rows) }

func (a *halvesAVX2) blocks(query reg.Register, rows []reg.Register, n int) {
	mask := YMM()
	bits, x := GP32(), XMM()
	MOVL(U32(0x0f0f0f0f), bits)
	VMOVD(bits, x)
	VPBROADCASTD(x, mask)
	words := make([]reg.VecVirtual, len(rows))
	for part := range 2 * n {
		first, second := YMM(), YMM()
		at := 128*(part/2) + 32*(part%2)
		VMOVDQU(Mem{Base: query, Disp: at}, first)
		VMOVDQU(Mem{Base: query, Disp: at + 64}, second)
		for k, row := range rows {
			low, high := YMM(), YMM()
			VMOVDQU(Mem{Base: row, Disp: 32 * part}, low)
			VPSRLW(U8(4), low, high)
			VPAND(mask, low, low)
			VPAND(mask, high, high)
			VPMADDUBSW(first, low, low)
			VPMADDUBSW(second, high, high)
			// A sum of two products is at most 2×15×127: eight of them fit 16
			// bits, which is two blocks.
			if part == 0 {
				words[k] = YMM()
				VPADDW(high, low, words[k])
			} else {
				VPADDW(low, words[k], words[k])
				VPADDW(high, words[k], words[k])
			}
		}
	}
	ones := YMM()
	wordOnes(ones)
	for k := range rows {
		VPMADDWD(ones, words[k], words[k])
		VPADDD(words[k], a.acc[k], a.acc[k])
	}
}

func (a *halvesAVX2) sums() reg.VecVirtual { return foldInts(a.acc) }

// vnni works on 64 codes of 8 bits, or 128 of 4, in one register, with the
// instructions of AVX-512 BW and VNNI.
type vnni struct {
	halves bool
	acc    []reg.VecVirtual // two for each row
}

func (v *vnni) name() string {
	if v.halves {
		return "HalvesVNNI"
	}
	return "BytesVNNI"
}

func (v *vnni) spread() int {
	if v.halves {
		return 2
	}
	return 1
}

func (v *vnni) begin(rows int) { v.acc = zeroed(ZMM, 2*rows) }

func (v *vnni) blocks(query reg.Register, rows []reg.Register, n int) {
	if v.halves {
		v.halfBlocks(query, rows, n)
		return
	}
	flip := ZMM()
	VPBROADCASTQ(param("flip"), flip)
	for block := range n {
		q := ZMM()
		VPXORQ(Mem{Base: query, Disp: 64 * block}, flip, q)
		for k, row := range rows {
			x := ZMM()
			VMOVDQU32(Mem{Base: row, Disp: 64 * block}, x)
			VPDPBUSD(q, x, v.acc[2*k+block]) // unsigned codes of the row, signed ones of the query
		}
	}
}

func (v *vnni) halfBlocks(query reg.Register, rows []reg.Register, n int) {
	mask := ZMM()
	bits := GP32()
	MOVL(U32(0x0f0f0f0f), bits)
	VPBROADCASTD(bits, mask)
	for block := range n {
		first, second := ZMM(), ZMM()
		VMOVDQU32(Mem{Base: query, Disp: 128 * block}, first)
		VMOVDQU32(Mem{Base: query, Disp: 128*block + 64}, second)
		for k, row := range rows {
			low, high := ZMM(), ZMM()
			VMOVDQU32(Mem{Base: row, Disp: 64 * block}, low)
			VPSRLW(U8(4), low, high)
			VPANDD(mask, low, low)
			VPANDD(mask, high, high)
			VPDPBUSD(first, low, v.acc[2*k])
			VPDPBUSD(second, high, v.acc[2*k+1])
		}
	}
}

func (v *vnni) sums() reg.VecVirtual {
	var narrow []reg.VecVirtual
	for k := 0; k < len(v.acc); k += 2 {
		VPADDD(v.acc[k+1], v.acc[k], v.acc[k])
		y := YMM()
		VEXTRACTI64X4(U8(1), v.acc[k], y)
		VPADDD(v.acc[k].AsY(), y, y)
		narrow = append(narrow, y)
	}
	return foldInts(narrow)
}

func zeroed(register func() reg.VecVirtual, n int) (acc []reg.VecVirtual) {
	for range n {
		r := register()
		VPXOR(r.AsX(), r.AsX(), r.AsX()) // clears all of it
		acc = append(acc, r)
	}
	return acc
}

// wordOnes sets each word to 1.
func wordOnes(y reg.VecVirtual) {
	VPCMPEQW(y, y, y)
	VPSRLW(U8(15), y, y)
}
