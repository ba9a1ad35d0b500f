package api

import (
	"encoding/json"
	"maps"

	"freshet/hnsw"
	"freshet/server"
)

// Defaults shown for what a collection's creator left out. Those of the
// optimizer and the log mean nothing to this engine; clients expect to see them.
var (
	defaultOptimizer = map[string]any{
		"deleted_threshold": 0.2, "vacuum_min_vector_number": 1000, "default_segment_number": 0,
		"max_segment_size": nil, "memmap_threshold": nil, "indexing_threshold": 10000,
		"flush_interval_sec": 5, "max_optimization_threads": nil, "prevent_unoptimized": nil,
	}
	defaultWAL = map[string]any{"wal_capacity_mb": 32, "wal_segments_ahead": 0, "wal_retain_closed": 1}
)

func getCollection(r *request) (any, error) {
	c, err := r.collection()
	if err != nil {
		return nil, err
	}
	info, err := c.Info()
	if err != nil {
		return nil, err
	}
	config, err := configOf(&info.Config)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"status":                "green", // a point is in the graph before its write is acknowledged
		"optimizer_status":      "ok",
		"indexed_vectors_count": info.IndexedVectors,
		"points_count":          info.Points,
		"segments_count":        1,
		"update_queue":          map[string]int{"length": 0},
		"config":                config,
		"payload_schema":        payloadSchema(info.Indexes),
	}, nil
}

func configOf(cfg *server.Config) (map[string]any, error) {
	params := map[string]any{
		"vectors":                  cfg.Vectors,
		"shard_number":             or(cfg.ShardNumber, 1),
		"replication_factor":       or(cfg.ReplicationFactor, 1),
		"write_consistency_factor": or(cfg.WriteConsistencyFactor, 1),
		"on_disk_payload":          or(cfg.OnDiskPayload, true),
	}
	if cfg.SparseVectors != nil {
		params["sparse_vectors"] = cfg.SparseVectors
	}
	graph := map[string]any{
		"m":                    or(cfg.HNSW.M, hnsw.DefaultM),
		"ef_construct":         or(cfg.HNSW.EfConstruct, hnsw.DefaultEfConstruct),
		"full_scan_threshold":  or(cfg.HNSW.FullScanThreshold, 10000),
		"max_indexing_threads": or(cfg.HNSW.MaxIndexingThreads, 0),
		"on_disk":              or(cfg.HNSW.OnDisk, false),
	}
	if cfg.HNSW.PayloadM != nil {
		graph["payload_m"] = *cfg.HNSW.PayloadM
	}
	if cfg.ShardingMethod != "" {
		params["sharding_method"] = cfg.ShardingMethod
	}
	optimizers, err := overlay(defaultOptimizer, cfg.Optimizers)
	if err != nil {
		return nil, err
	}
	wal, err := overlay(defaultWAL, cfg.WAL)
	if err != nil {
		return nil, err
	}
	config := map[string]any{
		"params":              params,
		"hnsw_config":         graph,
		"optimizer_config":    optimizers,
		"wal_config":          wal,
		"quantization_config": cfg.Quantization,
	}
	if cfg.StrictMode != nil {
		config["strict_mode_config"] = cfg.StrictMode
	}
	if cfg.Metadata != nil {
		config["metadata"] = cfg.Metadata
	}
	return config, nil
}

func or[T any](p *T, value T) T {
	if p != nil {
		return *p
	}
	return value
}

// overlay returns the defaults with the members that are set, those of a struct with
// omitempty.
func overlay(defaults map[string]any, set any) (map[string]any, error) {
	raw, err := json.Marshal(set)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, err
	}
	all := maps.Clone(defaults)
	for name, value := range members {
		all[name] = value
	}
	return all, nil
}
