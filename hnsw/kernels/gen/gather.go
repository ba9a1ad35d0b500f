package main

import (
	. "github.com/mmcloughlin/avo/build"   //nolint:revive,staticcheck // avo is made to be read this way
	. "github.com/mmcloughlin/avo/operand" //nolint:revive,staticcheck // as above
	"github.com/mmcloughlin/avo/reg"
)

// gather writes the function that reads a list of neighbours: those not seen
// before are marked, listed, and their rows requested from memory. About half have been
// seen, which half cannot be predicted: so there is no branch on it, and requests are a
// loop of their own.
func gather() {
	TEXT("gatherAsm", NOSPLIT, "func(list *uint32, n int, visited *uint64, limit uint32, table *uintptr, shift uint64, stride int, lines int, terms *uintptr, termShift uint64, termStride int, out *uint32) int")
	Pragma("noescape")
	Doc("gatherAsm is Gather with the first lines of each new row prefetched.")
	list := Load(Param("list"), GP64())
	n := Load(Param("n"), GP64())
	visited := Load(Param("visited"), GP64())
	limit := Load(Param("limit"), GP32())
	out := Load(Param("out"), GP64())

	end := GP64()
	LEAQ(Mem{Base: list, Index: n, Scale: 4}, end)
	begin := GP64()
	MOVQ(out, begin)
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
	word, bits, fresh := GP64(), GP64(), GP64()
	MOVQ(slot, word)
	SHRQ(U8(6), word)
	MOVQ(Mem{Base: visited, Index: word, Scale: 8}, bits)
	XORL(fresh.As32(), fresh.As32())
	BTSQ(slot, bits) // the register form takes the bit number modulo 64
	SETCC(fresh.As8())
	MOVQ(bits, Mem{Base: visited, Index: word, Scale: 8})
	MOVL(slot.As32(), Mem{Base: out})
	LEAQ(Mem{Base: out, Index: fresh, Scale: 4}, out)
	JMP(LabelRef("gather_next"))

	Label("gather_done")
	at := GP64()
	MOVQ(begin, at)
	Label("gather_request")
	CMPQ(at, out)
	JGE(LabelRef("gather_end"))
	MOVL(Mem{Base: at}, slot.As32())
	ADDQ(U8(4), at)
	requestRow("gather", slot)
	JMP(LabelRef("gather_request"))
	Label("gather_end")
	SUBQ(begin, out)
	SHRQ(U8(2), out)
	Store(out, ReturnIndex(0))
	RET()

	TEXT("requestAsm", NOSPLIT, "func(slots *uint32, n int, table *uintptr, shift uint64, stride int, lines int, terms *uintptr, termShift uint64, termStride int)")
	Pragma("noescape")
	Doc("requestAsm prefetches the first lines of the rows of n slots, and their terms.")
	next, left := Load(Param("slots"), GP64()), Load(Param("n"), GP64())
	Label("request_next")
	slot = GP64()
	MOVL(Mem{Base: next}, slot.As32())
	requestRow("request", slot)
	ADDQ(U8(4), next)
	DECQ(left)
	JNZ(LabelRef("request_next"))
	RET()

	TEXT("prefetchAsm", NOSPLIT, "func(p *byte)")
	Pragma("noescape")
	Doc("prefetchAsm requests two lines from memory.")
	p := Load(Param("p"), GP64())
	PREFETCHT0(Mem{Base: p})
	PREFETCHT0(Mem{Base: p, Disp: 64})
	RET()
}

// requestRow prefetches the first lines of a slot's row, and its term if there
// is a table of terms: into the second cache, since the rows of a whole beam are more
// than the first one takes in at a time.
func requestRow(label string, slot reg.GPVirtual) {
	terms, at, row := Load(Param("terms"), GP64()), GP64(), GP64()
	TESTQ(terms, terms)
	JZ(LabelRef(label + "_row"))
	shift := Load(Param("termShift"), GP64())
	SHRXQ(shift, slot, at)
	BZHIQ(shift, slot, row)
	IMULQ(param("termStride"), row)
	ADDQ(Mem{Base: terms, Index: at, Scale: 8}, row)
	PREFETCHT1(Mem{Base: row})
	Label(label + "_row")
	Load(Param("shift"), shift)
	SHRXQ(shift, slot, at)
	BZHIQ(shift, slot, row)
	IMULQ(param("stride"), row)
	table := Load(Param("table"), GP64())
	ADDQ(Mem{Base: table, Index: at, Scale: 8}, row)
	lines := Load(Param("lines"), GP64())
	Label(label + "_line")
	PREFETCHT1(Mem{Base: row})
	ADDQ(U8(64), row)
	DECQ(lines)
	JNZ(LabelRef(label + "_line"))
}
