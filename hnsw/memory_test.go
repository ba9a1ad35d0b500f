package hnsw

import (
	"fmt"
	"testing"
)

// perVector is the formula of docs/operations.md: bytes for each vector.
func perVector(dim, m int, cfg Config) float64 {
	lines := func(bytes int) float64 { return float64((bytes + 63) / 64 * 64) }
	n := lines(8*m) + 8 + lines(4*m)/float64(m-1) + markBytes
	if cfg.Vectors == nil {
		n += lines(4 * dim)
	}
	if cfg.Codes == NoCodes || cfg.Metric == Manhattan || dim <= 16 {
		return n
	}
	eight, four := lines(dim)+16, lines((dim+1)/2)+16
	n += eight
	if cfg.Codes == AutoCodes && dim >= 128 {
		n += four
	}
	return n
}

// TestBytesPerVector compares the formula with what graphs report, and with what
// the system has given their arenas.
func TestBytesPerVector(t *testing.T) {
	const n = countedVectors
	for _, dim := range []int{64, 384, 1536} {
		for name, cfg := range map[string]Config{
			"default": {}, "8 bits": {Codes: ByteCodes}, "no codes": {Codes: NoCodes}, "on disk": {Vectors: &shelf{}}, "Manhattan, M 32": {Metric: Manhattan, M: 32},
		} {
			t.Run(fmt.Sprintf("%d/%s", dim, name), func(t *testing.T) {
				cfg.Dim, cfg.EfConstruct = dim, 20
				w := newWorld(t, cfg)
				if s, ok := cfg.Vectors.(*shelf); ok {
					s.vectors = w.vectors
				}
				w.insert(clustered(1, n, dim), 500, 2)
				want := n * perVector(dim, w.g.cfg.M, cfg)
				got := float64(w.g.Memory().Total() + w.slots.Bytes())
				if got < 0.95*want || got > 1.05*want {
					t.Errorf("%.0f bytes a vector, the formula says %.0f", got/n, want/n)
				}
				arenas := []*arena{w.slots.marks, w.g.base, w.g.nodes, w.g.upper}
				if w.g.vectors != nil {
					arenas = append(arenas, w.g.vectors)
				}
				if c := w.g.codes.Load(); c != nil {
					arenas = append(arenas, c.arenas()...)
				}
				taken, fixed := 0.0, 0.0
				for _, a := range arenas {
					taken += float64(resident(t, a))
					fixed += fixedBytes(a)
				}
				if taken < 0.95*want || taken > 1.05*want+fixed {
					t.Errorf("%.0f bytes a vector are taken, the formula says %.0f, and %.0f in all for beginnings", taken/n, want/n, fixed)
				}
			})
		}
	}
}
