package api_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"freshet/api"
	"freshet/server"
	"freshet/server/point"
)

// service is a server with an empty database and a record of what it logs.
type service struct {
	t    *testing.T
	db   *server.DB
	h    http.Handler
	logs bytes.Buffer

	snapshots string // folder
}

func start(t *testing.T) *service {
	t.Helper()
	snapshots := t.TempDir()
	db, err := server.Open(context.Background(), t.TempDir(), server.Options{SnapshotsDir: snapshots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &service{t: t, db: db, snapshots: snapshots}
	s.serve(&fakeSources{db: db})
	return s
}

// collection makes the collection c, of vectors of one component.
func (s *service) collection() *server.Collection {
	s.t.Helper()
	s.expect("PUT", "/collections/c", `{"vectors":{"size":1,"distance":"Dot"}}`, `true`)
	c, err := s.db.Collection("c")
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// serve begins anew with other sources.
func (s *service) serve(sources api.Sources) {
	s.h = api.New(s.db, api.Options{Logger: slog.New(slog.NewJSONHandler(&s.logs, nil)), Version: "1.2.3", Sources: sources}).Handler()
}

// send sends a request and compares both it and the answer with the API's document.
func (s *service) send(r *http.Request) *httptest.ResponseRecorder {
	s.t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	s.checkDocument(r, body, w)
	return w
}

func (s *service) do(method, path, body string) *httptest.ResponseRecorder {
	return s.send(httptest.NewRequest(method, path, strings.NewReader(body)))
}

// result sends a request that has to succeed and returns its result.
func (s *service) result(method, path, body string) any {
	s.t.Helper()
	w := s.do(method, path, body)
	var envelope struct {
		Result any
		Status any
		Time   *float64
	}
	if err := json.Unmarshal(w.Body.Bytes(), &envelope); err != nil {
		s.t.Fatalf("%s %s: %v in %q", method, path, err, w.Body)
	}
	if w.Code != http.StatusOK || envelope.Status != "ok" || envelope.Time == nil {
		s.t.Fatalf("%s %s %s: %d %s", method, path, body, w.Code, w.Body)
	}
	return envelope.Result
}

// expect checks a result against JSON.
func (s *service) expect(method, path, body, want string) {
	s.t.Helper()
	var wanted any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		s.t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, s.result(method, path, body)); diff != "" {
		s.t.Errorf("%s %s %s (-want +got):\n%s", method, path, body, diff)
	}
}

func TestPoints(t *testing.T) {
	s := start(t)
	s.expect("PUT", "/collections/c", `{"vectors":{"size":4,"distance":"Dot"}}`, `true`)
	s.expect("PUT", "/collections/c/points?wait=true", `{"points":[
		{"id":1,"vector":[1,0,0,0],"payload":{"city":"Berlin","n":1}},
		{"id":18446744073709551615,"vector":[0,1,0,0],"payload":null},
		{"id":"my key","vector":[0,0,1,0],"payload":{"city":"London"}},
		{"id":"F0E09527B09642A894E9EA94D342B925","vector":{"":[0,0,0,1]}}]}`,
		`{"operation_id":1,"status":"completed"}`)
	s.expect("PUT", "/collections/c/points", `{"batch":{"ids":[7,8],"vectors":[[1,1,0,0],[0.5,1e-7,0,0]],"payloads":[{"n":7},null]}}`,
		`{"operation_id":2,"status":"acknowledged"}`)

	s.expect("POST", "/collections/c/points/query", `{"query":{"nearest":[1,0.5,0,0]},"limit":2,"with_payload":true,"with_vector":true}`, `{"points":[
		{"id":7,"version":2,"score":1.5,"payload":{"n":7},"vector":[1,1,0,0]},
		{"id":1,"version":1,"score":1,"payload":{"city":"Berlin","n":1},"vector":[1,0,0,0]}]}`)
	s.expect("POST", "/collections/c/points/query", `{"query":"my key","limit":1,"filter":{"must":[{"key":"city","match":{"value":"Berlin"}}]}}`,
		`{"points":[{"id":1,"version":1,"score":0}]}`)
	s.expect("POST", "/collections/c/points/search", `{"vector":[0,0,1,0],"limit":1,"score_threshold":0.5,"params":{"hnsw_ef":64,"exact":true}}`,
		`[{"id":"my key","version":1,"score":1}]`)
	s.expect("POST", "/collections/c/points/query/batch", `{"searches":[{"limit":1},{"query":[0,0,1,0],"limit":1,"offset":6}]}`,
		`[{"points":[{"id":1,"version":0,"score":1}]},{"points":[]}]`)
	s.expect("POST", "/collections/c/points/search/batch", `{"searches":[{"vector":{"name":"","vector":[0,0,1,0]},"limit":1}]}`,
		`[[{"id":"my key","version":1,"score":1}]]`)

	if w := s.do("GET", "/collections/c/points/18446744073709551615", ""); !strings.Contains(w.Body.String(),
		`{"result":{"id":18446744073709551615,"payload":{},"vector":[0.0,1.0,0.0,0.0]},`) {
		t.Errorf("got %s", w.Body)
	}
	s.expect("GET", "/collections/c/points/my%20key", "", `{"id":"my key","payload":{"city":"London"},"vector":[0,0,1,0]}`)
	s.expect("POST", "/collections/c/points", `{"ids":["f0e09527-b096-42a8-94e9-ea94d342b925",99,1,1]}`,
		`[{"id":"f0e09527-b096-42a8-94e9-ea94d342b925"},{"id":1}]`)
	s.expect("POST", "/collections/c/points/scroll", `{"limit":2,"with_payload":["n"]}`,
		`{"points":[{"id":1,"payload":{"n":1}},{"id":7,"payload":{"n":7}}],"next_page_offset":8}`)
	s.expect("POST", "/collections/c/points/scroll", `{"offset":"a","with_payload":false}`,
		`{"points":[{"id":"my key"}],"next_page_offset":null}`)
	s.expect("POST", "/collections/c/points/count", `{"exact":false}`, `{"count":6}`)

	s.expect("POST", "/collections/c/points/batch?wait=true", `{"operations":[
		{"set_payload":{"payload":{"a":{"b":1}},"points":[8]}},
		{"set_payload":{"payload":{"c":2},"points":[8],"key":"a"}},
		{"delete_payload":{"keys":["a.b"],"filter":{"must":[{"has_id":[8]}]}}},
		{"overwrite_payload":{"payload":{"x":1},"points":[7]}},
		{"clear_payload":{"points":["my key"]}},
		{"update_vectors":{"points":[{"id":8,"vector":[2,2,2,2]}]}},
		{"delete_vectors":{"points":[7],"vector":[""]}},
		{"delete":{"points":[1]}}]}`,
		`[{"operation_id":3,"status":"completed"},{"operation_id":4,"status":"completed"},{"operation_id":5,"status":"completed"},{"operation_id":6,"status":"completed"},
		  {"operation_id":7,"status":"completed"},{"operation_id":8,"status":"completed"},{"operation_id":9,"status":"completed"},{"operation_id":10,"status":"completed"}]`)
	s.expect("POST", "/collections/c/points", `{"ids":[1,7,8,"my key"],"with_payload":true,"with_vector":true}`, `[
		{"id":7,"payload":{"x":1},"vector":{}},
		{"id":8,"payload":{"a":{"c":2}},"vector":[2,2,2,2]},
		{"id":"my key","payload":{},"vector":[0,0,1,0]}]`)
	s.expect("PUT", "/collections/c/points/payload?wait=true", `{"payload":{"x":null},"points":[7]}`, `{"operation_id":11,"status":"completed"}`)
	s.expect("POST", "/collections/c/points", `{"ids":[7],"with_payload":true}`, `[{"id":7,"payload":{"x":null}}]`)
	s.expect("POST", "/collections/c/points/delete?wait=true", `{"filter":{}}`, `{"operation_id":12,"status":"completed"}`)
	s.expect("POST", "/collections/c/points/count", `{}`, `{"count":0}`)
}

func TestNamedVectors(t *testing.T) {
	s := start(t)
	s.expect("PUT", "/collections/c", `{"vectors":{"a":{"size":2,"distance":"Euclid"},"b":{"size":1,"distance":"Manhattan"}}}`, `true`)
	s.expect("PUT", "/collections/c/points", `{"batch":{"ids":[1,2],"vectors":{"a":[[0,0],[3,4]],"b":[[1],[2]]}}}`, `{"operation_id":1,"status":"acknowledged"}`)
	s.expect("POST", "/collections/c/points/query", `{"query":[0,0],"using":"a","with_vector":["b"]}`,
		`{"points":[{"id":1,"version":1,"score":0,"vector":{"b":[1]}},{"id":2,"version":1,"score":5,"vector":{"b":[2]}}]}`)
	s.expect("POST", "/collections/c/points/search", `{"vector":{"name":"b","vector":[4]},"limit":1,"with_vector":true}`,
		`[{"id":2,"version":1,"score":2,"vector":{"a":[3,4],"b":[2]}}]`)
}

func TestCollections(t *testing.T) {
	s := start(t)
	s.expect("PUT", "/collections/c", `{"vectors":{"":{"size":2,"distance":"Cosine"}},"sparse_vectors":{},"hnsw_config":{"m":8}}`, `true`)
	s.expect("GET", "/collections", "", `{"collections":[{"name":"c"}]}`)
	s.expect("GET", "/collections/c/exists", "", `{"exists":true}`)
	s.expect("GET", "/collections/d/exists", "", `{"exists":false}`)
	s.expect("PUT", "/collections/c/index?wait=true", `{"field_name":"city","field_schema":"keyword"}`, `{"operation_id":0,"status":"completed"}`)
	s.expect("PUT", "/collections/c/index?wait=true", `{"field_name":"n","field_schema":{"type":"integer","range":true}}`, `{"operation_id":0,"status":"completed"}`)
	s.expect("PUT", "/collections/c/index?wait=true", `{"field_name":"old","field_type":"keyword"}`, `{"operation_id":0,"status":"completed"}`)
	s.expect("DELETE", "/collections/c/index/old?wait=true", "", `{"operation_id":0,"status":"completed"}`)
	s.expect("DELETE", "/collections/c/index/city?wait=true", "", `{"operation_id":0,"status":"completed"}`)
	s.expect("PUT", "/collections/c/points", `{"points":[{"id":1,"vector":[3,4],"payload":{"n":1}},{"id":2,"vector":[0,0]}]}`, `{"operation_id":1,"status":"acknowledged"}`)
	s.expect("PATCH", "/collections/c", `{"hnsw_config":{"ef_construct":200},"optimizers_config":{"indexing_threshold":5},"metadata":{"owner":"me"}}`, `true`)
	s.expect("GET", "/collections/c", "", `{
		"status":"green","optimizer_status":"ok","indexed_vectors_count":2,"points_count":2,"segments_count":1,"update_queue":{"length":0},
		"config":{
			"params":{"vectors":{"":{"size":2,"distance":"Cosine"}},"sparse_vectors":{},"shard_number":1,"replication_factor":1,"write_consistency_factor":1,"on_disk_payload":true},
			"hnsw_config":{"m":8,"ef_construct":200,"full_scan_threshold":10000,"max_indexing_threads":0,"on_disk":false},
			"optimizer_config":{"deleted_threshold":0.2,"vacuum_min_vector_number":1000,"default_segment_number":0,"max_segment_size":null,"memmap_threshold":null,
				"indexing_threshold":5,"flush_interval_sec":5,"max_optimization_threads":null,"prevent_unoptimized":null},
			"wal_config":{"wal_capacity_mb":32,"wal_segments_ahead":0,"wal_retain_closed":1},
			"quantization_config":null,"metadata":{"owner":"me"}},
		"payload_schema":{"n":{"data_type":"integer","params":{"type":"integer","range":true},"points":1}}}`)
	s.expect("GET", "/collections/c/points/1", "", `{"id":1,"payload":{"n":1},"vector":[0.6,0.8]}`)

	s.expect("POST", "/collections/aliases", `{"actions":[{"create_alias":{"collection_name":"c","alias_name":"live"}}]}`, `true`)
	s.expect("GET", "/collections/live/aliases", "", `{"aliases":[{"alias_name":"live","collection_name":"c"}]}`)
	s.expect("POST", "/collections/live/points/count", `{}`, `{"count":2}`)
	s.expect("POST", "/collections/aliases", `{"actions":[{"rename_alias":{"old_alias_name":"live","new_alias_name":"now"}},{"delete_alias":{"alias_name":"none"}}]}`, `true`)
	s.expect("GET", "/aliases", "", `{"aliases":[{"alias_name":"now","collection_name":"c"}]}`)
	s.expect("DELETE", "/collections/c", "", `true`)
	s.expect("DELETE", "/collections/c", "", `false`)
	s.expect("GET", "/aliases", "", `{"aliases":[]}`)
}

// Indexes answer as the payloads do, but that a text index makes words of texts.
func TestIndexes(t *testing.T) {
	s := start(t)
	s.expect("PUT", "/collections/c", `{"vectors":{"size":2,"distance":"Dot"}}`, `true`)
	s.expect("PUT", "/collections/c/points?wait=true", `{"points":[
		{"id":1,"vector":[1,0],"payload":{"city":"Berlin","n":1,"text":"the Quick fox","loc":{"lon":13.4,"lat":52.5}}},
		{"id":2,"vector":[2,0],"payload":{"city":["Berlin","London"],"n":2.5,"text":"quicksand"}},
		{"id":3,"vector":[3,0],"payload":{"city":7,"n":[3,4],"text":5}}]}`, `{"operation_id":1,"status":"completed"}`)
	count := func(condition, want string) {
		t.Helper()
		s.expect("POST", "/collections/c/points/count", `{"filter":{"must":`+condition+`}}`, `{"count":`+want+`}`)
	}
	count(`{"key":"text","match":{"text":"quick"}}`, "1")
	count(`{"key":"text","match":{"text":"Quick"}}`, "1")
	for _, field := range [][2]string{
		{"city", `"keyword"`}, {"n", `{"type":"integer","lookup":true,"range":true}`}, {"text", `{"type":"text","tokenizer":"word"}`}, {"loc", `"geo"`},
	} {
		s.expect("PUT", "/collections/c/index?wait=true", `{"field_name":"`+field[0]+`","field_schema":`+field[1]+`}`, `{"operation_id":1,"status":"completed"}`)
	}
	count(`{"key":"text","match":{"text":"QUICK"}}`, "1")
	count(`{"key":"text","match":{"text":"quicks"}}`, "0")
	count(`{"key":"text","match":{"text_any":"quicksand fox"}}`, "2")
	count(`{"key":"city","match":{"value":"Berlin"}}`, "2")
	count(`{"key":"city","match":{"except":["Berlin"]}}`, "2")
	count(`{"key":"city","match":{"value":7}}`, "1")
	count(`{"key":"n","range":{"gte":2}}`, "2")
	count(`{"key":"loc","geo_radius":{"center":{"lon":13,"lat":52},"radius":100000}}`, "1")
	s.expect("POST", "/collections/c/points/query", `{"query":[1,0],"filter":{"must":{"key":"city","match":{"value":"Berlin"}}}}`,
		`{"points":[{"id":2,"version":1,"score":2},{"id":1,"version":1,"score":1}]}`)
	s.expect("POST", "/collections/c/points/delete?wait=true", `{"filter":{"must":{"key":"city","match":{"value":"London"}}}}`, `{"operation_id":2,"status":"completed"}`)
	w := s.do("GET", "/collections/c", "")
	if want := `"payload_schema":{"city":{"data_type":"keyword","points":1},"loc":{"data_type":"geo","points":1},` +
		`"n":{"data_type":"integer","params":{"type":"integer","lookup":true,"range":true},"points":2},` +
		`"text":{"data_type":"text","params":{"type":"text","tokenizer":"word"},"points":1}}`; !strings.Contains(w.Body.String(), want) {
		t.Errorf("%s, want %s", w.Body, want)
	}
	if w := s.do("GET", "/metrics", ""); !strings.Contains(w.Body.String(), `freshet_payload_index_points{collection="c",field="city"} 1`) {
		t.Errorf("no figures of indexes in %s", w.Body)
	}
}

func TestService(t *testing.T) {
	s := start(t)
	s.expect("PUT", "/collections/c", `{"vectors":{"size":2,"distance":"Dot"}}`, `true`)
	for path, want := range map[string]string{
		"/":        `"version":"1.19.0"`,
		"/healthz": "healthz check passed",
		"/livez/":  "healthz check passed",
		"/readyz":  "all shards are ready",
		"/metrics": "collections_total 1",
	} {
		if w := s.do("GET", path, ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	for _, r := range []string{"GET /nope", "POST /collections/c", "PUT /collections/c/points/scroll"} {
		method, path, _ := strings.Cut(r, " ")
		if w := s.do(method, path, ""); w.Code != http.StatusNotFound || w.Body.Len() != 0 {
			t.Errorf("%s: %d %q", r, w.Code, w.Body)
		}
	}
}

// TestBadInput checks that a request that is wrong is told so in the words its
// client knows, and changes nothing.
func TestBadInput(t *testing.T) {
	s := start(t)
	s.expect("PUT", "/collections/c", `{"vectors":{"size":4,"distance":"Dot"}}`, `true`)
	s.expect("PUT", "/collections/c/points", `{"points":[{"id":1,"vector":[1,0,0,0],"payload":{"n":1}}]}`, `{"operation_id":1,"status":"acknowledged"}`)
	before := s.result("POST", "/collections/c/points/scroll", `{"with_vector":true}`)

	const points = "/collections/c/points"
	for _, x := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"PUT", points, `{"points":[`, 400, "Format error in JSON body: EOF while parsing a value at line 1 column 11"},
		{"PUT", points, ``, 400, "Format error in JSON body: EOF while parsing a value at line 1 column 0"},
		{"PUT", points, `{"points":[{"id":1,"vector":[NaN,0,0,0]}]}`, 400, "Format error in JSON body: "},
		{"PUT", points, `{"points":[{"id":1,"vector":[1e39,0,0,0]}]}`, 400, "Format error in JSON body: points[0].vector.vector: number out of the range"},
		{"PUT", points, `{"points":[{"id":1,"vector":[null,0,0,0]}]}`, 400, "Format error in JSON body: data did not match any variant of untagged enum VectorStruct"},
		{"PUT", points, `{"points":[{"id":1,"vector":null}]}`, 400, "Format error in JSON body: data did not match any variant of untagged enum VectorStruct"},
		{"PUT", points, `{"points":[{"id":1}]}`, 400, "Format error in JSON body: missing field `vector`"},
		{"PUT", points, `{"points":[{"vector":[1,2,3,4]}]}`, 400, "Format error in JSON body: missing field `id`"},
		{"PUT", points, `{"points":[{"id":-1,"vector":[1,2,3,4]}]}`, 400, "Format error in JSON body: value -1 is not a valid point ID"},
		{"PUT", points, `{"points":[{"id":1.5,"vector":[1,2,3,4]}]}`, 400, "Format error in JSON body: value 1.5 is not a valid point ID"},
		{"PUT", points, `{"points":[{"id":"","vector":[1,2,3,4]}]}`, 400, "Format error in JSON body: "},
		{"PUT", points, `{"points":[{"id":2,"vector":[1,2,3,4]},{"id":1,"vector":[1,2,3]}]}`, 400, "Wrong input: Vector dimension error: expected dim: 4, got 3"},
		{"PUT", points, `{"points":[{"id":1,"vector":[]}]}`, 422, "Validation error in JSON body: [points[0].vector.vector: dense vector must not be empty]"},
		{"PUT", points, `{"points":[{"id":1,"vector":{"x":[1,2,3,4]}}]}`, 400, "Wrong input: Not existing vector name error: x"},
		{"PUT", points, `{"points":[{"id":1,"vector":{"":{"indices":[1],"values":[1]}}}]}`, 400, "Wrong input: Conversion between sparse and regular vectors failed"},
		{"PUT", points, `{"points":[{"id":1,"vector":[1,2,3,4],"payload":[]}]}`, 400, "Format error in JSON body: invalid type: sequence, expected a map"},
		{"PUT", points, `{"points":[]}`, 400, "Bad request: Empty update request"},
		{"PUT", points, `[]`, 400, "Format error in JSON body: Invalid PointInsertOperations format"},
		{"PUT", points, `{}`, 400, "Format error in JSON body: Invalid PointInsertOperations format"},
		{"PUT", points, `{"batch":{"ids":[1,2],"vectors":[[1,2,3,4]]}}`, 422, "Validation error in JSON body: [batch.batch: number of ids and vectors must be equal (2 != 1)]"},
		{"PUT", points, `{"points":[{"id":1,"vector":[1,2,3,4]}],"shard_key":"a"}`, 400, `Bad request: Shard key "a" not found`},
		{"PUT", points + "?wait=maybe", `{}`, 400, "Deserialize error in query parameters: provided string was not `true` or `false`"},
		{"PUT", points + "?ordering=foo", `{}`, 400, "Deserialize error in query parameters: "},
		{"PUT", points + "?timeout=0", `{}`, 400, "Deserialize error in query parameters: invalid value: integer `0`"},
		{"PUT", "/collections/none/points", `{"points":[{"id":1,"vector":[1,2,3,4]}]}`, 404, "Not found: Collection `none` doesn't exist!"},
		{"PUT", points + "/vectors?wait=true", `{"points":[{"id":9,"vector":[1,2,3,4]}]}`, 404, "Not found: No point with id 9 found"},
		{"POST", points + "/vectors/delete", `{"points":[1],"vector":["x"]}`, 400, "Wrong input: Not existing vector name error: x"},
		{"POST", points + "/payload", `{"payload":{"a":1}}`, 400, "Format error in JSON body: Either list of point ids or filter must be provided"},
		{"POST", points + "/payload", `{"points":[1]}`, 400, "Format error in JSON body: missing field `payload`"},
		{"POST", points + "/delete", `{}`, 400, "Format error in JSON body: data did not match any variant of untagged enum PointsSelector"},
		{"POST", points + "/delete", `{"filter":{"foo":[]}}`, 400, "Format error in JSON body: "},
		{"POST", points + "/batch", `{"operations":[{"foo":{}}]}`, 400, "Format error in JSON body: data did not match any variant of untagged enum UpdateOperation"},
		{"GET", points + "/999", ``, 404, "Not found: Point with id 999 does not exists!"},
		{"POST", points, `{}`, 400, "Format error in JSON body: missing field `ids`"},
		{"POST", points + "/query", `{"query":[1,2,3]}`, 400, "Wrong input: Vector dimension error: expected dim: 4, got 3"},
		{"POST", points + "/query", `{"query":[1,2,3,4],"limit":0}`, 422, "Validation error in JSON body: [internal.limit: value 0 invalid, must be 1 or larger]"},
		{"POST", points + "/query", `{"query":[1,2,3,4],"params":{"hnsw_ef":0}}`, 422, "Validation error in JSON body: [internal.params.hnsw_ef: value 0 invalid, must be 1 or larger]"},
		{"POST", points + "/query", `{"query":[1,2,3,4],"offset":-1}`, 400, "Format error in JSON body: invalid value: integer `-1`, expected usize"},
		{"POST", points + "/query", `{"query":[1,2,3,4],"using":"x"}`, 400, "Wrong input: Not existing vector name error: x"},
		{"POST", points + "/query", `{"query":9}`, 404, "Not found: No point with id 9 found"},
		{"POST", points + "/query", `{"query":{"foo":1}}`, 400, "Format error in JSON body: Expected some form of vector, id, or a type of query"},
		{"POST", points + "/query", `{"query":{"indices":[1],"values":[1]}}`, 400, "Wrong input: Conversion between sparse and regular vectors failed"},
		{"POST", points + "/query", `{"score_threshold":1}`, 400, "Bad request: A query is needed to use the score_threshold."},
		{"POST", points + "/query", `{"prefetch":{"query":[1,2,3,4]}}`, 400, "Bad request: A query is needed to merge the prefetches."},
		{"POST", points + "/query", `{"query":{"fusion":"rrf"}}`, 400, "Wrong input: Validation failed: cannot apply Fusion without prefetches"},
		{"POST", points + "/query", `{"query":[1,2,3,4],"filter":{"foo":[]}}`, 400, "Format error in JSON body: unknown field `foo`"},
		{"POST", points + "/query?consistency=foo", `{}`, 400, "Deserialize error in query parameters: "},
		{"POST", points + "/scroll", `{"limit":0}`, 422, "Validation error in JSON body: [scroll_request.limit: value 0 invalid, must be 1 or larger]"},
		{"POST", points + "/search", `{"vector":[1,2,3,4]}`, 400, "Format error in JSON body: missing field `limit`"},
		{"POST", points + "/search/batch", `{"searches":[{"vector":[1,2,3,4],"limit":1},{"vector":[1,2],"limit":1},{"vector":[1],"limit":1}]}`, 400, "Wrong input: Vector dimension error: expected dim: 4, got 2 (searches[1])"},
		{"POST", points + "/query/batch", `{"searches":[{"query":[1,2,3,4]},{"score_threshold":1}]}`, 400, "Bad request: A query is needed to use the score_threshold."},
		{"POST", points + "/search/batch", `{}`, 400, "Format error in JSON body: missing field `searches`"},
		{"POST", points + "/scroll", `{} {}`, 400, "Format error in JSON body: trailing characters"},
		{"POST", points + "/scroll", "{\"a\":\"\xff\"}", 400, "Format error in JSON body: "},
		{"PUT", "/collections/d", `{"vectors":{"size":0,"distance":"Dot"}}`, 400, "Format error in JSON body: data did not match any variant of untagged enum VectorsConfig"},
		{"PUT", "/collections/d", `{"vectors":{"size":-1,"distance":"Dot"}}`, 400, "Format error in JSON body: data did not match any variant of untagged enum VectorsConfig"},
		{"PUT", "/collections/d", `{"sharding_method":"other"}`, 400, "Format error in JSON body: unknown variant `other`, expected one of `auto`, `custom`"},
		{"PUT", "/collections/d", `{"sharding_method":"custom"}`, 400, "Bad request: the sharding method \"custom\" needs a cluster"},
		{"PUT", "/collections/d", `{"sparse_vectors":{"a*":{}}}`, 422, `Validation error in JSON body: [sparse_vectors.a*: vector name cannot contain "*" char`},
		{"POST", "/collections/aliases", `{"actions":[{"create_alias":{"alias_name":"x"}}]}`, 400, "Format error in JSON body: missing field `collection_name`"},
		{"POST", "/collections/aliases", `{"actions":[{"create_alias":{"collection_name":"c"}}]}`, 400, "Format error in JSON body: missing field `alias_name`"},
		{"POST", "/collections/aliases", `{"actions":[{"delete_alias":{}}]}`, 400, "Format error in JSON body: missing field `alias_name`"},
		{"POST", "/collections/aliases", `{"actions":[{"rename_alias":{"new_alias_name":"x"}}]}`, 400, "Format error in JSON body: missing field `old_alias_name`"},
		{"POST", "/collections/aliases", `{"actions":[{"rename_alias":{"old_alias_name":"x"}}]}`, 400, "Format error in JSON body: missing field `new_alias_name`"},
		{"POST", "/collections/aliases", `{"actions":[{"create_alias":{"collection_name":"c","alias_name":"x/y"}}]}`, 422, `Validation error in JSON body: [alias_name: alias name cannot contain "/" char`},
		{"PUT", "/collections/c/index", `{"field_name":"a","field_schema":"keyword","field_type":"keyword"}`, 400, "Format error in JSON body: duplicate field `field_schema`"},
		{"PUT", "/collections/c/index", `{"field_name":"a","field_type":"other"}`, 400, "Format error in JSON body: data did not match any variant of untagged enum PayloadFieldSchema"},
		{"PUT", "/collections/d", `{"vectors":{"size":65537,"distance":"Dot"}}`, 422, "Validation error in JSON body: [vectors.size: value 65537 invalid, must be from 1 to 65536]"},
		{"PUT", "/collections/d", `{"vectors":{"size":4,"distance":"Dot"},"hnsw_config":{"ef_construct":0}}`, 422, "Validation error in JSON body: [hnsw_config.ef_construct: value 0 invalid, must be 4 or larger]"},
		{"PUT", "/collections/d", `{"vectors":{"size":4,"distance":"Dot"},"quantization_config":{"product":{"compression":"x3"}}}`, 400, "Format error in JSON body: data did not match any variant of untagged enum QuantizationConfig: product.compression"},
		{"PUT", "/collections/d", `{"vectors":{"size":4,"distance":"Dot"},"quantization_config":{"scalar":{"type":"int8","quantile":2}}}`, 422, "Validation error in JSON body: [quantization_config.scalar.quantile: value 2 invalid, must be from 0.5 to 1.0]"},
		{"PATCH", "/collections/c", `{"quantization_config":"Off"}`, 400, "Format error in JSON body: data did not match any variant of untagged enum QuantizationConfig"},
		{"POST", points + "/query", `{"query":[1,2,3,4],"params":{"quantization":{"oversampling":0.9}}}`, 422, "Validation error in JSON body: [internal.params.quantization.oversampling: value 0.9 invalid, must be 1.0 or larger]"},
		{"POST", points + "/query", `{"query":[1,2,3,4],"params":{"quantization":{"ignore":1}}}`, 400, "Format error in JSON body: invalid type: number, expected a boolean"},
		{"POST", points + "/query", `{"query":[1,2,3,4],"params":{"indexed_only":"no"}}`, 400, "Format error in JSON body: invalid type: string, expected a boolean"},
		{"POST", points + "/query", `{"query":[1,2,3,4],"params":{"acorn":true}}`, 400, "Format error in JSON body: invalid type: boolean `true`, expected a map"},
		{"POST", points + "/search", `{"vector":[1,2,3,4],"limit":1,"params":{"acorn":{"enable":1}}}`, 400, "Format error in JSON body: invalid type: number, expected a boolean"},
		{"POST", points + "/query", `{"query":[1,2,3,4],"params":{"acorn":{"max_selectivity":"half"}}}`, 400, "Format error in JSON body: invalid type: string, expected f32"},
		{"POST", points + "/query", `{"query":[1,2,3,4],"params":{"acorn":{"max_selectivity":1.5}}}`, 422, "Validation error in JSON body: [internal.params.acorn.max_selectivity: value 1.5 invalid, must be from 0.0 to 1.0]"},
		{"GET", "/collections/none/shards", ``, 404, "Not found: Collection `none` doesn't exist!"},
		{"POST", points + "/query", `{"query":[1,2,3,4],"params":{"quantization":true}}`, 400, "Format error in JSON body: invalid type: boolean `true`, expected a map"},
		{"POST", points + "/search/batch", `{"searches":[{"vector":[1,2,3,4],"limit":1},{"vector":[1,2,3,4],"limit":1,"params":{"quantization":{"oversampling":-1}}}]}`, 422, "Validation error in JSON body: [searches[1].search_request.params.quantization.oversampling: value -1 invalid"},
		{"PUT", "/collections/d", `{"vectors":{"a/b":{"size":4,"distance":"Dot"}}}`, 422, `Validation error in JSON body: [vectors.a/b: vector name cannot contain "/" char]`},
		{"PUT", "/collections/d", `{"vectors":{"` + strings.Repeat("a", 201) + `":{"size":4,"distance":"Dot"}}}`, 422, "Validation error in JSON body: [vectors.aaa"},
		{"PUT", "/collections/" + strings.Repeat("a", 256), `{}`, 422, "Validation error in path parameters: [collection_name: value "},
		{"PUT", points, `{"points":[{"id":1,"vector":[1,2,3,4]}],"update_mode":"replace"}`, 400, "Format error in JSON body: unknown variant `replace`, expected one of `upsert`, `insert_only`, `update_only`"},
		{"PUT", points, `{"points":[{"id":1,"vector":[1,2,3,4]}],"update_filter":{"must":{"key":"a"}}}`, 422, "Validation error in JSON body: [update_filter.must[0].__all__: "},
		{"PUT", points + "/vectors", `{"points":[{"id":1,"vector":[1,2,3,4]}],"update_filter":{"foo":1}}`, 400, "Format error in JSON body: unknown field `foo`"},
		{"PUT", points + "/vectors", `{"points":[]}`, 400, "Bad request: Empty update request"},
		{"PUT", "/collections/d", `{"optimizers_config":{"deleted_threshold":1.5}}`, 422, "Validation error in JSON body: [optimizers_config.deleted_threshold: value 1.5 invalid, must be from 0.0 to 1.0]"},
		{"PUT", "/collections/d", `{"optimizers_config":{"vacuum_min_vector_number":99}}`, 422, "Validation error in JSON body: [optimizers_config.vacuum_min_vector_number: value 99 invalid, must be 100 or larger]"},
		{"PUT", "/collections/d", `{"optimizers_config":{"indexing_threshold":"all"}}`, 400, "Format error in JSON body: invalid type: string, expected an integer"},
		{"PUT", "/collections/d", `{"optimizers_config":{"max_optimization_threads":"all"}}`, 400, "Format error in JSON body: data did not match any variant of untagged enum MaxOptimizationThreads"},
		{"PUT", "/collections/d", `{"wal_config":{"wal_capacity_mb":0}}`, 422, "Validation error in JSON body: [wal_config.wal_capacity_mb: value 0 invalid, must be 1 or larger]"},
		{"PUT", "/collections/d", `{"sharding_method":"custom"}`, 400, "Bad request: the sharding method \"custom\" needs a cluster"},
		{"PUT", "/collections/d", `{"replication_factor":0}`, 422, "Validation error in JSON body: [replication_factor: value 0 invalid, must be 1 or larger]"},
		{"PUT", "/collections/d", `{"metadata":[1]}`, 400, "Format error in JSON body: invalid type: sequence, expected a map"},
		{"PATCH", "/collections/c", `{"optimizers_config":{"deleted_threshold":-1}}`, 422, "Validation error in JSON body: [optimizers_config.deleted_threshold: "},
		{"PUT", "/collections/d?timeout=0", `{}`, 422, "Validation error in query parameters: [timeout: value 0 invalid"},
		{"PUT", "/collections/.", `{}`, 422, `Validation error in path parameters: [collection_name: collection name cannot be "."]`},
		{"PUT", "/collections/%2E%2e", `{}`, 422, `Validation error in path parameters: [collection_name: collection name cannot be ".."]`},
		{"POST", "/collections/aliases", `{"actions":[{"create_alias":{"collection_name":"c","alias_name":".."}}]}`, 422, "Validation error in "},
		{"PUT", "/collections/a%3Cb", `{}`, 422, "Validation error in path parameters: [collection_name: "},
		{"PUT", "/collections/c", `{}`, 409, "Wrong input: Collection `c` already exists!"},
		{"PUT", "/collections/c/index", `{"field_name":"n"}`, 400, "Bad request: Can't auto-detect field type"},
		{"PUT", "/collections/c/index", `{"field_name":"n","field_schema":{"type":"integer","lookup":1}}`, 400, "Bad request: field_schema.lookup: invalid type: expected a boolean"},
		{"PUT", "/collections/c/index", `{"field_name":"n","field_schema":{"type":"keyword","tokenizer":"word"}}`, 400, "Bad request: field_schema.tokenizer: an index of type keyword has no such parameter"},
		{"PUT", "/collections/c/index", `{"field_name":"n","field_schema":{"type":"text","tokenizer":"words"}}`, 400, "Bad request: field_schema.tokenizer: unknown variant `words`"},
		{"PUT", "/collections/c/index", `{"field_name":"n[","field_schema":"text"}`, 400, "Format error in JSON body: field_name: Invalid json path: 'n['"},
		{"PUT", "/collections/c/index", `{"field_name":"n","field_schema":"foo"}`, 400, "Format error in JSON body: data did not match any variant of untagged enum PayloadFieldSchema"},
		{"PATCH", "/collections/c", `{"vectors":{"x":{"on_disk":true}}}`, 400, "Wrong input: Not existing vector name error: x"},
		{"POST", "/collections/aliases", `{"actions":[{"create_alias":{"collection_name":"none","alias_name":"a"}}]}`, 404, "Not found: Collection `none` doesn't exist!"},
		{"POST", "/collections/aliases", `{"actions":[{"foo":1}]}`, 400, "Format error in JSON body: data did not match any variant of untagged enum AliasOperations"},
		{"POST", "/collections/c/cluster", `{}`, 405, "Qdrant is running in standalone mode"},
	} {
		w := s.do(x.method, x.path, x.body)
		var answer struct{ Status struct{ Error string } }
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Errorf("%s %s %s: %v in %q", x.method, x.path, x.body, err, w.Body)
			continue
		}
		if w.Code != x.status || !strings.HasPrefix(answer.Status.Error, x.text) {
			t.Errorf("%s %s %s:\n got %d %s\nwant %d %s", x.method, x.path, x.body, w.Code, answer.Status.Error, x.status, x.text)
		}
	}
	if diff := cmp.Diff(before, s.result("POST", "/collections/c/points/scroll", `{"with_vector":true}`)); diff != "" {
		t.Errorf("bad input changed something (-before +after):\n%s", diff)
	}
	s.expect("GET", "/collections", "", `{"collections":[{"name":"c"}]}`)
	if strings.Contains(s.logs.String(), "ERROR") {
		t.Errorf("bad input was logged as an error:\n%s", s.logs.String())
	}
}

func TestBodies(t *testing.T) {
	s := start(t)
	s.expect("PUT", "/collections/c", `{"vectors":{"size":1,"distance":"Dot"}}`, `true`)
	send := func(encoding string, body io.Reader) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", "/collections/c/points/count", body)
		r.Header.Set("Content-Encoding", encoding)
		return s.send(r)
	}
	gz := func(b []byte) io.Reader {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return &out
	}
	zs := func(b []byte) io.Reader {
		w, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.NewReader(w.EncodeAll(b, nil))
	}
	large := bytes.Repeat([]byte(" "), 40<<20)
	for _, x := range []struct {
		name, encoding string
		body           io.Reader
		status         int
	}{
		{"plain", "", strings.NewReader(`{}`), 200},
		{"gzip", "gzip", gz([]byte(`{}`)), 200},
		{"zstd", "zstd", zs([]byte(`{}`)), 200},
		{"not gzip", "gzip", strings.NewReader(`{}`), 400},
		{"not zstd", "zstd", strings.NewReader(`{}`), 400},
		{"unknown", "br", strings.NewReader(`{}`), 415},
		{"40 MiB", "", bytes.NewReader(large), 413},
		{"40 MiB in gzip", "gzip", gz(large), 413},
		{"40 MiB in zstd", "zstd", zs(large), 413},
	} {
		if w := send(x.encoding, x.body); w.Code != x.status {
			t.Errorf("%s: %d %.200s", x.name, w.Code, w.Body)
		}
	}
}

func TestLargeAnswersAreCompressed(t *testing.T) {
	s := start(t)
	s.expect("PUT", "/collections/c", `{"vectors":{"size":1000,"distance":"Dot"}}`, `true`)
	s.result("PUT", "/collections/c/points", fmt.Sprintf(`{"points":[{"id":1,"vector":[%s1]}]}`, strings.Repeat("1,", 999)))
	for accept, want := range map[string]string{"gzip": "gzip", "gzip, zstd": "zstd", "br": "", "gzip;q=0": ""} {
		r := httptest.NewRequest("GET", "/collections/c/points/1", nil)
		r.Header.Set("Accept-Encoding", accept)
		w := s.send(r)
		if got := w.Header().Get("Content-Encoding"); got != want || w.Code != http.StatusOK {
			t.Errorf("Accept-Encoding %q: %d, encoding %q, want %q", accept, w.Code, got, want)
		}
		body := io.Reader(w.Body)
		switch want {
		case "gzip":
			z, err := gzip.NewReader(body)
			if err != nil {
				t.Fatal(err)
			}
			body = z
		case "zstd":
			z, err := zstd.NewReader(body)
			if err != nil {
				t.Fatal(err)
			}
			defer z.Close()
			body = z
		}
		var answer struct{ Result struct{ Vector []float32 } }
		if err := json.NewDecoder(body).Decode(&answer); err != nil || len(answer.Result.Vector) != 1000 {
			t.Errorf("Accept-Encoding %q: %v, %d numbers", accept, err, len(answer.Result.Vector))
		}
	}
}

// TestMinOffsets checks reads that are tied to positions of Kafka's log.
func TestMinOffsets(t *testing.T) {
	s := start(t)
	c := s.collection()
	apply := func(offset int64) {
		stream := server.Stream{Source: "s", Topic: "t", Partition: 0}
		_, err := c.Apply(context.Background(), server.Batch{
			Ops: []server.Op{{
				Kind: server.Upsert, Version: server.Version{Stream: stream, Offset: offset, Time: offset},
				Points: []server.Point{{ID: point.Number(uint64(offset)), Vectors: server.Vectors{"": server.Dense{1}}}},
			}},
			Positions: []server.Position{{Stream: stream, Next: offset + 1}},
		})
		if err != nil {
			t.Error(err)
		}
	}
	count := func(want string, timeout int) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", fmt.Sprintf("/collections/c/points/count?timeout=%d", timeout), strings.NewReader(`{}`))
		r.Header.Set("X-Freshet-Min-Offsets", want)
		return s.send(r)
	}
	apply(4)
	if w := count("t:0:4", 1); w.Code != http.StatusOK || w.Header().Get("X-Freshet-Offsets") != "t:0:4" {
		t.Errorf("%d %s, offsets %q", w.Code, w.Body, w.Header().Get("X-Freshet-Offsets"))
	}
	if w := count("t:0:6", 1); w.Code != http.StatusRequestTimeout ||
		!strings.Contains(w.Body.String(), `topic \"t\", partition 0: applied to offset 4, 2 records behind offset 6`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, bad := range []string{"t", "t:0", "t:0:-1", "t:x:1", ":0:1", "t:0:1,"} {
		if w := count(bad, 1); w.Code != http.StatusBadRequest {
			t.Errorf("%q: %d %s", bad, w.Code, w.Body)
		}
	}
	done := make(chan *httptest.ResponseRecorder)
	go func() { done <- count("t:0:5", 60) }()
	select {
	case w := <-done:
		t.Fatalf("answered before the record was applied: %d %s", w.Code, w.Body)
	case <-time.After(20 * time.Millisecond):
	}
	apply(5)
	if w := <-done; w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"count":2`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
