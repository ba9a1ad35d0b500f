package server

import (
	"context"
	"time"
)

// The writer repairs the graphs (see hnsw.Repair) when it has nothing else to do,
// and between groups of writes once there are many dead slots.
//
// Each dead slot costs memory, and searches walk through it; each repair looks at
// every list once. So one begins when there is a share of dead slots, and goes on
// beside writes at a pace at which they do not become twice as many meanwhile. Without
// any dead, one that only connects what later links have cut off begins when the
// graphs have grown.
const (
	repairShare  = 25 // one dead slot in so many begins a repair
	repairLeast  = 64 // but so many do
	nodesADeath  = 30 // nodes visited for each slot that dies meanwhile
	nodesABirth  = 4  // and for each that is born
	nodesASlice  = 500
	betweenSlice = 5 * time.Millisecond // for writes, and for readers of old views to end
	withoutRoom  = time.Second          // until the next look whether there is any
	afterFault   = 10 * time.Second     // as of a disk that cannot be read
)

// After large deletes free slots lie between those in use, and memory is given back
// only from the last one in use on. So the points in the last slots are then moved to
// the first free ones: each takes a new slot as an update does, and what is read of it
// stays the same.
const (
	compactLeast = 1024 // slots
	compactSlice = 32   // points
)

// idle returns a channel that delivers when it is time to go on with the repair,
// nil if there is none to do.
func (c *Collection) idle() <-chan time.Time {
	if !c.repairDue() {
		return nil
	}
	return time.After(c.pause())
}

// pause is how long the next slice has to wait.
func (c *Collection) pause() time.Duration {
	switch {
	case c.faulty:
		return afterFault
	case c.store.Writable() != nil:
		return withoutRoom
	default:
		return betweenSlice
	}
}

func (c *Collection) repairDue() bool {
	return c.compactTo > 0 || len(c.dropped) > 0 || c.sparse() || c.mendDue()
}

func (c *Collection) mendDue() bool {
	return c.repair.Running() || c.repair.Grown() || c.slots.Dead() >= max(repairLeast, c.slots.Len()/repairShare)
}

// sparse says whether most of the slots are free.
func (c *Collection) sparse() bool {
	total := c.slots.Len()
	return total >= compactLeast && 2*c.slots.Free() > total
}

// maintain does a slice of what there is to do.
func (c *Collection) maintain() {
	c.closeDropped()
	if c.store.Writable() != nil {
		return
	}
	moved, err := c.compact()
	if c.faulty = err != nil; c.faulty {
		c.log.Error("compaction failed", "err", err)
		c.compactTo = 0
	}
	if !moved || c.mendDue() {
		c.mend(nodesASlice)
	}
}

// compact moves some of the points beyond the first c.compactTo slots, if there are
// any. What they leave behind is for the repair.
func (c *Collection) compact() (moved bool, err error) {
	if c.compactTo == 0 && c.sparse() {
		c.compactAt = c.slots.Len()
		c.compactTo = c.compactAt - c.slots.Free() - c.slots.Dead()
		c.compactTo += c.compactTo/16 + 1
	}
	if c.compactTo == 0 {
		return false, nil
	}
	now := c.slots.View()
	tx := c.begin()
	for c.compactAt > c.compactTo && len(tx.order) < compactSlice {
		c.compactAt--
		if slot := uint32(c.compactAt); now.Visible(slot) {
			if err := tx.relocate(c.ids.key(slot)); err != nil {
				return false, err
			}
		}
	}
	if len(tx.order) == 0 && !c.repair.Pending() {
		c.compactTo = 0
	}
	return len(tx.order) > 0, tx.flush()
}

// keepUp goes on with the repair after a group of writes.
func (c *Collection) keepUp() {
	if nodes := c.deaths*nodesADeath + c.births*nodesABirth; nodes > 0 && c.mendDue() {
		c.mend(nodes)
	}
	c.deaths, c.births = 0, 0
}

// mend visits so many nodes.
func (c *Collection) mend(nodes int) {
	freed, err := c.repair.Step(context.Background(), c.oldest(), nodes*max(1, len(c.set().graphs)))
	if err != nil {
		c.log.Error("repair of the graph failed", "err", err)
	}
	if len(freed) > 0 {
		c.ids.forget(freed)
		for _, x := range c.set().sparse {
			x.Free(freed)
		}
		for _, x := range c.set().multi {
			x.Free(freed)
		}
	}
	if err := c.storeNodes(c.repair.Stale(), c.storedBirth); err != nil {
		c.log.Error("neighbours could not be stored", "err", err)
	}
	if v := c.view.Load(); v != nil && c.repair.Holds(v.slots) {
		c.publish()
	}
}
