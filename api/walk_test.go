package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestBodiesOfAllOperations checks that no operation of the document takes what is not
// JSON, and that all answer it in the same way.
func TestBodiesOfAllOperations(t *testing.T) {
	h := startHostile(t)
	d, err := theDocument()
	if err != nil {
		t.Fatal(err)
	}
	const depth = 100_000
	bodies := []string{
		"", " ", "{", "nul", "[", `"text"`, "7", "null", " null ", "[]", `{}{}`, `{"zz":01}`, `{"zz":1e}`, `{"zz":NaN}`, `{'zz':1}`, `{"zz":1,}`,
		`{"zz":1,"zz":1}`, "{\"zz\":\"\xff\"}", "{\"\xff\":1}", "{\"zz\":\"\n\"}", `{"zz":"\ud800"}`,
		`{"zz":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + "}",
		`{"zz":` + strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth) + "}",
	}
	tried := 0
	for path, item := range d.paths {
		if strings.Contains(path, "/sources") || strings.Contains(path, "/replay") {
			continue // these are read by what manages sources, of which there is none
		}
		for verb := range at(item) {
			if at(d.paths, path, verb, "requestBody", "content", "application/json") == nil {
				continue
			}
			for _, body := range bodies {
				// The document is not asked: what it makes of such depth takes long.
				var w *httptest.ResponseRecorder
				bytes := allocated(func() { w = h.raw(strings.ToUpper(verb), call(path), body) })
				if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), wrongFormat) || bytes > 16<<20 {
					t.Errorf("%s %s %.60s: %d %.200s, %d bytes were allocated", verb, path, body, w.Code, w.Body, bytes)
				}
				if w.Header().Get("Content-Type") != "application/json" {
					t.Errorf("%s %s %.60s: an answer of the type %s", verb, path, body, w.Header().Get("Content-Type"))
				}
				tried++
			}
		}
	}
	if tried < 500 {
		t.Errorf("%d requests were tried", tried)
	}
	h.unchanged("bodies that are not JSON")
}
