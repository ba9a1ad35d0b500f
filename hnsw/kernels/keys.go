package kernels

import (
	"math"
	"math/bits"
)

// Key is a candidate in one word that sorts by distance, then by slot, which is below
// 1<<31. The lowest bit is left to the caller.
func Key(distance float32, slot uint32) uint64 {
	b := math.Float32bits(distance)
	b ^= uint32(int32(b)>>31) | 1<<31
	return uint64(b)<<32 | uint64(slot)<<1
}

// KeysRoom is how much longer than the slots the output of Keys is: it is written a
// register at a time.
const KeysRoom = 8

// Keys stores those keys of the slots, distances[i] away, that are less than limit in
// out and returns how many they are. Which ones are cannot be predicted, so there is
// no branch on it.
func Keys(l Level, distances []float32, slots []uint32, limit uint64, out []uint64) int {
	if len(slots) == 0 {
		return 0
	}
	_, _ = distances[len(slots)-1], out[len(slots)+KeysRoom-1]
	return makeKeys(l, distances, slots, limit, out)
}

func plainKeys(distances []float32, slots []uint32, limit uint64, out []uint64) int {
	n := 0
	for i, slot := range slots {
		k := Key(distances[i], slot)
		out[n] = k
		_, less := bits.Sub64(k, limit, 0)
		n += int(less)
	}
	return n
}

// Insert puts a key into a list that is sorted but for its last element, which is lost,
// and returns its place, behind its equals.
func Insert(l Level, list []uint64, key uint64) int { return insert(l, list, key) }

// plainInsert finds the place without a branch that depends on the key: none could be
// predicted.
func plainInsert(list []uint64, key uint64) int {
	last := len(list) - 1
	place := 0
	for left := last; left > 0; {
		half := (left + 1) >> 1
		_, greater := bits.Sub64(key, list[place+half-1], 0)
		place += half & (int(greater) - 1)
		left -= half
	}
	copy(list[place+1:], list[place:last])
	list[place] = key
	return place
}
