package kernels

import "unsafe"

// CodeBlock is the number of codes that rows and queries are padded to.
const CodeBlock = 64

// HalfBlock is the number of 4-bit codes in a block, which queries are padded to.
const HalfBlock = 2 * CodeBlock

// The biases of stored codes, which have no sign.
const (
	ByteBias = 128
	HalfBias = 7.5
)

// CodeQuery is a query in codes, and what a distance needs of it. The distance
// to a row is
//
//	row's extra + Base − Factor × row's step × (product of codes)
type CodeQuery struct {
	Codes        *byte // from -127 to 127, padded
	Stored       bool  // Codes has ByteBias added, as rows of bytes have
	Sum          int32 // of the codes
	Base, Factor float64
}

// Term is a row's part in its distances, beside its codes.
type Term struct {
	Extra float64
	Step  float32
	Sum   int32 // of the codes, for when the row is a query
}

// Bytes computes the distances of a query, padded to Blocks×CodeBlock, to the
// rows of the slots: out[i] belongs to slots[i]. Stored codes have ByteBias added
// and are from 1 to 255, padding too. terms holds a Term for each slot. out is
// at least as long as slots.
func Bytes(l Level, q *CodeQuery, rows, terms *Rows, slots []uint32, out []float32) {
	if len(slots) == 0 {
		return
	}
	_ = out[len(slots)-1]
	byteDistances(l, q, rows, terms, slots, out)
}

// Halves is Bytes on rows of codes of 4 bits with HalfBias added, for queries
// that are not Stored and are padded with zeros to Blocks×HalfBlock: a block's 64
// bytes hold in their low halves the codes that belong to the query's first 64, in
// their high halves those that belong to its next 64.
func Halves(l Level, q *CodeQuery, rows, terms *Rows, slots []uint32, out []float32) {
	if len(slots) == 0 {
		return
	}
	_ = out[len(slots)-1]
	halfDistances(l, q, rows, terms, slots, out)
}

// flip turns the query's bytes, eight at a time, into signed ones.
func (q *CodeQuery) flip() uint64 {
	if q.Stored {
		return 0x8080808080808080
	}
	return 0
}

// distance rounds the product before it subtracts it: a vector is at 0 from itself.
func (q *CodeQuery) distance(t *Term, product float64) float32 {
	return float32(t.Extra + q.Base - float64(q.Factor*float64(t.Step)*product))
}

// codes returns the codes of a slot's row.
func (r *Rows) codes(slot uint32) []byte {
	return unsafe.Slice((*byte)(r.At(slot)), r.Blocks*CodeBlock)
}

func plainBytes(query *CodeQuery, rows, terms *Rows, slots []uint32, out []float32) {
	q := unsafe.Slice(query.Codes, rows.Blocks*CodeBlock)
	flip := byte(query.flip())
	for i, slot := range slots {
		row := rows.codes(slot)[:len(q)]
		var a, b int32 // independent chains of additions
		for k := 0; k+1 < len(q); k += 2 {
			a += int32(int8(q[k]^flip)) * int32(row[k])
			b += int32(int8(q[k+1]^flip)) * int32(row[k+1])
		}
		product := float64(a+b) - ByteBias*float64(query.Sum)
		out[i] = query.distance((*Term)(terms.At(slot)), product)
	}
}

func plainHalves(query *CodeQuery, rows, terms *Rows, slots []uint32, out []float32) {
	q := unsafe.Slice((*int8)(unsafe.Pointer(query.Codes)), rows.Blocks*HalfBlock)
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
		product := float64(a+b) - HalfBias*float64(query.Sum)
		out[i] = query.distance((*Term)(terms.At(slot)), product)
	}
}
