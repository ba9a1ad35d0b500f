package hnsw

import (
	"encoding/binary"
	"math"
	"runtime"
	"unsafe"

	"freshet/hnsw/kernels"
)

// The graph is built and walked on codes of 8 bits a dimension, a quarter of
// the vectors' bytes: above some 100,000 vectors the time goes to memory. What a
// search returns is scored on the vectors themselves. The codes are those of a
// uniform scalar quantizer, one for the whole graph, whose range is learned from
// the vectors that have arrived.

// codedFrom is the dimension from which codes are kept. Up to a block, a vector
// takes no more memory than its codes would.
const codedFrom = kernels.Block + 1

// codes holds the codes of all vectors under one quantizer. When the quantizer
// is learned anew, another codes takes its place; a search keeps the one it
// began with.
type codes struct {
	quantizer
	rows *arena
	zero []byte // a query of zeros
}

// coded is a query in codes: what a kernel computes from it is factor × (result
// − bias) apart from the rows, smaller being nearer.
type coded struct {
	bytes  []byte
	factor float64
	bias   int32
}

// quantizer turns numbers into codes and back: x ≈ low + step × code. For the
// dot product low is 0 and codes are signed, -127 to 127, and stored with 128
// added.
type quantizer struct {
	metric    Metric
	low, step float32
	expected  float64 // mean squared error of a number it was learned for
}

// codeLimit is the largest code. Two of 7 bits have a difference that a kernel
// can square.
func (q *quantizer) codeLimit() float32 {
	if q.metric == Manhattan {
		return 255
	}
	return 127
}

func (q *quantizer) isDot() bool { return q.metric == Cosine || q.metric == Dot }

// signedZero is what is added to the signed codes of the dot product.
const signedZero = 128

// encode writes the codes of v, and returns the squared error in sum.
func (q *quantizer) encode(dst []byte, v []float32) (squares float64) {
	low, high, shift := float32(0), q.codeLimit(), q.low
	add := float32(0)
	if q.isDot() {
		low, add = -high, signedZero
	}
	inverse := 1 / q.step
	var sum float32
	dst = dst[:len(v)]
	for i, x := range v {
		f := min(max((x-shift)*inverse, low), high)
		code := byte(int32(f + add + 0.5))
		dst[i] = code
		e := f - (x-shift)*inverse // what was cut off
		r := float32(code) - add - f
		e = r + e
		sum += e * e
	}
	return float64(sum) * float64(q.step) * float64(q.step)
}

// learn chooses the range with the least squared error over the sample: values
// beyond it are cut off, the others are rounded, and a wide range costs more of
// the second what it saves of the first.
func learn(metric Metric, sample [][]float32) quantizer {
	q := quantizer{metric: metric, step: 1}
	lowest, highest := float32(math.Inf(1)), float32(math.Inf(-1))
	numbers := 0
	for _, v := range sample {
		numbers += len(v)
		for _, x := range v {
			lowest, highest = min(lowest, x), max(highest, x)
		}
	}
	if numbers == 0 {
		return q
	}
	scratch := make([]byte, len(sample[0]))
	best := math.Inf(1)
	for share := float32(1); share > 0.05; share *= 0.85 {
		c := quantizer{metric: metric}
		if c.isDot() {
			c.step = max(highest, -lowest) * share / c.codeLimit()
		} else {
			// Halves, so that the width of the range does not overflow.
			middle, half := highest/2+lowest/2, highest/2-lowest/2
			c.low = middle - half*share
			c.step = 2 * (half / c.codeLimit()) * share
		}
		// A step of zero, where all numbers are the same, would divide by it.
		c.step = max(c.step, math.SmallestNonzeroFloat32*1e8)
		var squares float64
		for _, v := range sample {
			squares += c.encode(scratch, v)
		}
		if squares < best || share == 1 {
			best, q = squares, c
		}
	}
	q.expected = best / float64(numbers)
	return q
}

func newCodes(q quantizer, dim int) *codes {
	c := &codes{quantizer: q, rows: newArena(dim, kernels.CodeBlock)}
	c.zero = alignedBytes(c.rows.stride)
	return c
}

// put stores the codes of a slot's vector; the arena must have grown to it.
func (c *codes) put(slot uint32, v []float32) (squares float64) {
	return c.encode(unsafe.Slice((*byte)(c.rows.row(slot)), c.rows.stride), v)
}

// limit is the first slot that the codes have no room for.
func (c *codes) limit() int { return len(c.rows.rows.Load().Table) << c.rows.shift }

// query encodes a query. For the dot product it gets a range of its own.
func (c *codes) query(dst *coded, v []float32) {
	if !c.isDot() {
		c.encode(dst.bytes, v)
		dst.factor, dst.bias = c.unit(), 0
		return
	}
	var largest float32
	for _, x := range v {
		largest = max(largest, x, -x)
	}
	step := max(largest/c.codeLimit(), math.SmallestNonzeroFloat32*1e8)
	inverse := 1 / step
	var sum int32
	for i, x := range v {
		code := int32(math.Float32frombits(math.Float32bits(0.5)|math.Float32bits(x)&(1<<31)) + x*inverse)
		code = min(max(code, -127), 127)
		dst.bytes[i] = byte(int8(code))
		sum += code
	}
	dst.factor, dst.bias = -float64(step)*float64(c.step), signedZero*sum
}

// unit is the distance that a kernel's 1 stands for, between two rows.
func (c *codes) unit() float64 {
	switch {
	case c.isDot():
		return -float64(c.step) * float64(c.step)
	case c.metric == Euclid:
		return float64(c.step) * float64(c.step)
	default:
		return float64(c.step)
	}
}

// rowAsQuery makes the stored codes of a slot a query.
func (c *codes) rowAsQuery(dst *coded, slot uint32, dim int) {
	row := unsafe.Slice((*byte)(c.rows.row(slot)), c.rows.stride)
	dst.factor, dst.bias = c.unit(), 0
	if !c.isDot() {
		copy(dst.bytes, row)
		return
	}
	// Stored codes are the signed ones plus 128: flipping the highest bit gives
	// those. The padding becomes -128, which meets the zeros of other rows.
	const flip = 0x8080808080808080
	for i := 0; i < len(row); i += 8 {
		binary.LittleEndian.PutUint64(dst.bytes[i:], binary.LittleEndian.Uint64(row[i:])^flip)
	}
	var sum [1]int32
	kernels.L1Codes(kernels.Best, &c.zero[0], c.rows.rows.Load(), []uint32{slot}, sum[:])
	dst.bias = signedZero * (sum[0] - signedZero*int32(dim))
}

// compute stores the distance of the query to each slot in out; smaller is
// nearer. ints is working memory as long as out.
func (c *codes) compute(q *coded, slots []uint32, ints []int32, out []float32) {
	rows := c.rows.rows.Load()
	switch c.metric {
	case Euclid:
		kernels.L2Codes(kernels.Best, &q.bytes[0], rows, slots, ints)
	case Manhattan:
		kernels.L1Codes(kernels.Best, &q.bytes[0], rows, slots, ints)
	default:
		kernels.DotCodes(kernels.Best, &q.bytes[0], rows, slots, ints)
	}
	for i := range slots {
		out[i] = float32(q.factor * float64(ints[i]-q.bias))
	}
}

// The quantizer is learned from the first batch, again each time the graph has
// grown by learnGrowth, and when the errors of what has arrived since are above
// what it was learned for by learnError, on at least a quarter as many vectors
// as it had then.
const (
	learnGrowth = 8
	learnError  = 2
	learnSample = 512 // vectors
)

// drift tells when to learn anew. It belongs to the writer.
type drift struct {
	learnedAt int     // vectors when the quantizer was learned
	vectors   int     // since then
	squares   float64 // their errors
}

// encode stores the codes of a batch whose vectors are stored already, and
// learns the quantizer first where that is due.
func (g *Graph) encode(items []Item) error {
	if g.cfg.Dim < codedFrom || len(items) == 0 {
		return nil
	}
	have := g.Len()
	c := g.codes.Load()
	if c == nil || g.drift.due(c, have+len(items), g.cfg.Dim) {
		return g.relearn(items)
	}
	for _, item := range items {
		if err := c.rows.grow(item.Slot); err != nil {
			return err
		}
		g.drift.squares += c.put(item.Slot, item.Vector)
	}
	g.drift.vectors += len(items)
	return nil
}

func (d *drift) due(c *codes, vectors, dim int) bool {
	if vectors >= learnGrowth*d.learnedAt {
		return true
	}
	return d.vectors >= max(64, d.learnedAt/4) && d.squares > learnError*c.expected*float64(d.vectors*dim)
}

// relearn learns the quantizer from a sample of all vectors and of the batch,
// and encodes everything with it.
func (g *Graph) relearn(items []Item) error {
	slots := make([]uint32, 0, g.Len()+len(items))
	for slot := range uint32(g.slots.Len()) {
		if g.Has(slot) && !g.slots.retired(slot) {
			slots = append(slots, slot)
		}
	}
	var sample [][]float32
	for i := 0; i < learnSample && i < len(slots); i++ {
		sample = append(sample, g.Vector(slots[i*len(slots)/min(learnSample, len(slots))]))
	}
	for i := 0; i < learnSample && i < len(items); i++ {
		sample = append(sample, items[i*len(items)/min(learnSample, len(items))].Vector)
	}
	next := newCodes(learn(g.cfg.Metric, sample), g.cfg.Dim)
	for slot := range uint32(g.slots.Len()) {
		if g.Has(slot) {
			if err := next.rows.grow(slot); err != nil {
				return err
			}
			next.put(slot, g.Vector(slot))
		}
	}
	for _, item := range items {
		if err := next.rows.grow(item.Slot); err != nil {
			return err
		}
		next.put(item.Slot, item.Vector)
	}
	if before := g.codes.Swap(next); before != nil {
		// Searches that began with the old codes still read them.
		runtime.AddCleanup(before, func(a *arena) { _ = a.free() }, before.rows)
	}
	g.drift = drift{learnedAt: len(slots) + len(items)}
	return nil
}
