package api_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestTelemetry(t *testing.T) {
	s := start(t)
	s.result("PUT", "/collections/secret", `{"vectors":{"size":2,"distance":"Dot"},"metadata":{"owner":"me"}}`)
	s.do("GET", "/collections/none", "")
	s.do("GET", "/collections/secret", "")
	tell := func(query string) map[string]any {
		t.Helper()
		return s.result("GET", "/telemetry"+query, "").(map[string]any)
	}
	plain := tell("")
	app := plain["app"].(map[string]any)
	started, err := time.Parse(time.RFC3339Nano, app["startup"].(string))
	if err != nil || time.Since(started) < 0 || app["version"] != "1.19.0" || app["features"] != nil {
		t.Errorf("app is %v (%v)", app, err)
	}
	if got := plain["collections"].(map[string]any); got["number_of_collections"] != 1.0 || got["collections"] != nil {
		t.Errorf("collections are %v", got)
	}
	responses := plain["requests"].(map[string]any)["rest"].(map[string]any)["responses"].(map[string]any)
	got := responses["GET /collections/{collection}"].(map[string]any)
	for _, status := range []string{"200", "404"} {
		entry, ok := got[status].(map[string]any)
		if micros, isNumber := entry["avg_duration_micros"].(float64); !ok || entry["count"] != 1.0 || !isNumber || micros <= 0 {
			t.Errorf("answers with %s: %v", status, got)
		}
	}
	list := func(query string) map[string]any {
		t.Helper()
		return tell(query)["collections"].(map[string]any)["collections"].([]any)[0].(map[string]any)
	}
	if c := list("?details_level=1"); c["vectors"] != 0.0 || c["optimizers_status"] != "ok" || c["params"] == nil || c["id"] != nil {
		t.Errorf("at level 1: %v", c)
	}
	if c := list("?details_level=10&anonymize=false"); c["id"] != "secret" || c["config"].(map[string]any)["hnsw_config"] == nil {
		t.Errorf("at level 10: %v", c)
	}
	if w := s.do("GET", "/telemetry?details_level=2&anonymize=true", ""); strings.Contains(w.Body.String(), "secret") || strings.Contains(w.Body.String(), "owner") {
		t.Errorf("anonymous: %s", w.Body)
	}
	for _, bad := range []string{"?details_level=-1", "?details_level=x", "?anonymize=maybe"} {
		if w := s.do("GET", "/telemetry"+bad, ""); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "Deserialize error in query parameters: ") {
			t.Errorf("%s: %d %s", bad, w.Code, w.Body)
		}
	}
}

// TestWithoutCluster checks the routes that are there for clients of a cluster.
func TestWithoutCluster(t *testing.T) {
	s := start(t)
	s.result("PUT", "/collections/c", `{"vectors":{"size":2,"distance":"Dot"}}`)
	s.expect("GET", "/cluster", "", `{"status":"disabled"}`)
	s.expect("GET", "/collections/c/cluster", "", `{"peer_id":0,"shard_count":1,"local_shards":[{"shard_id":0,"points_count":0,"state":"Active"}],"remote_shards":[],"shard_transfers":[]}`)
	s.expect("GET", "/collections/c/shards", "", `{}`)
	s.expect("GET", "/collections/c/optimizations", "", `{"summary":{"queued_optimizations":0,"queued_segments":0,"queued_points":0,"idle_segments":1},"running":[]}`)
	s.expect("GET", "/issues", "", `{"issues":[]}`)
	s.expect("DELETE", "/issues", "", `true`)
	for _, request := range []string{
		"PUT /collections/c/shards", "POST /collections/c/shards/delete", "POST /collections/c/cluster", "GET /cluster/telemetry",
		"POST /cluster/recover", "DELETE /cluster/peer/1", "GET /cluster/metadata/keys", "PUT /cluster/metadata/keys/k",
		"GET /quotas", "PUT /quotas", "GET /collections/c/shards/0/snapshots", "POST /collections/c/shards/0/snapshots",
		"PUT /collections/c/shards/0/snapshots/recover", "DELETE /collections/c/shards/0/snapshots/a",
	} {
		method, path, _ := strings.Cut(request, " ")
		if code, text := s.errorOf(method, path, `{}`); code != http.StatusMethodNotAllowed || text != "Qdrant is running in standalone mode" {
			t.Errorf("%s: %d %s", request, code, text)
		}
	}
	if w := s.do("GET", "/metrics", ""); !strings.Contains(w.Body.String(), "\ncluster_enabled 0\n") || !strings.Contains(w.Body.String(), "\nmemory_allocated_bytes ") || !regexp.MustCompile(`\nfreshet_storage_bytes [1-9]`).Match(w.Body.Bytes()) {
		t.Errorf("metrics: %s", w.Body)
	}
}

func TestVectorsAreCountedByName(t *testing.T) {
	s := start(t)
	s.result("PUT", "/collections/c", `{"vectors":{"":{"size":1,"distance":"Dot"},"m":{"size":1,"distance":"Dot","multivector_config":{"comparator":"max_sim"}}},"sparse_vectors":{"s":{}}}`)
	s.result("PUT", "/collections/c/points", `{"points":[{"id":1,"vector":[1]},{"id":2,"vector":{"":[1],"m":[[1],[2]]}},{"id":3,"vector":{"":[1]}}]}`)
	s.result("POST", "/collections/c/points/delete", `{"points":[3]}`)
	metrics := s.do("GET", "/metrics", "").Body.String()
	for vector, n := range map[string]string{"": "2", "m": "1", "s": "0"} {
		if want := `collection_vectors{collection="c",vector="` + vector + `"} ` + n + "\n"; !strings.Contains(metrics, want) {
			t.Errorf("want %s in %s", want, metrics)
		}
	}
}
