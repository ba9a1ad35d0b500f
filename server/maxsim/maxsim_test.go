package maxsim_test

import (
	"context"
	"math"
	"testing"

	"freshet/hnsw"
	"freshet/server/maxsim"
)

func TestIndex(t *testing.T) {
	x := maxsim.New(2, hnsw.Euclid)
	empty := x.Bytes()
	x.Put(5000, []float32{0, 0, 3, 4})
	if !x.Has(5000) || x.Has(0) || x.Has(1<<31) || x.Bytes() <= empty {
		t.Fatal("a slot is not where it was put")
	}
	s := x.Scorer([]float32{3, 5, 0, 2})
	got, err := s.Similarity(context.Background(), 5000)
	if err != nil || got != -5 || x.Score(got) != float32(math.Sqrt(5)) {
		t.Errorf("%v, %v", got, err)
	}
	if got, _ = s.Similarity(context.Background(), 4999); got != -math.MaxFloat32 {
		t.Errorf("a slot without rows is at %v", got)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err = s.Similarity(ended, 5000); err == nil {
		t.Error("it goes on after its context has ended")
	}
	full := x.Bytes()
	x.Put(5000, []float32{1, 1})
	if x.Bytes() >= full {
		t.Error("rows that were replaced are counted")
	}
	x.Free([]uint32{5000, 1 << 31})
	if x.Has(5000) || x.Bytes() >= full {
		t.Error("a slot that was freed is there")
	}
}

func TestExtremesStayFinite(t *testing.T) {
	const big = math.MaxFloat32
	for metric, want := range map[hnsw.Metric]float32{hnsw.Dot: big, hnsw.Euclid: -big, hnsw.Manhattan: -big} {
		x := maxsim.New(2, metric)
		x.Put(0, []float32{big, big})
		query := []float32{big, big}
		if metric != hnsw.Dot {
			query = []float32{-big, -big}
		}
		if got, err := x.Scorer(query).Similarity(context.Background(), 0); err != nil || got != want {
			t.Errorf("%v: %v, %v", metric, got, err)
		}
	}
}
