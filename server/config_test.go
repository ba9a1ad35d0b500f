package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConfigEchoesWhatWasGiven(t *testing.T) {
	for _, text := range []string{
		`{"vectors":{"size":4,"distance":"Dot"},"hnsw_config":{}}`,
		`{"vectors":{"":{"size":4,"distance":"Cosine"}},"sparse_vectors":{},"hnsw_config":{}}`,
		`{"vectors":{"size":{"size":4,"distance":"Cosine"}},"hnsw_config":{}}`,
		`{"vectors":{"a":{"size":4,"distance":"Dot","hnsw_config":{"m":8},"on_disk":true}},"hnsw_config":{"ef_construct":64},"shard_number":2,"metadata":{"k":1}}`,
		`{"vectors":{},"hnsw_config":{}}`,
		`{"vectors":{"size":4,"distance":"Dot","quantization_config":{"product":{"compression":"x64"}}},"hnsw_config":{},"quantization_config":{"scalar":{"type":"int8","quantile":0.99,"always_ram":true}}}`,
		`{"vectors":{},"hnsw_config":{},"quantization_config":{"binary":{}}}`,
		`{"vectors":{},"hnsw_config":{},"quantization_config":{"binary":{"always_ram":false,"encoding":"two_bits","query_encoding":"scalar8bits"}}}`,
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

func TestQuantizationFormat(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                      "one of scalar, product and binary is wanted, 0 are there",
		`{"turbo":{}}`:            "one of scalar, product and binary is wanted, 0 are there",
		`{"scalar":null}`:         "one of scalar, product and binary is wanted, 0 are there",
		`"Disabled"`:              "json: cannot unmarshal string",
		`{"scalar":7}`:            "json: cannot unmarshal number",
		`{"scalar":{}}`:           `scalar.type "" is not one of int8`,
		`{"scalar":{"type":"f"}}`: `scalar.type "f" is not one of int8`,
		`{"scalar":{"type":"int8","always_ram":1}}`:                   "json: cannot unmarshal number",
		`{"scalar":{"type":"int8"},"binary":{}}`:                      "one of scalar, product and binary is wanted, 2 are there",
		`{"product":{"always_ram":true}}`:                             `product.compression "" is not one of x4, x8, x16, x32, x64`,
		`{"product":{"compression":"x2"}}`:                            `product.compression "x2" is not one of x4, x8, x16, x32, x64`,
		`{"binary":{"encoding":"three_bits"}}`:                        `binary.encoding "three_bits" is not one of one_bit, two_bits, one_and_half_bits`,
		`{"binary":{"encoding":"one_bit","query_encoding":"scalar"}}`: `binary.query_encoding "scalar" is not one of default, binary, scalar4bits, scalar8bits`,
	} {
		for form, prefix := range map[string]string{
			`{"quantization_config":%s}`: "data did not match any variant of untagged enum QuantizationConfig: ",
			`{"vectors":{"a":{"size":4,"distance":"Dot","quantization_config":%s}}}`: "data did not match any variant of untagged enum VectorsConfig: quantization_config.",
		} {
			var c Config
			err := json.Unmarshal(fmt.Appendf(nil, form, text), &c)
			if err == nil || !strings.HasPrefix(err.Error(), prefix+want) {
				t.Errorf("%s: %v, want %s", text, err, prefix+want)
			}
		}
	}
}

func TestConfigLimits(t *testing.T) {
	for text, want := range map[string]string{
		`{"vectors":{"size":4,"distance":"Dot"},"hnsw_config":{"ef_construct":0}}`:                                       "hnsw_config.ef_construct: value 0 invalid, must be 4 or larger",
		`{"vectors":{"size":70000,"distance":"Dot"}}`:                                                                    "vectors.size: value 70000 invalid, must be from 1 to 65536",
		`{"sparse_vectors":{"a*":{}}}`:                                                                                   "sparse_vectors.a*: vector name cannot contain \"*\" char",
		`{"vectors":{"a":{"size":3,"distance":"Dot","hnsw_config":{"m":5000}}}}`:                                         "vectors.a.hnsw_config.m: value 5000 invalid, must be 1024 or smaller",
		`{"vectors":{"size":4,"distance":"Dot"},"shard_number":0}`:                                                       "shard_number: value 0 invalid, must be 1 or larger",
		`{"quantization_config":{"scalar":{"type":"int8","quantile":0.4}}}`:                                              "quantization_config.scalar.quantile: value 0.4 invalid, must be from 0.5 to 1.0",
		`{"vectors":{"a":{"size":3,"distance":"Dot","quantization_config":{"scalar":{"type":"int8","quantile":1.01}}}}}`: "vectors.a.quantization_config.scalar.quantile: value 1.01 invalid, must be from 0.5 to 1.0",
		`{"vectors":{"s":{"size":1,"distance":"Dot"}},"sparse_vectors":{"s":{}}}`:                                        "Dense and sparse vectors cannot have the same name `s`",
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

// Whatever is accepted is shown as it was given, and is accepted again.
func FuzzQuantization(f *testing.F) {
	for _, text := range []string{
		`{"scalar":{"type":"int8","quantile":0.99,"always_ram":true}}`, `{"binary":{"encoding":"two_bits","query_encoding":"binary"}}`,
		`{"product":{"compression":"x32"}}`, `{"scalar":null,"binary":{}}`, `null`, `"Disabled"`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var q Quantization
		if json.Unmarshal(raw, &q) != nil || q == (Quantization{}) {
			return
		}
		shown, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		var again Quantization
		if err := json.Unmarshal(shown, &again); err != nil {
			t.Fatalf("%s is shown as %s: %v", raw, shown, err)
		}
		if d := cmp.Diff(q, again); d != "" {
			t.Fatal(d)
		}
		if err := q.validate("quantization_config"); err != nil && KindOf(err) != Invalid {
			t.Fatal(err)
		}
	})
}
