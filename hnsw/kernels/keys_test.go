package kernels

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// checkKeys compares all levels with what is sorted and searched by the library.
func checkKeys(t *testing.T, random *rand.Rand, length int) {
	t.Helper()
	distances, slots := make([]float32, length), make([]uint32, length)
	for i := range slots {
		slots[i] = random.Uint32() >> 1
		switch random.IntN(4) {
		case 0:
			distances[i] = float32(random.NormFloat64())
		case 1:
			distances[i] = float32(random.IntN(3) - 1)
		case 2:
			distances[i] = math.Float32frombits(random.Uint32())
		default:
			distances[i] = float32(math.Inf(random.IntN(2)*2 - 1))
		}
	}
	var all []uint64
	for i, slot := range slots {
		all = append(all, Key(distances[i], slot))
	}
	for i, a := range all {
		if uint32(a>>1)<<1>>1 != slots[i] || a&1 != 0 {
			t.Fatalf("the key of slot %d is %x", slots[i], a)
		}
		for j, b := range all {
			if distances[i] < distances[j] && a >= b {
				t.Fatalf("keys of %v and %v: %x and %x", distances[i], distances[j], a, b)
			}
		}
	}
	limits := append([]uint64{0, math.MaxUint64, 1 << 63}, all[:min(2, length)]...)
	for level := Plain; level <= Best; level++ {
		for _, limit := range limits {
			var want []uint64
			for _, k := range all {
				if k < limit {
					want = append(want, k)
				}
			}
			out := make([]uint64, length+KeysRoom+1)
			out[length+KeysRoom] = 42
			n := Keys(level, distances, slots, limit, out)
			if !slices.Equal(out[:n], want) {
				t.Fatalf("%v: keys below %x: %x, want %x of %v, %v", level, limit, out[:n], want, distances, slots)
			}
			if out[length+KeysRoom] != 42 {
				t.Fatalf("%v wrote beyond its output", level)
			}
		}
		var sorted []uint64
		for _, k := range append(all, limits...) {
			want, _ := slices.BinarySearch(sorted, k+1) // behind its equals
			if k == math.MaxUint64 {
				want = len(sorted)
			}
			list := append(slices.Clone(sorted), random.Uint64(), 42)
			place := Insert(level, list[:len(list)-1], k)
			sorted = slices.Insert(sorted, want, k)
			if place != want || !slices.Equal(list[:len(list)-1], sorted) || list[len(list)-1] != 42 {
				t.Fatalf("%v put %x at %d of %x, want %d of %x", level, k, place, list, want, sorted)
			}
		}
	}
}

func TestKeys(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 500 {
		checkKeys(t, random, random.IntN(70))
	}
}

func FuzzKeys(f *testing.F) {
	f.Add(uint64(1), uint8(33))
	f.Add(uint64(2), uint8(0))
	f.Fuzz(func(t *testing.T, seed uint64, length uint8) {
		checkKeys(t, rand.New(rand.NewPCG(seed, 1)), int(length))
	})
}
