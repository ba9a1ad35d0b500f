package hnsw

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"sync/atomic"
	"unsafe"

	"freshet/hnsw/kernels"
)

// The graph is walked on codes of 4 or 8 bits a dimension, an eighth or a quarter of
// the vectors' bytes: above some 100,000 vectors the time goes to memory. Inserts
// choose neighbours by codes of 8 bits. What a search returns is scored on the
// vectors themselves.
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

// halvesFrom is the dimension from which codes of 4 bits are kept. The fewer
// dimensions, the less their errors cancel out: of 100, a scan of all codes lost up
// to a point of recall.
const halvesFrom = kernels.HalfBlock

// codes holds the codes of all vectors about one mean. When the mean is learned
// anew, another codes takes its place; a search keeps the one it began with.
//
// There are two layers: bytes, by which neighbours are chosen, and halves, codes
// of 4 bits, on which the graph is walked where they are good enough for the data. They
// take half as much memory to look at, and are half as exact: about what scoring
// the best on their vectors makes up for.
type codes struct {
	euclid bool
	mean   []float32
	square float64     // m·m, 0 for Euclid
	spread float64     // mean of |x−m|² when the mean was learned
	bytes  layer       // codes from -127 to 127
	halves *layer      // codes from -7.5 to 7.5; nil below halvesFrom
	coarse atomic.Bool // the halves are good enough
	judged judged
}

// layer is the vectors in codes of one size. The terms of several rows share a
// cache line: beside its row, each would take one to itself.
type layer struct {
	rows, terms *arena
	kernel      codeKernel
}

type codeKernel func(l kernels.Level, q *kernels.CodeQuery, rows, terms *kernels.Rows, slots []uint32, out []float32)

// Whether codes of 4 bits are good enough is judged by the searches of inserts:
// of the judgeTop nearest nodes that one of them found by bytes, nearly all must
// be among the judgeWithin nearest by halves. Real embeddings keep all. Where the
// nearest are hardly nearer than the others, as in noise of many dimensions, some
// are lost, and a search by halves would lose them too. Some of the inserts are
// judged, fewer once there are enough judgements, since they cost a walk on bytes,
// and old judgements fade.
const (
	judgeEvery  = 8
	judgeSeldom = 32
	judgeTop    = 10
	judgeWithin = 2 * judgeTop
	judgeLeast  = 0.997
	judgeFade   = 256 // judgements
)

// judged is the mean of the judgements so far. It is the writer's.
type judged struct {
	mean float64
	n    int
}

// every says how many inserts one is judged of.
func (j *judged) every() uint32 {
	if j.n < judgeFade {
		return judgeEvery
	}
	return judgeSeldom
}

// judge takes in the share of the nearest that were kept in one comparison, -1
// for none, and decides whether halves are good enough.
func (c *codes) judge(kept float64) {
	if kept < 0 {
		return
	}
	j := &c.judged
	j.n = min(j.n+1, judgeFade)
	j.mean += (kept - j.mean) / float64(j.n)
	c.coarse.Store(j.n >= judgeFade/4 && j.mean >= judgeLeast)
}

// judgeHalves compares the order of s.pool, found by bytes, with that by halves
// and returns the share of the nearest that were kept, -1 if it cannot tell. The
// query is that of setRow.
func (s *searcher) judgeHalves() float64 {
	c := s.codes
	if c == nil || c.halves == nil || len(s.pool) < 2*judgeWithin {
		return -1
	}
	s.fresh = s.fresh[:0]
	for _, k := range s.pool {
		s.fresh = append(s.fresh, key(k).slot())
	}
	s.room()
	c.halves.compute(&s.coded, s.fresh, s.dist)
	kept := 0
	for _, d := range s.dist[:judgeTop] {
		nearer := 0
		for _, other := range s.dist {
			if other < d {
				nearer++
			}
		}
		if nearer < judgeWithin {
			kept++
		}
	}
	return float64(kept) / judgeTop
}

// newLayer returns an empty layer of rows of so many bytes.
func newLayer(row int, kernel codeKernel) layer {
	const term = int(unsafe.Sizeof(kernels.Term{}))
	return layer{rows: newArena(row, kernels.CodeBlock), terms: newArena(term, term), kernel: kernel}
}

// row returns the first n bytes of a slot's row.
func (l *layer) row(slot uint32, n int) []byte {
	return unsafe.Slice((*byte)(l.rows.row(slot)), n)
}

func (l *layer) grow(slot uint32) error { return errors.Join(l.rows.grow(slot), l.terms.grow(slot)) }

// compute stores the distance of the query to each slot in out; smaller is
// nearer.
func (l *layer) compute(q *coded, slots []uint32, out []float32) {
	l.kernel(kernels.Best, &q.CodeQuery, l.rows.rows.Load(), l.terms.rows.Load(), slots, out)
}

// request asks for rows and terms from memory.
func (l *layer) request(slots []uint32) {
	kernels.Request(kernels.Best, l.rows.rows.Load(), l.terms.rows.Load(), slots)
}

func (l *layer) term(slot uint32) *kernels.Term { return (*kernels.Term)(l.terms.row(slot)) }

const largestCode = 127

// coded is a query in codes of a byte, with room for them.
type coded struct {
	kernels.CodeQuery
	room []byte
}

func newCoded(dim int) coded {
	return coded{room: alignedBytes((dim + kernels.HalfBlock - 1) / kernels.HalfBlock * kernels.HalfBlock)}
}

func newCodes(metric Metric, dim int, sample [][]float32) *codes {
	c := &codes{
		euclid: metric == Euclid, mean: make([]float32, dim),
		bytes: newLayer(dim, kernels.Bytes),
	}
	if dim >= halvesFrom {
		halves := newLayer((dim+1)/2, kernels.Halves)
		c.halves = &halves
	}
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
		_, square := kernels.Deviation(kernels.Best, v, c.mean)
		c.spread += square / float64(len(sample))
	}
	return c
}

// newCodes returns the codes that the configuration wants.
func (g *Graph) newCodes(sample [][]float32) *codes {
	c := newCodes(g.cfg.Metric, g.cfg.Dim, sample)
	if g.cfg.Codes == ByteCodes {
		c.halves = nil
	}
	return c
}

// quantize writes the codes of v, with kernels.ByteBias added, and returns their step
// and what the distances need. A step is never so small that dividing by it overflows.
func (c *codes) quantize(dst []byte, v []float32, largest float32) (t kernels.Term) {
	t.Step = min(max(largest/largestCode, leastStep), math.MaxFloat32/largestCode)
	sums := kernels.Encode(kernels.Best, &kernels.Encoding{
		Inverse: 1 / t.Step, Low: -largestCode, High: largestCode,
		Shift: kernels.ByteBias + 0.5, Center: kernels.ByteBias, // the half rounds
	}, dst, v, c.mean)
	n, sum := int64(len(v)), int64(sums.Codes)
	t.Sum = int32(sum - kernels.ByteBias*n)
	if c.euclid {
		squares := int64(sums.Squares) - 2*kernels.ByteBias*sum + kernels.ByteBias*kernels.ByteBias*n
		t.Extra = float64(t.Step) * float64(t.Step) * float64(squares)
	} else {
		t.Extra = -float64(t.Step) * sums.Along
	}
	return t
}

const leastStep = 1e-37

// put stores the codes of a slot's vector; the layers must have grown to it. It uses
// room, two bytes a component.
func (c *codes) put(slot uint32, v []float32, room []byte) {
	largest, square := kernels.Deviation(kernels.Best, v, c.mean)
	row := c.bytes.row(slot, c.bytes.rows.stride)
	t := c.quantize(row[:len(v)], v, largest)
	for k := len(v); k < len(row); k++ {
		row[k] = kernels.ByteBias
	}
	*c.bytes.term(slot) = t
	if c.halves != nil {
		c.putHalves(slot, v, square, t.Extra, room)
	}
}

func (c *codes) putAll(items []Item, workers int) error {
	return inParallel(context.Background(), len(items), workers, func(begin, end uint32) {
		room := make([]byte, 2*len(c.mean))
		for _, item := range items[begin:end] {
			c.put(item.Slot, item.Vector, room)
		}
	})
}

// halfSteps are the steps that are tried for codes of 4 bits, in standard
// deviations: the first is best for a normal distribution (Max, "Quantizing for
// minimum distortion", 1960), the others for those with longer tails.
var halfSteps = [...]float64{0.335, 0.45, 0.6, 0.9}

// putHalves stores the codes of 4 bits of a vector of which square is known, |v−m|².
// Their step is then chosen so that the product of the vector with itself comes out
// right: rounding makes vectors shorter in their own direction.
func (c *codes) putHalves(slot uint32, v []float32, square, extra float64, room []byte) {
	tried, chosen := room[:len(v)], room[len(v):][:len(v)]
	deviation := math.Sqrt(square / float64(len(v)))
	var best, own float64
	for i, s := range halfSteps {
		product, decoded := c.halve(tried, v, float32(max(s*deviation, leastStep)))
		if fit := product * product / decoded; fit > best || i == 0 {
			best, own = fit, product
			tried, chosen = chosen, tried
		}
	}
	packHalves(c.halves.row(slot, c.halves.rows.stride), chosen)
	t := kernels.Term{Extra: extra}
	if own > 0 {
		t.Step = float32(min(square/own, math.MaxFloat32))
	}
	*c.halves.term(slot) = t
}

// halve writes codes of 4 bits, each in a byte, with a step. It returns the product of
// v−m with what they stand for, and that of the latter with itself.
func (c *codes) halve(dst []byte, v []float32, step float32) (own, decoded float64) {
	sums := kernels.Encode(kernels.Best, &kernels.Encoding{
		Inverse: 1 / step, Low: -8, High: 7.5, Shift: 8, Center: kernels.HalfBias,
	}, dst, v, c.mean)
	const bias = kernels.HalfBias
	return sums.Own, float64(sums.Squares) - 2*bias*float64(sums.Codes) + bias*bias*float64(len(v))
}

// packHalves puts codes of 4 bits where kernels.Halves has them.
func packHalves(row, codes []byte) {
	clear(row)
	for len(codes) > 0 {
		low := codes[:min(len(codes), kernels.CodeBlock)]
		high := codes[len(low):min(len(codes), kernels.HalfBlock)]
		copy(row, low)
		for k, code := range high {
			row[k] |= code << 4
		}
		row, codes = row[kernels.CodeBlock:], codes[len(low)+len(high):]
	}
}

// arenas are those of the layers there are.
func (c *codes) arenas() []*arena {
	all := []*arena{c.bytes.rows, c.bytes.terms}
	if c.halves != nil {
		all = append(all, c.halves.rows, c.halves.terms)
	}
	return all
}

func (c *codes) grow(slot uint32) error {
	err := c.bytes.grow(slot)
	if c.halves != nil {
		err = errors.Join(err, c.halves.grow(slot))
	}
	return err
}

func (c *codes) free() error {
	var errs []error
	for _, rows := range c.arenas() {
		errs = append(errs, rows.free())
	}
	return errors.Join(errs...)
}

// limit is the first slot that the codes have no room for.
func (c *codes) limit() int {
	n := math.MaxInt
	for _, rows := range c.arenas() {
		n = min(n, rows.capacity())
	}
	return n
}

// query makes a vector the query.
func (c *codes) query(dst *coded, v []float32) {
	largest, _ := kernels.Deviation(kernels.Best, v, c.mean)
	t := c.quantize(dst.room[:len(v)], v, largest)
	flipped(dst.room[:(len(v)+7)/8*8], dst.room)
	clear(dst.room[len(v):])
	c.ask(dst, &t)
	dst.Codes, dst.Stored = &dst.room[0], false
}

// rowAsQuery makes the stored codes of a slot the query.
func (c *codes) rowAsQuery(dst *coded, slot uint32) {
	flipped(dst.room, c.bytes.row(slot, c.bytes.rows.stride))
	c.ask(dst, c.bytes.term(slot))
	dst.Codes, dst.Stored = &dst.room[0], false
}

// flipped turns stored codes into signed ones, eight at a time.
func flipped(dst, stored []byte) {
	const flip = 0x8080808080808080
	for i := 0; i+8 <= min(len(stored), len(dst)); i += 8 {
		binary.LittleEndian.PutUint64(dst[i:], binary.LittleEndian.Uint64(stored[i:])^flip)
	}
}

// storedQuery makes the codes of a slot the query, for the layer of bytes.
func (c *codes) storedQuery(dst *coded, slot uint32) {
	c.ask(dst, c.bytes.term(slot))
	dst.Codes, dst.Stored = &c.bytes.row(slot, 1)[0], true
}

func (c *codes) ask(dst *coded, t *kernels.Term) {
	dst.Base = float64(t.Extra) - c.square
	dst.Factor = float64(t.Step)
	if c.euclid {
		dst.Factor *= 2
	}
	dst.Sum = t.Sum
}

// The mean is learned from the first batch, again each time the graph has grown
// by learnGrowth, and when what has arrived since is farther from it than what
// it was learned from by learnSpread (squared), on at least a quarter as many
// vectors as there were then.
const (
	learnGrowth = 8
	learnSpread = 4
)

// LearnSample is how many vectors are enough to learn from.
const LearnSample = 512

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
func (g *Graph) encode(items []Item, workers int) error {
	if !g.cfg.coded() || len(items) == 0 {
		return nil
	}
	c := g.codes.Load()
	if c == nil || g.drift.due(c, g.Len()+len(items)) {
		return g.recode(items, workers)
	}
	for _, item := range items {
		if err := c.grow(item.Slot); err != nil {
			return err
		}
		_, square := kernels.Deviation(kernels.Best, item.Vector, c.mean)
		g.drift.squares += square
	}
	g.drift.vectors += len(items)
	return c.putAll(items, workers)
}

// recode learns the mean from a sample of all vectors and of the batch, and
// encodes everything about it.
func (g *Graph) recode(items []Item, workers int) error {
	before := g.codes.Load()
	var slots []uint32
	for slot := range uint32(g.slots.Len()) {
		if g.Has(slot) {
			slots = append(slots, slot)
		}
	}
	var sample [][]float32
	for i := range min(LearnSample, len(slots)) {
		v, err := g.known(slots[i*len(slots)/min(LearnSample, len(slots))], before, make([]float32, g.cfg.Dim))
		if err != nil {
			return err
		}
		sample = append(sample, v)
	}
	for i := range min(LearnSample, len(items)) {
		sample = append(sample, items[i*len(items)/min(LearnSample, len(items))].Vector)
	}
	next := g.newCodes(sample)
	put := func(some []Item) error {
		for _, item := range some {
			if err := next.grow(item.Slot); err != nil {
				return err
			}
		}
		return next.putAll(some, workers)
	}
	if err := errors.Join(g.inParts(slots, before, put), put(items)); err != nil {
		return errors.Join(err, next.free())
	}
	g.codes.Store(next)
	if before != nil {
		// Searches that began with the old codes still read them.
		runtime.AddCleanup(before, func(layers []*arena) {
			for _, rows := range layers {
				_ = rows.free() // there is nobody to tell
			}
		}, before.arenas())
	}
	g.drift = drift{learnedAt: len(slots) + len(items)}
	return nil
}
