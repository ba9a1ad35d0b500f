package api_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"freshet/server"
)

// TestRecallIsPublished searches until a probe has been made of it.
func TestRecallIsPublished(t *testing.T) {
	db, err := server.Open(context.Background(), t.TempDir(), server.Options{RecallPercent: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	s := &service{t: t, db: db}
	s.serve(&fakeSources{db: db})
	s.expect("PUT", "/collections/c", `{"vectors":{"v":{"size":2,"distance":"Dot"},"w":{"size":2,"distance":"Dot"}}}`, `true`)
	s.expect("PUT", "/collections/c/points?wait=true", `{"points":[{"id":1,"vector":{"v":[1,0]}}]}`, `{"operation_id":1,"status":"completed"}`)
	const (
		share  = "freshet_search_recall{collection=\"c\",vector=\"v\"} 1\n"
		probes = `freshet_search_recall_probes_total{collection="c",vector="v"} `
		spent  = `freshet_search_recall_probe_seconds_total{collection="c",vector="v"} `
	)
	metrics := func() string { return s.do("GET", "/metrics", "").Body.String() }
	if m := metrics(); strings.Contains(m, "freshet_search_recall{") || !strings.Contains(m, probes+"0\n") || !strings.Contains(m, spent+"0\n") {
		t.Errorf("before any search: %s", m)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		s.expect("POST", "/collections/c/points/query", `{"query":[1,0],"using":"v"}`, `{"points":[{"id":1,"version":1,"score":1}]}`)
		m := metrics()
		if strings.Contains(m, share) {
			if strings.Contains(m, probes+"0\n") || strings.Contains(m, spent+"0\n") || strings.Contains(m, `freshet_search_recall{collection="c",vector="w"}`) {
				t.Errorf("after a probe: %s", m)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no probe was made: %s", m)
		}
	}
}
