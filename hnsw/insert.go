package hnsw

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"freshet/hnsw/kernels"
)

// Item is a vector to insert for a slot. The vector is copied.
type Item struct {
	Slot   uint32
	Vector []float32
}

// Staged is a batch whose vectors are stored and whose neighbours are chosen,
// but which no list names yet. One that is not linked leaves nothing behind but
// the slots it was given.
type Staged struct {
	g       *Graph
	coarse  bool   // the graph's codes of 4 bits are good enough to search with
	judge   uint32 // one of so many nodes judges whether they are; 0 for none
	nodes   []stagedNode
	workers int
}

// stagedNode is a node with the neighbours it will have at each level.
type stagedNode struct {
	slot       uint32
	neighbours [][]uint32
	kept       float64 // what judgeHalves said, -1 if it was not asked
}

// Stage copies the vectors in and chooses the neighbours of each: among the
// graph as it is, which the workers search in parallel, and among the members
// of the batch before it. The batch's slots must be new to this graph. On an
// error the graph is as before.
func (g *Graph) Stage(ctx context.Context, items []Item, workers int) (*Staged, error) {
	st := &Staged{g: g, nodes: make([]stagedNode, len(items)), workers: workers}
	for i, item := range items {
		if len(item.Vector) != g.cfg.Dim {
			return nil, fmt.Errorf("hnsw: a vector of %d dimensions for a graph of %d", len(item.Vector), g.cfg.Dim)
		}
		if g.Has(item.Slot) {
			return nil, fmt.Errorf("hnsw: slot %d is in the graph already", item.Slot)
		}
		if err := g.grow(item.Slot); err != nil {
			return nil, err
		}
		st.nodes[i] = stagedNode{slot: item.Slot, neighbours: make([][]uint32, g.levelOf(item.Slot)+1), kept: -1}
		g.hold(item)
	}
	if err := g.encode(items, workers); err != nil {
		return nil, err
	}
	c := g.codes.Load()
	st.judge = judgeEvery
	if c != nil {
		st.coarse, st.judge = c.coarse.Load(), c.judged.every()
	}
	if err := st.place(ctx, workers); err != nil {
		return nil, err
	}
	if c != nil {
		for i := range st.nodes {
			c.judge(st.nodes[i].kept)
		}
	}
	return st, nil
}

// All goes through the slots of the batch and the neighbours chosen for each, by
// level.
func (st *Staged) All() iter.Seq2[uint32, [][]uint32] {
	return func(yield func(uint32, [][]uint32) bool) {
		for i := range st.nodes {
			if !yield(st.nodes[i].slot, st.nodes[i].neighbours) {
				return
			}
		}
	}
}

// grow makes room for a slot's node and gives it its lists.
func (g *Graph) grow(slot uint32) error {
	err := errors.Join(g.base.grow(slot), g.nodes.grow(slot))
	if g.vectors != nil {
		err = errors.Join(err, g.vectors.grow(slot))
	}
	if err != nil {
		return err
	}
	return g.giveUpperLists(slot)
}

// hold copies a vector in, if the graph is to hold it.
func (g *Graph) hold(item Item) {
	if g.vectors != nil {
		copy(unsafe.Slice((*float32)(g.vectors.row(item.Slot)), g.cfg.Dim), item.Vector)
	}
}

// giveUpperLists gives a slot's node its lists above level 0. They stay the slot's: its
// level is the same when it is used again.
func (g *Graph) giveUpperLists(slot uint32) error {
	first := &g.nodes.words(slot, 2)[1]
	level := uint32(g.levelOf(slot))
	if level == 0 || *first != 0 {
		return nil
	}
	if err := g.upper.grow(g.lists + level); err != nil {
		return err
	}
	atomic.StoreUint32(first, g.lists)
	g.lists += level
	return nil
}

// place chooses the neighbours of all nodes.
func (st *Staged) place(ctx context.Context, workers int) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	work := func() {
		for {
			i := int(next.Add(1)) - 1
			if i >= len(st.nodes) || failed.Load() != nil {
				return
			}
			err := ctx.Err() // a walk for one node may be too short to look at it
			if err == nil {
				err = st.choose(ctx, i)
			}
			if err != nil {
				failed.CompareAndSwap(nil, &err)
				return
			}
		}
	}
	var group sync.WaitGroup
	for range min(workers, len(st.nodes)) - 1 {
		group.Go(work)
	}
	work()
	group.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// choose finds the neighbours of the i-th node at each of its levels
// (Algorithm 1 of the paper, without the links back).
func (st *Staged) choose(ctx context.Context, i int) error {
	g, node := st.g, &st.nodes[i]
	s := g.acquire(nil)
	defer s.release()
	judge := st.judge > 0 && node.slot%st.judge == 0
	if st.coarse && !judge {
		s.layer = s.codes.halves
	}
	walked := s.layer
	s.setRow(node.slot)
	level := len(node.neighbours) - 1
	entry, top, ok := g.start()
	var near uint64
	if ok {
		near = s.descend(entry, top, min(level, top))
	}
	for ; level >= 0; level-- {
		s.pool = s.pool[:0]
		if ok && level <= top {
			s.reset()
			s.layer = walked
			if err := s.walk(ctx, near, level, g.cfg.EfConstruct, 0); err != nil {
				return err
			}
			s.settle()
			near = s.pool[0] &^ expandedBit
			if level == 0 && judge {
				node.kept = s.judgeHalves()
			}
		}
		if err := s.dropRetired(ctx, near, level); err != nil {
			return err
		}
		s.addBatch(st.nodes[:i], level)
		node.neighbours[level] = append([]uint32(nil), s.diverse(s.pool, g.cfg.M)...)
	}
	return nil
}

// addBatch adds the batch's earlier members on the level to the candidates.
func (s *searcher) addBatch(earlier []stagedNode, level int) {
	s.fresh = s.fresh[:0]
	for i := range earlier {
		if len(earlier[i].neighbours) > level {
			s.fresh = append(s.fresh, earlier[i].slot)
		}
	}
	s.pool = s.offer(s.pool, s.measure(), s.g.cfg.EfConstruct)
}

// dropRetired takes dead nodes from the candidates found from near on. Where
// hardly any others were found, it looks farther for some that live.
func (s *searcher) dropRetired(ctx context.Context, near uint64, level int) error {
	slots := s.g.slots
	if slots.Dead() == 0 {
		return nil
	}
	found := len(s.pool)
	s.pool = slots.dropRetired(s.pool)
	if level > 0 || found == 0 || len(s.pool) >= min(found, s.g.cfg.M) {
		return nil
	}
	s.reset()
	q := Query{Ef: s.g.cfg.EfConstruct, View: slots.living()}
	if err := s.walkAccepting(ctx, near, &q); err != nil {
		return err
	}
	// It came by the others, too.
	s.pool = append(s.pool[:0], s.found...)
	return nil
}

// diverse chooses up to limit of the candidates, sorted nearest first, by the
// heuristic of Algorithm 4: one is passed over if it is nearer to one already
// chosen than to the query. Places left are filled with the nearest of those
// passed over (keepPrunedConnections): 0.3 to 1 point of recall for nothing at
// search time. The result is valid until the next call.
//
// Each one chosen is compared at once with all that are left, which takes out
// those that it is in the way of.
func (s *searcher) diverse(candidates []uint64, limit int) []uint32 {
	s.picked = s.picked[:0]
	if len(candidates) <= limit {
		for _, k := range candidates {
			s.picked = append(s.picked, key(k).slot())
		}
		return s.picked
	}
	s.left = append(s.left[:0], candidates...)
	left, behind := s.left, s.behind[:0]
	for len(left) > 0 && len(s.picked) < limit {
		chosen := key(left[0]).slot()
		s.picked = append(s.picked, chosen)
		s.fresh = s.fresh[:0]
		for _, k := range left[1:] {
			s.fresh = append(s.fresh, key(k).slot())
		}
		kept := left[:0]
		for i, d := range s.measureFrom(chosen) {
			if k := left[i+1]; d < key(k).distance() {
				behind = append(behind, k)
			} else {
				kept = append(kept, k)
			}
		}
		left = kept
	}
	if missing := limit - len(s.picked); missing > 0 {
		slices.Sort(behind)
		for _, k := range behind[:min(missing, len(behind))] {
			s.picked = append(s.picked, key(k).slot())
		}
	}
	s.behind = behind
	return s.picked
}

// measureFrom computes the distances of the fresh slots from another slot, on
// bytes if there are codes.
func (s *searcher) measureFrom(slot uint32) []float32 {
	s.room()
	if s.codes != nil {
		s.codes.storedQuery(&s.pickedAs, slot)
		s.codes.bytes.compute(&s.pickedAs, s.fresh, s.dist)
	} else {
		s.g.dist.compute((*float32)(s.g.vectors.row(slot)), s.fresh, s.dist)
	}
	return s.dist
}

// Link makes the batch part of the graph. Whether it is visible is up to Slots.
func (st *Staged) Link() {
	g := st.g
	for i := range st.nodes {
		g.setNode(&st.nodes[i])
	}
	shares := max(1, min(st.workers, len(st.nodes)/linkLeast))
	var group sync.WaitGroup
	for share := range shares - 1 {
		group.Go(func() { st.linkBack(share+1, shares) })
	}
	st.linkBack(0, shares)
	group.Wait()
	g.grown += len(st.nodes)
	for i := range st.nodes {
		node := &st.nodes[i]
		g.ensureNamed(node)
		g.count.Add(1)
		level := len(node.neighbours) - 1
		// A node without a neighbour found none alive: searches begin with it.
		if _, top, ok := g.start(); !ok || level > top || len(node.neighbours[0]) == 0 {
			g.enterAt(node.slot, level)
		}
	}
}

// linkLeast is the least number of a batch's nodes that another worker links.
const linkLeast = 32

// linkBack adds the links from the neighbours of all nodes, of those neighbours
// that fall to this share. The links from one neighbour are added in the batch's
// order, so that the result is the same for any number of shares.
func (st *Staged) linkBack(share, shares int) {
	g := st.g
	s := g.acquire(nil)
	defer s.release()
	mine := func(n uint32) bool { return int(n)%shares == share }
	for i := range st.nodes {
		node := &st.nodes[i]
		for level, neighbours := range node.neighbours {
			for _, n := range neighbours {
				if level == 0 && mine(n) {
					kernels.Prefetch(g.base.row(n))
				}
			}
			for _, n := range neighbours {
				if mine(n) {
					s.linkBack(n, node.slot, level)
				}
			}
		}
	}
}

// enterAt makes searches begin at a node.
func (g *Graph) enterAt(slot uint32, level int) {
	g.entry.Store(uint64(level)<<32 | uint64(slot+1))
}

// setNode writes a node's own lists, before any other names it.
func (g *Graph) setNode(node *stagedNode) {
	for l, neighbours := range node.neighbours {
		setList(g.list(node.slot, l), neighbours)
	}
	atomic.StoreUint32(&g.nodes.words(node.slot, 2)[0], uint32(len(node.neighbours)))
}

// linkBack adds a link from node n to slot. A full list is chosen anew from its
// members and the slot, leaving some room so that the next ones are cheap. It returns how
// many retired slots that took out of it.
func (s *searcher) linkBack(n, slot uint32, level int) (retired int) {
	g := s.g
	list := g.list(n, level)
	s.fresh = readList(s.fresh[:0], list, noLimit)
	if len(s.fresh) < len(list) {
		at := len(s.fresh)
		if at+1 < len(list) {
			atomic.StoreUint32(&list[at+1], 0)
		}
		atomic.StoreUint32(&list[at], slot+1)
		return 0
	}
	s.fresh = append(s.fresh, slot)
	s.request()
	s.setRow(n)
	s.pool = s.pool[:0]
	s.pool = s.offer(s.pool, s.measure(), len(s.fresh))
	s.pool = g.slots.dropRetired(s.pool)
	retired = len(s.fresh) - len(s.pool)
	setList(list, s.diverse(s.pool, len(list)-len(list)/8))
	return retired
}
