package main

import (
	. "github.com/mmcloughlin/avo/build"   //nolint:revive,staticcheck // avo is made to be read this way
	. "github.com/mmcloughlin/avo/operand" //nolint:revive,staticcheck // as above
	"github.com/mmcloughlin/avo/reg"
)

// vnni works on 64 codes in one register, with the instructions of AVX-512 BW
// and VNNI.
type vnni struct{}

func (vnni) name() string                  { return "CodesVNNI" }
func (vnni) unroll() int                   { return 4 }
func (vnni) types() (query, result string) { return "byte", "int32" }
func (vnni) ahead() int                    { return 8 }
func (vnni) spread() int                   { return 1 }

type stateVNNI struct{ acc []reg.VecVirtual }

func (v vnni) begin(string) state {
	s := &stateVNNI{}
	for range v.unroll() {
		acc := ZMM()
		VPXORD(acc, acc, acc)
		s.acc = append(s.acc, acc)
	}
	return s
}

func (s *stateVNNI) block(query, row reg.Register, disp, k int) {
	x := ZMM()
	VMOVDQU32(Mem{Base: row, Disp: disp}, x)
	VPDPBUSD(Mem{Base: query, Disp: disp}, x, s.acc[k]) // unsigned codes of the row, signed ones of the query
}

func (s *stateVNNI) sum() reg.VecVirtual {
	VPADDD(s.acc[1], s.acc[0], s.acc[0])
	VPADDD(s.acc[3], s.acc[2], s.acc[2])
	VPADDD(s.acc[2], s.acc[0], s.acc[0])
	high, low := YMM(), YMM()
	VEXTRACTI64X4(U8(1), s.acc[0], high)
	VPADDD(s.acc[0].AsY(), high, low)
	return foldInts(low)
}

// avx2Codes works on 64 codes in two registers.
type avx2Codes struct{}

func (avx2Codes) name() string                  { return "CodesAVX2" }
func (avx2Codes) unroll() int                   { return 2 }
func (avx2Codes) types() (query, result string) { return "byte", "int32" }
func (avx2Codes) ahead() int                    { return 8 }
func (avx2Codes) spread() int                   { return 1 }

type stateCodes256 struct{ acc []reg.VecVirtual }

func (a avx2Codes) begin(string) state {
	s := &stateCodes256{}
	for range 2 * a.unroll() {
		acc := YMM()
		VPXOR(acc, acc, acc)
		s.acc = append(s.acc, acc)
	}
	return s
}

func (s *stateCodes256) block(query, row reg.Register, disp, k int) {
	for quarter := range 4 {
		x, q, acc := YMM(), YMM(), s.acc[2*k+quarter/2]
		VPMOVZXBW(Mem{Base: row, Disp: disp + 16*quarter}, x)
		VPMOVSXBW(Mem{Base: query, Disp: disp + 16*quarter}, q)
		VPMADDWD(q, x, x)
		VPADDD(x, acc, acc)
	}
}

func (s *stateCodes256) sum() reg.VecVirtual {
	VPADDD(s.acc[1], s.acc[0], s.acc[0])
	VPADDD(s.acc[3], s.acc[2], s.acc[2])
	VPADDD(s.acc[2], s.acc[0], s.acc[0])
	return foldInts(s.acc[0])
}

// foldInts adds the eight lanes of y.
func foldInts(y reg.VecVirtual) reg.VecVirtual {
	high, x := XMM(), XMM()
	VEXTRACTI128(U8(1), y, high)
	VPADDD(y.AsX(), high, x)
	VPSHUFD(U8(0x4e), x, high)
	VPADDD(high, x, x)
	VPSHUFD(U8(0xb1), x, high)
	VPADDD(high, x, x)
	return x
}

// vnniHalf works on codes of 4 bits: the low halves of a block's 64 bytes
// belong to the first 64 codes of the query, the high halves to the next 64.
type vnniHalf struct{}

func (vnniHalf) name() string                  { return "HalvesVNNI" }
func (vnniHalf) unroll() int                   { return 4 }
func (vnniHalf) types() (query, result string) { return "byte", "int32" }
func (vnniHalf) ahead() int                    { return 8 }
func (vnniHalf) spread() int                   { return 2 }

type stateVNNIHalf struct {
	stateVNNI
	mask reg.VecVirtual
}

func (v vnniHalf) begin(string) state {
	s := &stateVNNIHalf{stateVNNI: *vnni{}.begin("").(*stateVNNI)}
	s.mask = ZMM()
	bits := GP32()
	MOVL(U32(0x0f0f0f0f), bits)
	VPBROADCASTD(bits, s.mask)
	return s
}

func (s *stateVNNIHalf) block(query, row reg.Register, disp, k int) {
	low, high := ZMM(), ZMM()
	VMOVDQU32(Mem{Base: row, Disp: disp}, low)
	VPSRLW(U8(4), low, high)
	VPANDD(s.mask, low, low)
	VPANDD(s.mask, high, high)
	VPDPBUSD(Mem{Base: query, Disp: 2 * disp}, low, s.acc[k])
	VPDPBUSD(Mem{Base: query, Disp: 2*disp + 64}, high, s.acc[k])
}

// avx2Half does the same in registers of 32 bytes.
type avx2Half struct{}

func (avx2Half) name() string                  { return "HalvesAVX2" }
func (avx2Half) unroll() int                   { return 2 }
func (avx2Half) types() (query, result string) { return "byte", "int32" }
func (avx2Half) ahead() int                    { return 8 }
func (avx2Half) spread() int                   { return 2 }

type stateAVX2Half struct {
	stateCodes256
	mask, ones reg.VecVirtual
}

func (a avx2Half) begin(string) state {
	s := &stateAVX2Half{stateCodes256: *avx2Codes{}.begin("").(*stateCodes256)}
	s.mask, s.ones = YMM(), YMM()
	bits, x := GP32(), XMM()
	MOVL(U32(0x0f0f0f0f), bits)
	VMOVD(bits, x)
	VPBROADCASTD(x, s.mask)
	VPCMPEQW(s.ones, s.ones, s.ones)
	VPSRLW(U8(15), s.ones, s.ones)
	return s
}

func (s *stateAVX2Half) block(query, row reg.Register, disp, k int) {
	for part := range 2 {
		low, high, acc := YMM(), YMM(), s.acc[2*k+part]
		VMOVDQU(Mem{Base: row, Disp: disp + 32*part}, low)
		VPSRLW(U8(4), low, high)
		VPAND(s.mask, low, low)
		VPAND(s.mask, high, high)
		// Sums of two products of 15 and 127 fit 16 bits.
		VPMADDUBSW(Mem{Base: query, Disp: 2*disp + 32*part}, low, low)
		VPMADDUBSW(Mem{Base: query, Disp: 2*disp + 64 + 32*part}, high, high)
		VPADDW(high, low, low)
		VPMADDWD(s.ones, low, low)
		VPADDD(low, acc, acc)
	}
}
