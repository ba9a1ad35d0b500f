package hnsw

import (
	"context"
	"fmt"
	"slices"

	"freshet/hnsw/kernels"
)

// Loader puts an empty graph together from vectors and from the neighbours that
// were once chosen for them, without a search: the links back are the chosen ones
// turned round, and a list that would be too long is chosen anew from its members.
// A start then takes a tenth of what filling took (bench restart, a million vectors).
//
// Nodes come first, then Learn, then vectors, then Link. There must be no readers.
type Loader struct {
	g     *Graph
	known []nodeAge // by slot; zero for a slot whose neighbours are not known
}

// nodeAge is when the vector of a node was written and when its neighbours were
// last stored. A neighbour that is younger than that took the slot of the one that
// was meant.
type nodeAge struct{ born, stored uint64 }

// NewLoader returns the loader of a graph without nodes.
func NewLoader(g *Graph) *Loader { return &Loader{g: g} }

// Node gives the neighbours of a slot at each level, as Staged.All and
// Graph.Neighbours return them. Ones that do not fit the graph are left out, and
// chosen by Link.
func (l *Loader) Node(slot uint32, born, stored uint64, neighbours [][]uint32) error {
	g := l.g
	level := g.levelOf(slot)
	if born == 0 || stored < born || len(neighbours) != level+1 {
		return nil
	}
	if err := g.grow(slot); err != nil {
		return err
	}
	for i := range neighbours {
		if len(neighbours[i]) > len(g.list(slot, i)) {
			return nil
		}
	}
	for i := range neighbours {
		setList(g.list(slot, i), neighbours[i])
	}
	for len(l.known) <= int(slot) {
		l.known = append(l.known, nodeAge{})
	}
	l.known[slot] = nodeAge{born, stored}
	return nil
}

// Learn takes a sample of the vectors that are to come, and how many come: what they
// have in common is not to be learned, and all codes made anew, while they arrive. A
// load can go without.
func (l *Loader) Learn(sample [][]float32, vectors int) {
	g := l.g
	if g.cfg.coded() && g.codes.Load() == nil {
		g.codes.Store(g.newCodes(sample))
		g.drift = drift{learnedAt: vectors}
	}
}

// Vectors adds vectors. They are copied, if the graph is to hold them.
func (l *Loader) Vectors(items []Item, workers int) error {
	g := l.g
	for _, item := range items {
		if len(item.Vector) != g.cfg.Dim {
			return fmt.Errorf("hnsw: a vector of %d dimensions for a graph of %d", len(item.Vector), g.cfg.Dim)
		}
		if g.Has(item.Slot) {
			return fmt.Errorf("hnsw: slot %d is in the graph already", item.Slot)
		}
		if err := g.grow(item.Slot); err != nil {
			return err
		}
		g.hold(item)
	}
	if err := g.encode(items, workers); err != nil {
		return err
	}
	for _, item := range items {
		g.nodes.words(item.Slot, 2)[0] = uint32(g.levelOf(item.Slot)) + 1
	}
	g.count.Add(int64(len(items)))
	return nil
}

// linkBatch is how many nodes whose neighbours are not known are placed at a time.
const linkBatch = 512

// Link makes the nodes a graph and returns the slots whose neighbours were chosen
// anew. After an error the graph is of no use.
func (l *Loader) Link(ctx context.Context, workers int) (placed []uint32, err error) {
	g := l.g
	total := uint32(g.slots.Len())
	for len(l.known) < int(total) {
		l.known = append(l.known, nodeAge{})
	}
	if err := l.forgetUseless(ctx, workers); err != nil {
		return nil, err
	}
	top, entry := -1, uint32(0)
	for slot := range total {
		level := g.level(slot)
		if level < 0 {
			continue
		}
		if l.known[slot].born == 0 {
			placed = append(placed, slot)
		} else if level > top {
			top, entry = level, slot
		}
	}
	for level := top; level >= 0; level-- {
		if err := l.linkLevel(ctx, level, workers); err != nil {
			return nil, err
		}
	}
	if top >= 0 {
		g.enterAt(entry, top)
	}
	for some := range slices.Chunk(placed, linkBatch) {
		if err := g.place(ctx, some, workers); err != nil {
			return nil, err
		}
	}
	for c := g.connect(); !c.done(); {
		if _, err := c.step(ctx, 1<<16); err != nil {
			return nil, err
		}
	}
	l.judge()
	return placed, nil
}

// place chooses neighbours for nodes that are loaded but not linked.
func (g *Graph) place(ctx context.Context, slots []uint32, workers int) error {
	st := &Staged{g: g, workers: workers, nodes: make([]stagedNode, len(slots))}
	for i, slot := range slots {
		st.nodes[i] = stagedNode{slot: slot, neighbours: make([][]uint32, g.level(slot)+1)}
	}
	if err := st.place(ctx, workers); err != nil {
		return err
	}
	st.Link()
	g.count.Add(-int64(len(slots))) // they were counted when their vectors came
	return nil
}

// linkLevel turns the chosen neighbours of a level into lists.
func (l *Loader) linkLevel(ctx context.Context, level, workers int) error {
	g := l.g
	lost := make([]uint32, len(l.known)) // how many neighbours a node has lost since they were stored
	err := l.eachKnown(ctx, level, workers, func(s *searcher, slot uint32) {
		lost[slot] = s.check(l, slot, level)
	})
	if err != nil {
		return err
	}
	err = l.linkBoth(ctx, level, workers, func(dst []uint32, slot uint32) []uint32 {
		if l.known[slot].born == 0 {
			return dst
		}
		return readList(dst, g.list(slot, level), noLimit)
	})
	if err != nil {
		return err
	}
	found, err := l.replaceLost(ctx, level, workers, lost)
	if err != nil || len(found) == 0 {
		return err
	}
	return l.linkBoth(ctx, level, workers, func(dst []uint32, slot uint32) []uint32 { return append(dst, found[slot]...) })
}

// eachKnown does something with each node of a level whose neighbours are known.
func (l *Loader) eachKnown(ctx context.Context, level, workers int, do func(s *searcher, slot uint32)) error {
	return l.g.inParallel(ctx, len(l.known), workers, func(s *searcher, begin, end uint32) {
		for slot := begin; slot < end; slot++ {
			if l.known[slot].born != 0 && l.g.level(slot) >= level {
				do(s, slot)
			}
		}
	})
}

// check drops what cannot be a neighbour of the slot from its list, and returns
// how many that are.
func (s *searcher) check(l *Loader, slot uint32, level int) (lost uint32) {
	list := s.g.list(slot, level)
	named, valid := s.valid(l, slot, level)
	setList(list, valid)
	return uint32(named - len(valid))
}

// valid returns how many neighbours the slot's list names, and those of them that were
// there when it was stored. They are the searcher's.
func (s *searcher) valid(l *Loader, slot uint32, level int) (named int, valid []uint32) {
	s.fresh = readList(s.fresh[:0], s.g.list(slot, level), noLimit)
	valid = s.fresh[:0]
	for _, n := range s.fresh {
		if n == slot || n >= uint32(len(l.known)) || s.g.level(n) < level || slices.Contains(valid, n) {
			continue
		}
		if born := l.known[n].born; born != 0 && born <= l.known[slot].stored {
			valid = append(valid, n)
		}
	}
	return len(s.fresh), valid
}

// forgetUseless makes nodes unknown that have lost most of their neighbours: those
// left do not lead to others nearby. It does not go on with those that lose theirs by
// that, or hardly any node would be left; a connection looks after them.
func (l *Loader) forgetUseless(ctx context.Context, workers int) error {
	useless := newBitset(nil, len(l.known)) // parts of inParallel share no word
	err := l.eachKnown(ctx, 0, workers, func(s *searcher, slot uint32) {
		if named, valid := s.valid(l, slot, 0); 4*len(valid) < named {
			useless.add(slot)
		}
	})
	if err != nil {
		return err
	}
	for slot := range uint32(len(l.known)) {
		if useless.has(slot) {
			l.known[slot].born = 0
		}
	}
	return nil
}

// linkBoth links each node to some others, which are appended to dst, and them to it.
func (l *Loader) linkBoth(ctx context.Context, level, workers int, others func(dst []uint32, slot uint32) []uint32) error {
	g := l.g
	total := uint32(len(l.known))
	// Who names a node, node after node: once all are in, those of slot s are
	// from[ends[s-1]:ends[s]].
	ends := make([]uint32, total+1)
	var some []uint32
	for slot := range total {
		if g.level(slot) >= level {
			some = others(some[:0], slot)
			for _, n := range some {
				ends[n+1]++
			}
		}
	}
	for i := range total {
		ends[i+1] += ends[i]
	}
	from := make([]uint32, ends[total])
	for slot := range total {
		if g.level(slot) >= level {
			some = others(some[:0], slot)
			for _, n := range some {
				from[ends[n]] = slot
				ends[n]++
			}
		}
	}
	return g.inParallel(ctx, int(total), workers, func(s *searcher, begin, end uint32) {
		var chosen []uint32
		for slot := begin; slot < end; slot++ {
			if g.level(slot) < level {
				continue
			}
			first := uint32(0)
			if slot > 0 {
				first = ends[slot-1]
			}
			chosen = others(chosen[:0], slot)
			s.linkAll(slot, level, chosen, from[first:ends[slot]])
		}
	})
}

// linkAll adds those chosen for node n, and those it was chosen for, to its list.
func (s *searcher) linkAll(n uint32, level int, chosen, chosenFor []uint32) {
	g := s.g
	list := g.list(n, level)
	s.fresh = readList(s.fresh[:0], list, noLimit)
	for _, some := range [][]uint32{chosen, chosenFor} {
		known := len(s.fresh)
		for _, slot := range some {
			if !slices.Contains(s.fresh[:known], slot) {
				s.fresh = append(s.fresh, slot)
			}
		}
	}
	if len(s.fresh) <= len(list) {
		setList(list, s.fresh)
		return
	}
	s.request()
	s.setRow(n)
	s.pool = s.pool[:0]
	for i, d := range s.measure() {
		s.pool = append(s.pool, kernels.Key(d, s.fresh[i]))
	}
	slices.Sort(s.pool)
	setList(list, s.diverse(s.pool, len(list)-len(list)/8))
}

// replaceLost chooses, for nodes that have lost some of their neighbours, others
// among the neighbours of those they have.
func (l *Loader) replaceLost(ctx context.Context, level, workers int, lost []uint32) (map[uint32][]uint32, error) {
	g := l.g
	var slots []uint32
	for slot, n := range lost {
		if n > 0 {
			slots = append(slots, uint32(slot))
		}
	}
	found := make([][]uint32, len(slots))
	err := g.inParallel(ctx, len(slots), workers, func(s *searcher, begin, end uint32) {
		s.reset()
		for i := begin; i < end; i++ {
			s.picked = readList(s.picked[:0], g.list(slots[i], level), noLimit)
			kept := len(s.picked)
			s.setRow(slots[i])
			s.pickMissing(slots[i], level, int(lost[slots[i]]))
			found[i] = slices.Clone(s.picked[kept:])
		}
	})
	all := make(map[uint32][]uint32, len(slots))
	for i, slot := range slots {
		all[slot] = found[i]
	}
	return all, err
}

// pickTries is how many candidates are looked at for each neighbour that is missing.
const pickTries = 4

// pickMissing adds so many neighbours for n, the query, to those in s.picked, from among
// the neighbours of these: the nearest of those that are nearer to the node than to its other
// neighbours, and if that leaves places, the nearest.
func (s *searcher) pickMissing(n uint32, level, missing int) {
	limit := len(s.picked) + missing
	s.secondHand(n, level)
	s.request()
	s.pool = s.pool[:0]
	s.pool = s.offer(s.pool, s.measure(), pickTries*missing)
	s.pool = s.g.slots.dropRetired(s.pool)
	for i, k := range s.pool {
		if len(s.picked) < limit && s.spread(key(k).slot(), key(k).distance()) {
			s.picked = append(s.picked, key(k).slot())
			s.pool[i] |= expandedBit
		}
	}
	for _, k := range s.pool {
		if len(s.picked) < limit && k&expandedBit == 0 {
			s.picked = append(s.picked, key(k).slot())
		}
	}
}

// spread says whether the slot is nearer to the query, at the distance given,
// than to every one picked.
func (s *searcher) spread(slot uint32, distance float32) bool {
	s.fresh = append(s.fresh[:0], s.picked...)
	for _, d := range s.measureFrom(slot) {
		if d < distance {
			return false
		}
	}
	return true
}

// secondHand leaves the neighbours of those in s.picked in s.fresh, without n and these.
func (s *searcher) secondHand(n uint32, level int) {
	s.visitPicked(n)
	s.fresh = s.fresh[:0]
	for _, d := range s.picked {
		s.fresh = s.gather(s.fresh, d, level)
	}
	s.forgetPicked(n)
	for _, slot := range s.fresh {
		s.forgetVisit(slot)
	}
}

// judge lets searches of some of the nodes tell whether 4-bit codes are good
// enough, as inserts do.
func (l *Loader) judge() {
	g := l.g
	c := g.codes.Load()
	entry, top, ok := g.start()
	if c == nil || c.halves == nil || !ok {
		return
	}
	total := uint32(g.slots.Len())
	for slot := uint32(0); slot < total; slot += max(1, total/judgeFade) {
		if !g.Has(slot) {
			continue
		}
		s := g.acquire(nil)
		s.setRow(slot)
		near := s.descend(entry, top, 0)
		s.reset()
		if s.walk(context.Background(), near, 0, g.cfg.EfConstruct, 0) == nil {
			s.codes.judge(s.judgeHalves())
		}
		s.release()
	}
}

// Neighbours returns the living neighbours of a slot at each level, nil if it has
// no node. The writer calls it.
func (g *Graph) Neighbours(slot uint32) [][]uint32 {
	var levels [][]uint32
	for level := 0; level <= g.level(slot); level++ {
		levels = append(levels, slices.DeleteFunc(readList(nil, g.list(slot, level), noLimit), g.slots.retired))
	}
	return levels
}
