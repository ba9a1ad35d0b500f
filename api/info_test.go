package api_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestConfigurationIsEchoed checks that a collection's description shows what its
// creator set, in the form that was used, and defaults for the rest.
func TestConfigurationIsEchoed(t *testing.T) {
	s := start(t)
	config := func() map[string]any {
		return s.result("GET", "/collections/c", "").(map[string]any)["config"].(map[string]any)
	}
	s.expect("PUT", "/collections/c", `{"vectors":{"":{"size":2,"distance":"Dot"}},"sparse_vectors":{},"shard_number":3,"replication_factor":2,
		"write_consistency_factor":2,"on_disk_payload":false,"sharding_method":"auto","metadata":{"a":{"b":[1]},"c":null},
		"hnsw_config":{"m":8,"payload_m":4,"max_indexing_threads":null},"unknown":{"x":1},
		"optimizers_config":{"max_optimization_threads":"auto","indexing_threshold":18446744073709551615,"unknown":1,"memmap_threshold":null},
		"wal_config":{"wal_capacity_mb":1}}`, `true`)
	optimizers := map[string]any{
		"deleted_threshold": 0.2, "vacuum_min_vector_number": 1000.0, "default_segment_number": 0.0, "max_segment_size": nil,
		"memmap_threshold": nil, "indexing_threshold": 18446744073709551615.0, "flush_interval_sec": 5.0,
		"max_optimization_threads": "auto", "prevent_unoptimized": nil,
	}
	want := map[string]any{
		"params": map[string]any{
			"vectors": map[string]any{"": map[string]any{"size": 2.0, "distance": "Dot"}}, "sparse_vectors": map[string]any{},
			"shard_number": 3.0, "replication_factor": 2.0, "write_consistency_factor": 2.0, "on_disk_payload": false, "sharding_method": "auto",
		},
		"hnsw_config":         map[string]any{"m": 8.0, "ef_construct": 128.0, "full_scan_threshold": 10000.0, "max_indexing_threads": 0.0, "on_disk": false, "payload_m": 4.0},
		"optimizer_config":    optimizers,
		"wal_config":          map[string]any{"wal_capacity_mb": 1.0, "wal_segments_ahead": 0.0, "wal_retain_closed": 1.0},
		"quantization_config": nil,
		"metadata":            map[string]any{"a": map[string]any{"b": []any{1.0}}, "c": nil},
	}
	if diff := cmp.Diff(want, config()); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	s.expect("PATCH", "/collections/c", `{"optimizers_config":{"deleted_threshold":0.5,"max_optimization_threads":2,"flush_interval_sec":null},
		"params":{"replication_factor":1},"metadata":{"c":1}}`, `true`)
	optimizers["deleted_threshold"], optimizers["max_optimization_threads"] = 0.5, 2.0
	want["params"].(map[string]any)["replication_factor"] = 1.0
	want["metadata"].(map[string]any)["c"] = 1.0
	if diff := cmp.Diff(want, config()); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
}

// TestIndexParametersAreEchoed creates an index of each type with all its parameters: they
// are shown as they were given, and not at all where the index has but a type.
func TestIndexParametersAreEchoed(t *testing.T) {
	s := start(t)
	s.result("PUT", "/collections/c", `{}`)
	schemas := []string{
		`{"type":"keyword","is_tenant":true,"on_disk":true,"enable_hnsw":false,"prefix":true}`,
		`{"type":"integer","lookup":true,"range":false,"is_principal":true,"on_disk":false,"enable_hnsw":true}`,
		`{"type":"float","is_principal":true,"on_disk":true}`,
		`{"type":"datetime","is_principal":false,"on_disk":true}`,
		`{"type":"uuid","is_tenant":true,"on_disk":false}`,
		`{"type":"bool","on_disk":true}`,
		`{"type":"geo","on_disk":true}`,
		`{"type":"text","tokenizer":"prefix","min_token_len":2,"max_token_len":9,"lowercase":false,"ascii_folding":true,"phrase_matching":true,
			"stopwords":{"languages":["english"],"custom":["x"]},"stemmer":{"type":"snowball","language":"english"},"on_disk":true}`,
	}
	want := map[string]any{}
	for _, raw := range schemas {
		var schema map[string]any
		if err := json.Unmarshal([]byte(raw), &schema); err != nil {
			t.Fatal(err)
		}
		name := schema["type"].(string)
		s.result("PUT", "/collections/c/index?wait=true", `{"field_name":"full_`+name+`","field_schema":`+raw+`}`)
		s.result("PUT", "/collections/c/index?wait=true", `{"field_name":"plain_`+name+`","field_schema":"`+name+`"}`)
		want["full_"+name] = map[string]any{"data_type": name, "params": schema, "points": 0.0}
		want["plain_"+name] = map[string]any{"data_type": name, "points": 0.0}
	}
	if diff := cmp.Diff(want, s.result("GET", "/collections/c", "").(map[string]any)["payload_schema"]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
