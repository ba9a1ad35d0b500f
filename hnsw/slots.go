package hnsw

import (
	"sync/atomic"
	"unsafe"
)

// Slots is the space of slots that the graphs of one collection share, and the
// clock by which they become visible. Each slot carries the tick at which it is
// born and the one at which it dies; Publish advances the clock, so everything
// staged since the last Publish changes at once for every new View, and an
// update (one slot dies, another is born) is never seen half done.
//
// One writer at a time calls Alloc, Retire and Publish.
type Slots struct {
	marks *arena // per slot: tick of birth, tick of death (0: none)
	clock atomic.Uint64
	count atomic.Uint32
	dead  atomic.Uint32 // retired slots that lists may still name
}

const markBytes = 16

// NewSlots returns an empty space.
func NewSlots() *Slots { return &Slots{marks: newArena(markBytes, markBytes)} }

// Alloc returns a new slot. It is invisible until Publish.
func (s *Slots) Alloc() (uint32, error) {
	slot := s.count.Load()
	if err := s.marks.grow(slot); err != nil {
		return 0, err
	}
	born, _ := s.mark(slot)
	born.Store(s.clock.Load() + 1)
	s.count.Store(slot + 1)
	return slot, nil
}

// Retire makes a slot invisible from the next Publish on.
func (s *Slots) Retire(slot uint32) {
	_, died := s.mark(slot)
	died.Store(s.clock.Load() + 1)
	s.dead.Add(1)
}

// Publish makes all births and deaths since the last call visible together.
func (s *Slots) Publish() { s.clock.Add(1) }

// Len is the number of slots ever allocated.
func (s *Slots) Len() int { return int(s.count.Load()) }

// Dead is the number of slots retired, published or not.
func (s *Slots) Dead() int { return int(s.dead.Load()) }

// Close gives the memory back. There must be no more readers.
func (s *Slots) Close() error { return s.marks.free() }

func (s *Slots) mark(slot uint32) (born, died *atomic.Uint64) {
	row := s.marks.row(slot)
	return (*atomic.Uint64)(row), (*atomic.Uint64)(unsafe.Add(row, 8))
}

// retired says whether the writer has retired the slot, published or not.
func (s *Slots) retired(slot uint32) bool {
	_, died := s.mark(slot)
	return died.Load() != 0
}

// View is the state of a Slots at one tick. It costs nothing to keep.
type View struct {
	slots *Slots
	tick  uint64
}

// View returns the state as of the last Publish.
func (s *Slots) View() View { return View{slots: s, tick: s.clock.Load()} }

// Visible says whether the slot is born and not dead in the view.
func (v View) Visible(slot uint32) bool {
	if !v.slots.marks.has(slot) {
		return false
	}
	born, died := v.slots.mark(slot)
	b, d := born.Load(), died.Load()
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
