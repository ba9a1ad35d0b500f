package main

import (
	. "github.com/mmcloughlin/avo/build"   //nolint:revive,staticcheck // avo is made to be read this way
	. "github.com/mmcloughlin/avo/operand" //nolint:revive,staticcheck // as above
	"github.com/mmcloughlin/avo/reg"
)

// width is the registers of an instruction set, and how many floats one holds.
type width struct {
	name     string
	floats   int
	register func() reg.VecVirtual
}

var widths = []width{{"AVX512", 16, ZMM}, {"AVX2", 8, YMM}}

// encode writes the kernel that turns floats into codes.
func encode(w width) {
	name := "encode" + w.name
	TEXT(name, NOSPLIT, "func(v *float32, mean *float32, n int, inverse float32, low float32, high float32, shift float32, center float32, dst *byte, sums *byte)")
	Pragma("noescape")
	Doc(name + " is Encode for n components, a multiple of those in a register.")
	v, mean, dst := Load(Param("v"), GP64()), Load(Param("mean"), GP64()), Load(Param("dst"), GP64())
	left := Load(Param("n"), GP64())
	inverse, low, high, shift, center := w.all("inverse"), w.all("low"), w.all("high"), w.all("shift"), w.all("center")
	codes, squares := w.zero(), w.zero()
	// Each of these has a chain of additions for the lower and the upper halves.
	own, along := [2]reg.VecVirtual{w.zero(), w.zero()}, [2]reg.VecVirtual{w.zero(), w.zero()}

	Label(name + "_next")
	d, x := w.register(), w.register()
	VMOVUPS(Mem{Base: v}, d)
	VSUBPS(Mem{Base: mean}, d, d)
	VMULPS(inverse, d, x)
	VMAXPS(low, x, x)
	VMINPS(high, x, x)
	VADDPS(shift, x, x)
	code := w.register()
	VCVTTPS2DQ(x, code)
	w.storeBytes(code, dst)
	VPADDD(code, codes, codes)
	y := w.register()
	VCVTDQ2PS(code, y)
	VSUBPS(center, y, y)
	VPMULLD(code, code, code)
	VPADDD(code, squares, squares)
	for half := range 2 {
		yd := w.doubles(y, half)
		VFMADD231PD(yd, w.doubles(d, half), own[half])
		md := w.register() // from memory: AVX2 has no register left to keep the floats in
		VCVTPS2PD(Mem{Base: mean, Disp: half * 2 * w.floats}, md)
		VFMADD231PD(yd, md, along[half])
	}
	ADDQ(U8(4*w.floats), v)
	ADDQ(U8(4*w.floats), mean)
	ADDQ(U8(w.floats), dst)
	SUBQ(U8(w.floats), left)
	JG(LabelRef(name + "_next"))

	sums := Load(Param("sums"), GP64())
	VMOVD(w.foldInts(codes), Mem{Base: sums})
	VMOVD(w.foldInts(squares), Mem{Base: sums, Disp: 4})
	VMOVSD(w.foldDoubles(own), Mem{Base: sums, Disp: 8})
	VMOVSD(w.foldDoubles(along), Mem{Base: sums, Disp: 16})
	VZEROUPPER()
	RET()
}

// deviation writes the kernel that measures how far from the mean a vector is.
func deviation(w width) {
	name := "deviation" + w.name
	TEXT(name, NOSPLIT, "func(v *float32, mean *float32, n int) (largest float32, square float64)")
	Pragma("noescape")
	Doc(name + " is Deviation for n components, a multiple of those in a register.")
	v, mean := Load(Param("v"), GP64()), Load(Param("mean"), GP64())
	left := Load(Param("n"), GP64())
	largest, square := w.zero(), [2]reg.VecVirtual{w.zero(), w.zero()}
	magnitude := w.register()
	bits, b := GP32(), XMM()
	MOVL(U32(0x7fffffff), bits)
	VMOVD(bits, b)
	VPBROADCASTD(b, magnitude)

	Label(name + "_next")
	m, x, d := w.register(), w.register(), w.register()
	VMOVUPS(Mem{Base: mean}, m)
	VMOVUPS(Mem{Base: v}, x)
	VSUBPS(m, x, d)
	w.and(magnitude, d)
	VMAXPS(d, largest, largest)
	for half := range 2 {
		xd, md := w.doubles(x, half), w.doubles(m, half)
		VSUBPD(md, xd, xd)
		VFMADD231PD(xd, xd, square[half])
	}
	ADDQ(U8(4*w.floats), v)
	ADDQ(U8(4*w.floats), mean)
	SUBQ(U8(w.floats), left)
	JG(LabelRef(name + "_next"))

	y := largest
	if w.floats == 16 {
		y = YMM()
		VEXTRACTF64X4(U8(1), largest, y)
		VMAXPS(largest.AsY(), y, y)
	}
	top, other := XMM(), XMM()
	VEXTRACTF128(U8(1), y, top)
	VMAXPS(y.AsX(), top, top)
	VPERMILPD(U8(1), top, other)
	VMAXPS(other, top, top)
	VMOVSHDUP(top, other)
	VMAXSS(other, top, top)
	Store(top, ReturnIndex(0))
	Store(w.foldDoubles(square), ReturnIndex(1))
	VZEROUPPER()
	RET()
}

// all returns a parameter in all lanes.
func (w width) all(parameter string) reg.VecVirtual {
	r := w.register()
	VBROADCASTSS(param(parameter), r)
	return r
}

func (w width) zero() reg.VecVirtual { return zeroed(w.register, 1)[0] }

// and clears the bits of r that mask does not have.
func (w width) and(mask, r reg.VecVirtual) {
	if w.floats == 16 {
		VPANDD(mask, r, r)
	} else {
		VANDPS(mask, r, r)
	}
}

// half returns the lower or the upper half of a register.
func (w width) half(r reg.VecVirtual, upper int) reg.Register {
	switch {
	case w.floats == 16 && upper == 1:
		y := YMM()
		VEXTRACTF64X4(U8(1), r, y)
		return y
	case w.floats == 16:
		return r.AsY()
	case upper == 1:
		x := XMM()
		VEXTRACTF128(U8(1), r, x)
		return x
	default:
		return r.AsX()
	}
}

// doubles returns the floats in one half of a register as doubles.
func (w width) doubles(r reg.VecVirtual, upper int) reg.VecVirtual {
	wide := w.register()
	VCVTPS2PD(w.half(r, upper), wide)
	return wide
}

// storeBytes stores the lowest byte of each lane, of which none is above 255.
func (w width) storeBytes(r reg.VecVirtual, dst reg.Register) {
	if w.floats == 16 {
		VPMOVDB(r, Mem{Base: dst})
		return
	}
	words, high := XMM(), XMM()
	VEXTRACTI128(U8(1), r, high)
	VPACKUSDW(high, r.AsX(), words)
	VPACKUSWB(words, words, words)
	VMOVQ(words, Mem{Base: dst})
}

// foldInts adds the lanes of r.
func (w width) foldInts(r reg.VecVirtual) reg.VecVirtual {
	if w.floats == 16 {
		y := YMM()
		VEXTRACTI64X4(U8(1), r, y)
		VPADDD(r.AsY(), y, y)
		r = y
	}
	return foldInts([]reg.VecVirtual{r})
}

// foldDoubles adds the lanes of both registers.
func (w width) foldDoubles(r [2]reg.VecVirtual) reg.VecVirtual {
	VADDPD(r[1], r[0], r[0])
	y := r[0]
	if w.floats == 16 {
		y = YMM()
		VEXTRACTF64X4(U8(1), r[0], y)
		VADDPD(r[0].AsY(), y, y)
	}
	x, high := XMM(), XMM()
	VEXTRACTF128(U8(1), y, x)
	VADDPD(y.AsX(), x, x)
	VPERMILPD(U8(1), x, high)
	VADDSD(high, x, x)
	return x
}
