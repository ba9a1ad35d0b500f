package kernels

import "unsafe"

// CodeBlock is the number of codes that rows and queries are padded to.
const CodeBlock = 64

// CodeFunc is a distance of a query's codes, padded to Blocks×CodeBlock, to the
// rows of the slots: out[i] belongs to slots[i]. It is exact. Rows are padded
// with zeros. out is at least as long as slots.
type CodeFunc func(l Level, query *byte, rows *Rows, slots []uint32, out []int32)

// DotCodes computes the dot products of the query's codes, signed, from -127 to
// 127 and padded with zeros, with those of the rows, unsigned.
func DotCodes(l Level, query *byte, rows *Rows, slots []uint32, out []int32) {
	if len(slots) == 0 {
		return
	}
	_ = out[len(slots)-1]
	dotCodes(l, query, rows, slots, out)
}

// L2Codes computes the squared Euclidean distances of codes from 0 to 127.
func L2Codes(l Level, query *byte, rows *Rows, slots []uint32, out []int32) {
	if len(slots) == 0 {
		return
	}
	_ = out[len(slots)-1]
	l2Codes(l, query, rows, slots, out)
}

// L1Codes computes the sums of absolute differences of unsigned codes.
func L1Codes(l Level, query *byte, rows *Rows, slots []uint32, out []int32) {
	if len(slots) == 0 {
		return
	}
	_ = out[len(slots)-1]
	l1Codes(l, query, rows, slots, out)
}

// codes returns the codes of a slot's row.
func (r *Rows) codes(slot uint32) []byte {
	base := unsafe.Add(r.Table[slot>>r.Shift], int(slot&(1<<r.Shift-1))*r.Stride)
	return unsafe.Slice((*byte)(base), r.Blocks*CodeBlock)
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

func plainL2Codes(query *byte, rows *Rows, slots []uint32, out []int32) {
	q := unsafe.Slice(query, rows.Blocks*CodeBlock)
	for i, slot := range slots {
		row := rows.codes(slot)[:len(q)]
		var a, b int32
		for k := 0; k+1 < len(q); k += 2 {
			x, y := int32(q[k])-int32(row[k]), int32(q[k+1])-int32(row[k+1])
			a += x * x
			b += y * y
		}
		out[i] = a + b
	}
}

func plainL1Codes(query *byte, rows *Rows, slots []uint32, out []int32) {
	q := unsafe.Slice(query, rows.Blocks*CodeBlock)
	for i, slot := range slots {
		row := rows.codes(slot)[:len(q)]
		var sum int32
		for k, x := range q {
			sum += max(int32(x)-int32(row[k]), int32(row[k])-int32(x))
		}
		out[i] = sum
	}
}
