//go:build !race

package hnsw

import (
	"context"
	"testing"
)

// The race detector makes pools forget at random, so this runs without it.
func TestSearchDoesNotAllocate(t *testing.T) {
	w := newWorld(t, Config{Dim: 32, Metric: Cosine})
	w.insert(clustered(11, 1000, 32), 100, 1)
	q := w.query(clustered(11, 1, 32)[0], 10, 64)
	dst := make([]Hit, 0, 10)
	search := func() {
		if _, err := w.g.Search(context.Background(), q, dst); err != nil {
			t.Fatal(err)
		}
	}
	search()
	if n := testing.AllocsPerRun(100, search); n >= 1 {
		t.Errorf("a search allocates %v times", n)
	}
}
