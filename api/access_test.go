package api_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"freshet/api"
	"freshet/api/dashboard"
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
	s.h = api.New(db, api.Options{
		APIKeys: []string{"full", "other"}, ReadOnlyAPIKeys: []string{"reader"}, Tokens: true,
		Sources: &fakeSources{db: db}, Audit: slog.NewJSONHandler(&s.logs, nil),
	}).Handler()
	return s
}

// access says what a route asks for.
type access string

const (
	anybody   access = "nothing"
	anyKey    access = "any key"
	readAll   access = "reading everything"
	readers   access = "reading the points of the collection"
	copiers   access = "reading the collection as a whole"
	pointers  access = "writing points of the collection"
	writers   access = "writing the collection"
	operators access = "everything"
)

// accessTable has every route, as Qdrant defines it where it has the route.
var accessTable = map[access][]string{
	anybody: {"GET /", "GET /healthz", "GET /livez", "GET /readyz", "GET /openapi.json", "GET /dashboard"},
	anyKey:  {"GET /sources", "GET /embedding/models", "GET /telemetry", "GET /issues", "GET /collections", "GET /aliases"},
	readAll: {
		"GET /metrics", "GET /cluster", "GET /cluster/*", "GET /quotas", "GET /snapshots", "GET /snapshots/:snapshot",
		"GET {c}/sources/:source/dlq",
	},
	readers: {
		"GET {c}", "GET {c}/exists", "GET {c}/cluster", "GET {c}/optimizations", "GET {c}/aliases", "GET {c}/shards", "GET {c}/shards/:shard/*",
		"GET {c}/points/:id", "POST {c}/points", "POST {c}/points/scroll", "POST {c}/points/count",
		"POST {c}/points/query", "POST {c}/points/query/batch", "POST {c}/points/search", "POST {c}/points/search/batch",
		"POST {c}/points/recommend", "POST {c}/points/recommend/batch", "POST {c}/points/discover", "POST {c}/points/discover/batch",
		"POST {c}/points/query/groups", "POST {c}/points/search/groups", "POST {c}/points/recommend/groups",
		"POST {c}/points/search/matrix/pairs", "POST {c}/points/search/matrix/offsets", "POST {c}/facet",
		"GET {c}/sources", "GET {c}/sources/:source", "GET {c}/sources/:source/status", "GET {c}/sources/:source/offsets",
		"POST {c}/sources/:source/wait", "GET {c}/replay", "GET {c}/replay/:into",
	},
	copiers: {"GET {c}/snapshots", "GET {c}/snapshots/:snapshot"},
	pointers: {
		"PUT {c}/points", "POST {c}/points/delete", "PUT {c}/points/vectors", "POST {c}/points/vectors/delete",
		"POST {c}/points/payload", "PUT {c}/points/payload", "POST {c}/points/payload/delete", "POST {c}/points/payload/clear",
		"POST {c}/points/batch",
	},
	writers: {
		"PUT {c}/index", "DELETE {c}/index/:field", "PUT {c}/vectors/:vector", "DELETE {c}/vectors/:vector",
		"POST {c}/snapshots", "DELETE {c}/snapshots/:snapshot",
	},
	operators: {
		"PUT {c}/snapshots/recover", "POST {c}/snapshots/upload", "POST /snapshots", "DELETE /snapshots/:snapshot",
		"DELETE /issues", "POST /collections/aliases", "PUT /cluster/*", "POST /cluster/*", "PATCH /cluster/*", "DELETE /cluster/*", "PUT /quotas", "POST /quotas", "PATCH /quotas", "DELETE /quotas",
		"PUT {c}", "PATCH {c}", "DELETE {c}", "POST {c}/cluster",
		"PUT {c}/shards", "POST {c}/shards/delete", "PUT {c}/shards/:shard/*", "POST {c}/shards/:shard/*", "PATCH {c}/shards/:shard/*", "DELETE {c}/shards/:shard/*",
		"POST {c}/sources", `POST {c}/sources\:validate`, "PUT {c}/sources/:source", "PATCH {c}/sources/:source", "DELETE {c}/sources/:source",
		"PUT {c}/sources/:source/pause", "PUT {c}/sources/:source/resume", "PUT {c}/sources/:source/stop",
		"PATCH {c}/sources/:source/offsets", "DELETE {c}/sources/:source/offsets", "POST {c}/sources/:source/skip",
		"POST {c}/sources/:source/dlq/redrive", "POST {c}/replay", "DELETE {c}/replay/:into",
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
		path := strings.NewReplacer(":collection", "none", ":id", "1", ":field", "f", ":name", "n", ":shard", "0", ":snapshot", "a.snapshot",
			`\:`, ":", ":source", "s", ":into", "i", ":vector", "v").Replace(r.Path)
		req := httptest.NewRequest(r.Method, path, strings.NewReader(`{}`))
		if header != "" {
			req.Header.Set(header, key)
		}
		return s.send(req)
	}
	one := func(mode string) string {
		return token(t, "full", `{"access":[{"collection":"other","access":"rw"},{"collection":"none","access":"`+mode+`"}]}`)
	}
	reading := []access{anybody, anyKey, readAll, readers, copiers}
	everything := append(slices.Clone(reading), pointers, writers, operators)
	none := []access{anybody}
	const noKey, wrong = "Must provide an API key or an Authorization bearer token", "Invalid API key or JWT"
	for _, r := range s.h.(*echo.Echo).Routes() {
		name := r.Method + " " + r.Path
		if _, ok := dashboard.Files()[r.Path]; ok && r.Path != dashboard.Page {
			continue // files of the page: TestPageIsServedToAnybody
		}
		who, ok := table[name]
		if !ok {
			t.Errorf("%s is not in accessTable: who may use it?", name)
			continue
		}
		delete(table, name)
		for _, x := range []struct {
			header, key string
			granted     []access
			status      int // of what is not allowed
			text        string
		}{
			{"", "", none, 401, noKey},
			{"api-key", "wrong", none, 401, wrong},
			{"api-key", "full ", none, 401, wrong},
			{"Authorization", "Basic full", none, 401, noKey},
			{"Authorization", "Bearer wrong", none, 401, wrong},
			{"api-key", "reader", reading, 403, "Forbidden: "},
			{"Authorization", "Bearer reader", reading, 403, "Forbidden: "},
			{"api-key", "full", everything, 0, ""},
			{"Api-Key", "other", everything, 0, ""},
			{"Authorization", "bearer full", everything, 0, ""},

			{"api-key", token(t, "full", `{"access":"m"}`), everything, 0, ""},
			{"api-key", token(t, "other", `{}`), everything, 0, ""},
			{"Authorization", "Bearer " + token(t, "full", `{"access":"r"}`), reading, 403, "Forbidden: "},
			{"api-key", one("r"), []access{anybody, anyKey, readers, copiers}, 403, "Forbidden: "},
			{"api-key", one("rw"), []access{anybody, anyKey, readers, copiers, pointers, writers}, 403, "Forbidden: "},
			{"api-key", one("prw"), []access{anybody, anyKey, readers, pointers}, 403, "Forbidden: "},
			{"api-key", token(t, "full", `{"access":[{"collection":"other","access":"rw"}]}`), []access{anybody, anyKey}, 403, "Forbidden: "},
			{"api-key", token(t, "full", `{"access":[]}`), []access{anybody, anyKey}, 403, "Forbidden: "},
		} {
			w := send(r, x.header, x.key)
			refused := w.Code == 401 || w.Code == 403
			if slices.Contains(x.granted, who) == refused || refused && (w.Code != x.status || !strings.Contains(w.Body.String(), x.text)) {
				t.Errorf("%s, which asks for %s, with %s %q: %d %s", name, who, x.header, x.key, w.Code, w.Body)
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
