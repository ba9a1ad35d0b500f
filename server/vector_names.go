package server

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"reflect"
	"slices"

	"freshet/storage"
)

// CreateVector adds a dense vector to a collection. Points have none of it at first.
// If there is the same already, nothing is done.
func (db *DB) CreateVector(ctx context.Context, collection, name string, params VectorParams) error {
	return db.createVector(ctx, collection, name, func(cfg *Config) (same, exists bool) {
		if had, ok := cfg.Vectors.Named[name]; ok {
			return reflect.DeepEqual(had, params), true
		}
		if cfg.Vectors.Named == nil {
			cfg.Vectors.Named = map[string]VectorParams{}
		}
		cfg.Vectors.Named[name] = params
		cfg.Vectors.Single = false
		_, exists = cfg.SparseVectors[name]
		return false, exists
	})
}

// CreateSparseVector adds a sparse vector as CreateVector does a dense one.
func (db *DB) CreateSparseVector(ctx context.Context, collection, name string, params SparseParams) error {
	return db.createVector(ctx, collection, name, func(cfg *Config) (same, exists bool) {
		if had, ok := cfg.SparseVectors[name]; ok {
			return reflect.DeepEqual(had, params), true
		}
		if cfg.SparseVectors == nil {
			cfg.SparseVectors = map[string]SparseParams{}
		}
		cfg.SparseVectors[name] = params
		_, exists = cfg.Vectors.Named[name]
		return false, exists
	})
}

// errSame ends a change of a configuration that would change nothing.
var errSame = errors.New("nothing to change")

func (db *DB) createVector(ctx context.Context, collection, name string, add func(*Config) (same, exists bool)) error {
	c, err := db.Collection(collection)
	if err != nil {
		return err
	}
	leave, err := c.enterIndexing(ctx)
	if err != nil {
		return err
	}
	defer leave()
	// What a drop that failed has left must not become the new one's.
	if slices.Contains(c.Config().DroppedVectors, name) {
		if err := db.finishDrop(ctx, c, name); err != nil {
			return err
		}
	}
	err = db.changeVectors(ctx, c, func(cfg *Config) error {
		switch same, exists := add(cfg); {
		case same:
			return errSame
		case exists:
			return errorf(Exists, "Vector `%s` already exists with another configuration!", name)
		default:
			return nil
		}
	})
	if errors.Is(err, errSame) {
		return nil
	}
	return err
}

// DropVector removes a vector from a collection and from its points, if there is one of
// the name. Reads and writes that begin later do not know it; it is taken out of the
// store beside other writes.
func (db *DB) DropVector(ctx context.Context, collection, name string) error {
	c, err := db.Collection(collection)
	if err != nil {
		return err
	}
	leave, err := c.enterIndexing(ctx)
	if err != nil {
		return err
	}
	defer leave()
	err = db.changeVectors(ctx, c, func(cfg *Config) error {
		_, isDense := cfg.Vectors.Named[name]
		_, isSparse := cfg.SparseVectors[name]
		if !isDense && !isSparse {
			return errSame
		}
		delete(cfg.Vectors.Named, name)
		delete(cfg.SparseVectors, name)
		cfg.Vectors.Single = false
		if !slices.Contains(cfg.DroppedVectors, name) {
			cfg.DroppedVectors = append(cfg.DroppedVectors, name)
		}
		return nil
	})
	switch {
	case errors.Is(err, errSame):
		return nil
	case err != nil:
		return err
	}
	return db.finishDrop(context.WithoutCancel(ctx), c, name)
}

// changeVectors changes which vectors a collection has: in the catalog and, between two
// groups of writes, for all that read and write.
func (db *DB) changeVectors(ctx context.Context, c *Collection, change func(*Config) error) error {
	db.change.Lock()
	defer db.change.Unlock()
	if err := db.has(c); err != nil {
		return err
	}
	cfg := c.Config().clone()
	if err := change(&cfg); err != nil {
		return err
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	// The end of ctx must not hide whether it was done.
	return c.do(context.WithoutCancel(ctx), func() error {
		next, err := c.vectorSetOf(cfg)
		if err != nil {
			return err
		}
		if err := db.putVectors(c, cfg, next); err != nil {
			for name, g := range next.graphs {
				if c.set().graphs[name] == nil {
					err = errors.Join(err, g.Close())
				}
			}
			return err
		}
		c.config.Store(&cfg)
		c.replaceSet(next)
		c.publish()
		return nil
	})
}

// putVectors makes the configuration durable, together with what neighbours are stored for.
func (db *DB) putVectors(c *Collection, cfg Config, set *vectorSet) error {
	shapes, err := set.shapes()
	if err != nil {
		return err
	}
	entry, err := json.Marshal(catalogEntry{Name: c.name, ID: c.space.Collection, Config: cfg})
	if err != nil {
		return err
	}
	return db.commit(func(b *storage.Batch) error {
		return errors.Join(
			b.Set(storage.GlobalKey(storage.Catalog, c.name), entry),
			b.Set(storage.AppendKey(nil, storage.Meta, c.space, []byte(graphsMeta)), shapes),
		)
	})
}

// eraseSlice is how many records are read while other requests wait.
const eraseSlice = 2048

// finishDrop takes a dropped vector out of the records of points.
func (db *DB) finishDrop(ctx context.Context, c *Collection, name string) error {
	for next := []byte{}; next != nil; {
		from := next
		err := c.do(ctx, func() (err error) {
			next, err = c.erase(ctx, name, from)
			return err
		})
		if err != nil {
			return err
		}
	}
	return db.updateConfigOf(c, func(cfg *Config) error {
		cfg.DroppedVectors = slices.DeleteFunc(cfg.DroppedVectors, func(n string) bool { return n == name })
		return nil
	})
}

// finishDrops does it for all that an end of the process interrupted, before the writer
// begins. The catalog is for the caller: the collection may not be in it yet.
func (c *Collection) finishDrops(ctx context.Context) error {
	cfg := c.Config().clone()
	if len(cfg.DroppedVectors) == 0 {
		return nil
	}
	for _, name := range cfg.DroppedVectors {
		for next := []byte{}; next != nil; {
			var err error
			if next, err = c.erase(ctx, name, next); err != nil {
				return err
			}
		}
	}
	cfg.DroppedVectors = nil
	c.config.Store(&cfg)
	return nil
}

// erase takes a vector out of some records, from an encoded id on, and returns the id to
// go on from, nil at the end. The points stay the versions they are. The writer calls it.
func (c *Collection) erase(ctx context.Context, name string, from []byte) (next []byte, err error) {
	v, err := c.acquire()
	if err != nil {
		return nil, err
	}
	defer v.release()
	b := c.store.NewBatch()
	read := 0
	prefix := storage.AppendKey(nil, storage.Vector, c.space, nil)
	err = v.snapshot.Scan(prefix, storage.AppendKey(nil, storage.Vector, c.space, from), func(key, value []byte) (bool, error) {
		if read++; read > eraseSlice {
			next = slices.Clone(storage.Suffix(key))
			return false, nil
		}
		left, found, err := withoutVector(value, name)
		if err != nil || !found {
			return err == nil, err
		}
		slot, ok := c.ids.visible(storage.Suffix(key), v.slots)
		if !ok {
			return false, errNoSlot
		}
		// Its neighbours, if they are stored, without those of the vector.
		err = c.storeNode(b, slot, c.storedBirth)
		if errors.Is(err, storage.ErrNotFound) {
			err = nil
		}
		return true, errors.Join(err, b.Set(key, left), ctx.Err())
	})
	if err == nil {
		err = b.Commit(false)
	}
	return next, errors.Join(err, b.Close())
}

// withoutVector returns a value of storage.Vector without the vector of a name.
func withoutVector(value []byte, name string) (left []byte, found bool, err error) {
	count := uint64(0)
	var others []byte
	err = eachVector(value, func(v rawVector) error {
		if string(v.name) == name {
			found = true
			return nil
		}
		count++
		others = append(others, v.record...)
		return nil
	})
	left = binary.AppendUvarint([]byte{vectorsFormat}, count)
	return append(left, others...), found, err
}
