package server

import (
	"fmt"
	"maps"
	"slices"

	"freshet/hnsw"
	"freshet/server/maxsim"
	"freshet/server/sparse"
)

// vectorSet is where the vectors of a collection are found by their names. It never
// changes: that of a view stays whole until the view is released, whatever is dropped
// meanwhile.
type vectorSet struct {
	params map[string]VectorParams // of what is not sparse
	graphs map[string]*hnsw.Graph
	multi  map[string]*maxsim.Index
	sparse map[string]*sparse.Index
	recall map[string]*recall // of the graphs; none without probes
}

// set returns the vectors that there are now.
func (c *Collection) set() *vectorSet { return c.vectorSet.Load() }

// vectorSetOf returns the vectors that a configuration has. Those that there are already
// are taken over, the others are empty.
func (c *Collection) vectorSetOf(cfg Config) (*vectorSet, error) {
	now := c.set()
	next := &vectorSet{
		params: cfg.Vectors.Named, graphs: map[string]*hnsw.Graph{}, multi: map[string]*maxsim.Index{}, sparse: map[string]*sparse.Index{},
		recall: map[string]*recall{},
	}
	for name, params := range cfg.Vectors.Named {
		if params.Multivector != nil {
			if next.multi[name] = now.multi[name]; next.multi[name] == nil {
				metric, _ := params.Distance.Metric() // which has been checked
				next.multi[name] = maxsim.New(params.Size, metric)
			}
			continue
		}
		g := now.graphs[name]
		if g == nil {
			var err error
			if g, err = c.newGraph(cfg, name, params); err != nil {
				return nil, fmt.Errorf("vector %q: %w", name, err)
			}
		}
		next.graphs[name] = g
		if !c.probed {
			continue
		}
		if next.recall[name] = now.recall[name]; next.recall[name] == nil {
			next.recall[name] = new(recall)
		}
	}
	for name := range cfg.SparseVectors {
		if next.sparse[name] = now.sparse[name]; next.sparse[name] == nil {
			next.sparse[name] = sparse.New()
		}
	}
	return next, nil
}

func (c *Collection) newGraph(cfg Config, name string, params VectorParams) (*hnsw.Graph, error) {
	metric, ok := params.Distance.Metric()
	if !ok {
		return nil, fmt.Errorf("the distance %q is unknown", params.Distance)
	}
	gc := graphConfig(cfg, params, metric)
	if params.OnDisk != nil && *params.OnDisk {
		gc.Vectors = c.newestVectors(name, params)
	}
	return hnsw.New(gc, c.slots)
}

// replaceSet makes another set that of the next view. The writer calls it.
func (c *Collection) replaceSet(next *vectorSet) {
	now := c.set()
	for name, g := range next.graphs {
		if now.graphs[name] == nil {
			c.repair.Add(g)
		}
	}
	for name, g := range now.graphs {
		if next.graphs[name] == nil {
			c.repair.Remove(g)
			c.dropped = append(c.dropped, g)
		}
	}
	for name := range now.all() {
		if !next.hasName(name) {
			delete(c.vectorCounts, name)
		}
	}
	c.vectorSet.Store(next)
}

// closeDropped frees the memory of dropped graphs that no view shows any more. The
// writer calls it.
func (c *Collection) closeDropped() {
	c.dropped = slices.DeleteFunc(c.dropped, func(g *hnsw.Graph) bool {
		for _, v := range c.readers {
			if !v.gone() && slices.Contains(slices.Collect(maps.Values(v.set.graphs)), g) {
				return false
			}
		}
		if err := g.Close(); err != nil {
			c.log.Error("the memory of a dropped vector could not be freed", "err", err)
		}
		return true
	})
}
