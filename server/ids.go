package server

import (
	"hash/maphash"
	"sync"

	"freshet/hnsw"
)

// idTable maps point ids to slots and back. A slot is one version of a point:
// an update takes a new slot that remembers the one before it, so a reader
// finds the version its view can see by walking back, until that is forgotten. The
// collection's writer changes the table, anyone may read it.
//
// It holds no pointers per point: ids lie encoded in byte chunks and are found
// by a 128-bit hash under a random seed, so the garbage collector does not walk
// it however many points there are.
type idTable struct {
	mu      sync.RWMutex
	newest  map[idHash]uint32
	entries []idEntry // by slot
	chunks  [][]byte
	stored  int // bytes in the chunks
	garbage int // of them, of ids that are gone
	seeds   [2]maphash.Seed
}

type idHash [2]uint64

type idEntry struct {
	chunk, offset uint32
	length        uint16
	gone          bool   // retired by the writer, perhaps not yet for every reader
	previous      uint32 // slot of the version before, or noSlot
	operation     uint64 // that wrote the slot, or unread or rewritten
}

const (
	noSlot      = ^uint32(0)
	idChunkSize = 256 << 10
)

// Values of idEntry.operation that no operation has.
const (
	unread    = 0          // storage knows; it can be noted here
	rewritten = ^uint64(0) // only storage knows, view by view
)

func newIDTable() *idTable {
	return &idTable{
		newest: make(map[idHash]uint32),
		seeds:  [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
	}
}

func (t *idTable) hash(key []byte) idHash {
	return idHash{maphash.Bytes(t.seeds[0], key), maphash.Bytes(t.seeds[1], key)}
}

// put makes slot the newest version of the id with the encoded key. operation
// is the one that wrote it, or unread.
func (t *idTable) put(key []byte, slot uint32, operation uint64) {
	h := t.hash(key)
	t.mu.Lock()
	defer t.mu.Unlock()
	for uint32(len(t.entries)) <= slot {
		t.entries = append(t.entries, idEntry{gone: true, previous: noSlot})
	}
	e := idEntry{previous: noSlot, operation: operation}
	if before, ok := t.newest[h]; ok {
		old := t.entries[before]
		e.chunk, e.offset, e.length, e.previous = old.chunk, old.offset, old.length, before
	} else {
		e.chunk, e.offset = t.store(key)
		e.length = uint16(len(key))
	}
	t.entries[slot] = e
	t.newest[h] = slot
}

func (t *idTable) store(key []byte) (chunk, offset uint32) {
	last := len(t.chunks) - 1
	if last < 0 || len(t.chunks[last])+len(key) > cap(t.chunks[last]) {
		t.chunks = append(t.chunks, make([]byte, 0, idChunkSize))
		last++
	}
	offset = uint32(len(t.chunks[last]))
	t.chunks[last] = append(t.chunks[last], key...)
	t.stored += len(key)
	return uint32(last), offset
}

// forget drops versions that no view sees any more, so that their slots can be
// used again.
func (t *idTable) forget(slots []uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, slot := range slots {
		key := t.bytes(t.entries[slot])
		h := t.hash(key)
		if later := t.newest[h]; later == slot {
			delete(t.newest, h)
			t.garbage += len(key)
		} else {
			for t.entries[later].previous != slot {
				later = t.entries[later].previous
			}
			t.entries[later].previous = noSlot
		}
		t.entries[slot] = idEntry{gone: true, previous: noSlot}
	}
	if t.garbage > idChunkSize && t.garbage > t.stored/2 {
		t.compact()
	}
}

// compact gives back the memory of ids that are gone. Readers keep what key
// returned to them.
func (t *idTable) compact() {
	before := t.chunks
	t.chunks, t.stored, t.garbage = nil, 0, 0
	newest := make(map[idHash]uint32, len(t.newest))
	for h, slot := range t.newest {
		newest[h] = slot
		e := t.entries[slot]
		chunk, offset := t.store(before[e.chunk][e.offset : e.offset+uint32(e.length)])
		for ; slot != noSlot; slot = t.entries[slot].previous {
			t.entries[slot].chunk, t.entries[slot].offset = chunk, offset
		}
	}
	t.newest = newest
}

func (t *idTable) bytes(e idEntry) []byte {
	end := e.offset + uint32(e.length)
	return t.chunks[e.chunk][e.offset:end:end]
}

// retire marks the slot as gone for the writer.
func (t *idTable) retire(slot uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entries[slot].gone = true
}

// rewrite notes that the point of the slot has been written again without a
// new slot. The writer calls it before it publishes the write.
func (t *idTable) rewrite(slot uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entries[slot].operation = rewritten
}

// learn notes the operation that wrote a slot, as storage tells it.
func (t *idTable) learn(slot uint32, operation uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := &t.entries[slot]; e.operation == unread {
		e.operation = operation
	}
}

// current returns the slot of the id's newest version, for the writer.
func (t *idTable) current(key []byte) (uint32, bool) {
	h := t.hash(key)
	t.mu.RLock()
	defer t.mu.RUnlock()
	slot, ok := t.newest[h]
	if !ok || t.entries[slot].gone {
		return noSlot, false
	}
	return slot, true
}

// owner returns the encoded id whose newest version has the slot, for the writer.
func (t *idTable) owner(slot uint32) (key []byte, ok bool) {
	t.mu.RLock()
	if int(slot) >= len(t.entries) || t.entries[slot].gone {
		t.mu.RUnlock()
		return nil, false
	}
	t.mu.RUnlock()
	key = t.key(slot)
	newest, ok := t.current(key)
	return key, ok && newest == slot
}

// visible returns the slot of the id's version that the view sees.
func (t *idTable) visible(key []byte, view hnsw.View) (uint32, bool) {
	h := t.hash(key)
	t.mu.RLock()
	defer t.mu.RUnlock()
	slot, ok := t.newest[h]
	if !ok {
		return noSlot, false
	}
	for slot != noSlot && !view.Born(slot) {
		slot = t.entries[slot].previous
	}
	return slot, slot != noSlot && view.Visible(slot)
}

// key returns the encoded id of a slot. The bytes never change.
func (t *idTable) key(slot uint32) []byte {
	key, _ := t.written(slot)
	return key
}

// written returns the encoded id of a slot and the operation that wrote it, or
// unread or rewritten.
func (t *idTable) written(slot uint32) (key []byte, operation uint64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	e := t.entries[slot]
	return t.bytes(e), e.operation
}
