package hnsw

import (
	"context"
	"math"
	"slices"
	"sync/atomic"

	"freshet/hnsw/kernels"
)

// Links are made in both directions, but a list that becomes too long loses some, a
// repair takes nodes out, and a load finds lists that no longer fit each other. What
// follows sees to it that every living node is found all the same.

// living is the view of the writer: all that is not retired, published or not.
func (s *Slots) living() View { return View{slots: s, tick: math.MaxUint64} }

// ensureNamed makes one of a new node's neighbours name it, where none had room: each
// may be surrounded by copies of itself.
func (g *Graph) ensureNamed(node *stagedNode) {
	neighbours := node.neighbours[0]
	named := func(n uint32) bool { return names(g.list(n, 0), node.slot) }
	if len(neighbours) == 0 || slices.ContainsFunc(neighbours, named) {
		return
	}
	s := g.acquire(nil)
	defer s.release()
	s.lead(neighbours[0], node.slot)
}

// names says whether a list has the slot in it.
func names(list []uint32, slot uint32) bool {
	for i := range list {
		switch atomic.LoadUint32(&list[i]) {
		case slot + 1:
			return true
		case 0:
			return false
		}
	}
	return false
}

// leadSteps is how many nodes are tried one after the other before all are.
const leadSteps = 64

// lead makes a way from a node to a slot: a link from the node itself or, where that
// has no place for one, from another that it leads to. Around many copies of one vector
// the lists near by are all full, so it goes on at random: half of all nodes or so have
// room. There is one unless all lists are full and no three nodes name each other.
func (s *searcher) lead(from, slot uint32) {
	n, draw := from, uint64(slot)+1
	for range leadSteps {
		if s.host(n, slot) {
			return
		}
		if s.fresh = readList(s.fresh[:0], s.g.list(n, 0), s.limit); len(s.fresh) == 0 {
			break
		}
		draw = draw*0x5851f42d4c957f2d + 0x14057b7ef767814f // a linear congruential generator
		if n = s.fresh[draw>>33%uint64(len(s.fresh))]; n == slot {
			n = from
		}
	}
	s.reset()
	s.visit(from)
	s.visit(slot)
	for queue := []uint32{from}; len(queue) > 0; queue = queue[1:] {
		if s.host(queue[0], slot) {
			return
		}
		queue = s.gather(queue, queue[0], 0)
	}
}

// host links node n to the slot, if it can and is going to stay.
func (s *searcher) host(n, slot uint32) bool { return !s.g.doomed.has(n) && s.admit(n, slot) }

// admit adds a link from node n to the slot, if there is none and the list has room
// or a link to spare: one in place of which there is a way of two links.
func (s *searcher) admit(n, slot uint32) bool {
	list := s.g.list(n, 0)
	if names(list, slot) {
		return true
	}
	s.fresh = readList(s.fresh[:0], list, noLimit)
	if at := len(s.fresh); at < len(list) {
		if at+1 < len(list) {
			atomic.StoreUint32(&list[at+1], 0)
		}
		atomic.StoreUint32(&list[at], slot+1)
		return true
	}
	for at, spare := range slices.Backward(s.fresh) {
		for _, via := range s.fresh {
			if via != spare && names(s.g.list(via, 0), spare) {
				atomic.StoreUint32(&list[at], slot+1)
				return true
			}
		}
	}
	return false
}

// connection looks at a whole graph, some nodes at a time, and links what is not
// connected with the entry. Inserts may come between.
type connection struct {
	g       *Graph
	entry   uint32
	since   uint64 // nodes born later are none of its business: inserts connect them
	stage   int
	next    uint32   // node that the pass over all of them comes to next
	looked  int      // nodes that the pass has looked at
	got     int      // of them found to lead to the entry
	deep    bool     // the pass follows at once what it finds
	leads   bitset   // nodes from which there is a way to the entry
	reached bitset   // nodes to which there is one from it
	pending bitset   // those of them whose neighbours were not looked at
	stack   []uint32 // those last found to lead to it, or reached, whose neighbours were not looked at
}

// The stages of a connection.
const (
	sweeping  = iota // goes over the lists of all nodes until no more are found that lead to the entry
	leading          // gives those that do not a link to one that does
	spreading        // goes over what was reached from the entry as it lies in memory
	reaching         // follows what is left of that
	extending        // gives the others a link from one that was reached
	connected
)

// looksPerJoin is how many nodes a connection looks at in the time in which it joins one
// to others.
const looksPerJoin = 500

// growth is the share, one in so many, by which a graph grows between connections.
const growth = 2

// connectDue says whether the graph has grown enough for a connection.
func (g *Graph) connectDue() bool { return growth*g.grown > g.Len() && g.Len() > g.cfg.M }

// connect begins to look at the graph.
func (g *Graph) connect() *connection {
	g.grown = 0
	n := g.slots.Len()
	c := &connection{g: g, since: g.slots.clock.Load() + 1, leads: newBitset(nil, n), reached: newBitset(nil, n), pending: newBitset(nil, n)}
	var ok bool
	if c.entry, _, ok = g.start(); !ok {
		c.stage = connected
		return c
	}
	c.leads.add(c.entry)
	return c
}

// done says whether the graph is connected.
func (c *connection) done() bool { return c.stage == connected }

// step looks at about so many nodes, or fewer if it is done, and returns how many.
func (c *connection) step(ctx context.Context, nodes int) (looks int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s := c.g.acquire(nil)
	defer s.release()
	for ; looks < nodes && !c.done(); looks++ {
		if c.follow(s) {
			continue
		}
		switch c.stage {
		case spreading:
			c.spread(s)
			continue
		case reaching:
			c.stage++
		}
		found := c.found()
		c.next = found.missing(c.next)
		if int(c.next) >= 64*len(found) || int(c.next) >= c.g.slots.Len() {
			c.endPass()
			continue
		}
		slot := c.next
		c.next++
		joined, err := c.look(ctx, s, slot)
		if err != nil {
			return looks, err
		}
		if joined {
			looks += looksPerJoin
		}
	}
	return looks, nil
}

// endPass goes on with the next pass over all nodes, or to the next stage. While passes find
// most of what there is, they are the quickest: memory is read in the order in which it
// lies. Otherwise nodes may lead to each other against that order.
func (c *connection) endPass() {
	if c.stage != sweeping || c.got == 0 {
		c.stage++
	}
	c.deep = c.stage != sweeping || 2*c.got < c.looked
	c.next, c.looked, c.got = 0, 0, 0
	if c.stage == spreading {
		c.reached.add(c.entry)
		c.pending.add(c.entry)
	}
}

// spread goes on from the next node that is pending to its neighbours. Passes that come by
// few are left for following each.
func (c *connection) spread(s *searcher) {
	slot := c.pending.next(c.next)
	if int(slot) >= 64*len(c.pending) {
		if c.looked < len(c.pending) {
			for slot := c.pending.next(0); int(slot) < 64*len(c.pending); slot = c.pending.next(slot + 1) {
				c.stack = append(c.stack, slot)
			}
			c.stage++
		}
		c.next, c.looked = 0, 0
		return
	}
	c.pending.remove(slot)
	c.next = slot + 1
	c.looked++
	s.fresh = readList(s.fresh[:0], c.g.list(slot, 0), uint32(64*len(c.reached)))
	for _, n := range s.fresh {
		if !c.reached.has(n) {
			c.reached.add(n)
			c.pending.add(n)
		}
	}
}

// found is the set that the stage adds to.
func (c *connection) found() bitset {
	if c.stage >= spreading {
		return c.reached
	}
	return c.leads
}

// look does what the stage does with a node, and says whether it joined it to others.
func (c *connection) look(ctx context.Context, s *searcher, slot uint32) (joined bool, err error) {
	g := c.g
	if g.level(slot) < 0 || g.doomed.has(slot) {
		return false, nil
	}
	c.looked++
	switch {
	case c.stage == extending:
		if c.counts(slot) {
			return true, c.extend(ctx, s, slot)
		}
	case c.leadsOn(slot):
		c.got++
		if c.deep {
			c.leadsTo(slot)
		} else {
			c.leads.add(slot)
		}
	case c.stage == leading && c.counts(slot):
		return true, c.lead(ctx, s, slot)
	}
	return false, nil
}

// counts says whether a node has to be connected.
func (c *connection) counts(slot uint32) bool {
	born, died := c.g.slots.mark(slot)
	return died.Load() == 0 && born.Load() <= c.since
}

// leadsOn says whether a neighbour of the node leads to the entry.
func (c *connection) leadsOn(slot uint32) bool {
	list := c.g.list(slot, 0)
	for i := range list {
		n := atomic.LoadUint32(&list[i])
		if n == 0 {
			return false
		}
		if c.leads.has(n - 1) {
			return true
		}
	}
	return false
}

// follow goes from a node that was reached to its neighbours, or from one that leads to the
// entry to those of them that do so, too, mostly by naming it.
func (c *connection) follow(s *searcher) bool {
	last := len(c.stack) - 1
	if last < 0 {
		return false
	}
	list := c.g.list(c.stack[last], 0)
	c.stack = c.stack[:last]
	found := c.found()
	s.fresh = slices.DeleteFunc(readList(s.fresh[:0], list, uint32(64*len(found))), found.has)
	for _, n := range s.fresh {
		kernels.Prefetch(c.g.base.row(n))
	}
	for _, n := range s.fresh {
		switch {
		case c.stage >= reaching:
			c.reach(n)
		case !c.g.doomed.has(n) && c.leadsOn(n):
			c.leadsTo(n)
		}
	}
	return true
}

// leadsTo notes that a node leads to the entry.
func (c *connection) leadsTo(slot uint32) {
	c.leads.add(slot)
	c.stack = append(c.stack, slot)
}

func (c *connection) reach(slot uint32) {
	c.reached.add(slot)
	c.stack = append(c.stack, slot)
}

// lead links a node to others that lead to the entry.
func (c *connection) lead(ctx context.Context, s *searcher, slot uint32) error {
	nearest, err := c.search(ctx, s, slot, c.leads.has)
	if err != nil {
		return err
	}
	s.lead(slot, nearest)
	s.befriend(slot)
	c.leadsTo(slot)
	return nil
}

// extend links others that were reached to a node, and goes on from there.
func (c *connection) extend(ctx context.Context, s *searcher, slot uint32) error {
	nearest, err := c.search(ctx, s, slot, c.reached.has)
	if err != nil {
		return err
	}
	s.lead(nearest, slot)
	s.befriend(slot)
	c.reach(slot)
	for c.follow(s) {
	}
	return nil
}

// search leaves living nodes that are near the slot and accepted in s.found, of
// those that are reached from the entry, and returns the nearest; without one, the
// entry.
func (c *connection) search(ctx context.Context, s *searcher, slot uint32, accept func(uint32) bool) (nearest uint32, err error) {
	living := c.g.slots.living()
	q := Query{Ef: c.g.cfg.M, View: living, Accept: func(n uint32) bool { return n != slot && accept(n) && living.Visible(n) }}
	s.setRow(slot)
	s.reset()
	s.fresh = append(s.fresh[:0], c.entry)
	if err := s.walkAccepting(ctx, kernels.Key(s.measure()[0], c.entry), &q); err != nil || len(s.found) == 0 {
		return c.entry, err
	}
	return key(s.found[0]).slot(), nil
}

// befriend links a node and those found near it to each other, where there is room.
func (s *searcher) befriend(slot uint32) {
	for _, k := range s.found {
		s.linkIfRoom(slot, key(k).slot(), 0)
		s.linkIfRoom(key(k).slot(), slot, 0)
	}
}

// linkIfRoom adds a link from node x to n, unless there is one or the list is
// nearly full.
func (s *searcher) linkIfRoom(x, n uint32, level int) {
	list := s.g.list(x, level)
	s.fresh = readList(s.fresh[:0], list, noLimit)
	if at := len(s.fresh); at < len(list)-max(1, len(list)/8) && !slices.Contains(s.fresh, n) {
		atomic.StoreUint32(&list[at+1], 0)
		atomic.StoreUint32(&list[at], n+1)
	}
}
