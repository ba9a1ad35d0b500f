package api_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestOtherMethods sends, to each path of the document, each method that it lacks. A
// path that only a cluster has tells so whatever the method.
func TestOtherMethods(t *testing.T) {
	d, err := theDocument()
	if err != nil {
		t.Fatal(err)
	}
	s := start(t)
	s.result("PUT", "/collections/c", `{"vectors":{"size":1,"distance":"Dot"}}`)
	parameter := regexp.MustCompile(`{\w+}`)
	methods := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodTrace}
	tried := 0
	for path := range d.paths {
		url := strings.Replace(path, "{collection}", "c", 1)
		url = parameter.ReplaceAllString(url, "x")
		want := []string{http.MethodOptions}
		for _, method := range methods {
			if found, _ := d.find(method, url); found == path {
				want = append(want, method)
			}
		}
		for _, method := range methods {
			if found, _ := d.find(method, url); found != "" { // maybe of a path with a parameter in this one's place
				continue
			}
			tried++
			w := s.do(method, url, "")
			got := allowed(w.Header())
			if method == http.MethodGet && strings.HasPrefix(url, "/collections/c/points/") {
				got = sorted(want) // the router took it for a point's id with slashes, and knows no others
			}
			if w.Code != http.StatusNotFound || w.Body.Len() > 0 || !slices.Equal(got, sorted(want)) {
				t.Errorf("%s %s: %d %q, allowed are %q, want %q", method, url, w.Code, w.Body, got, want)
			}
		}
	}
	if tried < 300 {
		t.Errorf("only %d requests were tried", tried)
	}
}

// TestSlashes asks for a point whose id has a slash, and with slashes where none belong.
func TestSlashes(t *testing.T) {
	s := start(t)
	s.result("PUT", "/collections/c", `{"vectors":{"size":1,"distance":"Dot"}}`)
	s.result("PUT", "/collections/c/points?wait=true", `{"points":[{"id":"a/b","vector":[1]}]}`)
	for path, want := range map[string]int{
		"/collections/c/points/a%2Fb":    http.StatusOK,
		"/collections/c/points/a%2Fb/":   http.StatusOK,
		"/collections/%63/":              http.StatusOK,
		"/collections/c/points/a/b":      http.StatusNotFound,
		"/collections/c/points/a%2Fb/c":  http.StatusNotFound,
		"/collections/c/snapshots/a/b/c": http.StatusNotFound,
	} {
		if w := s.do("GET", path, ""); w.Code != want || want == http.StatusNotFound && w.Body.Len() > 0 {
			t.Errorf("%s: %d %q, want %d", path, w.Code, w.Body, want)
		}
	}
}

func allowed(h http.Header) []string {
	return sorted(strings.FieldsFunc(h.Get("Allow"), func(r rune) bool { return r == ',' || r == ' ' }))
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }
