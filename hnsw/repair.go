package hnsw

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync/atomic"
	"unsafe"

	"freshet/hnsw/kernels"
)

// Repair takes retired slots out of the lists of the graphs that share them, in
// slices between a writer's batches, and gives the slots out again. A slot goes
// through these states:
//
//   - retired: walked through, found by views from before its death;
//   - doomed: no such view is left, and every list is visited once; one that names
//     a doomed slot gets others in its place, and then what that has cut off is
//     connected again;
//   - unlinked: no list names it, but searches that began before may be there;
//   - free: no view from before is left.
//
// All methods are for the writer, while nothing is staged.
type Repair struct {
	slots  *Slots
	graphs []*Graph

	visiting bool
	doomed   []uint32
	graph    int         // that is visited
	next     uint32      // slot that is visited next
	apart    *connection // once all were, looks for what is
	limit    uint32      // slots from here on came later, and name no doomed one

	unlinked []uint32
	tick     uint64 // views from this one on began after all were unlinked
}

// NewRepair returns the repair of all graphs over the slots.
func NewRepair(slots *Slots, graphs ...*Graph) *Repair { return &Repair{slots: slots, graphs: graphs} }

// Add makes a new graph over the slots one that is repaired.
func (r *Repair) Add(g *Graph) {
	if len(r.doomed) > 0 {
		g.doomed, g.ordered = newBitset(r.doomed, int(r.limit)), newBitset(nil, int(r.limit))
	}
	r.graphs = append(r.graphs, g)
}

// Remove leaves a graph alone from now on.
func (r *Repair) Remove(g *Graph) {
	i := slices.Index(r.graphs, g)
	switch {
	case i < 0:
		return
	case i < r.graph:
		r.graph--
	case i == r.graph:
		r.next, r.apart = 0, nil
	}
	r.graphs = slices.Delete(r.graphs, i, i+1)
}

// Pending says whether there is anything to repair or to free.
func (r *Repair) Pending() bool { return r.slots.Dead() > 0 || r.Running() || r.Grown() }

// Running says whether lists are being visited, or unlinked slots wait to be free.
func (r *Repair) Running() bool { return r.visiting || len(r.unlinked) > 0 }

// Grown says whether so many nodes have come that the graphs should be visited for
// that alone: their links may have cut others off.
func (r *Repair) Grown() bool { return slices.ContainsFunc(r.graphs, (*Graph).connectDue) }

// Holds says whether unlinked slots cannot become free while the view is read.
func (r *Repair) Holds(v View) bool { return len(r.unlinked) > 0 && v.tick < r.tick }

// Step visits about so many nodes. oldest is the oldest view that is still read.
// It returns the slots that have become free.
func (r *Repair) Step(ctx context.Context, oldest View, nodes int) (freed []uint32, err error) {
	if len(r.unlinked) > 0 && oldest.tick >= r.tick {
		freed, r.unlinked = r.unlinked, nil
		for _, g := range r.graphs {
			g.forget(freed)
		}
		r.slots.release(freed, len(freed))
		if err := r.trim(); err != nil {
			return freed, err
		}
	}
	if len(r.unlinked) > 0 {
		return freed, nil
	}
	if !r.visiting {
		r.begin(oldest)
	}
	for nodes > 0 && r.visiting {
		visited, err := r.visit(ctx, nodes)
		if err != nil {
			return freed, err
		}
		nodes -= visited
	}
	return freed, nil
}

// trim gives back the memory behind the last slot in use.
func (r *Repair) trim() error {
	if err := r.slots.trim(); err != nil {
		return err
	}
	n := r.slots.Len()
	for _, g := range r.graphs {
		if err := g.trim(n); err != nil {
			return err
		}
	}
	return nil
}

// trim gives back the memory of slots that are not in use. Nodes keep theirs: it
// is little, and says which upper lists a slot has.
func (g *Graph) trim(n int) error {
	arenas := []*arena{g.base}
	if g.vectors != nil {
		arenas = append(arenas, g.vectors)
	}
	if c := g.codes.Load(); c != nil {
		arenas = append(arenas, c.arenas()...)
	}
	var errs []error
	for _, a := range arenas {
		errs = append(errs, a.trim(n))
	}
	return errors.Join(errs...)
}

// begin chooses the slots that are taken out next.
func (r *Repair) begin(oldest View) {
	r.doomed = r.slots.deadBefore(oldest)
	r.visiting = len(r.doomed) > 0 || r.Grown()
	r.graph, r.next, r.limit = 0, 0, 0
	if len(r.doomed) == 0 {
		return
	}
	r.limit = uint32(r.slots.Len())
	doomed := newBitset(r.doomed, int(r.limit))
	for _, g := range r.graphs {
		g.doomed, g.ordered = doomed, newBitset(nil, int(r.limit))
		g.leaveEntry()
	}
}

// visit mends the lists of some nodes and returns how many.
func (r *Repair) visit(ctx context.Context, nodes int) (int, error) {
	if r.graph == len(r.graphs) {
		r.end()
		return 0, nil
	}
	g := r.graphs[r.graph]
	if r.next == r.limit {
		return r.connect(ctx, g, nodes)
	}
	end := min(r.limit, r.next+uint32(nodes))
	if err := g.mend(ctx, r.next, end); err != nil {
		return 0, err
	}
	visited := int(end - r.next)
	r.next = end
	return visited, nil
}

// end notes that no list names the doomed slots any more.
func (r *Repair) end() {
	r.visiting = false
	if len(r.doomed) == 0 {
		return
	}
	for _, g := range r.graphs {
		g.doomed, g.ordered = nil, nil
	}
	r.slots.unlinked(r.doomed)
	r.slots.Publish()
	r.tick = r.slots.clock.Load()
	r.unlinked, r.doomed = r.doomed, nil
}

// looksPerVisit is how many nodes a connection looks at in the time of a visit.
const looksPerVisit = 8

// connect goes on with connecting the graph, and to the next one when it is.
func (r *Repair) connect(ctx context.Context, g *Graph, nodes int) (visited int, err error) {
	if r.apart == nil {
		r.apart = g.connect()
	}
	looks, err := r.apart.step(ctx, looksPerVisit*nodes)
	if err == nil && r.apart.done() {
		r.graph, r.next, r.apart = r.graph+1, 0, nil
	}
	return looks / looksPerVisit, err
}

// forget removes the nodes of slots that no list names.
func (g *Graph) forget(slots []uint32) {
	for _, slot := range slots {
		if g.Has(slot) {
			atomic.StoreUint32(&g.nodes.words(slot, 2)[0], 0)
			if int(slot) < len(g.mended) {
				g.mended[slot] = 0
			}
			g.count.Add(-1)
		}
	}
}

// staleShare is the share of its neighbours, one in so many, that a node may lose
// before they are stored again. A load replaces what it finds lost, but by less than
// a repair sees.
const staleShare = 3

// outdate notes that a node has lost some of its neighbours.
func (g *Graph) outdate(slot uint32, lost int) {
	if missing := g.slots.Len() - len(g.mended); missing > 0 {
		g.mended = append(g.mended, make([]uint8, missing)...)
	}
	lost += int(g.mended[slot])
	if lost*staleShare > g.cfg.M {
		lost = 0
		g.stale = append(g.stale, slot)
	}
	g.mended[slot] = uint8(min(lost, math.MaxUint8))
}

// Stale returns the slots whose neighbours, as they were stored, have mostly been
// taken out since, in any of the graphs. It returns each once; the writer stores
// what Graph.Neighbours says.
func (r *Repair) Stale() []uint32 {
	var slots []uint32
	for _, g := range r.graphs {
		slots = append(slots, g.stale...)
		g.stale = g.stale[:0]
	}
	slices.Sort(slots)
	return slices.DeleteFunc(slices.Compact(slots), r.slots.retired)
}

// leaveEntry makes searches begin at the highest of the nodes that live, or else of
// those that a view may still show, if they began at a doomed one. If all are doomed the
// graph is empty: no view shows any of them.
func (g *Graph) leaveEntry() {
	entry, _, ok := g.start()
	if !ok || !g.doomed.has(entry) {
		return
	}
	var best uint32
	highest, lives := -1, false
	for slot := range uint32(g.slots.Len()) {
		level := g.level(slot)
		if level < 0 || g.doomed.has(slot) {
			continue
		}
		if living := !g.slots.retired(slot); living && !lives || living == lives && level > highest {
			best, highest, lives = slot, level, living
		}
	}
	if highest < 0 {
		g.entry.Store(0)
		return
	}
	g.enterAt(best, highest)
}

// mend takes the doomed slots out of the lists of the nodes in [from, to).
func (g *Graph) mend(ctx context.Context, from, to uint32) error {
	s := g.acquire(nil)
	defer s.release()
	s.reset()
	for slot := from; slot < to; slot++ {
		if g.doomed.has(slot) {
			continue
		}
		for level := g.level(slot); level >= 0; level-- {
			if !s.mendList(slot, level) && level == 0 {
				if err := s.rejoin(ctx, slot); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// mendList takes the doomed neighbours out of a list. One that was a bridge, for hardly any
// of its neighbours are among those that stay, is replaced by the neighbour nearest to it,
// and so is any if few stay. The others led where the rest leads too, and what is inserted
// later takes their places. Inserts into a full graph make short links only: without its
// bridges a graph that is replaced again and again would lose the ways to what is far away.
// The new neighbours get links back, as from an insert: where points only leave, nothing else
// would make links to those that stay. It returns false if hardly any neighbours are left.
func (s *searcher) mendList(n uint32, level int) bool {
	g := s.g
	list := g.list(n, level)
	s.picked, s.lost = s.picked[:0], s.lost[:0]
	for i := range list {
		slot := list[i]
		if slot == 0 {
			break
		}
		if slot--; g.doomed.has(slot) {
			kernels.Prefetch(unsafe.Pointer(&g.list(slot, level)[0]))
			s.lost = append(s.lost, slot)
		} else {
			s.picked = append(s.picked, slot)
		}
	}
	if len(s.lost) == 0 {
		return true
	}
	kept, before := len(s.picked), len(s.picked)+len(s.lost)
	s.pickHeirs(n, level)
	setList(list, s.picked)
	if level == 0 {
		g.outdate(n, len(s.lost))
	}
	length := len(s.picked)
	s.added = append(s.added[:0], s.picked[kept:]...)
	for _, x := range s.added {
		s.linkMended(x, n, level)
	}
	return length >= min(before, g.cfg.M)/2
}

// pickHeirs adds to s.picked, the neighbours of n that stay, those that take the places of
// s.lost. A neighbour was a bridge if it and n have less than a fifth of M in common.
func (s *searcher) pickHeirs(n uint32, level int) {
	m := s.g.cfg.M
	s.visitPicked(n)
	for _, slot := range s.lost {
		heir, common := s.heir(slot, level)
		if heir != noLimit && (common < m/5 || len(s.picked) < m+m/4) {
			s.picked = append(s.picked, heir)
			s.visit(heir)
		}
	}
	s.forgetPicked(n)
}

// heir returns the living neighbour nearest to a doomed slot of those that are not visited,
// noLimit if there is none, and how many are visited.
func (s *searcher) heir(slot uint32, level int) (heir uint32, common int) {
	g := s.g
	if !g.ordered.has(slot) {
		s.order(slot)
		g.ordered.add(slot)
	}
	heir = noLimit
	s.fresh = readList(s.fresh[:0], g.list(slot, level), s.limit)
	for _, x := range s.fresh {
		switch {
		case s.wasVisited(x):
			common++
		case heir == noLimit && !g.slots.retired(x):
			heir = x
		}
	}
	return heir, common
}

// order sorts the lists of a doomed slot by nearness to it: all that name it ask for the
// nearest.
func (s *searcher) order(slot uint32) {
	for level := s.g.level(slot); level >= 0; level-- {
		list := s.g.list(slot, level)
		s.fresh = readList(s.fresh[:0], list, s.limit)
		s.pool = s.offer(s.pool[:0], s.measureFrom(slot), len(s.fresh))
		for i, k := range s.pool {
			s.fresh[i] = key(k).slot()
		}
		setList(list, s.fresh)
	}
}

// linkMended adds a link from node x to n, unless there is one.
func (s *searcher) linkMended(x, n uint32, level int) {
	s.fresh = readList(s.fresh[:0], s.g.list(x, level), noLimit)
	if slices.Contains(s.fresh, n) {
		return
	}
	if retired := s.linkBack(x, n, level); retired > 0 && level == 0 {
		s.g.outdate(x, retired)
	}
}

// rejoin gives a node neighbours as an insert would, and them links to it.
func (s *searcher) rejoin(ctx context.Context, n uint32) error {
	g := s.g
	entry, top, ok := g.start()
	if !ok || entry == n {
		return nil
	}
	s.setRow(n)
	near := s.descend(entry, top, 0)
	s.reset()
	s.visit(n)
	err := s.walk(ctx, near, 0, g.cfg.EfConstruct, 0)
	if err == nil {
		err = s.dropRetired(ctx, near, 0)
	}
	s.pool = slices.DeleteFunc(s.pool, func(k uint64) bool { return key(k).slot() == n })
	neighbours := slices.Clone(s.diverse(s.pool, g.cfg.M))
	s.reset()
	if err != nil || len(neighbours) == 0 {
		return err
	}
	setList(g.list(n, 0), neighbours)
	for _, m := range neighbours {
		s.linkMended(m, n, 0)
	}
	return nil
}
