package kernels

import "unsafe"

// CodeBlock is the number of codes that rows and queries are padded to.
const CodeBlock = 64

// DotCodes computes the dot products of a query's codes, signed, from -127 to
// 127 and padded with zeros to Blocks×CodeBlock, with those of the rows of the
// slots, unsigned and padded with zeros: out[i] belongs to slots[i]. It is exact.
// out is at least as long as slots.
func DotCodes(l Level, query *byte, rows *Rows, slots []uint32, out []int32) {
	if len(slots) == 0 {
		return
	}
	_ = out[len(slots)-1]
	dotCodes(l, query, rows, slots, out)
}

// HalfBlock is the number of 4-bit codes in a block, which queries are padded to.
const HalfBlock = 2 * CodeBlock

// DotHalves is DotCodes on rows of codes of 4 bits: a block's 64 bytes hold in
// their low halves the codes that belong to the query's first 64, in their high
// halves those that belong to its next 64.
func DotHalves(l Level, query *byte, rows *Rows, slots []uint32, out []int32) {
	if len(slots) == 0 {
		return
	}
	_ = out[len(slots)-1]
	dotHalves(l, query, rows, slots, out)
}

// codes returns the codes of a slot's row.
func (r *Rows) codes(slot uint32) []byte {
	return unsafe.Slice((*byte)(r.At(slot)), r.Blocks*CodeBlock)
}

func plainDotCodes(query *byte, rows *Rows, slots []uint32, out []int32) {
	q := unsafe.Slice((*int8)(unsafe.Pointer(query)), rows.Blocks*CodeBlock)
	for i, slot := range slots {
		row := rows.codes(slot)[:len(q)]
		var a, b int32 // independent chains of additions
		for k := 0; k+1 < len(q); k += 2 {
			a += int32(q[k]) * int32(row[k])
			b += int32(q[k+1]) * int32(row[k+1])
		}
		out[i] = a + b
	}
}

func plainDotHalves(query *byte, rows *Rows, slots []uint32, out []int32) {
	q := unsafe.Slice((*int8)(unsafe.Pointer(query)), rows.Blocks*HalfBlock)
	for i, slot := range slots {
		row := rows.codes(slot)
		var a, b int32
		for block := 0; block < len(row); block += CodeBlock {
			low, high := q[2*block:][:CodeBlock], q[2*block+CodeBlock:][:CodeBlock]
			for k, x := range row[block:][:CodeBlock] {
				a += int32(low[k]) * int32(x&15)
				b += int32(high[k]) * int32(x>>4)
			}
		}
		out[i] = a + b
	}
}
