package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"freshet/api"
)

// queryService serves two collections: c with points 1 to 4 at (1,0), (0,1), (1,1) and
// (2,1), and other with point 1 at (0,3).
func queryService(t *testing.T) *service {
	s := start(t)
	s.result("PUT", "/collections/c", `{"vectors":{"size":2,"distance":"Dot"}}`)
	s.result("PUT", "/collections/other", `{"vectors":{"v":{"size":2,"distance":"Dot"}}}`)
	s.result("PUT", "/collections/c/points?wait=true", `{"points":[
		{"id":1,"vector":[1,0],"payload":{"n":1}},{"id":2,"vector":[0,1],"payload":{"n":2}},
		{"id":3,"vector":[1,1],"payload":{"n":3}},{"id":4,"vector":[2,1],"payload":{"n":4}}]}`)
	s.result("PUT", "/collections/other/points?wait=true", `{"points":[{"id":1,"vector":{"v":[0,3]}}]}`)
	return s
}

func TestQueryForms(t *testing.T) {
	s := queryService(t)
	// What was found is written as id:score.
	for _, test := range []struct{ path, body, want string }{
		{"query", `{"query":[1,0]}`, "4:2 1:1 3:1 2:0"},
		{"query", `{"query":null,"limit":2}`, "1:1 2:1"},
		{"query", `{"query":1}`, "4:2 3:1 2:0"},
		{"query", `{"query":{"nearest":1},"limit":1,"offset":1}`, "3:1"},
		{"query", `{"query":1,"lookup_from":{"collection":"other","vector":"v"},"limit":2}`, "2:3 3:3"},
		{"query", `{"query":{"mmr":{"diversity":1},"nearest":[1,0]},"limit":2}`, "4:2 1:1"},
		{"query", `{"query":{"nearest":[1,0],"mmr":null},"limit":2}`, "4:2 1:1"},
		{"query", `{"query":{"nearest":[1,0],"mmr":{"diversity":1,"candidates_limit":4}},"limit":2}`, "4:2 2:0"},
		{"query", `{"query":{"recommend":{"positive":[1,[0,2]]}}}`, "4:2 3:1.5 2:1"},
		{"query", `{"query":{"recommend":{"positive":[1],"negative":[2],"strategy":"sum_scores"}}}`, "4:1 3:0"},
		{"query", `{"query":{"recommend":{"positive":[1],"negative":null,"strategy":"best_score"}}}`, "4:0.833333 3:0.75 2:0.5"},
		{"query", `{"query":{"discover":{"target":1,"context":[{"positive":[0,1],"negative":[1,0]}]}}}`, "2:1.5 3:0.75 4:-0.166667"},
		{"query", `{"query":{"discover":{"target":1,"context":{"positive":[0,1],"negative":[1,0]}}},"limit":1}`, "2:1.5"},
		{"query", `{"query":{"context":[{"positive":[0,1],"negative":[1,0]}]},"score_threshold":-0.4}`, "2:0 3:-1.19209e-07"},
		{"query", `{"prefetch":{"query":[1,0],"limit":2},"query":[0,1]}`, "4:1 1:0"},
		{"query", `{"prefetch":[{"query":[1,0]},{"query":[0,1],"limit":1}],"query":{"fusion":"rrf"},"limit":2}`, "2:0.7 4:0.5"},
		{"query", `{"prefetch":[{"query":[1,0]},{"query":[0,1],"limit":1}],"query":{"rrf":{"k":1,"weights":[0,2]}},"limit":2}`, "2:2 1:0"},
		{"query", `{"prefetch":{"query":[1,0],"limit":1},"query":{"fusion":"dbsf"}}`, "4:0.5"},
		{"query", `{"prefetch":{"prefetch":{"query":[1,0],"limit":2},"query":[0,1],"limit":1},"query":[3,3]}`, "4:9"},
		{"query", `{"prefetch":{},"query":{"defaults":{"m":10},"formula":{"sum":["$score","n","m"]}},"score_threshold":14}`, "4:15 3:14"},
		{"query", `{"query":{"sample":"random"},"filter":{"must":{"key":"n","match":{"value":2}}}}`, "2:1"},
		{"recommend", `{"positive":[1],"limit":2}`, "4:2 3:1"},
		{"recommend", `{"positive":[1],"lookup_from":{"collection":"other","vector":"v"},"limit":1}`, "2:3"},
		{"recommend", `{"negative":[1],"strategy":"best_score","limit":1,"offset":2}`, "4:-0.833333"},
		{"discover", `{"target":1,"limit":1}`, "4:0.833333"},
		{"discover", `{"context":[{"positive":2,"negative":1}],"limit":1}`, "3:-1.19209e-07"},
	} {
		if got := s.found(test.path, test.body); got != test.want {
			t.Errorf("%s %s\ngot  %s\nwant %s", test.path, test.body, got, test.want)
		}
		batch := s.result("POST", "/collections/c/points/"+test.path+"/batch", `{"searches":[`+test.body+`,`+test.body+`]}`)
		for _, one := range batch.([]any) {
			if got := written(one); got != test.want {
				t.Errorf("in a batch, %s %s\ngot  %s\nwant %s", test.path, test.body, got, test.want)
			}
		}
	}
}

// found sends a search and writes its result.
func (s *service) found(path, body string) string {
	s.t.Helper()
	return written(s.result("POST", "/collections/c/points/"+path, body))
}

func written(result any) string {
	if page, ok := result.(map[string]any); ok {
		result = page["points"]
	}
	var list []string
	for _, p := range result.([]any) {
		p := p.(map[string]any)
		list = append(list, fmt.Sprintf("%v:%.6g", p["id"], p["score"]))
	}
	return strings.Join(list, " ")
}

func TestQueryErrors(t *testing.T) {
	s := queryService(t)
	const format = "Format error in JSON body: "
	const near = `"prefetch":{"query":[1,0]}`
	deep := strings.Repeat(`{"query":{"fusion":"rrf"},"prefetch":`, 66) + `{}` + strings.Repeat(`}`, 66)
	for _, test := range []struct {
		path, body string
		code       int
		want       string
	}{
		{"query", `{"query":true}`, 400, format + "Expected some form of vector, id, or a type of query"},
		{"query", `{"query":{}}`, 400, format + "Expected some form of vector, id, or a type of query"},
		{"query", `{"query":{"mmr":{}}}`, 400, format + "Expected some form of vector, id, or a type of query"},
		{"query", `{"query":{"nearest":[1,0],"mmr":{"diversity":1.5}}}`, 422, "Validation error in JSON body: [internal.query.mmr.diversity: value 1.5 invalid, must be from 0.0 to 1.0]"},
		{"query", `{"query":{"nearest":[1,0],"mmr":{"candidates_limit":16385}}}`, 422, "Validation error in JSON body: [internal.query.mmr.candidates_limit: "},
		{"query", `{"query":{"relevance_feedback":{}}}`, 400, format + "missing field `target`"},
		{"query", `{"query":{"relevance_feedback":{"target":1,"strategy":{"naive":{"a":1,"b":1,"c":1}}}}}`, 400, format + "missing field `feedback`"},
		{"query", `{"query":{"relevance_feedback":{"target":1,"feedback":[]}}}`, 400, format + "missing field `strategy`"},
		{"query", `{"query":{"relevance_feedback":{"target":1,"feedback":[],"strategy":{}}}}`, 400, format + "missing field `naive`"},
		{"query", `{"query":{"relevance_feedback":{"target":1,"feedback":[],"strategy":{"naive":{"a":1,"b":1}}}}}`, 400, format + "missing field `c`"},
		{"query", `{"query":{"relevance_feedback":{"target":1,"feedback":[],"strategy":{"naive":{"a":1,"b":-1,"c":1}}}}}`, 422, "Validation error in JSON body: [internal.query.relevance_feedback.strategy.naive.b: value -1 invalid, must be 0.0 or larger]"},
		{"query", `{"query":{"relevance_feedback":{"target":1,"feedback":[{"example":2}],"strategy":{"naive":{"a":1,"b":1,"c":1}}}}}`, 400, format + "missing field `score`"},
		{"query", `{"query":{"relevance_feedback":{"target":1,"feedback":[{"example":2,"score":3e38},{"example":1,"score":-3e38}],"strategy":{"naive":{"a":1,"b":9,"c":1}}}}}`, 400, "Wrong input: the scores of the feedback are too far apart for b = 9 and c = 1"},
		{"query", `{"query":{"relevance_feedback":{"target":9,"feedback":[],"strategy":{"naive":{"a":1,"b":1,"c":1}}}}}`, 404, "Not found: No point with id 9 found"},
		{"query", `{"query":{"relevance_feedback":{"target":1,"feedback":[{"example":2,"score":1}` + strings.Repeat(`,{"example":2,"score":1}`, 1024) + `],"strategy":{"naive":{"a":1,"b":1,"c":1}}}}}`, 400, "Bad request: relevance feedback may have 1024 examples"},
		{"query", `{"query":{"recommend":{"positive":[true]}}}`, 400, format + "data did not match any variant"},
		{"query", `{"query":{"recommend":{"positive":1}}}`, 400, format + "invalid type"},
		{"query", `{"query":{"recommend":{"strategy":"foo"}}}`, 400, format + "unknown variant `foo`"},
		{"query", `{"query":{"recommend":{"positive":[[1,2,3]]}}}`, 400, "Wrong input: Vector dimension error: expected dim: 2, got 3"},
		{"query", `{"query":{"recommend":{"positive":[9]}}}`, 404, "Not found: No point with id 9 found"},
		{"query", `{"query":{"discover":{"context":[]}}}`, 400, format + "missing field `target`"},
		{"query", `{"query":{"context":[{"positive":1}]}}`, 400, format + "missing field `negative`"},
		{"query", `{"query":{"fusion":"foo"},` + near + `}`, 400, format + "unknown variant `foo`"},
		{"query", `{"query":{"rrf":{"k":0}},` + near + `}`, 422, "Validation error in JSON body: [internal.query.rrf.k: value 0 invalid, must be 1 or larger]"},
		{"query", `{"query":{"rrf":{"weights":[-1]}},` + near + `}`, 422, "Validation error in JSON body: [internal.query.rrf.weights[0]: "},
		{"query", `{"query":{"rrf":{}}}`, 400, "Wrong input: Validation failed: cannot apply Fusion without prefetches"},
		{"query", `{"query":{"formula":1}}`, 400, "Wrong input: Validation failed: cannot apply Formula without prefetches"},
		{"query", `{"query":{"formula":{"foo":1}},` + near + `}`, 400, format + "data did not match any variant of untagged enum Expression"},
		{"query", `{"query":{"formula":{"lin_decay":{"x":1,"scale":0}}},` + near + `}`, 400, "Wrong input: Validation failed: lin_decay: the scale"},
		{"query", `{"query":{"formula":{"key":"a"}},` + near + `}`, 422, "Validation error in JSON body: [internal.query.formula."},
		{"query", `{"query":{"sample":"all"}}`, 400, format + "unknown variant `all`"},
		{"query", `{"query":[1,0],"prefetch":{"query":[1,0],"limit":0}}`, 422, "Validation error in JSON body: [internal.prefetch.limit: value 0 invalid, must be 1 or larger]"},
		{"query", `{"query":[1,0],"prefetch":[{},{"params":{"hnsw_ef":0}}]}`, 422, "Validation error in JSON body: [internal.prefetch[1].params.hnsw_ef: "},
		{"query", `{"query":[1,0],"prefetch":[{"score_threshold":1}]}`, 400, "Bad request: A query is needed to use the score_threshold."},
		{"query", `{"query":[1,0],"prefetch":1}`, 400, format + "invalid type: number, expected a map"},
		{"query", deep, 400, "Bad request: prefetches may be nested 64 deep"},
		{"query", `{"query":1,"lookup_from":{"collection":"nope"}}`, 404, "Not found: Collection nope not found"},
		{"query", `{"query":1,"lookup_from":{"collection":"other","vector":"w"}}`, 400, "Wrong input: Not existing vector name error: w"},
		{"query", `{"query":1,"lookup_from":{}}`, 400, format + "missing field `collection`"},
		{"query/batch", `{"searches":[{"query":[1,0]},{"query":{"fusion":"rrf"}}]}`, 400, "Wrong input: Validation failed: cannot apply Fusion without prefetches (searches[1])"},
		{"recommend", `{"positive":[1]}`, 400, format + "missing field `limit`"},
		{"recommend", `{"positive":[1],"limit":0}`, 422, "Validation error in JSON body: [recommend_request.limit: "},
		{"recommend", `{"limit":1}`, 400, "Wrong input: Positive vectors should not be empty with `average` strategy"},
		{"recommend", `{"strategy":"best_score","limit":1}`, 400, "Bad request: At least one"},
		{"discover", `{"limit":1}`, 400, "Bad request: Either a target or a context is needed"},
		{"discover/batch", `{"searches":[{"target":1,"limit":0}]}`, 422, "Validation error in JSON body: [searches[0].discover_request.limit: "},
	} {
		code, text := s.errorOf("POST", "/collections/c/points/"+test.path, test.body)
		if code != test.code || !strings.HasPrefix(text, test.want) {
			t.Errorf("%s %.200s\ngot  %d %s\nwant %d %s", test.path, test.body, code, text, test.code, test.want)
		}
	}
}

// Strict mode bounds prefetches as it does what is around them.
func TestStrictModeOfPrefetches(t *testing.T) {
	s := queryService(t)
	s.result("PATCH", "/collections/c", `{"strict_mode_config":{"enabled":true,"max_query_limit":5}}`)
	for limit, want := range map[int]int{5: 200, 6: 400} {
		body := fmt.Sprintf(`{"prefetch":{"prefetch":{"query":[1,0],"limit":%d},"query":[1,0],"limit":5},"query":[1,0],"limit":5}`, limit)
		if code, text := s.errorOf("POST", "/collections/c/points/query", body); code != want {
			t.Errorf("limit %d: %d %s", limit, code, text)
		}
	}
}

// FuzzQueries sends any body as a query or an older form of one to a collection with
// points: the answer is no fault of the server's, and is JSON.
func FuzzQueries(f *testing.F) {
	db := fuzzed(f)
	h := api.New(db, api.Options{}).Handler()
	send := func(method, path, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		return w
	}
	for path, body := range map[string]string{
		"/collections/c": `{"vectors":{"size":2,"distance":"Euclid"}}`,
		"/collections/d": `{"vectors":{"size":2,"distance":"Cosine"}}`,
	} {
		if w := send("PUT", path, body); w.Code != http.StatusOK {
			f.Fatal(w.Body)
		}
		var points []string
		for i := range 20 {
			points = append(points, fmt.Sprintf(`{"id":%d,"vector":[%d,%d],"payload":{"n":%d,"place":{"lon":%d,"lat":1}}}`, i, i%5, i/3, i, i))
		}
		if w := send("PUT", path+"/points?wait=true", `{"points":[`+strings.Join(points, ",")+`]}`); w.Code != http.StatusOK {
			f.Fatal(w.Body)
		}
	}
	endpoints := []string{"query", "query/batch", "recommend", "discover", "search"}
	for _, body := range []string{
		`{"query":{"nearest":[1,2],"mmr":{"diversity":0.3,"candidates_limit":10}},"limit":3,"with_payload":true}`,
		`{"query":{"recommend":{"positive":[1,[1,2]],"negative":[3],"strategy":"best_score"}},"score_threshold":-0.5}`,
		`{"query":{"discover":{"target":2,"context":[{"positive":1,"negative":[2,3]}]}},"offset":2}`,
		`{"query":{"context":{"positive":1,"negative":5}},"params":{"exact":true}}`,
		`{"prefetch":[{"query":1,"limit":5},{"query":[3e38,-3e38],"filter":{"must":{"key":"n","range":{"gt":3}}}}],"query":{"rrf":{"k":3,"weights":[1,0.5]}}}`,
		`{"prefetch":{"prefetch":{"limit":9},"query":{"sample":"random"},"limit":4},"query":{"fusion":"dbsf"},"filter":{"must_not":{"has_id":[3]}}}`,
		`{"prefetch":{"query":[1,1]},"query":{"formula":{"div":{"left":"$score","right":{"sum":["n",{"key":"n","match":{"value":3}}]},"by_zero_default":1}},"defaults":{"n":1}}}`,
		`{"query":4,"lookup_from":{"collection":"d","vector":""},"using":"","with_vector":true}`,
	} {
		f.Add(uint8(0), body)
		f.Add(uint8(1), `{"searches":[`+body+`,`+body+`]}`)
	}
	f.Add(uint8(2), `{"positive":[1],"negative":[2],"strategy":"sum_scores","limit":3}`)
	f.Add(uint8(3), `{"target":1,"context":[{"positive":1,"negative":2}],"limit":3}`)
	f.Fuzz(func(t *testing.T, endpoint uint8, body string) {
		path := "/collections/c/points/" + endpoints[int(endpoint)%len(endpoints)]
		w := send("POST", path, body)
		if w.Code >= http.StatusInternalServerError || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %q: %d %s", path, body, w.Code, w.Body)
		}
	})
}
