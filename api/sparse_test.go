package api_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSparse(t *testing.T) {
	s := start(t)
	s.expect("PUT", "/collections/c", `{"vectors":{"d":{"size":2,"distance":"Dot"}},"sparse_vectors":{"s":{},"idf":{"modifier":"idf","index":{"on_disk":false}}}}`, `true`)
	s.expect("PUT", "/collections/c/points?wait=true", `{"points":[
		{"id":1,"vector":{"s":{"indices":[9,2],"values":[1,2]},"d":[1,2]},"payload":{"n":1}},
		{"id":2,"vector":{"s":{"indices":[2,4000000000],"values":[1,0.5]},"idf":{"indices":[1,2],"values":[1,1]}}},
		{"id":3,"vector":{"s":{"indices":[],"values":[]},"idf":{"indices":[1],"values":[2]}}},
		{"id":4,"vector":{"s":{"indices":[2],"values":[1]}}}]}`, `{"operation_id":1,"status":"completed"}`)
	s.expect("POST", "/collections/c/points/query", `{"query":{"indices":[4000000000,2],"values":[2,1]},"using":"s","with_vector":["s"]}`, `{"points":[
		{"id":1,"version":1,"score":2,"vector":{"s":{"indices":[2,9],"values":[2,1]}}},
		{"id":2,"version":1,"score":2,"vector":{"s":{"indices":[2,4000000000],"values":[1,0.5]}}},
		{"id":4,"version":1,"score":1,"vector":{"s":{"indices":[2],"values":[1]}}}]}`)
	s.expect("POST", "/collections/c/points/query", `{"query":{"nearest":{"indices":[2],"values":[1]}},"using":"s","score_threshold":1}`,
		`{"points":[{"id":1,"version":1,"score":2}]}`)
	s.expect("POST", "/collections/c/points/query", `{"query":4,"using":"s","filter":{"must_not":[{"key":"n","match":{"value":1}}]}}`,
		`{"points":[{"id":2,"version":1,"score":1}]}`)
	s.expect("POST", "/collections/c/points/query", `{"query":{"indices":[1,2],"values":[0,1]},"using":"idf"}`,
		`{"points":[{"id":2,"version":1,"score":0.6931472},{"id":3,"version":1,"score":0}]}`)
	s.expect("POST", "/collections/c/points/search", `{"vector":{"name":"s","vector":{"indices":[9],"values":[3]}},"limit":3}`,
		`[{"id":1,"version":1,"score":3}]`)
	s.expect("PUT", "/collections/c/points/vectors?wait=true", `{"points":[{"id":4,"vector":{"s":{"indices":[7],"values":[7]}}}]}`, `{"operation_id":2,"status":"completed"}`)
	s.expect("POST", "/collections/c/points/vectors/delete?wait=true", `{"points":[1],"vector":["s"]}`, `{"operation_id":3,"status":"completed"}`)
	s.expect("GET", "/collections/c/points/1", "", `{"id":1,"payload":{"n":1},"vector":{"d":[1,2]}}`)
	s.expect("POST", "/collections/c/points/scroll", `{"filter":{"must":[{"has_vector":"s"}]},"with_payload":false}`,
		`{"points":[{"id":2},{"id":3},{"id":4}],"next_page_offset":null}`)
	s.expect("POST", "/collections/c/points/query", `{"query":{"indices":[7,2],"values":[1,1]},"using":"s"}`,
		`{"points":[{"id":4,"version":2,"score":7},{"id":2,"version":1,"score":1}]}`)
	s.expect("POST", "/collections/c/points/query", `{"query":{"recommend":{"positive":[4,{"indices":[2],"values":[3]}],"negative":[3]}},"using":"s"}`,
		`{"points":[{"id":2,"version":1,"score":3}]}`)
	s.expect("POST", "/collections/c/points/query", `{"query":{"recommend":{"positive":[4],"strategy":"sum_scores"}},"using":"s"}`,
		`{"points":[{"id":2,"version":1,"score":0},{"id":3,"version":1,"score":0}]}`)
	s.expect("POST", "/collections/c/points/query", `{"prefetch":[{"query":[1,1],"using":"d"},{"query":{"indices":[2],"values":[1]},"using":"s"}],"query":{"fusion":"rrf"}}`,
		`{"points":[{"id":1,"version":3,"score":0.5},{"id":2,"version":1,"score":0.5}]}`)
	s.expect("POST", "/collections/c/points/query", `{"prefetch":{"limit":9},"query":{"nearest":{"indices":[7],"values":[1]},"mmr":{"diversity":0.5}},"using":"s"}`,
		`{"points":[{"id":4,"version":2,"score":7}]}`)
	s.expect("PATCH", "/collections/c", `{"sparse_vectors":{"idf":{"index":{"full_scan_threshold":5}}}}`, `true`)
	params := s.result("GET", "/collections/c", "").(map[string]any)["config"].(map[string]any)["params"]
	want := map[string]any{"s": map[string]any{}, "idf": map[string]any{
		"modifier": "idf", "index": map[string]any{"on_disk": false, "full_scan_threshold": 5.0},
	}}
	if d := cmp.Diff(want, params.(map[string]any)["sparse_vectors"]); d != "" {
		t.Error(d)
	}
	for _, x := range [][4]string{
		{
			"PUT", "/collections/c/points", `{"points":[{"id":1,"vector":{"s":{"indices":[2,2],"values":[1,2]}}}]}`,
			"422 Validation error in JSON body: [points[0].vector.?.indices: Validation error: must be unique [{}]]",
		},
		{
			"PUT", "/collections/c/points", `{"points":[{"id":1,"vector":{"s":{"indices":[2],"values":[1,2]}}}]}`,
			"422 Validation error in JSON body: [points[0].vector.?.values: Validation error: must be the same length as indices [{}]]",
		},
		{"PUT", "/collections/c/points", `{"points":[{"id":1,"vector":{"s":[1,2]}}]}`, "400 Wrong input: Conversion between sparse and regular vectors failed"},
		{"PUT", "/collections/c/points", `{"points":[{"id":1,"vector":{"d":{"indices":[2],"values":[1]}}}]}`, "400 Wrong input: Conversion between sparse and regular vectors failed"},
		{"PUT", "/collections/c/points", `{"points":[{"id":1,"vector":{"d":[[1,2]]}}]}`, "400 Wrong input: Conversion between multi and regular vectors failed"},
		{"POST", "/collections/c/points/query", `{"query":[1,2],"using":"s"}`, "400 Wrong input: Conversion between sparse and regular vectors failed"},
		{"POST", "/collections/c/points/query", `{"query":1,"using":"s"}`, `404 Not found: Vector with name "s" for point not found`},
		{"PATCH", "/collections/c", `{"sparse_vectors":{"x":{}}}`, "400 Wrong input: Not existing vector name error: x"},
		{"PUT", "/collections/x", `{"sparse_vectors":{"s":{"modifier":"tf"}}}`, "400 Format error in JSON body: unknown variant `tf`, expected one of `none`, `idf`"},
	} {
		s.refused(x[0], x[1], x[2], x[3])
	}
}

// refused sends a request that has to fail with the status and the text given.
func (s *service) refused(method, path, body, want string) {
	s.t.Helper()
	w := s.do(method, path, body)
	var answer struct{ Status struct{ Error string } }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		s.t.Errorf("%s %s %s: %v in %q", method, path, body, err, w.Body)
	}
	if got := fmt.Sprint(w.Code, " ", answer.Status.Error); got != want {
		s.t.Errorf("%s %s %s:\n got %s\nwant %s", method, path, body, got, want)
	}
}

func TestVectorNames(t *testing.T) {
	s := start(t)
	s.expect("PUT", "/collections/c", `{"vectors":{"size":2,"distance":"Dot"}}`, `true`)
	s.expect("PUT", "/collections/c/points?wait=true", `{"points":[{"id":1,"vector":[1,2]}]}`, `{"operation_id":1,"status":"completed"}`)
	for _, body := range []string{`{"dense":{"size":3,"distance":"Cosine"}}`, `{"dense":{"size":3,"distance":"Cosine"},"sparse":null}`} {
		s.expect("PUT", "/collections/c/vectors/n?wait=true", body, `{"operation_id":1,"status":"completed"}`)
	}
	s.expect("PUT", "/collections/c/vectors/s", `{"sparse":{"modifier":"idf"}}`, `{"operation_id":1,"status":"acknowledged"}`)
	params := s.result("GET", "/collections/c", "").(map[string]any)["config"].(map[string]any)["params"].(map[string]any)
	want := map[string]any{
		"": map[string]any{"size": 2.0, "distance": "Dot"}, "n": map[string]any{"size": 3.0, "distance": "Cosine"},
	}
	if d := cmp.Diff(want, params["vectors"]); d != "" {
		t.Error(d)
	}
	s.expect("PUT", "/collections/c/points/vectors?wait=true", `{"points":[{"id":1,"vector":{"n":[0,0,2],"s":{"indices":[1],"values":[1]}}}]}`,
		`{"operation_id":2,"status":"completed"}`)
	s.expect("GET", "/collections/c/points/1", "", `{"id":1,"payload":{},"vector":{"":[1,2],"n":[0,0,1],"s":{"indices":[1],"values":[1]}}}`)
	s.expect("DELETE", "/collections/c/vectors/n?wait=true", "", `{"operation_id":2,"status":"completed"}`)
	s.expect("DELETE", "/collections/c/vectors/s?wait=true", "", `{"operation_id":2,"status":"completed"}`)
	s.expect("DELETE", "/collections/c/vectors/none?wait=true", "", `{"operation_id":2,"status":"completed"}`)
	s.expect("GET", "/collections/c/points/1", "", `{"id":1,"payload":{},"vector":[1,2]}`)
	for _, x := range [][4]string{
		{"POST", "/collections/c/points/query", `{"query":[1,2,3],"using":"n"}`, "400 Wrong input: Not existing vector name error: n"},
		{"PUT", "/collections/c/vectors/n", `{}`, "400 Format error in JSON body: data did not match any variant of untagged enum VectorNameConfig"},
		{"PUT", "/collections/c/vectors/n", `{"dense":{"size":3}}`, "400 Format error in JSON body: dense: data did not match any variant of untagged enum VectorsConfig"},
		{"PUT", "/collections/x/vectors/n", `{"sparse":{}}`, "404 Not found: Collection `x` doesn't exist!"},
		{"DELETE", "/collections/x/vectors/n", ``, "404 Not found: Collection `x` doesn't exist!"},
	} {
		s.refused(x[0], x[1], x[2], x[3])
	}
	s.expect("PUT", "/collections/c/vectors/n", `{"dense":{"size":3,"distance":"Cosine"}}`, `{"operation_id":2,"status":"acknowledged"}`)
	s.refused("PUT", "/collections/c/vectors/n", `{"sparse":{}}`, "409 Wrong input: Vector `n` already exists with another configuration!")
}
