package api_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"freshet/api"
	"freshet/server"
)

// startWithKeys returns a server that knows three keys.
func startWithKeys(t *testing.T) *service {
	t.Helper()
	db, err := server.Open(context.Background(), t.TempDir(), server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &service{t: t, db: db}
	s.h = api.New(db, api.Options{APIKeys: []string{"full", "other"}, ReadOnlyAPIKeys: []string{"reader"}}).Handler()
	return s
}

// access says who may use a route.
type access int

const (
	anybody access = iota
	readers
	writers
)

// accessTable has every route: f for those that need no key, r for those that a
// read-only key may use, w for the others.
var accessTable = map[access][]string{
	anybody: {"GET /", "GET /healthz", "GET /livez", "GET /readyz", "GET /openapi.json"},
	readers: {
		"GET /metrics", "GET /telemetry", "GET /issues", "GET /cluster", "GET /collections", "GET /aliases",
		"GET {c}", "GET {c}/exists", "GET {c}/cluster", "GET {c}/optimizations", "GET {c}/aliases", "GET {c}/shards", "GET {c}/shards/:shard/*", "GET /cluster/*", "GET /quotas",
		"GET {c}/snapshots", "GET {c}/snapshots/:snapshot", "GET /snapshots", "GET /snapshots/:snapshot",
		"GET {c}/points/:id", "POST {c}/points", "POST {c}/points/scroll", "POST {c}/points/count",
		"POST {c}/points/query", "POST {c}/points/query/batch", "POST {c}/points/search", "POST {c}/points/search/batch",
		"POST {c}/points/recommend", "POST {c}/points/recommend/batch", "POST {c}/points/discover", "POST {c}/points/discover/batch",
		"POST {c}/points/query/groups", "POST {c}/points/search/groups", "POST {c}/points/recommend/groups",
		"POST {c}/points/search/matrix/pairs", "POST {c}/points/search/matrix/offsets", "POST {c}/facet",
	},
	writers: {
		"POST {c}/snapshots", "DELETE {c}/snapshots/:snapshot", "PUT {c}/snapshots/recover", "POST {c}/snapshots/upload",
		"POST /snapshots", "DELETE /snapshots/:snapshot",
		"DELETE /issues", "POST /collections/aliases", "PUT /cluster/*", "POST /cluster/*", "DELETE /cluster/*", "PUT /quotas", "POST /quotas", "DELETE /quotas",
		"PUT {c}", "PATCH {c}", "DELETE {c}", "PUT {c}/index", "DELETE {c}/index/:field", "PUT {c}/vectors/:vector", "DELETE {c}/vectors/:vector", "POST {c}/cluster",
		"PUT {c}/shards", "POST {c}/shards/delete", "PUT {c}/shards/:shard/*", "POST {c}/shards/:shard/*", "DELETE {c}/shards/:shard/*",
		"PUT {c}/points", "POST {c}/points/delete", "PUT {c}/points/vectors", "POST {c}/points/vectors/delete",
		"POST {c}/points/payload", "PUT {c}/points/payload", "POST {c}/points/payload/delete", "POST {c}/points/payload/clear",
		"POST {c}/points/batch",
	},
}

// TestAccess checks that every route is in the table, and whom it answers.
func TestAccess(t *testing.T) {
	s := startWithKeys(t)
	table := map[string]access{}
	for who, routes := range accessTable {
		for _, route := range routes {
			table[strings.Replace(route, "{c}", "/collections/:collection", 1)] = who
		}
	}
	send := func(r *echo.Route, header, key string) *httptest.ResponseRecorder {
		path := strings.NewReplacer(":collection", "none", ":id", "1", ":field", "f", ":name", "n", ":shard", "0", ":snapshot", "a.snapshot").Replace(r.Path)
		req := httptest.NewRequest(r.Method, path, strings.NewReader(`{}`))
		if header != "" {
			req.Header.Set(header, key)
		}
		return s.send(req)
	}
	allowed := func(who access, granted access) bool { return granted >= who }
	for _, r := range s.h.(*echo.Echo).Routes() {
		name := r.Method + " " + r.Path
		who, ok := table[name]
		if !ok {
			t.Errorf("%s is not in accessTable: who may use it?", name)
			continue
		}
		delete(table, name)
		for _, x := range []struct {
			header, key string
			granted     access
			status      int // if it is not allowed
			text        string
		}{
			{"", "", anybody, 401, "Must provide an API key or an Authorization bearer token"},
			{"api-key", "wrong", anybody, 401, "Invalid API key or JWT"},
			{"api-key", "full ", anybody, 401, "Invalid API key or JWT"},
			{"Authorization", "Basic full", anybody, 401, "Must provide an API key or an Authorization bearer token"},
			{"Authorization", "Bearer wrong", anybody, 401, "Invalid API key or JWT"},
			{"api-key", "reader", readers, 403, "Forbidden: "},
			{"Authorization", "Bearer reader", readers, 403, "Forbidden: "},
			{"api-key", "full", writers, 0, ""},
			{"Api-Key", "other", writers, 0, ""},
			{"Authorization", "bearer full", writers, 0, ""},
		} {
			w := send(r, x.header, x.key)
			refused := w.Code == 401 || w.Code == 403
			if allowed(who, x.granted) == refused || refused && (w.Code != x.status || !strings.Contains(w.Body.String(), x.text)) {
				t.Errorf("%s with %s %q: %d %s", name, x.header, x.key, w.Code, w.Body)
			}
		}
	}
	for name := range table {
		t.Errorf("accessTable has %s, which there is not", name)
	}
	for _, path := range []string{"/none", "/collections/a/none"} {
		if w := s.do("GET", path, ""); w.Code != 401 {
			t.Errorf("%s without a key: %d", path, w.Code)
		}
	}
	if w := s.do("OPTIONS", "/collections", ""); w.Code != 204 {
		t.Errorf("a browser's question before a request: %d", w.Code)
	}
}

// TestReadOnlyKeyChangesNothing tries the writes of a read-only key.
func TestReadOnlyKeyChangesNothing(t *testing.T) {
	s := startWithKeys(t)
	send := func(key, method, path, body string) int {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("api-key", key)
		return s.send(r).Code
	}
	create := `{"vectors":{"size":1,"distance":"Dot"}}`
	point := `{"points":[{"id":1,"vector":[1]}]}`
	for i, x := range []struct {
		key, method, path, body string
		want                    int
	}{
		{"reader", "PUT", "/collections/c", create, 403},
		{"reader", "GET", "/collections/c", "", 404},
		{"full", "PUT", "/collections/c", create, 200},
		{"reader", "PUT", "/collections/c/points", point, 403},
		{"reader", "GET", "/collections/c/points/1", "", 404},
		{"other", "PUT", "/collections/c/points/", point, 200},
		{"reader", "POST", "/collections/c/points/delete/", `{"points":[1]}`, 403},
		{"reader", "DELETE", "/collections/c/", "", 403},
		{"reader", "POST", "/collections/c/points/query", `{"query":[1]}`, 200},
		{"reader", "GET", "/collections/c/points/1", "", 200},
	} {
		if got := send(x.key, x.method, x.path, x.body); got != x.want {
			t.Errorf("%s", fmt.Sprintf("step %d, %s %s %s: %d, want %d", i, x.key, x.method, x.path, got, x.want))
		}
	}
}
