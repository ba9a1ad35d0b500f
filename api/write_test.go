package api_test

import (
	"net/http"
	"testing"
)

// A point that does not exist keeps nothing else of a request from being done, as in
// Qdrant, and a client that does not wait loses no operation behind it.
func TestMissingPoints(t *testing.T) {
	s := start(t)
	s.result("PUT", "/collections/c", `{"vectors":{"size":1,"distance":"Dot"}}`)
	s.result("PUT", "/collections/c/points", `{"points":[{"id":1,"vector":[1]},{"id":2,"vector":[2]}]}`)
	const first, batch = "/collections/c/points/payload", "/collections/c/points/batch"
	for _, x := range []struct {
		path, body string
		status     int
	}{
		{first + "?wait=true", `{"payload":{"a":1},"points":[1,99,2]}`, http.StatusNotFound},
		{first, `{"payload":{"b":1},"points":[1,99,2]}`, http.StatusOK},
		{batch + "?wait=true", `{"operations":[{"set_payload":{"payload":{"c":1},"points":[99,1]}},{"upsert":{"points":[{"id":3,"vector":[3]}]}}]}`, http.StatusNotFound},
		{batch, `{"operations":[{"delete_payload":{"keys":["b"],"points":[99,1]}},{"upsert":{"points":[{"id":4,"vector":[4]}]}}]}`, http.StatusOK},
	} {
		if w := s.do("POST", x.path, x.body); w.Code != x.status {
			t.Errorf("%s %s: %d %s", x.path, x.body, w.Code, w.Body)
		}
	}
	s.expect("POST", "/collections/c/points/scroll", `{}`, `{"points":[
		{"id":1,"payload":{"a":1,"c":1}},{"id":2,"payload":{"a":1,"b":1}},{"id":4,"payload":{}}],"next_page_offset":null}`)
}

// What overwrites a payload replaces all of it: Qdrant reads no key there.
func TestOverwritingHasNoKey(t *testing.T) {
	s := start(t)
	s.result("PUT", "/collections/c", `{"vectors":{"size":1,"distance":"Dot"}}`)
	s.result("PUT", "/collections/c/points", `{"points":[{"id":1,"vector":[1],"payload":{"a":{"b":1}}}]}`)
	s.result("PUT", "/collections/c/points/payload", `{"payload":{"x":null},"key":"a","points":[1]}`)
	s.expect("POST", "/collections/c/points", `{"ids":[1],"with_payload":true}`, `[{"id":1,"payload":{"x":null}}]`)
}

// Vectors of one point may come one by one, also where a filter says whether they do.
func TestVectorsOfOnePointInParts(t *testing.T) {
	s := start(t)
	s.result("PUT", "/collections/c", `{"vectors":{"a":{"size":1,"distance":"Dot"},"b":{"size":1,"distance":"Dot"}}}`)
	s.result("PUT", "/collections/c/points", `{"points":[{"id":1,"vector":{"a":[1],"b":[1]},"payload":{"n":1}}]}`)
	for _, where := range []string{``, `,"update_filter":{"must":{"key":"n","match":{"value":1}}}`} {
		s.result("PUT", "/collections/c/points/vectors", `{"points":[{"id":1,"vector":{"a":[2],"b":[2]}},{"id":1,"vector":{"b":[3]}}]`+where+`}`)
		s.expect("POST", "/collections/c/points", `{"ids":[1],"with_vector":true}`, `[{"id":1,"vector":{"a":[2],"b":[3]}}]`)
		s.result("PUT", "/collections/c/points/vectors", `{"points":[{"id":1,"vector":{"a":[1],"b":[1]}}]}`)
	}
}
