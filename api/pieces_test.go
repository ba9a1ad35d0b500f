package api_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// discarding takes an answer without keeping it, or refuses it.
type discarding struct {
	header  http.Header
	writes  int
	refuses bool
}

func (d *discarding) Header() http.Header { return d.header }
func (d *discarding) WriteHeader(int)     {}

func (d *discarding) Write(p []byte) (int, error) {
	if d.writes++; d.refuses {
		return 0, net.ErrClosed
	}
	return len(p), nil
}

// TestLargeAnswersAreSentInPieces asks for large answers in each way: they are complete, and
// most of the memory they take is that of the points.
func TestLargeAnswersAreSentInPieces(t *testing.T) {
	s := start(t)
	s.result("PUT", "/collections/c", `{"vectors":{"size":1,"distance":"Dot"}}`)
	const points, size = 20, 64 << 10
	payload := `"text":"` + strings.Repeat("x", size) + `"}`
	ids := make([]string, points)
	for id := range points {
		ids[id] = fmt.Sprint(id)
		put := fmt.Sprintf(`{"points":[{"id":%d,"vector":[1],"payload":{"group":%d,%s}]}`, id, id%4, payload)
		w := httptest.NewRecorder()
		if s.h.ServeHTTP(w, httptest.NewRequest("PUT", "/collections/c/points", strings.NewReader(put))); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	search := fmt.Sprintf(`{"vector": [1], "limit": %d, "with_payload": true}`, points)
	query := strings.Replace(search, "vector", "query", 1)
	for path, body := range map[string]string{
		"scroll":                  fmt.Sprintf(`{"limit": %d}`, points),
		"scroll?with_expiry=true": fmt.Sprintf(`{"limit": %d}`, points),
		"":                        `{"with_payload": true, "ids": [` + strings.Join(ids, ",") + `]}`,
		"search":                  search,
		"search/batch":            `{"searches": [` + search + `]}`,
		"query":                   query,
		"query/batch":             `{"searches": [` + query + `]}`,
		"query/groups":            `{"query": [1], "group_by": "group", "group_size": 5, "with_payload": true}`,
	} {
		asked := func() *http.Request {
			return httptest.NewRequest("POST", strings.TrimSuffix("/collections/c/points/"+path, "/"), strings.NewReader(body))
		}
		w := httptest.NewRecorder()
		s.h.ServeHTTP(w, asked())
		text := w.Body.String()
		if w.Code != 200 || !json.Valid(w.Body.Bytes()) || strings.Count(text, payload) != points || !strings.Contains(text, `"status":"ok"`) {
			t.Errorf("%s: %d, %d of %d points: %.80s", path, w.Code, strings.Count(text, payload), points, text)
		}
		if length := w.Header().Get("Content-Length"); length != "" {
			t.Errorf("%s: the length is %s before all is encoded", path, length)
		}
		r := asked()
		if n := allocated(func() { s.h.ServeHTTP(&discarding{header: http.Header{}}, r) }); n > points*size*7/4 {
			t.Errorf("%s: %d bytes were allocated for %d of payloads", path, n, points*size)
		}
	}
	// Nothing is sent any more to a client that has gone.
	gone := &discarding{header: http.Header{}, refuses: true}
	s.h.ServeHTTP(gone, httptest.NewRequest("POST", "/collections/c/points/query/batch", strings.NewReader(`{"searches": [`+query+","+query+`]}`)))
	if gone.writes != 1 {
		t.Errorf("%d pieces were sent to a client that took none", gone.writes)
	}
	// A small answer has a length.
	if w := s.do("POST", "/collections/c/points/scroll", `{"with_payload": false}`); w.Header().Get("Content-Length") != fmt.Sprint(w.Body.Len()) {
		t.Errorf("%v of %d bytes", w.Header(), w.Body.Len())
	}
}
