package api_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestErrorsNameTheirItem sends batches in which the second item is wrong, in ways that are
// noticed at different times.
func TestErrorsNameTheirItem(t *testing.T) {
	s, _ := startEmbedding(t)
	s.expect("PUT", "/collections/c", `{"vectors":{"size":4,"distance":"Dot"},"strict_mode_config":{"enabled":true,"max_query_limit":50,"upsert_max_batchsize":2}}`, `true`)
	s.result("PUT", "/collections/c/points?wait=true", `{"points":[{"id":1,"vector":[1,2,3,4]}]}`)
	const (
		format  = "Format error in JSON body: "
		invalid = "Validation error in JSON body: "
	)
	for _, x := range []struct {
		path, list, first, second string
		status                    int
		text                      string // ends where an item named as a place follows
	}{
		{"batch", "operations", `{"delete":{"points":[7]}}`, `{"foo":1}`, 400, format + "data did not match any variant of untagged enum UpdateOperation"},
		{"batch", "operations", `{"delete":{"points":[7]}}`, `{"delete":{}}`, 400, format + "data did not match any variant of untagged enum PointsSelector"},
		{"batch", "operations", `{"delete":{"points":[7]}}`, `{"delete":{"points":[1],"points":[2]}}`, 400, format + "duplicate field `points`"},
		{"batch", "operations", `{"delete":{"points":[7]}}`, `{"upsert":{"points":[{"id":1,"vector":[1,2]}]}}`, 400, "Wrong input: Vector dimension error: expected dim: 4, got 2"},
		{"batch", "operations", `{"delete":{"points":[7]}}`, `{"upsert":{"points":[]}}`, 400, "Bad request: Empty update request"},
		{"batch", "operations", `{"delete":{"points":[7]}}`, `{"upsert":{"points":[{"id":1,"vector":[]}]}}`, 422, invalid + "[operations[1].points[0].vector.vector: dense vector must not be empty]"},
		{"batch", "operations", `{"delete":{"points":[7]}}`, `{"delete":{"filter":{"must":{"key":"a"}}}}`, 422, invalid + "[operations[1].filter.must[0].__all__: Validation error: At least one field condition must be specified"},
		{"batch", "operations", `{"delete":{"points":[7]}}`, `{"clear_payload":{"points":[1,9]}}`, 404, "Not found: No point with id 9 found"},
		{"batch", "operations", `{"delete":{"points":[7]}}`, `{"upsert":{"points":[` + strings.Repeat(`{"id":1,"vector":[1,2,3,4]},`, 2) + `{"id":2,"vector":[1,2,3,4]}]}}`, 400, `Bad request: Limit exceeded 3 > 2 for "upsert limit". Help: Reduce the "upsert limit" parameter to or below 2.`},
		{"batch", "operations", `{"delete":{"points":[7]}}`, `{"upsert":{"points":[{"id":1,"vector":` + doc("poison") + `}]}}`, 400, "Bad request: operations[1].points[0].vector.text: "},
		{"query/batch", "searches", `{}`, `{"query":[1,2]}`, 400, "Wrong input: Vector dimension error: expected dim: 4, got 2"},
		{"query/batch", "searches", `{}`, `{"query":9}`, 404, "Not found: No point with id 9 found"},
		{"query/batch", "searches", `{}`, `{"limit":"ten"}`, 400, format + "invalid type: string, expected usize"},
		{"query/batch", "searches", `{}`, `{"prefetch":{"query":[1,2,3,4],"limit":51},"query":{"fusion":"rrf"}}`, 400, `Bad request: Limit exceeded 51 > 50 for "limit". Help: Reduce the "limit" parameter to or below 50.`},
		{"query/batch", "searches", `{}`, `{"query":[]}`, 422, invalid + "[searches[1].query.vector: dense vector must not be empty]"},
		{"query/batch", "searches", `{}`, `{"query":` + doc("poison") + `}`, 400, "Bad request: searches[1].query.text: "},
		{"search/batch", "searches", `{"vector":[1,2,3,4],"limit":1}`, `{"vector":[1,2,3,4]}`, 400, format + "missing field `limit`"},
		{"recommend/batch", "searches", `{"positive":[1],"limit":1}`, `{"positive":[1],"limit":1,"using":"x"}`, 400, "Wrong input: Not existing vector name error: x"},
		{"discover/batch", "searches", `{"target":1,"limit":1}`, `{"target":1,"limit":0}`, 422, invalid + "[searches[1].discover_request.limit: value 0 invalid, must be 1 or larger]"},
	} {
		body := `{"` + x.list + `":[` + x.first + `,` + x.second + `]}`
		w := s.do("POST", "/collections/c/points/"+x.path+"?wait=true", body)
		var answer struct{ Status struct{ Error string } }
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%s: %v in %q", body, err, w.Body)
		}
		got, item := answer.Status.Error, x.list+"[1]"
		if w.Code != x.status || !strings.HasPrefix(got, x.text) || strings.Count(got, item) != 1 {
			t.Errorf("%s %s: %d %q, want %d %q of %s", x.path, body, w.Code, got, x.status, x.text, item)
		}
	}
	// What is wrong with the whole is no item's.
	for body, text := range map[string]string{
		`{"operations":[{"delete":{"points":[7]}},{"delete":{"points":[1]}]}`: format,
		`{"operations":7}`: format + "invalid type: number, expected a sequence",
	} {
		if w := s.do("POST", "/collections/c/points/batch", body); w.Code != 400 || !strings.Contains(w.Body.String(), text) || strings.Contains(w.Body.String(), "operations[") {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}
