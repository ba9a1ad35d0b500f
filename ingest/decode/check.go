package decode

import (
	"math"

	"freshet/server"
)

// Check tells whether the collection takes an operation.
func Check(c *server.Collection, op *server.Op) error {
	if op.Kind != server.Upsert {
		return nil
	}
	vectors := op.Points[0].Vectors
	cfg := c.Config()
	for name, v := range vectors {
		params, ok := cfg.Vectors.Named[name]
		dense, isDense := v.(server.Dense)
		if !ok || !isDense {
			continue // for c.Check
		}
		if len(dense) != params.Size {
			return Bad(WrongDimension, "the vector %q has %d dimensions, the collection's has %d", name, len(dense), params.Size)
		}
		if params.Distance == server.Cosine && isZero(dense) {
			return Bad(ZeroVector, "the vector %q is all zeros", name)
		}
	}
	if err := c.Check(op); err != nil {
		return Bad(Rejected, "%v", err)
	}
	return nil
}

func isZero(v []float32) bool {
	for _, x := range v {
		if math.Abs(float64(x)) > 0 {
			return false
		}
	}
	return true
}
