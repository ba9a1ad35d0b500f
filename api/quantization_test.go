package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestQuantizationIsEchoed: the answers are those of Qdrant 1.19.
func TestQuantizationIsEchoed(t *testing.T) {
	s := start(t)
	config := func() map[string]any {
		t.Helper()
		info, ok := s.result("GET", "/collections/c", "").(map[string]any)
		if !ok {
			t.Fatal("no info")
		}
		config, ok := info["config"].(map[string]any)
		if !ok {
			t.Fatal("no config")
		}
		return config
	}
	expect := func(got any, want string) {
		t.Helper()
		var wanted any
		if err := json.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(wanted, got); d != "" {
			t.Error(d)
		}
	}
	for _, kind := range []string{
		`{"scalar":{"type":"int8","quantile":0.99,"always_ram":true}}`,
		`{"binary":{"always_ram":true}}`,
		`{"product":{"compression":"x16","always_ram":true}}`,
	} {
		s.expect("PUT", "/collections/c", `{"vectors":{"size":16,"distance":"Cosine"},"quantization_config":`+kind+`}`, `true`)
		expect(config()["quantization_config"], kind)
		// Members that a change leaves out, or sets to null, stay.
		s.expect("PATCH", "/collections/c", `{"hnsw_config":{"m":20},"quantization_config":null}`, `true`)
		expect(config()["quantization_config"], kind)
		s.expect("PATCH", "/collections/c", `{"quantization_config":"Disabled"}`, `true`)
		expect(config()["quantization_config"], `null`)
		s.expect("PATCH", "/collections/c", `{"quantization_config":`+kind+`}`, `true`)
		expect(config()["quantization_config"], kind)
		s.expect("PATCH", "/collections/c", `{"vectors":{"":{"on_disk":true,"quantization_config":{"binary":{}}}}}`, `true`)
		expect(config()["params"].(map[string]any)["vectors"], `{"size":16,"distance":"Cosine","on_disk":true,"quantization_config":{"binary":{}}}`)
		s.expect("PATCH", "/collections/c", `{"vectors":{"":{"quantization_config":"Disabled"}}}`, `true`)
		expect(config()["params"].(map[string]any)["vectors"], `{"size":16,"distance":"Cosine","on_disk":true}`)
		s.expect("DELETE", "/collections/c", ``, `true`)
	}
}

func TestMemoryIsReported(t *testing.T) {
	s := start(t)
	s.expect("PUT", "/collections/c", `{"vectors":{"size":32,"distance":"Dot","on_disk":true}}`, `true`)
	vector := strings.Repeat("1,", 31) + "1"
	s.expect("PUT", "/collections/c/points?wait=true", `{"points":[{"id":1,"vector":[`+vector+`]}]}`, `{"operation_id":1,"status":"completed"}`)
	metrics := s.do("GET", "/metrics", "").Body.String()
	for part, want := range map[string]string{"vectors": "0", "codes": "80"} {
		if line := `freshet_collection_memory_bytes{collection="c",part="` + part + `"} ` + want + "\n"; !strings.Contains(metrics, line) {
			t.Errorf("no %s in %s", line, metrics)
		}
	}
}

func TestSearchParamsOfQuantization(t *testing.T) {
	s := start(t)
	s.expect("PUT", "/collections/c", `{"vectors":{"size":2,"distance":"Dot"}}`, `true`)
	s.expect("PUT", "/collections/c/points?wait=true", `{"points":[{"id":1,"vector":[1,0]},{"id":2,"vector":[0,1]}]}`, `{"operation_id":1,"status":"completed"}`)
	for _, params := range []string{
		`{}`, `{"ignore":true}`, `{"rescore":false}`, `{"rescore":null,"oversampling":null}`, `{"rescore":true,"oversampling":3.0}`, `{"oversampling":1e30}`,
	} {
		body := `{"query":[1,0],"limit":1,"params":{"quantization":` + params + `}}`
		s.expect("POST", "/collections/c/points/query", body, `{"points":[{"id":1,"version":1,"score":1}]}`)
	}
}
