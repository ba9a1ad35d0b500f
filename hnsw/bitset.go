package hnsw

import "math/bits"

// bitset is a set of slots.
type bitset []uint64

func newBitset(slots []uint32, size int) bitset {
	b := make(bitset, (size+63)/64)
	for _, slot := range slots {
		b.add(slot)
	}
	return b
}

func (b bitset) add(slot uint32) { b[slot>>6] |= 1 << (slot & 63) }

func (b bitset) has(slot uint32) bool {
	word := int(slot >> 6)
	return word < len(b) && b[word]&(1<<(slot&63)) != 0
}

// missing returns the first slot from a given one on that is not in the set; where all are,
// one that the set has no room for.
func (b bitset) missing(from uint32) uint32 {
	for word := int(from >> 6); word < len(b); word++ {
		if out := ^b[word] >> (from & 63) << (from & 63); out != 0 {
			return uint32(64*word + bits.TrailingZeros64(out))
		}
		from = 0
	}
	return uint32(64 * len(b))
}

// next returns the first slot from a given one on that is in the set; without one, one that
// the set has no room for.
func (b bitset) next(from uint32) uint32 {
	for word := int(from >> 6); word < len(b); word++ {
		if in := b[word] >> (from & 63) << (from & 63); in != 0 {
			return uint32(64*word + bits.TrailingZeros64(in))
		}
		from = 0
	}
	return uint32(64 * len(b))
}

func (b bitset) remove(slot uint32) {
	if b.has(slot) {
		b[slot>>6] &^= 1 << (slot & 63)
	}
}

// grow makes room for slots below size.
func (b *bitset) grow(size int) {
	if missing := (size+63)/64 - len(*b); missing > 0 {
		*b = append(*b, make(bitset, missing)...)
	}
}
