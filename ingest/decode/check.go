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
	if err := Fits(c.Config(), op); err != nil {
		return err
	}
	switch err := c.Check(op); server.KindOf(err) {
	case server.WrongInput, server.BadRequest, server.Invalid:
		return Bad(Rejected, "%v", err)
	default:
		return err // nil, or what may pass
	}
}

// Fits tells whether a collection of such a configuration takes the dense vectors of an
// upsert.
func Fits(cfg server.Config, op *server.Op) error {
	for name, v := range op.Points[0].Vectors {
		params, ok := cfg.Vectors.Named[name]
		dense, isDense := v.(server.Dense)
		if !ok || !isDense {
			continue // for Collection.Check
		}
		if len(dense) != params.Size {
			return Bad(WrongDimension, "the vector %q has %d dimensions, the collection's has %d", name, len(dense), params.Size)
		}
		if params.Distance == server.Cosine && isZero(dense) {
			return Bad(ZeroVector, "the vector %q is all zeros", name)
		}
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
