package api_test

import (
	"strings"
	"testing"

	"freshet/api"
)

// TestReadiness checks that a server is ready once what it missed has been read, and
// stays so.
func TestReadiness(t *testing.T) {
	s := start(t)
	sources, records := 2, int64(1234)
	s.h = api.New(s.db, api.Options{Behind: func() (int, int64) { return sources, records }}).Handler()
	if w := s.do("GET", "/readyz", ""); w.Code != 503 || w.Header().Get("Retry-After") == "" ||
		w.Body.String() != "some shards are not ready\n2 sources read what they have missed, 1234 records" {
		t.Errorf("behind: %d %q", w.Code, w.Body)
	}
	if w := s.do("GET", "/livez", ""); w.Code != 200 {
		t.Errorf("a server that is not ready lives: %d", w.Code)
	}
	s.expect("GET", "/collections", "", `{"collections":[]}`)
	sources, records = 0, 0
	for range 2 {
		if w := s.do("GET", "/readyz", ""); w.Code != 200 || !strings.Contains(w.Body.String(), "all shards are ready") {
			t.Errorf("caught up: %d %q", w.Code, w.Body)
		}
		sources, records = 1, 1 // a busy server stays ready
	}
}
