package server

import (
	"encoding/json"
	"testing"
)

func TestConfigEchoesWhatWasGiven(t *testing.T) {
	for _, text := range []string{
		`{"vectors":{"size":4,"distance":"Dot"},"hnsw_config":{}}`,
		`{"vectors":{"":{"size":4,"distance":"Cosine"}},"sparse_vectors":{},"hnsw_config":{}}`,
		`{"vectors":{"size":{"size":4,"distance":"Cosine"}},"hnsw_config":{}}`,
		`{"vectors":{"a":{"size":4,"distance":"Dot","hnsw_config":{"m":8},"on_disk":true}},"hnsw_config":{"ef_construct":64},"shard_number":2,"metadata":{"k":1}}`,
		`{"vectors":{},"hnsw_config":{}}`,
	} {
		var c Config
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if raw, err := json.Marshal(c); err != nil || string(raw) != text {
			t.Errorf("%s became %s (%v)", text, raw, err)
		}
	}
}

func TestConfigFormat(t *testing.T) {
	for _, text := range []string{
		`{"vectors":{"size":4,"distance":"Foo"}}`, `{"vectors":{"size":0,"distance":"Dot"}}`, `{"vectors":{"size":4}}`,
		`{"vectors":[]}`, `{"vectors":{"a":{"size":"4","distance":"Dot"}}}`, `{"vectors":{"size":-1.5,"distance":"Dot"}}`,
	} {
		var c Config
		if err := json.Unmarshal([]byte(text), &c); err == nil {
			t.Errorf("%s was accepted", text)
		}
	}
}

func TestConfigLimits(t *testing.T) {
	for text, want := range map[string]string{
		`{"vectors":{"size":4,"distance":"Dot"},"hnsw_config":{"ef_construct":0}}`:              "hnsw_config.ef_construct: value 0 invalid, must be 4 or larger",
		`{"vectors":{"size":70000,"distance":"Dot"}}`:                                           "vectors.size: value 70000 invalid, must be from 1 to 65536",
		`{"vectors":{"a":{"size":-3,"distance":"Dot"}}}`:                                        "vectors.a.size: value -3 invalid, must be from 1 to 65536",
		`{"vectors":{"a":{"size":3,"distance":"Dot","hnsw_config":{"m":5000}}}}`:                "vectors.a.hnsw_config.m: value 5000 invalid, must be 1024 or smaller",
		`{"vectors":{"size":4,"distance":"Dot"},"shard_number":0}`:                              "shard_number: value 0 invalid, must be 1 or larger",
		`{"sparse_vectors":{"s":{}}}`:                                                           "sparse vectors are not supported yet",
		`{"vectors":{"size":4,"distance":"Dot","multivector_config":{"comparator":"max_sim"}}}`: "multivectors are not supported yet",
	} {
		var c Config
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if err := c.Validate(); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
