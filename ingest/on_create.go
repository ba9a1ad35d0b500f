package ingest

import "freshet/server"

// config returns the configuration of a collection of such vectors.
func (o *OnCreate) config(vectors server.Vectors) server.Config {
	named := map[string]server.VectorParams{}
	var cfg server.Config
	for name, v := range vectors {
		switch v := v.(type) {
		case server.Dense:
			named[name] = server.VectorParams{Size: len(v), Distance: o.Distance}
		case server.Multi:
			named[name] = server.VectorParams{
				Size: v.Dim, Distance: o.Distance, Multivector: &server.MultivectorConfig{Comparator: server.MaxSim},
			}
		case server.Sparse:
			if cfg.SparseVectors == nil {
				cfg.SparseVectors = map[string]server.SparseParams{}
			}
			cfg.SparseVectors[name] = server.SparseParams{}
		}
	}
	_, unnamed := named[""]
	cfg.Vectors = server.VectorsConfig{Single: unnamed && len(named) == 1, Named: named}
	if o.M != 0 {
		cfg.HNSW.M = &o.M
	}
	if o.EfConstruct != 0 {
		cfg.HNSW.EfConstruct = &o.EfConstruct
	}
	return cfg
}
