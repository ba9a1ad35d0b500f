package decode

import (
	"errors"
	"testing"

	"freshet/server"
)

// TestZeroVector has no direction, which only the cosine asks for.
func TestZeroVector(t *testing.T) {
	for _, distance := range []server.Distance{server.Cosine, server.Dot, server.Euclid, server.Manhattan} {
		cfg := server.Config{Vectors: server.VectorsConfig{Single: true, Named: map[string]server.VectorParams{"": {Size: 2, Distance: distance}}}}
		err := Fits(cfg, &server.Op{Points: []server.Point{{Vectors: server.Vectors{"": server.Dense{0, 0}}}}})
		bad, isBad := errors.AsType[*Error](err)
		if isBad != (distance == server.Cosine) || isBad && bad.Reason != ZeroVector {
			t.Errorf("%v: %v", distance, err)
		}
	}
}
