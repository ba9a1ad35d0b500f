package hnsw

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync/atomic"
	"unsafe"

	"freshet/hnsw/kernels"
)

// Slots is the space of slots that the graphs of one collection share, and the
// clock by which they become visible. Each slot carries the tick at which it is
// born and the one at which it dies; Publish advances the clock, so everything
// staged since the last Publish changes at once for every new View, and an
// update (one slot dies, another is born) is never seen half done.
//
// A retired slot is used again once no list names it (see Repair) and no view is
// left that is older than that.
//
// One writer at a time calls everything but View, Len and Dead.
type Slots struct {
	marks *arena // per slot: tick of birth, tick of death (0: none)
	clock atomic.Uint64
	count atomic.Uint32
	dead  atomic.Uint32 // retired slots that lists may still name
	idle  atomic.Uint32 // slots that no list names: unlinked ones and free ones

	// What follows is the writer's.
	gone     bitset   // retired slots that are not free yet: what the marks say too, in less memory
	retirees []uint32 // the dead, in the order of their deaths
	free     []uint32 // descending, so that the lowest are used first
}

const markBytes = 16

// NewSlots returns an empty space.
func NewSlots() *Slots { return &Slots{marks: newArena(markBytes, markBytes)} }

// Alloc returns a slot that is not in use. It is invisible until Publish.
func (s *Slots) Alloc() (uint32, error) {
	if last := len(s.free) - 1; last >= 0 {
		slot := s.free[last]
		s.free = s.free[:last]
		s.idle.Add(^uint32(0))
		born, died := s.mark(slot)
		born.Store(s.clock.Load() + 1) // first: a slot with neither mark in the future would be visible
		died.Store(0)
		return slot, nil
	}
	slot := s.count.Load()
	if slot == maxSlots {
		return 0, errors.New("hnsw: a collection has room for 2^31 slots")
	}
	if err := s.marks.grow(slot); err != nil {
		return 0, err
	}
	born, _ := s.mark(slot)
	born.Store(s.clock.Load() + 1)
	s.count.Store(slot + 1)
	return slot, nil
}

// Restore marks a slot as in use from the next Publish on, when a collection is
// loaded. RestoreDone must follow before any other is allocated.
func (s *Slots) Restore(slot uint32) error {
	if slot >= maxSlots {
		return fmt.Errorf("hnsw: slot %d is beyond 2^31", slot)
	}
	for next := s.count.Load(); next <= slot; next = s.count.Load() {
		if err := s.marks.grow(next); err != nil {
			return err
		}
		s.count.Store(next + 1)
	}
	born, _ := s.mark(slot)
	born.Store(s.clock.Load() + 1)
	return nil
}

// RestoreDone makes the slots between those in use free.
func (s *Slots) RestoreDone() {
	var free []uint32
	for slot := range s.count.Load() {
		if born, _ := s.mark(slot); born.Load() == 0 {
			free = append(free, slot)
		}
	}
	s.release(free, 0)
}

// Retire makes a slot invisible from the next Publish on.
func (s *Slots) Retire(slot uint32) {
	_, died := s.mark(slot)
	died.Store(s.clock.Load() + 1)
	s.gone.grow(s.Len())
	s.gone.add(slot)
	s.retirees = append(s.retirees, slot)
	s.dead.Add(1)
}

// Release takes back slots that Alloc gave and that were linked nowhere.
func (s *Slots) Release(slots []uint32) { s.release(slots, 0) }

// release makes slots that no list names free; so many of them were idle before.
func (s *Slots) release(slots []uint32, idle int) {
	for _, slot := range slots {
		born, died := s.mark(slot)
		born.Store(0)
		died.Store(0)
		s.gone.remove(slot)
	}
	s.idle.Add(uint32(len(slots) - idle))
	s.free = append(s.free, slots...)
	slices.SortFunc(s.free, func(a, b uint32) int { return cmp.Compare(b, a) })
}

// trim takes the free slots behind the last one in use out of the space and gives
// their memory back.
func (s *Slots) trim() error {
	n := s.count.Load()
	drop := 0
	for drop < len(s.free) && s.free[drop] == n-1 {
		n--
		drop++
	}
	if drop == 0 {
		return nil
	}
	s.free = slices.Delete(s.free, 0, drop)
	s.idle.Add(-uint32(drop))
	s.count.Store(n)
	return s.marks.trim(int(n))
}

// unlinked notes that no list names the slots any more.
func (s *Slots) unlinked(slots []uint32) {
	s.dead.Add(-uint32(len(slots)))
	s.idle.Add(uint32(len(slots)))
}

// deadBefore returns the retired slots that no view from oldest on sees.
func (s *Slots) deadBefore(oldest View) []uint32 {
	n := sort.Search(len(s.retirees), func(i int) bool {
		_, died := s.mark(s.retirees[i])
		return died.Load() > oldest.tick
	})
	dead := slices.Clone(s.retirees[:n])
	s.retirees = slices.Delete(s.retirees, 0, n)
	return dead
}

// linked is the number of slots that lists may name, dead ones included.
func (s *Slots) linked() int { return int(s.count.Load() - s.idle.Load()) }

// maxSlots is bounded by the keys of candidates, see kernels.Key.
const maxSlots = 1 << 31

// Publish makes all births and deaths since the last call visible together.
func (s *Slots) Publish() { s.clock.Add(1) }

// Len is one more than the highest slot ever in use.
func (s *Slots) Len() int { return int(s.count.Load()) }

// Free is the number of slots that Alloc gives out before it takes new ones. The
// writer calls it.
func (s *Slots) Free() int { return len(s.free) }

// Dead is the number of slots retired, published or not, that lists may still
// name.
func (s *Slots) Dead() int { return int(s.dead.Load()) }

// Bytes is the memory that the slots' marks take.
func (s *Slots) Bytes() int64 { return s.marks.bytes() }

// Close gives the memory back. There must be no more readers.
func (s *Slots) Close() error { return s.marks.free() }

func (s *Slots) mark(slot uint32) (born, died *atomic.Uint64) {
	row := s.marks.row(slot)
	return (*atomic.Uint64)(row), (*atomic.Uint64)(unsafe.Add(row, 8))
}

// retired says whether the writer has retired the slot, published or not.
func (s *Slots) retired(slot uint32) bool { return s.gone.has(slot) }

// dropRetired takes the retired slots out of a list of keys.
func (s *Slots) dropRetired(keys []uint64) []uint64 {
	if s.Dead() == 0 {
		return keys
	}
	return slices.DeleteFunc(keys, func(k uint64) bool { return s.retired(key(k).slot()) })
}

// View is the state of a Slots at one tick. It costs nothing to keep.
type View struct {
	slots *Slots
	tick  uint64
}

// Tick tells views apart: that of a later one is greater.
func (v View) Tick() uint64 { return v.tick }

// View returns the state as of the last Publish.
func (s *Slots) View() View { return View{slots: s, tick: s.clock.Load()} }

// request asks for what Visible reads of a slot from memory.
func (v View) request(slot uint32) {
	if v.slots.marks.has(slot) {
		kernels.Prefetch(v.slots.marks.row(slot))
	}
}

// Visible says whether the slot is born and not dead in the view.
func (v View) Visible(slot uint32) bool {
	if !v.slots.marks.has(slot) {
		return false
	}
	// The death is read first: a slot that is taken back or used again loses its
	// birth before its death, so that a dead one is never taken for a living one.
	born, died := v.slots.mark(slot)
	d := died.Load()
	b := born.Load()
	return b != 0 && b <= v.tick && (d == 0 || d > v.tick)
}

// Born says whether the slot's birth is in the view, whatever came after.
func (v View) Born(slot uint32) bool {
	if !v.slots.marks.has(slot) {
		return false
	}
	born, _ := v.slots.mark(slot)
	b := born.Load()
	return b != 0 && b <= v.tick
}
