package main

import (
	. "github.com/mmcloughlin/avo/build"   //nolint:revive,staticcheck // avo is made to be read this way
	. "github.com/mmcloughlin/avo/operand" //nolint:revive,staticcheck // as above
	"github.com/mmcloughlin/avo/reg"
)

// gather writes the function that reads a list of neighbours: those not seen
// before are marked, listed, and their rows requested from memory.
func gather() {
	TEXT("gatherAsm", NOSPLIT, "func(list *uint32, n int, visited *uint64, limit uint32, table *uintptr, shift uint64, stride int, lines int, out *uint32) int")
	Pragma("noescape")
	Doc("gatherAsm is Gather with the first lines of each new row prefetched.")
	list := Load(Param("list"), GP64())
	n := Load(Param("n"), GP64())
	visited := Load(Param("visited"), GP64())
	limit := Load(Param("limit"), GP32())
	table := Load(Param("table"), GP64())
	shift := reg.RCX
	Load(Param("shift"), shift)
	stride := Load(Param("stride"), GP64())
	lines := Load(Param("lines"), GP64())
	out := Load(Param("out"), GP64())

	SHLQ(U8(6), lines) // bytes
	end := GP64()
	LEAQ(Mem{Base: list, Index: n, Scale: 4}, end)
	begin := GP64()
	MOVQ(out, begin)
	mask := GP64()
	MOVQ(I32(-1), mask)
	SHLQ(reg.CL, mask)
	NOTQ(mask)

	Label("gather_next")
	CMPQ(list, end)
	JGE(LabelRef("gather_done"))
	slot := GP64()
	MOVL(Mem{Base: list}, slot.As32())
	ADDQ(U8(4), list)
	TESTL(slot.As32(), slot.As32())
	JZ(LabelRef("gather_done"))
	DECL(slot.As32())
	CMPL(slot.As32(), limit)
	JAE(LabelRef("gather_next"))
	word, bits := GP64(), GP64()
	MOVQ(slot, word)
	SHRQ(U8(6), word)
	MOVQ(Mem{Base: visited, Index: word, Scale: 8}, bits)
	BTSQ(slot, bits) // the register form takes the bit number modulo 64
	JCS(LabelRef("gather_next"))
	MOVQ(bits, Mem{Base: visited, Index: word, Scale: 8})
	MOVL(slot.As32(), Mem{Base: out})
	ADDQ(U8(4), out)
	row, within := GP64(), GP64()
	MOVQ(slot, row)
	SHRQ(reg.CL, row)
	MOVQ(Mem{Base: table, Index: row, Scale: 8}, row)
	MOVQ(slot, within)
	ANDQ(mask, within)
	IMULQ(stride, within)
	ADDQ(within, row)
	last := GP64()
	LEAQ(Mem{Base: row, Index: lines, Scale: 1}, last)
	Label("gather_line")
	PREFETCHT0(Mem{Base: row})
	ADDQ(U8(64), row)
	CMPQ(row, last)
	JLT(LabelRef("gather_line"))
	JMP(LabelRef("gather_next"))
	Label("gather_done")
	SUBQ(begin, out)
	SHRQ(U8(2), out)
	Store(out, ReturnIndex(0))
	RET()

	TEXT("prefetchAsm", NOSPLIT, "func(p *byte)")
	Pragma("noescape")
	Doc("prefetchAsm requests two lines from memory.")
	p := Load(Param("p"), GP64())
	PREFETCHT0(Mem{Base: p})
	PREFETCHT0(Mem{Base: p, Disp: 64})
	RET()
}
