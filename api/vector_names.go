package api

import (
	"encoding/json"

	"freshet/server"
)

// createVector adds a named vector to a collection.
func createVector(r *request) (any, error) {
	return r.changeIndexes(func(c *server.Collection) error {
		var body struct {
			Dense  json.RawMessage      `json:"dense"`
			Sparse *server.SparseParams `json:"sparse"`
		}
		if err := r.decode(&body); err != nil {
			return err
		}
		name := r.param("vector")
		hasDense := len(body.Dense) > 0 && string(body.Dense) != "null"
		switch {
		case hasDense == (body.Sparse != nil):
			return badFormat("data did not match any variant of untagged enum VectorNameConfig")
		case hasDense:
			params, err := server.ParseVectorParams(body.Dense)
			if err != nil {
				return badFormat("dense: %v", err)
			}
			return r.s.db.CreateVector(r.ctx, c.Name(), name, params)
		default:
			return r.s.db.CreateSparseVector(r.ctx, c.Name(), name, *body.Sparse)
		}
	})
}

// dropVector removes a named vector from a collection and its points.
func dropVector(r *request) (any, error) {
	return r.changeIndexes(func(c *server.Collection) error {
		return r.s.db.DropVector(r.ctx, c.Name(), r.param("vector"))
	})
}
