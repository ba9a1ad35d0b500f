package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"freshet/api"
	"freshet/server"
)

// readRequests are the bodies of requests that read points, by operation.
var readRequests = map[string]string{
	"get /collections/{collection}/points/{id}":                   ``,
	"post /collections/{collection}/points":                       `{"ids":[1]}`,
	"post /collections/{collection}/points/scroll":                `{}`,
	"post /collections/{collection}/points/count":                 `{}`,
	"post /collections/{collection}/points/query":                 `{"query":[1]}`,
	"post /collections/{collection}/points/query/batch":           `{"searches":[{"query":[1]}]}`,
	"post /collections/{collection}/points/query/groups":          `{"query":[1],"group_by":"k"}`,
	"post /collections/{collection}/points/search":                `{"vector":[1],"limit":1}`,
	"post /collections/{collection}/points/search/batch":          `{"searches":[{"vector":[1],"limit":1}]}`,
	"post /collections/{collection}/points/search/groups":         `{"vector":[1],"limit":1,"group_by":"k","group_size":1}`,
	"post /collections/{collection}/points/search/matrix/pairs":   `{"sample":2,"limit":1}`,
	"post /collections/{collection}/points/search/matrix/offsets": `{"sample":2,"limit":1}`,
	"post /collections/{collection}/points/recommend":             `{"positive":[1],"limit":1}`,
	"post /collections/{collection}/points/recommend/batch":       `{"searches":[{"positive":[1],"limit":1}]}`,
	"post /collections/{collection}/points/recommend/groups":      `{"positive":[1],"limit":1,"group_by":"k","group_size":1}`,
	"post /collections/{collection}/points/discover":              `{"target":[1],"limit":1}`,
	"post /collections/{collection}/points/discover/batch":        `{"searches":[{"target":[1],"limit":1}]}`,
	"post /collections/{collection}/facet":                        `{"key":"k"}`,
}

// readRoutes returns the operations that read points: those below a collection that the
// document says demand freshness, and all that a read-only key may do with points.
func (s *service) readRoutes() (operations []string) {
	d, err := theDocument()
	if err != nil {
		s.t.Fatal(err)
	}
	keyed := start(s.t)
	keyed.h = api.New(keyed.db, api.Options{APIKeys: []string{"full"}, ReadOnlyAPIKeys: []string{"read"}}).Handler()
	for path, item := range d.paths {
		if path != "/collections/{collection}/facet" && !strings.HasPrefix(path, "/collections/{collection}/points") {
			continue
		}
		for verb := range at(item) {
			r := httptest.NewRequest(strings.ToUpper(verb), strings.NewReplacer("{collection}", "c", "{id}", "1").Replace(path), nil)
			r.Header.Set("api-key", "read")
			w := httptest.NewRecorder()
			keyed.h.ServeHTTP(w, r)
			demands := strings.Contains(fmt.Sprint(at(d.paths, path, verb)["parameters"]), "parameters/consistencyLevel")
			if reads := w.Code != http.StatusForbidden; reads != demands {
				s.t.Errorf("%s %s reads: %v; the document has the headers: %v", verb, path, reads, demands)
			}
			if demands {
				operations = append(operations, verb+" "+path)
			}
		}
	}
	return operations
}

// TestReadsAreAsFreshAsDemanded checks each route by which points are read.
func TestReadsAreAsFreshAsDemanded(t *testing.T) {
	s := start(t)
	fake := &fakeSources{}
	s.serve(fake)
	s.expect("PUT", "/collections/c", `{"vectors":{"size":1,"distance":"Dot"}}`, `true`)
	s.do("PUT", "/collections/c/index?wait=true", `{"field_name":"k","field_schema":"keyword"}`)
	s.do("PUT", "/collections/c/points?wait=true", `{"points":[{"id":1,"vector":[1],"payload":{"k":"a"}},{"id":2,"vector":[2],"payload":{"k":"a"}}]}`)
	send := func(operation string, header, value string) *httptest.ResponseRecorder {
		t.Helper()
		verb, path, _ := strings.Cut(operation, " ")
		path = strings.NewReplacer("{collection}", "c", "{id}", "1").Replace(path)
		r := httptest.NewRequest(strings.ToUpper(verb), path, strings.NewReader(readRequests[operation]))
		if header != "" {
			r.Header.Set(header, value)
		}
		return s.send(r)
	}
	operations := s.readRoutes()
	if len(operations) != len(readRequests) {
		t.Errorf("%d routes read points, %d are tested: %q", len(operations), len(readRequests), operations)
	}
	for _, operation := range operations {
		if _, ok := readRequests[operation]; !ok {
			t.Errorf("%s is not tested", operation)
			continue
		}
		for _, bad := range [][2]string{
			{"X-Freshet-Consistency", "Strong"}, {"X-Freshet-Max-Staleness", "5"}, {"X-Freshet-Max-Staleness", "-1s"}, {"X-Freshet-Min-Offsets", "t"},
		} {
			if w := send(operation, bad[0], bad[1]); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), bad[0]) {
				t.Errorf("%s, %s: %d %s", operation, bad, w.Code, w.Body)
			}
		}
		for _, test := range []struct {
			header, value string
			ago           time.Duration // what is waited for; negative: nothing
		}{
			{"", "", -1},
			{"X-Freshet-Consistency", "eventual", -1},
			{"X-Freshet-Consistency", "strong", 0},
			{"X-Freshet-Max-Staleness", "90m", 90 * time.Minute},
			{"X-Freshet-Max-Staleness", "0s", 0},
		} {
			fake.caughtUp, fake.asOf = time.Time{}, time.Now().Add(-time.Minute)
			before := time.Now()
			w := send(operation, test.header, test.value)
			after := time.Now()
			if w.Code != http.StatusOK || len(w.Header().Get("X-Freshet-Staleness-Ms")) != len("60000") {
				t.Errorf("%s, %s: %d %s, header %v", operation, test.value, w.Code, w.Body, w.Header())
			}
			arrived := fake.caughtUp.Add(test.ago)
			if test.ago < 0 && !fake.caughtUp.IsZero() || test.ago >= 0 && (arrived.Before(before) || arrived.After(after)) {
				t.Errorf("%s, %s: it waited for %v, the request came after %v", operation, test.value, fake.caughtUp, before)
			}
		}
		fake.asOf = time.Time{}
		for kind, status := range map[server.Kind]int{server.Timeout: http.StatusRequestTimeout, server.Unavailable: http.StatusServiceUnavailable} {
			fake.late = &server.Error{Kind: kind, Text: "behind", RetryAfter: 2 * time.Second}
			w := send(operation, "X-Freshet-Consistency", "strong")
			if w.Code != status || w.Header().Get("Retry-After") != "2" || w.Header().Get("X-Freshet-Staleness-Ms") != "" {
				t.Errorf("%s: %d %s, header %v", operation, w.Code, w.Body, w.Header())
			}
		}
		fake.late = nil
	}
}
