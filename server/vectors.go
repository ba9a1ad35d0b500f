package server

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"freshet/hnsw"
	"freshet/storage"
)

// getter is the store as of now or as of a snapshot.
type getter interface {
	Get(dst, key []byte) ([]byte, error)
}

// vectorReader reads the vectors of one name from the store, for a graph that
// does not hold them. It is for one goroutine.
type vectorReader struct {
	space    storage.Space
	name     string
	unscaled bool // stored vectors are not of the length that the graph wants
	store    getter
	owner    func(slot uint32) (id []byte, ok bool)
	key, val []byte
}

// ReadVector stores the vector of a slot in dst, as the graph wants it.
func (r *vectorReader) ReadVector(slot uint32, dst []float32) (bool, error) {
	ok, err := r.stored(slot, dst)
	if ok && r.unscaled {
		hnsw.Normalize(dst)
	}
	return ok, err
}

// stored stores the vector of a slot in dst, as it is.
func (r *vectorReader) stored(slot uint32, dst []float32) (bool, error) {
	id, ok := r.owner(slot)
	if !ok {
		return false, nil
	}
	r.key = storage.AppendKey(r.key[:0], storage.Vector, r.space, id)
	var err error
	if r.val, err = r.store.Get(r.val[:0], r.key); err != nil {
		if errors.Is(err, storage.ErrNotFound) {
			return false, nil
		}
		return false, err
	}
	return findVector(r.val, r.name, dst)
}

// newestVectors reads what the store has now, for the writer: a version that has
// been replaced is not there any more.
func (c *Collection) newestVectors(name string, params VectorParams) hnsw.VectorReader {
	return &vectorReader{
		space: c.space, name: name, unscaled: params.unscaled(), store: c.store, owner: c.ids.owner,
	}
}

// vectorReader reads the vectors of the slots that the view shows, if the graph does
// not hold them.
func (c *Collection) vectorReader(v *view, name string) hnsw.VectorReader {
	if v.set.graphs[name].Config().Vectors == nil {
		return nil
	}
	return c.viewVectors(v, name)
}

func (c *Collection) viewVectors(v *view, name string) *viewVectors {
	return &viewVectors{v: v, ids: c.ids, vectorReader: vectorReader{
		space: c.space, name: name, unscaled: v.set.params[name].unscaled(), store: v.snapshot,
		owner: func(slot uint32) ([]byte, bool) { return c.ids.key(slot), true },
	}}
}

// viewVectors are the vectors that a view shows.
type viewVectors struct {
	vectorReader
	v   *view
	ids *idTable
}

// ScanVectors goes through the vectors in the order of their ids.
func (r *viewVectors) ScanVectors(ctx context.Context, next func(slot uint32, ok bool) []float32) error {
	dst := next(0, false)
	return r.v.snapshot.Scan(storage.AppendKey(nil, storage.Vector, r.space, nil), nil, func(key, value []byte) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		found, err := findVector(value, r.name, dst)
		if err != nil || !found {
			return err == nil, err
		}
		if r.unscaled {
			hnsw.Normalize(dst)
		}
		slot, ok := r.ids.visible(storage.Suffix(key), r.v.slots)
		dst = next(slot, ok)
		return true, nil
	})
}

// all gives the names, and what says whether a slot has a vector of the name.
func (set *vectorSet) all() iter.Seq2[string, func(slot uint32) bool] {
	return func(yield func(string, func(uint32) bool) bool) {
		for name, g := range set.graphs {
			if !yield(name, g.Has) {
				return
			}
		}
		for name, x := range set.sparse {
			if !yield(name, x.Has) {
				return
			}
		}
		for name, x := range set.multi {
			if !yield(name, x.Has) {
				return
			}
		}
	}
}

// hasName says whether points can have vectors of the name.
func (set *vectorSet) hasName(name string) bool {
	return set.graphs[name] != nil || set.sparse[name] != nil || set.multi[name] != nil
}

// hasVector says whether a slot that some view sees has a vector of the name.
func (set *vectorSet) hasVector(name string, slot uint32) bool {
	if x := set.sparse[name]; x != nil {
		return x.Has(slot)
	}
	if x := set.multi[name]; x != nil {
		return x.Has(slot)
	}
	g := set.graphs[name]
	return g != nil && g.Has(slot)
}

// vector returns a copy of a slot's vector, nil if it has none of the name.
func (c *Collection) vector(v *view, name string, slot uint32) (Vector, error) {
	if v.set.sparse[name] != nil {
		return c.storedVector(v, name, slot, sparseFloat32)
	}
	if v.set.multi[name] != nil {
		return c.storedVector(v, name, slot, multiFloat32)
	}
	dense, err := c.dense(v, name, slot)
	if dense == nil {
		return nil, err
	}
	return dense, err
}

// dense returns a copy of a slot's dense vector, nil if it has none of the name: the
// graph may use its memory again once the view is released.
func (c *Collection) dense(v *view, name string, slot uint32) (Dense, error) {
	g := v.set.graphs[name]
	if g == nil || !g.Has(slot) {
		return nil, nil
	}
	if g.Config().Vectors == nil && !v.set.params[name].unscaled() {
		return append(Dense(nil), g.Vector(slot)...), nil
	}
	vector := make(Dense, g.Config().Dim)
	ok, err := c.viewVectors(v, name).stored(slot, vector)
	if err == nil && !ok {
		err = fmt.Errorf("the vector %q of slot %d is missing in the store", name, slot)
	}
	return vector, err
}

// vectors returns copies of those of a slot's vectors that are selected.
func (c *Collection) vectors(v *view, slot uint32, sel VectorSelector) (Vectors, error) {
	if !sel.All && sel.Names == nil {
		return nil, nil
	}
	vectors := Vectors{}
	add := func(name string) error {
		vector, err := c.vector(v, name, slot)
		if vector != nil {
			vectors[name] = vector
		}
		return err
	}
	if sel.All {
		for name := range v.set.all() {
			if err := add(name); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range sel.Names {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return vectors, nil
}
