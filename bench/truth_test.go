package main

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// small returns vectors of length 1 with some repeated.
func small(seed uint64, rows, dim int) *matrix {
	r := rand.New(rand.NewPCG(seed, 0))
	m := &matrix{rows: rows, dim: dim}
	for range rows * dim {
		m.data = append(m.data, float32(r.NormFloat64()))
	}
	for i := 0; i+1 < rows; i += 7 {
		copy(m.row(i+1), m.row(i))
	}
	m.normalize()
	return m
}

func TestExact(t *testing.T) {
	base, queries := small(1, 500, 20), small(2, 70, 20) // more than two blocks of queries
	few := make([]bool, base.rows)
	for i := range 4 {
		few[100*i+3] = true
	}
	odd := make([]bool, base.rows)
	for i := range odd {
		odd[i] = i%2 == 1
	}
	for name, accept := range map[string][]bool{"all": nil, "odd": odd, "fewer than k": few} {
		kth, err := exact(context.Background(), base, queries, accept)
		if err != nil {
			t.Fatal(err)
		}
		for q := range queries.rows {
			var scores []float64
			for i := range base.rows {
				if accept == nil || accept[i] {
					scores = append(scores, dot(queries.row(q), base.row(i)))
				}
			}
			slices.Sort(scores)
			want := scores[max(len(scores)-k, 0)]
			if math.Abs(float64(kth[q])-want) > 1e-7 {
				t.Fatalf("%s, query %d: %v, want %v", name, q, kth[q], want)
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := exact(ctx, base, queries, nil); err == nil {
		t.Error("a cancelled search for the truth is no error")
	}
}

func TestFound(t *testing.T) {
	// Row i has the product 1−i/100 with the query; row 12 is a copy of row 9.
	base := &matrix{rows: 13, dim: 2}
	for i := range 12 {
		base.data = append(base.data, 1-float32(i)/100, 0)
	}
	base.data = append(base.data, base.row(9)...)
	query := []float32{1, 0}
	kth := base.row(9)[0]
	for _, c := range []struct {
		name string
		rows []int
		want int
	}{
		{"all", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 10},
		{"a tie is no miss", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 12}, 10},
		{"a wrong one", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 10}, 9},
		{"one twice", []int{0, 0, 1, 2, 3, 4, 5, 6, 7, 8}, 9},
		{"none there", []int{-1, -1, 13, 0}, 1},
		{"only the first k count", []int{11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 0}, 0},
		{"nothing", nil, 0},
	} {
		if got := found(query, base, kth, c.rows); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestKeepBest(t *testing.T) {
	var best []scored
	for i, score := range []float32{3, 9, 1, 7, 7, 8} {
		best = keepBest(best, scored{i, score}, 3)
	}
	if want := []scored{{1, 9}, {5, 8}, {3, 7}}; !slices.Equal(best, want) && !slices.Equal(best, []scored{{1, 9}, {5, 8}, {4, 7}}) {
		t.Errorf("%v, want %v", best, want)
	}
}
