package api_test

import (
	"mime"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"freshet/api/dashboard"
)

// fetch asks for a file of the page, without a key.
func (s *service) fetch(path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	return w
}

func TestPageIsServedToAnybody(t *testing.T) {
	s := startWithKeys(t)
	total := 0
	for path, file := range dashboard.Files() {
		total += len(file.Body)
		w := s.fetch(path)
		kind, _, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
		if w.Code != http.StatusOK || w.Body.String() != string(file.Body) || err != nil {
			t.Errorf("%s: %d, %d bytes, %v", path, w.Code, w.Body.Len(), err)
		}
		want := map[string]string{".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", "": "text/html"}
		if kind != want[filepath.Ext(path)] {
			t.Errorf("%s is %s", path, kind)
		}
		policy := w.Header().Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy lacks %s: %s", path, part, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, w.Header())
		}
		if w := s.fetch(path, "If-None-Match", w.Header().Get("ETag")); w.Code != http.StatusNotModified || w.Body.Len() > 0 {
			t.Errorf("%s again: %d", path, w.Code)
		}
	}
	if total == 0 || total > 250_000 {
		t.Errorf("the page has %d bytes, of 250000 at most", total)
	}
	if w := s.fetch("/dashboard/"); w.Code != http.StatusMovedPermanently || w.Header().Get("Location") != "../dashboard" {
		t.Errorf("with a slash: %d %v", w.Code, w.Header())
	}
}

// TestPageIsFreeByRoute tries paths that only look as if they were the page's.
func TestPageIsFreeByRoute(t *testing.T) {
	s := startWithKeys(t)
	for _, path := range []string{
		"/dashboard%2f..%2fcollections", "/dashboard%2F..%2Fcollections", "/dashboard/..%2fcollections", "/dashboard/../collections",
		"/dashboard/%2e%2e/collections", "/dashboard/..%5ccollections", "/dashboard//collections", "/dashboard;/collections", "/dashboard%00",
		"/dashboard/none", "/dashboard/app.js/..%2f..%2fcollections", "/dashboard%252f..%252fcollections", "//dashboard/collections", "/collections/../dashboard",
		"/dashboard/index.html", "/dashboard/files/app.js", "/Dashboard",
	} {
		if w := s.fetch(path); w.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d %.80s", path, w.Code, w.Body)
		}
	}
}

// markup are the ways by which texts become markup or code, and addresses that are not
// the server's own.
var markup = regexp.MustCompile(`innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function|createContextualFragment|DOMParser|srcdoc|https?://|localStorage|\bstyle=|\son\w+=`)

func TestPageTakesNoTextForMarkup(t *testing.T) {
	for path, file := range dashboard.Files() {
		body := strings.ReplaceAll(string(file.Body), "http://www.w3.org/2000/svg", "") // a name
		if found := markup.FindString(body); found != "" {
			t.Errorf("%s has %q", path, found)
		}
	}
}
