package kernels

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// checkGather compares all levels with a map.
func checkGather(t *testing.T, random *rand.Rand, slots, length int, zero bool) {
	t.Helper()
	r, _ := codeArena(slots, 100, 3, func() byte { return 1 })
	limit := uint32(random.IntN(slots + 1))
	list := make([]uint32, length)
	for i := range list {
		list[i] = uint32(random.IntN(slots)) + 1
		if zero && random.IntN(16) == 0 {
			list[i] = 0
		}
	}
	before := make([]uint64, (slots+63)/64)
	seen := map[uint32]bool{}
	for range slots / 4 {
		slot := uint32(random.IntN(slots))
		seen[slot] = true
		before[slot>>6] |= 1 << (slot & 63)
	}
	var want []uint32
	for _, s := range list {
		if s == 0 {
			break
		}
		if s-1 < limit && !seen[s-1] {
			seen[s-1] = true
			want = append(want, s-1)
		}
	}
	terms := []*Rows{nil, r}[random.IntN(2)]
	for level := Plain; level <= Best; level++ {
		visited, out := slices.Clone(before), make([]uint32, length+1)
		out[length] = 42
		n := Gather(level, list, visited, limit, r, terms, out)
		if !slices.Equal(out[:n], want) {
			t.Fatalf("%v: %v, want %v (list %v, limit %d)", level, out[:n], want, list, limit)
		}
		if out[length] != 42 {
			t.Fatalf("%v wrote beyond its output", level)
		}
		for slot := range uint32(slots) {
			if got := visited[slot>>6]&(1<<(slot&63)) != 0; got != seen[slot] {
				t.Fatalf("%v: slot %d is marked: %v, want %v", level, slot, got, seen[slot])
			}
		}
	}
}

func TestGather(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		checkGather(t, random, 1+random.IntN(200), random.IntN(70), random.IntN(2) == 0)
	}
}

func FuzzGather(f *testing.F) {
	f.Add(uint64(1), uint8(100), uint8(32), true)
	f.Add(uint64(2), uint8(0), uint8(0), false)
	f.Fuzz(func(t *testing.T, seed uint64, slots, length uint8, zero bool) {
		checkGather(t, rand.New(rand.NewPCG(seed, 1)), int(slots)+1, int(length), zero)
	})
}
