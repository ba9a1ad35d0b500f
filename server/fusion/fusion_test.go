package fusion

import (
	"math"
	"testing"

	"freshet/hnsw"
)

func list(scores ...float32) []hnsw.Hit {
	hits := make([]hnsw.Hit, len(scores))
	for i, s := range scores {
		hits[i] = hnsw.Hit{Slot: uint32(i), Score: s}
	}
	return hits
}

func reversed(hits []hnsw.Hit) []hnsw.Hit {
	out := make([]hnsw.Hit, 0, len(hits))
	for i := range hits {
		out = append(out, hits[len(hits)-1-i])
	}
	return out
}

func expect(t *testing.T, got []hnsw.Hit, want map[uint32]float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for _, h := range got {
		w, ok := want[h.Slot]
		if !ok || math.Abs(float64(h.Score)-w) > 1e-6 {
			t.Errorf("slot %d scores %v, want %v (found: %v)", h.Slot, h.Score, w, ok)
		}
	}
}

func TestReciprocalRanks(t *testing.T) {
	for _, test := range []struct {
		name    string
		lists   [][]hnsw.Hit
		k       int
		weights []float32
		want    map[uint32]float64
	}{
		{"nothing", nil, 2, nil, nil},
		{"empty lists", [][]hnsw.Hit{nil, {}}, 2, nil, nil},
		{"one list", [][]hnsw.Hit{list(9, 8, 7)}, 2, nil, map[uint32]float64{0: 1.0 / 2, 1: 1.0 / 3, 2: 1.0 / 4}},
		{"first in both", [][]hnsw.Hit{list(9, 8), list(0.5)}, 2, nil, map[uint32]float64{0: 1, 1: 1.0 / 3}},
		{"k", [][]hnsw.Hit{list(9, 8)}, 60, nil, map[uint32]float64{0: 1.0 / 60, 1: 1.0 / 61}},
		{"weights", [][]hnsw.Hit{list(1, 1), reversed(list(1, 1))}, 60, []float32{3, 1}, map[uint32]float64{
			0: 1/(1.0/3+59) + 1.0/61, 1: 1/(2.0/3+59) + 1.0/60,
		}},
		{"a weight of 0", [][]hnsw.Hit{list(1), reversed(list(1, 1))}, 2, []float32{0, 1}, map[uint32]float64{0: 1.0 / 3, 1: 0.5}},
	} {
		t.Run(test.name, func(t *testing.T) {
			expect(t, ReciprocalRanks(test.lists, test.k, test.weights), test.want)
		})
	}
}

func TestDistributions(t *testing.T) {
	// Of 1, 2, 3 the mean is 2 and the deviation 1, so they are 2/6, 3/6 and 4/6.
	for _, test := range []struct {
		name  string
		lists [][]hnsw.Hit
		want  map[uint32]float64
	}{
		{"nothing", nil, nil},
		{"an empty list", [][]hnsw.Hit{nil}, nil},
		{"one score", [][]hnsw.Hit{list(7)}, map[uint32]float64{0: 0.5}},
		{"equal scores", [][]hnsw.Hit{list(7, 7)}, map[uint32]float64{0: 0.5, 1: 0.5}},
		{"three scores", [][]hnsw.Hit{list(3, 2, 1)}, map[uint32]float64{0: 4.0 / 6, 1: 0.5, 2: 2.0 / 6}},
		{"two lists", [][]hnsw.Hit{list(3, 2, 1), list(100)}, map[uint32]float64{0: 7.0 / 6, 1: 0.5, 2: 2.0 / 6}},
	} {
		t.Run(test.name, func(t *testing.T) { expect(t, Distributions(test.lists), test.want) })
	}
}

func TestHitsComeInTheOrderOfTheirFirstAppearance(t *testing.T) {
	got := ReciprocalRanks([][]hnsw.Hit{reversed(list(1, 2)), list(1, 2, 3)}, DefaultK, nil)
	for i, want := range []uint32{1, 0, 2} {
		if got[i].Slot != want {
			t.Fatalf("got %v", got)
		}
	}
}
