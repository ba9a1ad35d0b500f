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
// beside writes at a pace at which they do not become twice as many meanwhile.
const (
	repairShare  = 25 // one dead slot in so many begins a repair
	repairLeast  = 64 // but so many do
	nodesADeath  = 30 // nodes visited for each slot that dies meanwhile
	nodesASlice  = 500
	betweenSlice = 5 * time.Millisecond // for writes, and for readers of old views to end
)

// idle returns a channel that delivers when it is time to go on with the repair,
// nil if there is none to do.
func (c *Collection) idle() <-chan time.Time {
	if !c.repairDue() {
		return nil
	}
	return time.After(betweenSlice)
}

func (c *Collection) repairDue() bool {
	return c.repair.Running() || c.slots.Dead() >= max(repairLeast, c.slots.Len()/repairShare)
}

// keepUp goes on with the repair after a group of writes.
func (c *Collection) keepUp() {
	if c.deaths > 0 && c.repairDue() {
		c.mend(c.deaths * nodesADeath)
	}
	c.deaths = 0
}

// mend visits so many nodes.
func (c *Collection) mend(nodes int) {
	freed, err := c.repair.Step(context.Background(), c.oldest(), nodes*len(c.graphs))
	if err != nil {
		c.log.Error("repair of the graph failed", "err", err)
	}
	c.ids.forget(freed)
	if err := c.storeNodes(c.repair.Stale(), c.storedBirth); err != nil {
		c.log.Error("neighbours could not be stored", "err", err)
	}
	if v := c.view.Load(); v != nil && c.repair.Holds(v.slots) {
		c.publish()
	}
}
