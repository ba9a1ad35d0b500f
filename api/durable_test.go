package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"freshet/api"
	"freshet/server"
	"freshet/storage/crashfs"
)

// notOfTheStore are the routes that change something else than the store, or nothing.
var notOfTheStore = map[string]string{
	"DELETE /issues":                       "there are none",
	"POST {c}/snapshots":                   "files: e2e TestSnapshotsAreDurable",
	"POST /snapshots":                      "files",
	"DELETE {c}/snapshots/:snapshot":       "files",
	"DELETE /snapshots/:snapshot":          "files",
	"PUT {c}/shards":                       "one server has none",
	"POST {c}/shards/delete":               "one server has none",
	"POST {c}/cluster":                     "one server is none",
	"POST {c}/sources":                     "ingest TestChangesOfSourcesAreDurable, as those below",
	`POST {c}/sources\:validate`:           "nothing is changed",
	"PUT {c}/sources/:source":              "",
	"PATCH {c}/sources/:source":            "",
	"DELETE {c}/sources/:source":           "",
	"PUT {c}/sources/:source/pause":        "",
	"PUT {c}/sources/:source/resume":       "",
	"PUT {c}/sources/:source/stop":         "",
	"PATCH {c}/sources/:source/offsets":    "",
	"DELETE {c}/sources/:source/offsets":   "",
	"POST {c}/sources/:source/skip":        "",
	"POST {c}/sources/:source/dlq/redrive": "",
	"POST {c}/replay":                      "",
	"DELETE {c}/replay/:into":              "",
}

// TestAnswersAreDurable takes the power away behind the answer to each request that writes,
// with nothing left that was not synced: what is found then is what was answered. Every
// route that writes has to be there.
func TestAnswersAreDurable(t *testing.T) {
	fs := crashfs.New()
	snapshots := t.TempDir()
	open := func(fs vfs.FS) *service {
		// What nobody waits for is synced by the hour: it must not hide what is missing.
		db, err := server.Open(t.Context(), "data", server.Options{FS: fs, SyncInterval: time.Hour, SnapshotsDir: snapshots})
		if err != nil {
			t.Fatal(err)
		}
		return &service{t: t, db: db, h: api.New(db, api.Options{Sources: &fakeSources{db: db}}).Handler()}
	}
	end := func(s *service) {
		if err := s.db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := open(fs)
	defer end(s)
	untried := map[string]bool{}
	for _, r := range s.h.(*echo.Echo).Routes() {
		name := strings.Replace(r.Method+" "+r.Path, "/collections/:collection", "{c}", 1)
		_, other := notOfTheStore[name]
		if reads := r.Method == http.MethodGet || accessOf(name) == readers || strings.HasSuffix(r.Path, "*") || r.Path == "/quotas"; !reads && !other {
			untried[name] = true
		}
	}

	s.result("PUT", "/collections/kept", `{"vectors":{"size":2,"distance":"Dot"}}`)
	s.result("PUT", "/collections/kept/points", `{"points":[{"id":1,"vector":[1,2],"payload":{"n":1}},{"id":2,"vector":[3,4]}]}`)
	kept := s.result("POST", "/collections/kept/snapshots", "").(map[string]any)["name"].(string)
	file := s.do("GET", "/collections/kept/snapshots/"+kept, "").Body.Bytes()

	const c = "/collections/c"
	for _, x := range []struct{ route, path, body string }{
		{"PUT {c}", c, `{"vectors":{"a":{"size":2,"distance":"Dot"},"b":{"size":1,"distance":"Dot"}},"sparse_vectors":{"s":{}}}`},
		{"PATCH {c}", c, `{"hnsw_config":{"ef_construct":77}}`},
		{"POST /collections/aliases", "/collections/aliases", `{"actions":[{"create_alias":{"collection_name":"c","alias_name":"one"}}]}`},
		{"", "/collections/aliases", `{"actions":[{"rename_alias":{"old_alias_name":"one","new_alias_name":"two"}}]}`},
		{"PUT {c}/index", c + "/index?wait=true", `{"field_name":"n","field_schema":"integer"}`},
		{"PUT {c}/points", c + "/points?wait=true", `{"points":[{"id":1,"vector":{"a":[1,2]},"payload":{"n":1}},{"id":2,"vector":{"b":[1]}},{"id":3,"vector":{}}]}`},
		{"", c + "/points", `{"batch":{"ids":[4],"vectors":{"a":[[1,2]]},"payloads":[{"n":7}]}}`}, // acknowledged, too, is on the disk
		{"PUT {c}/points/vectors", c + "/points/vectors?wait=true", `{"points":[{"id":1,"vector":{"s":{"indices":[1],"values":[2]}}}]}`},
		{"POST {c}/points/vectors/delete", c + "/points/vectors/delete", `{"points":[1],"vector":["a"]}`},
		{"POST {c}/points/payload", c + "/points/payload", `{"points":[1,3],"payload":{"m":2,"o":3}}`},
		{"PUT {c}/points/payload", c + "/points/payload", `{"filter":{"must":[{"has_id":[3]}]},"payload":{"p":2,"q":1}}`},
		{"POST {c}/points/payload/delete", c + "/points/payload/delete", `{"points":[3],"keys":["p"]}`},
		{"POST {c}/points/payload/clear", c + "/points/payload/clear", `{"points":[1]}`},
		{"POST {c}/points/delete", c + "/points/delete", `{"points":[2]}`},
		{"POST {c}/points/batch", c + "/points/batch", `{"operations":[{"upsert":{"points":[{"id":9,"vector":{"a":[9,9]}}]}},{"delete":{"points":[3]}}]}`},
		{"PUT {c}/vectors/:vector", c + "/vectors/new", `{"dense":{"size":3,"distance":"Cosine"}}`},
		{"DELETE {c}/vectors/:vector", c + "/vectors/b", ``},
		{"DELETE {c}/index/:field", c + "/index/n?wait=true", ``},
		{"", "/collections/kept/points/delete", `{"points":[1]}`},
		{"PUT {c}/snapshots/recover", "/collections/kept/snapshots/recover", `{"location":"` + kept + `"}`},
		{"POST {c}/snapshots/upload", "/collections/uploaded/snapshots/upload", ""},
		{"DELETE {c}", c, ``},
	} {
		method, _, _ := strings.Cut(x.route, " ")
		if x.route == "" {
			method = map[bool]string{true: "PUT", false: "POST"}[strings.HasSuffix(x.path, "/points")]
		}
		delete(untried, x.route)
		before := everything(s)
		var w *httptest.ResponseRecorder
		if strings.HasSuffix(x.path, "/upload") {
			w = s.upload(x.path, file)
		} else {
			w = s.do(method, x.path, x.body)
		}
		crashed := fs.CrashClone(vfs.CrashCloneCfg{})
		if w.Code != http.StatusOK {
			t.Fatalf("%s %s: %d %s", method, x.path, w.Code, w.Body)
		}
		want := everything(s)
		if cmp.Equal(before, want) {
			t.Errorf("%s %s changes nothing", method, x.path)
		}
		after := open(crashed)
		if d := cmp.Diff(want, everything(after)); d != "" {
			t.Errorf("%s %s was answered, and the power went (-answered +found):\n%s", method, x.path, d)
		}
		end(after)
	}
	for route := range untried {
		t.Errorf("%s is not tried: is what it answers on the disk?", route)
	}
}

// accessOf returns what a route asks for.
func accessOf(route string) access {
	for who, routes := range accessTable {
		for _, r := range routes {
			if r == route {
				return who
			}
		}
	}
	return ""
}

// everything is what a server says of its collections, and all points of them.
func everything(s *service) map[string]any {
	s.t.Helper()
	all := map[string]any{"aliases": s.result("GET", "/aliases", "")}
	for _, entry := range s.result("GET", "/collections", "").(map[string]any)["collections"].([]any) {
		path := fmt.Sprint("/collections/", entry.(map[string]any)["name"])
		info := s.result("GET", path, "").(map[string]any)
		points := s.result("POST", path+"/points/scroll", `{"limit":1000,"with_vector":true}`)
		raw, err := json.Marshal(points)
		if err != nil {
			s.t.Fatal(err)
		}
		all[path] = []any{info["config"], info["payload_schema"], info["points_count"], string(raw)}
	}
	return all
}
