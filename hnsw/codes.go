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
		c.spread += c.distanceToMean(v) / float64(len(sample))
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

func (c *codes) distanceToMean(v []float32) float64 {
	mean := c.mean[:len(v)]
	var even, odd float64 // independent chains of additions
	for k, x := range v {
		d := float64(x) - float64(mean[k])
		even, odd = odd, even+d*d
	}
	return even + odd
}

// quantize writes the signed codes of v and returns their step and what the
// distances need. A step is never so small that dividing by it overflows.
func (c *codes) quantize(dst []byte, v []float32) (t kernels.Term) {
	mean := c.mean[:len(v)]
	dst = dst[:len(v)]
	const sign = 1 << 31
	var largest uint32 // magnitude: without their signs, floats are ordered like their bits
	for k, x := range v {
		largest = max(largest, math.Float32bits(x-mean[k])&^sign)
	}
	t.Step = min(max(math.Float32frombits(largest)/largestCode, leastStep), math.MaxFloat32/largestCode)
	inverse := 1 / t.Step
	var squares int64
	for k, x := range v {
		scaled := (x - mean[k]) * inverse
		if scaled > largestCode {
			scaled = largestCode
		} else if scaled < -largestCode {
			scaled = -largestCode
		}
		code := int32(scaled+(kernels.ByteBias+0.5)) - kernels.ByteBias // rounds
		dst[k] = byte(int8(code))
		t.Sum += code
		squares += int64(code * code)
	}
	if c.euclid {
		t.Extra = float64(t.Step) * float64(t.Step) * float64(squares)
		return t
	}
	var even, odd float64 // independent chains of additions
	for k, code := range dst {
		even, odd = odd, even+float64(mean[k])*float64(int8(code))
	}
	t.Extra = -float64(t.Step) * (even + odd)
	return t
}

const leastStep = 1e-37

// put stores the codes of a slot's vector; the layers must have grown to it.
func (c *codes) put(slot uint32, v []float32) {
	row := c.bytes.row(slot, c.bytes.rows.stride)
	clear(row)
	t := c.quantize(row, v)
	*c.bytes.term(slot) = t
	for k := range row {
		row[k] ^= kernels.ByteBias
	}
	if c.halves != nil {
		c.putHalves(slot, v, t.Extra)
	}
}

// halfSteps are the steps that are tried for codes of 4 bits, in standard
// deviations: the first is best for a normal distribution (Max, "Quantizing for
// minimum distortion", 1960), the others for those with longer tails.
var halfSteps = [...]float64{0.335, 0.45, 0.6, 0.9}

// halfTried is the least number of components that steps are tried on, if there
// are as many.
const halfTried = 96

// putHalves stores the codes of 4 bits. Their step is then chosen so that the
// product of the vector with itself comes out right: rounding makes vectors
// shorter in their own direction.
func (c *codes) putHalves(slot uint32, v []float32, extra float64) {
	row := c.halves.row(slot, c.halves.rows.stride)
	square := c.distanceToMean(v)
	deviation := math.Sqrt(square / float64(len(v)))
	var best, step float64
	for _, s := range halfSteps {
		x := max(s*deviation, leastStep)
		// A part of the components tells which step fits them best.
		own, decoded := c.halve(nil, v, float32(x), 1+len(v)/halfTried)
		if fit := own * own / decoded; fit > best || step == 0 {
			best, step = fit, x
		}
	}
	clear(row)
	own, _ := c.halve(row, v, float32(step), 1)
	t := kernels.Term{Extra: extra}
	if own > 0 {
		t.Step = float32(min(square/own, math.MaxFloat32))
	}
	*c.halves.term(slot) = t
}

// halve computes the codes of 4 bits of one in every components with a step. It
// writes them if there is a row for them, and returns the product of these
// components with their codes, and that of the codes with themselves.
func (c *codes) halve(row []byte, v []float32, step float32, every int) (own, decoded float64) {
	inverse := 1 / step
	mean := c.mean[:len(v)]
	for k := 0; k < len(v); k += every {
		d := v[k] - mean[k]
		code := min(max(int32(d*inverse+8), 0), 15)
		y := float64(code) - kernels.HalfBias
		own += float64(d) * y
		decoded += y * y
		if row != nil {
			block, within := k/kernels.HalfBlock, k%kernels.HalfBlock
			row[block*kernels.CodeBlock+within%kernels.CodeBlock] |= byte(code) << (within / kernels.CodeBlock * 4)
		}
	}
	return own, decoded
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
	t := c.quantize(dst.room, v)
	c.ask(dst, &t)
	dst.Codes, dst.Stored = &dst.room[0], false
}

// rowAsQuery makes the stored codes of a slot the query.
func (c *codes) rowAsQuery(dst *coded, slot uint32) {
	row := c.bytes.row(slot, c.bytes.rows.stride)
	for i := 0; i < len(row); i += 8 {
		binary.LittleEndian.PutUint64(dst.room[i:], binary.LittleEndian.Uint64(row[i:])^flip)
	}
	c.ask(dst, c.bytes.term(slot))
	dst.Codes, dst.Stored = &dst.room[0], false
}

// flip turns stored codes, eight at a time, into signed ones.
const flip = 0x8080808080808080

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
		g.drift.squares += c.distanceToMean(item.Vector)
	}
	g.drift.vectors += len(items)
	return inParallel(context.Background(), len(items), workers, func(begin, end uint32) {
		for _, item := range items[begin:end] {
			c.put(item.Slot, item.Vector)
		}
	})
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
		return inParallel(context.Background(), len(some), workers, func(begin, end uint32) {
			for _, item := range some[begin:end] {
				next.put(item.Slot, item.Vector)
			}
		})
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
