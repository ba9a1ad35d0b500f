package api_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"freshet/api"
)

// TestPagesOfOrigins sends what browsers send for pages: with a key all may ask, without
// one those of the server and of its machine, or those that are listed.
func TestPagesOfOrigins(t *testing.T) {
	s := start(t)
	const own, local, listed, foreign = "http://10.1.2.3:6333", "http://localhost:3000", "https://app.example", "https://evil.example"
	free, key := api.Options{}, api.Options{APIKeys: []string{"k"}}
	list := func(o api.Options, origins ...string) api.Options {
		o.Origins = origins
		return o
	}
	for _, x := range []struct {
		name    string
		o       api.Options
		origin  string
		site    string // Sec-Fetch-Site, which old browsers do not send
		reads   string // Access-Control-Allow-Origin
		refused bool   // what is not GET
	}{
		{"no page", free, "", "", "", false},
		{"its own page", free, own, "same-origin", "", false},
		{"its own page, old browser", free, own, "", "", false},
		{"its own page, behind a proxy that changes the host", free, "https://db.example", "same-origin", "", false},
		{"its own page over TLS that a proxy ends", free, "https://10.1.2.3:6333", "", "", false},
		{"page of this machine", free, local, "cross-site", local, false},
		{"page of this machine by address", free, "http://127.0.0.9", "cross-site", "http://127.0.0.9", false},
		{"page of this machine by address", free, "http://[::1]:80", "", "http://[::1]:80", false},
		{"page of this machine by a name", free, "https://a.localhost", "", "https://a.localhost", false},
		{"foreign page", free, foreign, "cross-site", "", true},
		{"foreign page, old browser", free, foreign, "", "", true},
		{"foreign page that says no origin", free, "", "cross-site", "", true},
		{"page of the same site", free, "http://10.1.2.3:80", "same-site", "", true},
		{"file or sandbox", free, "null", "cross-site", "", true},
		{"name that looks local", free, "http://localhost.evil.example", "cross-site", "", true},
		{"name that looks local", free, "http://evillocalhost", "cross-site", "", true},
		{"name that looks local", free, "http://127.0.0.1.evil.example", "cross-site", "", true},
		{"user that looks local", free, "http://localhost@evil.example", "cross-site", "", true},
		{"extension", free, "chrome-extension://localhost", "", "", true},
		{"listed page", list(free, listed), listed, "cross-site", listed, false},
		{"its own page beside a list", list(free, listed), own, "same-origin", "", false},
		{"page of this machine that is not listed", list(free, listed), local, "cross-site", "", true},
		{"foreign page that is not listed", list(free, listed), foreign, "cross-site", "", true},
		{"page below a listed one", list(free, listed), listed + ".evil.example", "cross-site", "", true},
		{"all are listed", list(free, listed, "*"), foreign, "cross-site", "*", false},
		{"foreign page, with a key", key, foreign, "cross-site", "*", false},
		{"foreign page that is not listed, with a key", list(key, listed), foreign, "cross-site", "", false},
		{"listed page, with a key", list(key, listed), listed, "cross-site", listed, false},
	} {
		s.h = api.New(s.db, x.o).Handler()
		for _, method := range []string{"GET", "POST"} {
			r := httptest.NewRequest(method, "/collections", nil)
			if method == "POST" {
				r = httptest.NewRequest(method, "/collections/c/points/count", strings.NewReader(`{}`))
			}
			r.Host = "10.1.2.3:6333"
			r.Header.Set("api-key", "k")
			if x.origin != "" {
				r.Header.Set("Origin", x.origin)
			}
			if x.site != "" {
				r.Header.Set("Sec-Fetch-Site", x.site)
			}
			w := s.send(r)
			if got := w.Header().Get("Access-Control-Allow-Origin"); got != x.reads {
				t.Errorf("%s: %s: it may be read by %q instead of %q", x.name, method, got, x.reads)
			}
			if refused := w.Code == 403; refused != (x.refused && method == "POST") || refused && !strings.Contains(w.Body.String(), "http.cors_origins") {
				t.Errorf("%s: %s: %d %s", x.name, method, w.Code, w.Body)
			}
		}
		r := httptest.NewRequest("OPTIONS", "/collections/c", nil)
		r.Host = "10.1.2.3:6333"
		r.Header.Set("Origin", x.origin)
		r.Header.Set("Access-Control-Request-Method", "DELETE")
		w := s.send(r)
		if got := w.Header().Get("Access-Control-Allow-Origin"); w.Code != 204 || got != x.reads {
			t.Errorf("%s: asked before: %d %q instead of %q", x.name, w.Code, got, x.reads)
		}
	}
}

// TestHostsOfOthers asks for names that pages may have had pointed at this machine.
func TestHostsOfOthers(t *testing.T) {
	s := start(t)
	free := api.Options{Local: true}
	for _, x := range []struct {
		o       api.Options
		host    string
		refused bool
	}{
		{free, "localhost:6333", false},
		{free, "LOCALHOST", false},
		{free, "db.localhost:6333", false},
		{free, "127.0.0.1:6333", false},
		{free, "[::1]:6333", false},
		{free, "[::1]", false},
		{free, "10.1.2.3", false},
		{free, "freshet:6333", false},
		{free, "", false},
		{free, "evil.example:6333", true},
		{free, "evil.example", true},
		{free, "evil.", true},
		{free, "127.0.0.1.evil.example", true},
		{free, "localhost.evil.example:6333", true},
		{api.Options{Local: true, Origins: []string{"https://db.example:8443"}}, "db.example", false},
		{api.Options{Local: true, Origins: []string{"https://db.example"}}, "DB.example:6333", false},
		{api.Options{Local: true, Origins: []string{"https://db.example"}}, "evil.example", true},
		{api.Options{Local: true, Origins: []string{"*"}}, "evil.example", false},
		{api.Options{Local: true, APIKeys: []string{"k"}}, "evil.example", false},
		{api.Options{}, "evil.example", false},
	} {
		s.h = api.New(s.db, x.o).Handler()
		for _, method := range []string{"GET", "DELETE"} {
			r := httptest.NewRequest(method, "/collections/c", nil)
			r.Host = x.host
			r.Header.Set("api-key", "k")
			r.Header.Set("Origin", "http://"+x.host) // the same origin, for the browser
			w := s.send(r)
			if refused := w.Code == 403; refused != x.refused || refused && !strings.Contains(w.Body.String(), "http.cors_origins") {
				t.Errorf("%+v: %s for %q: %d %s", x.o.Origins, method, x.host, w.Code, w.Body)
			}
		}
	}
}
