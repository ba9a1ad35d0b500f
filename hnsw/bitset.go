package hnsw

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
