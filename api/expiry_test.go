package api_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestPointsThatEnd writes points with a time at which they end, and reads it back.
func TestPointsThatEnd(t *testing.T) {
	s := start(t)
	s.expect("PUT", "/collections/c", `{"vectors":{"size":1,"distance":"Dot"}}`, `true`)
	s.do("PUT", "/collections/c/points?wait=true", `{"points":[{"id":3,"vector":[1]}]}`)
	s.do("PUT", "/collections/c/points?wait=true", `{"points":[
		{"id":1,"vector":[1],"expires_at":4102444800000},
		{"id":2,"vector":[1],"expires_at":null},
		{"id":3,"vector":[1],"expires_at":1}]}`)
	const path = "/collections/c/points/scroll"
	s.expect("POST", path+"?with_expiry=true", `{}`, `{"points":[{"id":1,"payload":{},"expires_at":4102444800000},{"id":2,"payload":{}}],"next_page_offset":null}`)
	s.expect("POST", path, `{}`, `{"points":[{"id":1,"payload":{}},{"id":2,"payload":{}}],"next_page_offset":null}`)
	for _, bad := range []string{`0`, `-1`, `1.5`, `"1"`, `253402300800000`} {
		w := s.do("PUT", "/collections/c/points?wait=true", `{"points":[{"id":4,"vector":[1],"expires_at":`+bad+`}]}`)
		if w.Code < 400 || w.Code >= 500 {
			t.Errorf("%s: %d %s", bad, w.Code, w.Body)
		}
		if bad == "0" && !strings.Contains(w.Body.String(), "points[0].expires_at") {
			t.Errorf("the error does not name the member: %s", w.Body)
		}
	}
	if w := s.do("POST", path+"?with_expiry=1", `{}`); w.Code != http.StatusBadRequest {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
