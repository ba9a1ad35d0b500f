package api

import (
	"cmp"
	"encoding/json"
	"maps"

	"freshet/server"
)

func listCollections(r *request) (any, error) {
	type entry struct {
		Name string `json:"name"`
	}
	list := []entry{}
	for _, name := range r.s.db.Collections() {
		if r.mayRead(name) {
			list = append(list, entry{name})
		}
	}
	return map[string]any{"collections": list}, nil
}

func createCollection(r *request) (any, error) {
	name := r.param("collection")
	if err := server.CheckName(name); err != nil {
		return nil, err
	}
	var cfg server.Config
	if err := r.decode(&cfg); err != nil {
		return nil, err
	}
	cfg.DroppedVectors = nil
	cfg.Indexes = nil // declared by requests of their own
	if err := r.s.db.CreateCollection(r.ctx, name, cfg); err != nil {
		return nil, err
	}
	return true, nil
}

func dropCollection(r *request) (any, error) {
	if r.s.o.Sources != nil { // they go with it
		return r.s.o.Sources.DropCollection(r.ctx, r.param("collection"))
	}
	return r.s.db.DropCollection(r.ctx, r.param("collection"))
}

func collectionExists(r *request) (any, error) {
	return map[string]bool{"exists": r.s.db.Exists(r.param("collection"))}, nil
}

func collectionCluster(r *request) (any, error) {
	c, err := r.collection()
	if err != nil {
		return nil, err
	}
	info, err := c.Info()
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"peer_id":     0,
		"shard_count": 1,
		"local_shards": []any{
			map[string]any{"shard_id": 0, "points_count": info.Points, "state": "Active"},
		},
		"remote_shards":   []any{},
		"shard_transfers": []any{},
	}, nil
}

// shards tells that the collection has none by key.
func shards(r *request) (any, error) {
	_, err := r.collection()
	return map[string]any{}, err
}

// optimizations reports nothing to do: points are in the graph before their
// write is acknowledged.
func optimizations(r *request) (any, error) {
	if _, err := r.collection(); err != nil {
		return nil, err
	}
	return map[string]any{
		"summary": map[string]int{"queued_optimizations": 0, "queued_segments": 0, "queued_points": 0, "idle_segments": 1},
		"running": []any{},
	}, nil
}

// patch is the body of a change of configuration. Members left out stay.
type patch struct {
	Vectors map[string]struct {
		HNSW         *server.HNSWConfig `json:"hnsw_config"`
		Quantization quantizationPatch  `json:"quantization_config"`
		OnDisk       *bool              `json:"on_disk"`
	} `json:"vectors"`
	Sparse     map[string]server.SparseParams `json:"sparse_vectors"`
	Optimizers server.OptimizersConfig        `json:"optimizers_config"`
	HNSW       *server.HNSWConfig             `json:"hnsw_config"`
	Params     struct {
		ReplicationFactor      *uint32 `json:"replication_factor"`
		WriteConsistencyFactor *uint32 `json:"write_consistency_factor"`
		OnDiskPayload          *bool   `json:"on_disk_payload"`
	} `json:"params"`
	Quantization quantizationPatch          `json:"quantization_config"`
	StrictMode   *server.StrictMode         `json:"strict_mode_config"`
	Metadata     map[string]json.RawMessage `json:"metadata"`
}

func patchCollection(r *request) (any, error) {
	c, err := r.collection()
	if err != nil {
		return nil, err
	}
	var p patch
	if err := r.decode(&p); err != nil {
		return nil, err
	}
	return true, r.s.db.UpdateConfig(r.ctx, c.Name(), p.apply)
}

func (p *patch) apply(cfg *server.Config) error {
	for name, diff := range p.Vectors {
		v, ok := cfg.Vectors.Named[name]
		if !ok {
			return wrongInput("Not existing vector name error: %s", name)
		}
		if diff.HNSW != nil {
			var before server.HNSWConfig
			if v.HNSW != nil {
				before = *v.HNSW
			}
			merged := before.Merge(*diff.HNSW)
			v.HNSW = &merged
		}
		diff.Quantization.apply(&v.Quantization)
		v.OnDisk = cmp.Or(diff.OnDisk, v.OnDisk)
		cfg.Vectors.Named[name] = v
	}
	for name, diff := range p.Sparse {
		s, ok := cfg.SparseVectors[name]
		if !ok {
			return wrongInput("Not existing vector name error: %s", name)
		}
		cfg.SparseVectors[name] = s.Merge(diff)
	}
	if p.HNSW != nil {
		cfg.HNSW = cfg.HNSW.Merge(*p.HNSW)
	}
	cfg.ReplicationFactor = cmp.Or(p.Params.ReplicationFactor, cfg.ReplicationFactor)
	cfg.WriteConsistencyFactor = cmp.Or(p.Params.WriteConsistencyFactor, cfg.WriteConsistencyFactor)
	cfg.OnDiskPayload = cmp.Or(p.Params.OnDiskPayload, cfg.OnDiskPayload)
	p.Quantization.apply(&cfg.Quantization)
	cfg.Optimizers = cfg.Optimizers.Merge(p.Optimizers)
	cfg.StrictMode = cfg.StrictMode.Merge(p.StrictMode)
	cfg.Metadata = merge(cfg.Metadata, p.Metadata)
	return nil
}

// quantizationPatch is a change of quantization: a new one, or "Disabled", which
// takes away what was set. null changes nothing.
type quantizationPatch struct {
	set   bool
	value *server.Quantization
}

// UnmarshalJSON reads a change.
func (p *quantizationPatch) UnmarshalJSON(raw []byte) error {
	switch string(raw) {
	case "null":
		return nil
	case `"Disabled"`:
		p.set = true
		return nil
	}
	p.set, p.value = true, new(server.Quantization)
	return p.value.UnmarshalJSON(raw)
}

func (p *quantizationPatch) apply(dst **server.Quantization) {
	if p.set {
		*dst = p.value
	}
}

func merge(dst, src map[string]json.RawMessage) map[string]json.RawMessage {
	if len(src) == 0 {
		return dst
	}
	if dst == nil {
		dst = make(map[string]json.RawMessage, len(src))
	}
	maps.Copy(dst, src)
	return dst
}

func createIndex(r *request) (any, error) {
	return r.changeIndexes(func(c *server.Collection) error {
		var body struct {
			Field  *string         `json:"field_name"`
			Schema json.RawMessage `json:"field_schema"`
			Type   json.RawMessage `json:"field_type"` // as older clients call it
		}
		if err := r.decode(&body); err != nil {
			return err
		}
		if body.Schema != nil && body.Type != nil {
			return badFormat("duplicate field `field_schema`")
		}
		if body.Schema == nil {
			body.Schema = body.Type
		}
		if body.Field == nil {
			return badFormat("missing field `field_name`")
		}
		if len(body.Schema) == 0 || string(body.Schema) == "null" {
			return badRequest("Can't auto-detect field type, please specify `field_schema` in the request")
		}
		if err := checkSchema(*body.Field, body.Schema); err != nil {
			return err
		}
		return r.s.db.CreateIndex(r.ctx, c.Name(), *body.Field, body.Schema)
	})
}

func dropIndex(r *request) (any, error) {
	return r.changeIndexes(func(c *server.Collection) error {
		return r.s.db.DropIndex(r.ctx, c.Name(), r.param("field"))
	})
}

// changeIndexes answers once the change is in effect, whether the client waits
// for it or not.
func (r *request) changeIndexes(change func(*server.Collection) error) (any, error) {
	c, err := r.collection()
	if err != nil {
		return nil, err
	}
	wait, err := r.wait()
	if err != nil {
		return nil, err
	}
	if err := r.ordering(); err != nil {
		return nil, err
	}
	if err := r.admitTimeout(c); err != nil {
		return nil, err
	}
	if err := change(c); err != nil {
		return nil, err
	}
	info, err := c.Info()
	if err != nil {
		return nil, err
	}
	return newUpdateResult(info.Operation, wait), nil
}

// updateResult is what every write answers with.
type updateResult struct {
	Operation uint64 `json:"operation_id"`
	Status    string `json:"status"`
}

func newUpdateResult(operation uint64, wait bool) updateResult {
	if wait {
		return updateResult{operation, "completed"}
	}
	return updateResult{operation, "acknowledged"}
}
