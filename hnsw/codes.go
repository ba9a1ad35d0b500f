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
// search returns is scored on the vectors themselves.
//
// A code is a component's difference from the mean of all vectors, in steps of
// the vector's own: no range has to be learned, so neither outliers nor vectors
// that grow with time cost the others precision. The mean, without which vectors
// that have a large part in common would differ by a few steps only, is learned
// from those that have arrived. With x = m + s·c the distances of rows and
// queries come down to one dot product of codes:
//
//	−a·x   = −(m·x̃) − (m·ã + m·m) − s_a·s_x·(c_a·c_x)
//	|a−x|² = |x̃|² + |ã|² − 2·s_a·s_x·(c_a·c_x)
//
// where x̃ = s·c. Manhattan distances do not, and have no codes.

// codedFrom is the dimension from which codes are kept. Up to a block, a vector
// takes no more memory than its codes would.
const codedFrom = kernels.Block + 1

// codes holds the codes of all vectors about one mean. When the mean is learned
// anew, another codes takes its place; a search keeps the one it began with.
type codes struct {
	euclid bool
	mean   []float32
	square float64 // m·m, 0 for Euclid
	spread float64 // mean of |x−m|² when the mean was learned
	rows   *arena  // codes from -127 to 127, stored with signedZero added; term
	termAt int     // where in a row the term is
}

// term is what the distances to a vector have beside the product of codes. It
// lies in the row's padding, or behind it, and comes with it from memory.
type term struct {
	extra float64 // |x̃|² for Euclid, −m·x̃ otherwise
	step  float32
	sum   int32 // of the codes
}

const (
	largestCode = 127
	signedZero  = 128
)

// coded is a query in codes. The distance to a row is the row's extra + base −
// factor × the row's step × the product of codes.
type coded struct {
	bytes        []byte
	base, factor float64
	bias         int32 // that the stored codes' being unsigned adds to the product
}

func newCodes(metric Metric, dim int, sample [][]float32) *codes {
	const termBytes = int(unsafe.Sizeof(term{}))
	padded := (dim + kernels.CodeBlock - 1) / kernels.CodeBlock * kernels.CodeBlock
	c := &codes{euclid: metric == Euclid, mean: make([]float32, dim), termAt: padded - termBytes}
	if dim > c.termAt {
		c.termAt = padded
	}
	c.rows = newArena(c.termAt+termBytes, kernels.CodeBlock)
	c.rows.setBlocks(padded / kernels.CodeBlock)
	for k := range c.mean {
		var sum float64
		for _, v := range sample {
			sum += float64(v[k])
		}
		c.mean[k] = float32(sum / float64(max(len(sample), 1)))
		if !c.euclid {
			c.square += float64(c.mean[k]) * float64(c.mean[k])
		}
	}
	for _, v := range sample {
		c.spread += c.distanceToMean(v) / float64(len(sample))
	}
	return c
}

func (c *codes) distanceToMean(v []float32) (square float64) {
	for k, x := range v {
		d := float64(x) - float64(c.mean[k])
		square += d * d
	}
	return square
}

// quantize writes the signed codes of v and returns their step and what the
// distances need. A step is never so small that dividing by it overflows.
func (c *codes) quantize(dst []byte, v []float32) (t term) {
	var largest float32
	for k, x := range v {
		d := x - c.mean[k]
		largest = max(largest, d, -d)
	}
	t.step = min(max(largest/largestCode, leastStep), math.MaxFloat32/largestCode)
	inverse := 1 / t.step
	var squares int32
	var dot float64
	for k, x := range v {
		scaled := min(max((x-c.mean[k])*inverse, -largestCode), largestCode)
		code := int32(scaled+signedZero+0.5) - signedZero // rounds
		dst[k] = byte(int8(code))
		t.sum += code
		squares += code * code
		dot += float64(c.mean[k]) * float64(code)
	}
	if c.euclid {
		t.extra = float64(t.step) * float64(t.step) * float64(squares)
	} else {
		t.extra = -float64(t.step) * dot
	}
	return t
}

const leastStep = 1e-37

// flip turns signed codes, eight at a time, into stored ones and back.
const flip = 0x8080808080808080

// put stores the codes of a slot's vector; the arenas must have grown to it.
func (c *codes) put(slot uint32, v []float32) {
	row := c.row(slot)
	*c.term(slot) = c.quantize(row, v)
	for k := range v {
		row[k] ^= signedZero
	}
}

// row returns the stored codes of a slot.
func (c *codes) row(slot uint32) []byte {
	return unsafe.Slice((*byte)(c.rows.row(slot)), len(c.mean))
}

func (c *codes) term(slot uint32) *term {
	return (*term)(unsafe.Add(c.rows.row(slot), c.termAt))
}

// limit is the first slot that the codes have no room for.
func (c *codes) limit() int { return c.rows.capacity() }

// query makes a vector the query.
func (c *codes) query(dst *coded, v []float32) {
	c.ask(dst, c.quantize(dst.bytes, v))
}

// rowAsQuery makes the stored codes of a slot the query.
func (c *codes) rowAsQuery(dst *coded, slot uint32) {
	row := unsafe.Slice((*byte)(c.rows.row(slot)), len(dst.bytes))
	for i := 0; i < len(row); i += 8 {
		binary.LittleEndian.PutUint64(dst.bytes[i:], binary.LittleEndian.Uint64(row[i:])^flip)
	}
	clear(dst.bytes[len(c.mean):]) // rows have their terms there
	c.ask(dst, *c.term(slot))
}

func (c *codes) ask(dst *coded, t term) {
	dst.base = t.extra - c.square
	dst.factor = float64(t.step)
	if c.euclid {
		dst.factor *= 2
	}
	dst.bias = signedZero * t.sum
}

// compute stores the distance of the query to each slot in out; smaller is
// nearer. ints is working memory as long as out.
func (c *codes) compute(q *coded, slots []uint32, ints []int32, out []float32) {
	rows := c.rows.rows.Load()
	kernels.DotCodes(kernels.Best, &q.bytes[0], rows, slots, ints)
	for i, slot := range slots {
		t := (*term)(unsafe.Add(rows.At(slot), c.termAt))
		out[i] = float32(t.extra + q.base - q.factor*float64(t.step)*float64(ints[i]-q.bias))
	}
}

// The mean is learned from the first batch, again each time the graph has grown
// by learnGrowth, and when what has arrived since is farther from it than what
// it was learned from by learnSpread (squared), on at least a quarter as many
// vectors as there were then.
const (
	learnGrowth = 8
	learnSpread = 4
	learnSample = 512 // vectors
)

// drift tells when to learn anew. It belongs to the writer.
type drift struct {
	learnedAt int     // vectors when the mean was learned
	vectors   int     // since then
	squares   float64 // of their distances to the mean
}

func (d *drift) due(c *codes, vectors int) bool {
	if vectors >= learnGrowth*d.learnedAt {
		return true
	}
	return d.vectors >= max(64, d.learnedAt/4) && d.squares > learnSpread*c.spread*float64(d.vectors)
}

// encode stores the codes of a batch whose vectors are stored already, and
// learns the mean first where that is due.
func (g *Graph) encode(items []Item) error {
	if g.cfg.Dim < codedFrom || g.cfg.Metric == Manhattan || len(items) == 0 {
		return nil
	}
	c := g.codes.Load()
	if c == nil || g.drift.due(c, g.Len()+len(items)) {
		return g.recode(items)
	}
	for _, item := range items {
		if err := c.rows.grow(item.Slot); err != nil {
			return err
		}
		c.put(item.Slot, item.Vector)
		g.drift.squares += c.distanceToMean(item.Vector)
	}
	g.drift.vectors += len(items)
	return nil
}

// recode learns the mean from a sample of all vectors and of the batch, and
// encodes everything about it.
func (g *Graph) recode(items []Item) error {
	var slots []uint32
	for slot := range uint32(g.slots.Len()) {
		if g.Has(slot) {
			slots = append(slots, slot)
		}
	}
	var sample [][]float32
	for i := range min(learnSample, len(slots)) {
		sample = append(sample, g.Vector(slots[i*len(slots)/min(learnSample, len(slots))]))
	}
	for i := range min(learnSample, len(items)) {
		sample = append(sample, items[i*len(items)/min(learnSample, len(items))].Vector)
	}
	next := newCodes(g.cfg.Metric, g.cfg.Dim, sample)
	put := func(slot uint32, v []float32) error {
		if err := next.rows.grow(slot); err != nil {
			return err
		}
		next.put(slot, v)
		return nil
	}
	for _, slot := range slots {
		if err := put(slot, g.Vector(slot)); err != nil {
			return err
		}
	}
	for _, item := range items {
		if err := put(item.Slot, item.Vector); err != nil {
			return err
		}
	}
	if before := g.codes.Swap(next); before != nil {
		// Searches that began with the old codes still read them.
		runtime.AddCleanup(before, func(rows *arena) {
			_ = rows.free() // there is nobody to tell
		}, before.rows)
	}
	g.drift = drift{learnedAt: len(slots) + len(items)}
	return nil
}
