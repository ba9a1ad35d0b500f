package main

import (
	. "github.com/mmcloughlin/avo/build"   //nolint:revive,staticcheck // avo is made to be read this way
	. "github.com/mmcloughlin/avo/operand" //nolint:revive,staticcheck // as above
)

// keys writes the kernel that makes keys, eight in a register, and keeps those below a
// limit.
func keys() {
	TEXT("keysAVX512", NOSPLIT, "func(distances *float32, slots *uint32, n int, limit uint64, out *uint64) int")
	Pragma("noescape")
	Doc("keysAVX512 is Keys.")
	distances, slots := Load(Param("distances"), GP64()), Load(Param("slots"), GP64())
	n, out := Load(Param("n"), GP64()), Load(Param("out"), GP64())
	begin, mask := GP64(), GP64()
	MOVQ(out, begin)
	limit, sign := ZMM(), YMM()
	VPBROADCASTQ(param("limit"), limit)
	bits := GP32()
	MOVL(U32(0x80000000), bits)
	VPBROADCASTD(bits, sign)
	there, kept := K(), K() // lanes
	MOVQ(I32(-1), mask)
	KMOVB(mask.As32(), there)

	Label("keys_next")
	CMPQ(n, U8(8))
	JGE(LabelRef("keys_load"))
	TESTQ(n, n)
	JLE(LabelRef("keys_done"))
	BZHIQ(n, mask, mask)
	KMOVB(mask.As32(), there)
	Label("keys_load")
	distance, flip, slot := YMM(), YMM(), YMM()
	key, low := ZMM(), ZMM()
	VMOVDQU32_Z(Mem{Base: distances}, there, distance)
	VPSRAD(U8(31), distance, flip)
	VPORD(sign, flip, flip)
	VPXORD(flip, distance, distance)
	VPMOVZXDQ(distance, key)
	VPSLLQ(U8(32), key, key)
	VMOVDQU32_Z(Mem{Base: slots}, there, slot)
	VPMOVZXDQ(slot, low)
	VPADDQ(low, low, low)
	VPORQ(low, key, key)
	const less = 1
	VPCMPUQ(U8(less), limit, key, there, kept)
	VPCOMPRESSQ(key, kept, key) // to memory it is slow on some CPUs
	VMOVDQU64(key, Mem{Base: out})
	count := GP32()
	KMOVB(kept, count)
	POPCNTL(count, count)
	LEAQ(Mem{Base: out, Index: count.As64(), Scale: 8}, out)
	ADDQ(U8(32), distances)
	ADDQ(U8(32), slots)
	SUBQ(U8(8), n)
	JMP(LabelRef("keys_next"))
	Label("keys_done")
	SUBQ(begin, out)
	SHRQ(U8(3), out)
	Store(out, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// insertion writes the kernel that moves what is greater than a key by one place, four
// at a time from the end of the list on. Whole registers of AVX-512 would be slower: the
// next insertion reads what is on its way to the cache, in other pieces.
func insertion() {
	TEXT("insertAVX2", NOSPLIT, "func(list *uint64, n int, key uint64) int")
	Pragma("noescape")
	Doc("insertAVX2 is Insert into n sorted keys.")
	list, n, key := Load(Param("list"), GP64()), Load(Param("n"), GP64()), Load(Param("key"), GP64())
	sign, than := YMM(), YMM() // comparisons are signed
	bit := GP64()
	MOVQ(U64(1<<63), bit)
	VMOVQ(bit, sign.AsX())
	VPBROADCASTQ(sign.AsX(), sign)
	XORQ(key, bit)
	VMOVQ(bit, than.AsX())
	VPBROADCASTQ(than.AsX(), than)

	Label("insert_next")
	CMPQ(n, U8(4))
	JL(LabelRef("insert_single"))
	last, greater, all := YMM(), YMM(), GP32()
	at := Mem{Base: list, Index: n, Scale: 8, Disp: -32}
	VMOVDQU(at, last)
	VPXOR(sign, last, greater)
	VPCMPGTQ(than, greater, greater)
	VMOVMSKPD(greater, all)
	CMPL(all, U8(0b1111))
	JNE(LabelRef("insert_single"))
	VMOVDQU(last, at.Offset(8))
	SUBQ(U8(4), n)
	JMP(LabelRef("insert_next"))
	Label("insert_single")
	TESTQ(n, n)
	JZ(LabelRef("insert_put"))
	one := GP64()
	MOVQ(Mem{Base: list, Index: n, Scale: 8, Disp: -8}, one)
	CMPQ(one, key)
	JBE(LabelRef("insert_put"))
	MOVQ(one, Mem{Base: list, Index: n, Scale: 8})
	DECQ(n)
	JMP(LabelRef("insert_single"))
	Label("insert_put")
	MOVQ(key, Mem{Base: list, Index: n, Scale: 8})
	Store(n, ReturnIndex(0))
	VZEROUPPER()
	RET()
}
