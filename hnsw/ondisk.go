package hnsw

import (
	"context"
	"fmt"
	"slices"
	"unsafe"

	"freshet/hnsw/kernels"
)

// VectorReader reads vectors that a graph does not hold. One search uses it at a
// time.
type VectorReader interface {
	// ReadVector stores the vector of a slot in dst, which is as long as the
	// graph's dimension. It returns false if there is none any more.
	ReadVector(slot uint32, dst []float32) (bool, error)
}

// VectorScanner is a VectorReader that goes through all vectors faster than it reads
// them one by one.
type VectorScanner interface {
	VectorReader
	// ScanVectors stores one vector after the other in what next returned last,
	// and calls next with its slot. next is first called without one.
	ScanVectors(ctx context.Context, next func(slot uint32, ok bool) []float32) error
}

// readRows is room for vectors while they are compared with the query.
type readRows struct {
	rows  *kernels.Rows
	slots []uint32 // the places 0, 1, …
}

// readStep is how many vectors are read between two calls of a kernel.
const readStep = 16

func (r *readRows) init(dim int) {
	padded := (dim + kernels.Block - 1) / kernels.Block * kernels.Block
	memory := alignedBytes(readStep * 4 * padded)
	r.rows = &kernels.Rows{
		Table:  []unsafe.Pointer{unsafe.Pointer(unsafe.SliceData(memory))},
		Shift:  31,
		Stride: 4 * padded,
		Blocks: padded / kernels.Block,
	}
	r.slots = make([]uint32, readStep)
	for i := range r.slots {
		r.slots[i] = uint32(i)
	}
}

// measureVectors computes the distances of the fresh slots on their vectors,
// wherever these are.
func (s *searcher) measureVectors(ctx context.Context, q *Query) ([]float32, error) {
	if s.g.vectors != nil {
		return s.measureExactly(), nil
	}
	if s.read.rows == nil {
		s.read.init(s.g.cfg.Dim)
	}
	s.room()
	for from := 0; from < len(s.fresh); from += readStep {
		some := s.fresh[from:min(from+readStep, len(s.fresh))]
		for i, slot := range some {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			dst := unsafe.Slice((*float32)(s.read.rows.At(uint32(i))), s.g.cfg.Dim)
			ok, err := q.Vectors.ReadVector(slot, dst)
			if err == nil && !ok {
				err = fmt.Errorf("hnsw: the vector of slot %d is missing", slot)
			}
			if err != nil {
				return nil, err
			}
		}
		s.g.dist.computeRows(&s.query[0], s.read.rows, s.read.slots[:len(some)], s.dist[from:])
	}
	s.work.Vectors += len(s.fresh)
	return s.dist, nil
}

// scan leaves the best of all slots that count in s.pool.
func (s *searcher) scan(ctx context.Context, all VectorScanner, q *Query) error {
	if s.read.rows == nil {
		s.read.init(s.g.cfg.Dim)
	}
	s.fresh = s.fresh[:0]
	score := func() {
		s.room()
		s.g.dist.computeRows(&s.query[0], s.read.rows, s.read.slots[:len(s.fresh)], s.dist)
		s.pool = s.offer(s.pool, s.dist, q.K)
		s.fresh = s.fresh[:0]
	}
	err := all.ScanVectors(ctx, func(slot uint32, ok bool) []float32 {
		if ok && q.accepts(slot) && s.g.Has(slot) {
			if s.fresh = append(s.fresh, slot); len(s.fresh) == readStep {
				score()
			}
		}
		return unsafe.Slice((*float32)(s.read.rows.At(uint32(len(s.fresh)))), s.g.cfg.Dim)
	})
	score()
	return err
}

// ignoreCodes makes a search do without codes as far as it can.
func (s *searcher) ignoreCodes(q *Query) {
	if s.g.vectors != nil {
		s.codes = nil
		return
	}
	q.CodeScores, q.Rescore = false, q.Ef
}

// known returns the vector of a node, for the writer, in room if it is not held.
// One that is not held and has been replaced since is only walked through: what
// its codes say is enough.
func (g *Graph) known(slot uint32, c *codes, room []float32) ([]float32, error) {
	if g.vectors != nil {
		return g.Vector(slot), nil
	}
	ok, err := g.cfg.Vectors.ReadVector(slot, room)
	if err == nil && !ok {
		c.decode(room, slot)
	}
	return room, err
}

// inParts calls visit with nodes and their vectors, some at a time, for the writer.
func (g *Graph) inParts(slots []uint32, c *codes, visit func([]Item) error) error {
	const part = 1024
	var items [part]Item
	if g.vectors == nil {
		dim := g.cfg.Dim
		room := make([]float32, min(part, len(slots))*dim)
		for i := range min(part, len(slots)) {
			items[i].Vector = room[i*dim : (i+1)*dim]
		}
	}
	for some := range slices.Chunk(slots, part) {
		for i, slot := range some {
			v, err := g.known(slot, c, items[i].Vector)
			if err != nil {
				return err
			}
			items[i] = Item{slot, v}
		}
		if err := visit(items[:len(some)]); err != nil {
			return err
		}
	}
	return nil
}

// decode stores in v the vector that a slot's codes stand for.
func (c *codes) decode(v []float32, slot uint32) {
	step := c.bytes.term(slot).Step
	for k, code := range c.bytes.row(slot, len(v)) {
		v[k] = c.mean[k] + step*float32(int(code)-kernels.ByteBias)
	}
}
