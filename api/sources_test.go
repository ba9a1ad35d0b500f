package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"freshet/server"
	"freshet/server/sources"
)

// fakeSources has one source, s of the collection c, and remembers what it was last
// asked to do.
type fakeSources struct{ last string }

func (f *fakeSources) do(key sources.Key, format string, args ...any) error {
	f.last = fmt.Sprintf(format, args...)
	if key != (sources.Key{Collection: "c", Name: "s"}) {
		return &server.Error{Kind: server.NotFound, Text: "Source `" + key.Name + "` of collection `" + key.Collection + "` doesn't exist!"}
	}
	return nil
}

var someSource = sources.Info{Name: "s", Collection: "c", Origin: sources.REST, State: sources.Running, Config: json.RawMessage(`{"topics":["t"]}`)}

func (f *fakeSources) List(collection string) ([]sources.Info, error) {
	return []sources.Info{someSource}, f.do(sources.Key{Collection: collection, Name: "s"}, "list")
}

func (f *fakeSources) Get(key sources.Key) (sources.Info, error) { return someSource, f.do(key, "get") }

func (f *fakeSources) Create(_ context.Context, collection string, description []byte) (sources.Info, error) {
	return someSource, f.do(sources.Key{Collection: collection, Name: "s"}, "create %s", description)
}

func (f *fakeSources) Put(_ context.Context, key sources.Key, description []byte) (sources.Info, error) {
	return someSource, f.do(key, "put %s", description)
}

func (f *fakeSources) Patch(_ context.Context, key sources.Key, change []byte) (sources.Info, error) {
	return someSource, f.do(key, "patch %s", change)
}

func (f *fakeSources) Delete(_ context.Context, key sources.Key) error { return f.do(key, "delete") }

func (f *fakeSources) SetState(_ context.Context, key sources.Key, wanted sources.State) error {
	return f.do(key, "%s", wanted)
}

func (f *fakeSources) SourceStatus(key sources.Key) (sources.Status, error) {
	return sources.Status{
		Name: "s", Collection: "c", State: "running", Batch: sources.Batch{Limit: 100, Why: "start"}, Stages: []sources.Stage{{Stage: "total"}},
		Partitions: []sources.Partition{{Topic: "t", State: "running", Position: 1, End: 3, Lag: 2}},
	}, f.do(key, "status")
}

func TestSourceRoutes(t *testing.T) {
	s := start(t)
	fake := &fakeSources{}
	s.serve(fake)
	const one = "/collections/c/sources/s"
	for _, test := range []struct{ method, path, body, did string }{
		{"GET", "/collections/c/sources", "", "list"},
		{"POST", "/collections/c/sources", `{"name":"s","topics":["t"]}`, `create {"name":"s","topics":["t"]}`},
		{"GET", one, "", "get"},
		{"PUT", one, `{"topics":["t"]}`, `put {"topics":["t"]}`},
		{"PATCH", one, `{"id":null}`, `patch {"id":null}`},
		{"DELETE", one, "", "delete"},
		{"GET", one + "/status", "", "status"},
		{"PUT", one + "/pause", "", "paused"},
		{"PUT", one + "/resume", "", "running"},
		{"PUT", one + "/stop", "", "stopped"},
	} {
		if w := s.do(test.method, test.path, test.body); w.Code != http.StatusOK || fake.last != test.did {
			t.Errorf("%s %s: %d %s, it did %q", test.method, test.path, w.Code, w.Body, fake.last)
		}
		other := strings.Replace(test.path, "/c/", "/d/", 1)
		if w := s.do(test.method, other, test.body); w.Code != http.StatusNotFound {
			t.Errorf("%s %s: %d %s", test.method, other, w.Code, w.Body)
		}
	}
}
