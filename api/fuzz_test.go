package api_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

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

// FuzzHeaders asks with any headers that a read takes: it is answered, or they are refused.
func FuzzHeaders(f *testing.F) {
	db := fuzzed(f)
	if err := db.CreateCollection(context.Background(), "c", server.Config{}); err != nil {
		f.Fatal(err)
	}
	h := api.New(db, api.Options{}).Handler()
	f.Add("t:0:5,u:1:9223372036854775807", "strong", "5s")
	f.Add("t:2147483647:0", "eventual", "1e3h")
	f.Add("t:-1:5", "STRONG", "-1s")
	f.Add(":0:5", "", "2562047h47m16.854775808s")
	f.Add(strings.Repeat("t:0:1,", 1025), "\x00", "1")
	f.Fuzz(func(t *testing.T, offsets, consistency, staleness string) {
		r := httptest.NewRequest("POST", "/collections/c/points/count", strings.NewReader(`{}`))
		r.Header.Set("X-Freshet-Min-Offsets", offsets)
		r.Header.Set("X-Freshet-Consistency", consistency)
		r.Header.Set("X-Freshet-Max-Staleness", staleness)
		ctx, cancel := context.WithTimeout(r.Context(), time.Millisecond) // nothing ever comes
		defer cancel()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r.WithContext(ctx))
		if w.Code >= http.StatusInternalServerError && w.Code != http.StatusGatewayTimeout {
			t.Errorf("%q %q %q: %d %s", offsets, consistency, staleness, w.Code, w.Body)
		}
	})
}

// FuzzTokens signs any claims with the right key, and asks for a change: only those that
// say nothing of access, or everything, may do it, and none is a fault of the server's.
func FuzzTokens(f *testing.F) {
	h := api.New(fuzzed(f), api.Options{APIKeys: []string{"full"}, Tokens: true}).Handler()
	for _, claims := range []string{
		`{}`, `{"access":"m"}`, `{"access":"r","exp":1}`, `{"access":[{"collection":"c","access":"rw"}]}`, `{"access":null}`,
		`{"value_exists":{"collection":"c","matches":[{"key":"a","value":1}]}}`, `{"exp":1e400}`, `{"nbf":-1,"aud":["x",1]}`, `[]`, `{"access":"r","Access":"m"}`,
	} {
		f.Add(claims)
	}
	encode := base64.RawURLEncoding.EncodeToString
	f.Fuzz(func(t *testing.T, claims string) {
		signed := encode([]byte(`{"alg":"HS256"}`)) + "." + encode([]byte(claims))
		mac := hmac.New(sha256.New, []byte("full"))
		mac.Write([]byte(signed))
		r := httptest.NewRequest("DELETE", "/collections/none", nil)
		r.Header.Set("api-key", signed+"."+encode(mac.Sum(nil)))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var said map[string]json.RawMessage
		everything := json.Unmarshal([]byte(claims), &said) == nil
		for name, value := range said {
			everything = everything && (!strings.EqualFold(name, "access") || strings.TrimSpace(string(value)) == `"m"`)
		}
		switch {
		case w.Code >= http.StatusInternalServerError:
			t.Errorf("%q: %d %s", claims, w.Code, w.Body)
		case w.Code != http.StatusUnauthorized && w.Code != http.StatusForbidden && !everything:
			t.Errorf("%q may change everything: %d %s", claims, w.Code, w.Body)
		}
	})
}
