package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"freshet/api"
	"freshet/server"
)

// fuzzed returns an empty database that is closed after the fuzzing.
func fuzzed(f *testing.F) *server.DB {
	f.Helper()
	db, err := server.Open(context.Background(), f.TempDir(), server.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := db.Close(); err != nil {
			f.Error(err)
		}
	})
	return db
}

// FuzzRequests sends any body to each endpoint that reads one: whatever it is,
// the answer is not a fault of the server's.
func FuzzRequests(f *testing.F) {
	db := fuzzed(f)
	one := 1
	cfg := server.Config{
		Vectors: server.VectorsConfig{Named: map[string]server.VectorParams{"": {Size: 2, Distance: server.Cosine}}},
		HNSW:    server.HNSWConfig{MaxIndexingThreads: &one},
	}
	if err := db.CreateCollection(context.Background(), "c", cfg); err != nil {
		f.Fatal(err)
	}
	h := api.New(db, api.Options{}).Handler()
	endpoints := []string{
		"PUT /collections/c/points", "POST /collections/c/points/batch", "POST /collections/c/points/query",
		"POST /collections/c/points/query/batch", "POST /collections/c/points/search", "POST /collections/c/points/scroll",
		"POST /collections/c/points", "POST /collections/c/points/payload", "PUT /collections/c/index", "PATCH /collections/c",
		"POST /collections/aliases", "PUT /collections/c/points/vectors",
		"POST /collections/c/points/recommend", "POST /collections/c/points/recommend/batch",
		"POST /collections/c/points/discover", "POST /collections/c/points/discover/batch",
	}
	for i, body := range []string{
		`{"points":[{"id":1,"vector":[1,2],"payload":{"a":1}}]}`,
		`{"operations":[{"delete":{"points":[1]}},{"set_payload":{"payload":{"a":1},"filter":{}}}]}`,
		`{"query":{"nearest":[1,2]},"limit":3,"filter":{"must":[{"key":"a","range":{"gt":1}}]},"params":{"hnsw_ef":4}}`,
		`{"searches":[{"query":1},{"limit":2,"with_payload":["a"],"with_vector":true}]}`,
		`{"vector":{"name":"","vector":[1,2]},"limit":1}`,
		`{"offset":1,"limit":2}`, `{"ids":[1,"a"]}`, `{"payload":{"a":null},"key":"b[].c","points":[1]}`,
		`{"field_name":"a","field_schema":{"type":"text"}}`, `{"hnsw_config":{"m":4},"metadata":{}}`,
		`{"actions":[{"create_alias":{"collection_name":"c","alias_name":"d"}}]}`, `{"points":[{"id":1,"vector":{"":[1,2]}}]}`,
	} {
		f.Add(uint8(i), body)
	}
	f.Fuzz(func(t *testing.T, endpoint uint8, body string) {
		method, path, _ := strings.Cut(endpoints[int(endpoint)%len(endpoints)], " ")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		if w.Code >= http.StatusInternalServerError {
			t.Errorf("%s %s %q: %d %s", method, path, body, w.Code, w.Body)
		}
	})
}
