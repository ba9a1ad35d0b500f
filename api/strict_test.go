package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
)

// errorOf returns the status of a request and the error in its answer.
func (s *service) errorOf(method, path, body string) (int, string) {
	s.t.Helper()
	w := s.do(method, path, body)
	var answer struct{ Status any }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		s.t.Fatalf("%s %s: %v in %q", method, path, err, w.Body)
	}
	if m, ok := answer.Status.(map[string]any); ok {
		return w.Code, fmt.Sprint(m["error"])
	}
	return w.Code, ""
}

// TestStrictMode tries every bound with a request that keeps to it and one that
// does not, and that one again with strict mode off.
func TestStrictMode(t *testing.T) {
	const points = "/points"
	upsertOf := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{"id":%d,"vector":[%d,1],"payload":{"n":1}}`, 100+i, i))
		}
		return `{"points":[` + strings.Join(list, ",") + `]}`
	}
	for _, x := range []struct {
		config, method, path, allowed, refused, text string
	}{
		{`"max_query_limit":5`, "POST", points + "/query", `{"query":[1,1],"limit":5}`, `{"query":[1,1],"limit":6}`, `Limit exceeded 6 > 5 for "limit". Help: Reduce the "limit" parameter to or below 5.`},
		{`"max_query_limit":5`, "POST", points + "/search", `{"vector":[1,1],"limit":5}`, `{"vector":[1,1],"limit":6}`, `Limit exceeded 6 > 5 for "limit"`},
		{`"max_query_limit":5`, "POST", points + "/query/batch", `{"searches":[{"query":[1,1],"limit":5}]}`, `{"searches":[{"query":[1,1],"limit":5},{"query":[1,1],"limit":6}]}`, `Limit exceeded 6 > 5 for "limit"`},
		{`"max_query_limit":5`, "POST", points + "/scroll", `{"limit":5}`, `{"limit":6}`, `Limit exceeded 6 > 5 for "limit"`},
		{`"unindexed_filtering_retrieve":false`, "POST", points + "/query", `{"filter":{"must":{"key":"k","match":{"value":"x"}}}}`, `{"filter":{"must":{"key":"n","match":{"value":1}}}}`, `Index required but not found for "n" of one of the following types: [integer]. Help: Create an index for this key or use a different filter.`},
		{`"unindexed_filtering_retrieve":false`, "POST", points + "/scroll", `{"filter":{"must_not":{"key":"k","match":{"any":[]}}}}`, `{"filter":{"should":{"key":"k","match":{"any":[1]}}}}`, `Index required but not found for "k" of one of the following types: [integer]`},
		{`"unindexed_filtering_retrieve":false`, "POST", points + "/count", `{"filter":{"must":{"key":"k","is_empty":true}}}`, `{"filter":{"must":{"nested":{"key":"a","filter":{"must":{"key":"b","range":{"gt":1}}}}}}}`, `Index required but not found for "a[].b" of one of the following types: [float, integer]`},
		{`"unindexed_filtering_retrieve":false`, "POST", points + "/count", `{"filter":{"must":{"has_id":[1]}}}`, `{"filter":{"must":{"key":"u","match":{"value":"0b0d1c9a-3cbb-4a5c-9e1c-0d4a4c6f3a10"}}}}`, `Index required but not found for "u" of one of the following types: [keyword, uuid]`},
		{`"unindexed_filtering_retrieve":false`, "POST", points + "/query", `{"prefetch":{"query":[1,1]},"query":{"formula":{"sum":["$score",{"key":"k","match":{"value":"x"}}]}}}`, `{"prefetch":{"query":[1,1]},"query":{"formula":{"sum":["$score","n"]},"defaults":{"n":0}}}`, `Index required but not found for "n" of one of the following types: [float, integer]. Help: Create an index for this key or use a different formula expression.`},
		{`"unindexed_filtering_retrieve":false`, "POST", points + "/query", `{"prefetch":{"query":[1,1],"filter":{"must":{"key":"k","match":{"value":"x"}}}},"query":[1,1]}`, `{"prefetch":{"prefetch":{"query":[1,1],"filter":{"must":{"key":"n","match":{"value":1}}}},"query":[1,1]},"query":[1,1]}`, `Index required but not found for "n"`},
		{`"max_query_limit":5`, "POST", points + "/query", `{"prefetch":{"query":[1,1],"limit":5},"query":[1,1],"limit":5}`, `{"prefetch":{"query":[1,1],"limit":6},"query":[1,1],"limit":5}`, `Limit exceeded 6 > 5 for "limit"`},
		{`"unindexed_filtering_update":false`, "POST", points + "/delete", `{"filter":{"must":{"key":"k","match":{"value":"x"}}}}`, `{"filter":{"must":{"key":"t","match":{"text":"x"}}}}`, `Index required but not found for "t" of one of the following types: [text]`},
		{`"unindexed_filtering_update":false`, "POST", points + "/payload", `{"payload":{"z":1},"filter":{"must":{"key":"k","match":{"value":"x"}}}}`, `{"payload":{"z":1},"filter":{"must":{"key":"d","range":{"gt":"2024-01-01"}}}}`, `Index required but not found for "d" of one of the following types: [datetime]`},
		{`"unindexed_filtering_update":false`, "PUT", points, `{"points":[{"id":1,"vector":[1,1]}],"update_filter":{"must":{"key":"k","match":{"value":"x"}}}}`, `{"points":[{"id":1,"vector":[1,1]}],"update_filter":{"must":{"key":"b","match":{"value":true}}}}`, `Index required but not found for "b" of one of the following types: [bool]`},
		{`"search_max_hnsw_ef":50`, "POST", points + "/query", `{"query":[1,1],"params":{"hnsw_ef":50}}`, `{"query":[1,1],"params":{"hnsw_ef":51}}`, `Limit exceeded 51 > 50 for "hnsw_ef". Help: Reduce the "hnsw_ef" parameter to or below 50.`},
		{`"search_allow_exact":false`, "POST", points + "/query", `{"query":[1,1],"params":{"exact":false}}`, `{"query":[1,1],"params":{"exact":true}}`, `Exact search disabled!. Help: Set exact=false.`},
		{`"search_allow_exact":false`, "POST", points + "/count", `{"exact":false}`, `{}`, `Exact search disabled!. Help: Set exact=false.`},
		{`"search_max_oversampling":1.5`, "POST", points + "/query", `{"query":[1,1],"params":{"quantization":{"oversampling":1.5}}}`, `{"query":[1,1],"params":{"quantization":{"oversampling":2}}}`, `Limit exceeded 2 > 1.5 for "oversampling"`},
		{`"upsert_max_batchsize":3`, "PUT", points, upsertOf(3), upsertOf(4), `Limit exceeded 4 > 3 for "upsert limit". Help: Reduce the "upsert limit" parameter to or below 3.`},
		{`"upsert_max_batchsize":3`, "POST", points + "/batch", `{"operations":[{"upsert":` + upsertOf(3) + `}]}`, `{"operations":[{"upsert":` + upsertOf(1) + `},{"upsert":` + upsertOf(4) + `}]}`, `Limit exceeded 4 > 3 for "upsert limit"`},
		{`"upsert_max_batchsize":1`, "PUT", points + "/vectors", `{"points":[{"id":1,"vector":[1,1]}]}`, `{"points":[{"id":1,"vector":[1,1]},{"id":2,"vector":[1,1]}]}`, `Limit exceeded 2 > 1 for "update limit"`},
		{`"search_max_batchsize":2`, "POST", points + "/search/batch", `{"searches":[{"vector":[1,1],"limit":1},{"vector":[1,1],"limit":1}]}`, `{"searches":[{"vector":[1,1],"limit":1},{"vector":[1,1],"limit":1},{"vector":[1,1],"limit":1}]}`, `Limit exceeded 3 > 2 for "search batch limit"`},
		{`"max_query_limit":5`, "POST", "/facet", `{"key":"k","limit":5}`, `{"key":"k","limit":6}`, `Limit exceeded 6 > 5 for "limit"`},
		{`"max_query_limit":5`, "POST", "/facet", "", `{"key":"k"}`, `Limit exceeded 10 > 5 for "limit"`},
		{`"max_query_limit":6`, "POST", points + "/search/matrix/pairs", `{"sample":3,"limit":2}`, `{"sample":7,"limit":1}`, `Limit exceeded 7 > 6 for "limit"`},
		{`"max_query_limit":6`, "POST", points + "/search/matrix/offsets", `{"sample":2}`, `{}`, `Limit exceeded 30 > 6 for "limit"`},
		{`"unindexed_filtering_retrieve":false`, "POST", "/facet", `{"key":"k","filter":{"must":{"key":"k","match":{"value":"x"}}}}`, `{"key":"k","filter":{"must":{"key":"n","match":{"value":1}}}}`, `Index required but not found for "n"`},
		{`"unindexed_filtering_retrieve":false`, "POST", points + "/search/matrix/pairs", `{"filter":{"must":{"key":"k","match":{"value":"x"}}}}`, `{"filter":{"must":{"key":"n","match":{"value":1}}}}`, `Index required but not found for "n"`},
		{`"max_query_limit":6`, "POST", points + "/query/groups", `{"query":[1,1],"group_by":"k","limit":2}`, `{"query":[1,1],"group_by":"k","limit":4,"group_size":2}`, `Limit exceeded 8 > 6 for "limit"`},
		{`"max_query_limit":6`, "POST", points + "/search/groups", `{"vector":[1,1],"group_by":"k","limit":2,"group_size":3}`, `{"vector":[1,1],"group_by":"k","limit":18446744073709551615,"group_size":18446744073709551615}`, `Limit exceeded 9223372036854775807 > 6 for "limit"`},
		{`"max_query_limit":6`, "POST", points + "/query/groups", "", `{"prefetch":{"limit":7},"query":[1,1],"group_by":"k","limit":2,"group_size":1}`, `Limit exceeded 7 > 6 for "limit"`},
		{`"filter_max_conditions":2`, "POST", points + "/query", `{"filter":{"must":[{"has_id":[1]},{"must_not":{"has_id":[2]}}]}}`, `{"filter":{"must":[{"has_id":[1]},{"nested":{"key":"a","filter":{"must":[{"is_null":{"key":"b"}},{"is_null":{"key":"c"}}]}}}]}}`, `Filter condition limit reached (3 > 2). Help: Reduce the amount of conditions of your filter.`},
		{`"condition_max_size":2`, "POST", points + "/query", `{"filter":{"must":{"key":"k","match":{"any":["a","b"]}}}}`, `{"filter":{"must":{"key":"k","match":{"except":["a","b","c"]}}}}`, `Condition size limit reached (3 > 2). Help: Reduce the size of your condition.`},
		{`"condition_max_size":2`, "POST", points + "/delete", `{"filter":{"must":{"has_id":[11,12]}}}`, `{"filter":{"must":{"has_id":[11,12,13]}}}`, `Condition size limit reached (3 > 2)`},
		{`"max_timeout":10`, "POST", points + "/query?timeout=10", `{}`, "", ""},
		{`"max_timeout":10`, "POST", points + "/query?timeout=11", "", `{}`, `Limit exceeded 11 > 10 for "timeout". Help: Reduce the "timeout" parameter to or below 10.`},
		{`"max_timeout":10`, "PUT", points + "?timeout=11", "", `{"points":[{"id":1,"vector":[1,1]}]}`, `Limit exceeded 11 > 10 for "timeout"`},
		{`"max_points_count":4`, "PUT", points, `{"points":[{"id":3,"vector":[1,1]}]}`, "", ""},
		{`"max_points_count":3`, "PUT", points, "", `{"points":[{"id":4,"vector":[1,1]}]}`, `Max points count limit of 3 reached!`},
		{`"max_collection_vector_size_bytes":25`, "PUT", points, `{"points":[{"id":3,"vector":[1,1]}]}`, "", ""},
		{`"max_collection_vector_size_bytes":24`, "PUT", points, "", `{"points":[{"id":4,"vector":[1,1]}]}`, `Max vector storage size limit of 0.000022888184MB reached!`},
		{`"max_collection_vector_size_bytes":24`, "PUT", points + "/vectors", "", `{"points":[{"id":1,"vector":[1,1]}]}`, `Max vector storage size limit of 0.000022888184MB reached!`},
		{`"max_collection_payload_size_bytes":19`, "POST", points + "/payload", `{"payload":{"z":1},"points":[1]}`, "", ""},
		{`"max_collection_payload_size_bytes":18`, "POST", points + "/payload", "", `{"payload":{"z":1},"points":[1]}`, `Max payload storage size limit of 0.000017166138MB reached!`},
		{`"max_collection_payload_size_bytes":18`, "PUT", points, "", `{"points":[{"id":4,"vector":[1,1]}]}`, `Max payload storage size limit of 0.000017166138MB reached!`},
		{`"max_collection_payload_size_bytes":18`, "POST", points + "/delete", `{"points":[1]}`, "", ""},
		{`"max_payload_index_count":1`, "PUT", "/index", `{"field_name":"k","field_schema":"keyword"}`, `{"field_name":"n","field_schema":"integer"}`, `Collection already has the maximum number of payload indices (1). Help: Please delete an existing index before creating a new one.`},
	} {
		t.Run(x.config+" "+x.path, func(t *testing.T) {
			s := start(t)
			const c = "/collections/c"
			s.result("PUT", c, `{"vectors":{"size":2,"distance":"Dot"},"strict_mode_config":{"enabled":false}}`)
			s.result("PUT", c+"/index", `{"field_name":"k","field_schema":"keyword"}`)
			s.result("PUT", c+"/points", `{"points":[{"id":1,"vector":[1,1],"payload":{"k":"x"}},{"id":2,"vector":[1,2],"payload":{"n":123}},{"id":3,"vector":[1,3]}]}`)
			s.result("PATCH", c, `{"strict_mode_config":{`+x.config+`}}`) // not enabled yet
			if x.refused != "" {
				if code, text := s.errorOf(x.method, c+x.path, x.refused); code != 200 {
					t.Fatalf("while strict mode is off: %d %s", code, text)
				}
			}
			s = start(t)
			s.result("PUT", c, `{"vectors":{"size":2,"distance":"Dot"},"strict_mode_config":{"enabled":true,`+x.config+`}}`)
			s.result("PATCH", c, `{"strict_mode_config":{"enabled":false}}`)
			s.result("PUT", c+"/index", `{"field_name":"k","field_schema":"keyword"}`)
			s.result("PUT", c+"/points", `{"points":[{"id":1,"vector":[1,1],"payload":{"k":"x"}},{"id":2,"vector":[1,2],"payload":{"n":123}},{"id":3,"vector":[1,3]}]}`)
			s.result("PATCH", c, `{"strict_mode_config":{"enabled":true}}`)
			if x.refused != "" {
				before := s.result("GET", c, "")
				if code, text := s.errorOf(x.method, c+x.path, x.refused); code != 400 || !strings.HasPrefix(text, "Bad request: "+x.text) {
					t.Errorf("%s: %d %s", x.refused, code, text)
				}
				if after := s.result("GET", c, ""); fmt.Sprint(before) != fmt.Sprint(after) {
					t.Errorf("a refused request changed something:\n%v\n%v", before, after)
				}
			}
			if x.allowed != "" {
				if code, text := s.errorOf(x.method, c+x.path, x.allowed); code != 200 {
					t.Errorf("%s: %d %s", x.allowed, code, text)
				}
			}
		})
	}
}

func TestStrictModeConfiguration(t *testing.T) {
	s := start(t)
	const c = "/collections/c"
	s.expect("PUT", c, `{"vectors":{"size":2,"distance":"Dot"},"strict_mode_config":{"max_query_limit":3,"search_max_oversampling":1.5,"sparse_config":{"s":{"max_length":2}}}}`, `true`)
	strict := func(want string) {
		t.Helper()
		config := s.result("GET", c, "").(map[string]any)["config"].(map[string]any)
		got, err := json.Marshal(config["strict_mode_config"])
		if err != nil || string(got) != want {
			t.Errorf("got  %s (%v)\nwant %s", got, err, want)
		}
	}
	strict(`{"max_query_limit":3,"search_max_oversampling":1.5,"sparse_config":{"s":{"max_length":2}}}`)
	s.expect("PATCH", c, `{"strict_mode_config":{"enabled":true,"max_query_limit":null,"write_rate_limit":7}}`, `true`)
	strict(`{"enabled":true,"max_query_limit":3,"search_max_oversampling":1.5,"sparse_config":{"s":{"max_length":2}},"write_rate_limit":7}`)
	for config, want := range map[string]string{
		`{"max_query_limit":0}`:     "Validation error in JSON body: [strict_mode_config.max_query_limit: value 0 invalid, must be 1 or larger]",
		`{"read_rate_limit":0}`:     "Validation error in JSON body: [strict_mode_config.read_rate_limit: value 0 invalid, must be 1 or larger]",
		`{"max_query_limit":-1}`:    "Format error in JSON body: ",
		`{"enabled":"yes"}`:         "Format error in JSON body: ",
		`{"max_points_count":1.5}`:  "Format error in JSON body: ",
		`{"condition_max_size":[]}`: "Format error in JSON body: ",
	} {
		code, text := s.errorOf("PATCH", c, `{"strict_mode_config":`+config+`}`)
		if code/100 != 4 || !strings.HasPrefix(text, want) {
			t.Errorf("%s: %d %s", config, code, text)
		}
	}
	strict(`{"enabled":true,"max_query_limit":3,"search_max_oversampling":1.5,"sparse_config":{"s":{"max_length":2}},"write_rate_limit":7}`)
}

func TestRateLimits(t *testing.T) {
	s := start(t)
	const c = "/collections/c"
	s.result("PUT", c, `{"vectors":{"size":2,"distance":"Dot"},"strict_mode_config":{"enabled":true,"read_rate_limit":6,"write_rate_limit":9}}`)
	type step struct {
		method, path, body string
		code               int
		text               string
	}
	const capacity = "Rate limiting exceeded: %s rate limit exceeded, request larger than rate limiter capacity, please try to split your request"
	run := func(steps []step) {
		t.Helper()
		for i, x := range steps {
			w := s.do(x.method, c+x.path, x.body)
			if w.Code != x.code || !strings.Contains(w.Body.String(), x.text) {
				t.Errorf("step %d, %s %s: %d %s, want %d %s", i, x.path, x.body, w.Code, w.Body, x.code, x.text)
			}
			retry := w.Header().Get("Retry-After")
			if n, err := strconv.Atoi(retry); strings.Contains(x.text, "Operation requires") && (err != nil || n < 1 || n > 60) {
				t.Errorf("step %d: Retry-After is %q", i, retry)
			}
		}
	}
	point := func(id int) string { return fmt.Sprintf(`{"id":%d,"vector":[1,1]}`, id) }
	var ten []string
	for i := range 10 {
		ten = append(ten, point(i))
	}
	run([]step{
		{"PUT", "/points", `{"points":[` + strings.Join(ten, ",") + `]}`, 429, fmt.Sprintf(capacity, "Write")},
		{"PUT", "/points", `{"points":[` + point(1) + "," + point(2) + `]}`, 200, ""}, // 2
		{"POST", "/points/payload", `{"payload":{"a":1},"filter":{}}`, 200, ""},       // 5
		{"POST", "/points/delete", `{"filter":{}}`, 429, "Write rate limit exceeded: Operation requires 5 tokens but only "},
		{"POST", "/points/batch", `{"operations":[{"delete":{"points":[8]}},{"clear_payload":{"points":[1]}}]}`, 200, ""}, // 2
		{"POST", "/points/delete", `{"points":[1,2,3,4,5]}`, 429, "Operation requires 5 tokens but only "},
		// Reads have tokens of their own.
		{"POST", "/points", `{"ids":[1,2,3,4,5,6,7]}`, 429, fmt.Sprintf(capacity, "Read")},
		{"POST", "/points/scroll", `{"filter":{"must":[{"has_id":[1]},{"has_id":[2]}]}}`, 200, ""}, // 3
		{"POST", "/points/query", `{"query":[1,1]}`, 200, ""},                                      // 1
		{"POST", "/points", `{"ids":[1,2]}`, 200, ""},                                              // 2
		{"POST", "/points", `{"ids":[1,2,3,4,5,6]}`, 429, "Read rate limit exceeded: Operation requires 6 tokens but only "},
		{"GET", "", "", 200, ""}, // the collection's description is free
		{"PATCH", "", `{"strict_mode_config":{"enabled":false}}`, 200, ""},
		{"POST", "/points", `{"ids":[1,2,3,4,5,6,7]}`, 200, ""},
		{"PATCH", "", `{"strict_mode_config":{"enabled":true,"read_rate_limit":4}}`, 200, ""},
		{"POST", "/points/query", `{"query":{"recommend":{"positive":[[1,1],[1,2],[1,3]],"negative":[[0,1],[0,2]],"strategy":"best_score"}}}`, 429, fmt.Sprintf(capacity, "Read")},
		{"PATCH", "", `{"strict_mode_config":{"enabled":true,"read_rate_limit":2}}`, 200, ""},
		{"POST", "/points", `{"ids":[1,2]}`, 200, ""},
		{"POST", "/points", `{"ids":[1,2]}`, 429, "Operation requires 2 tokens"},
	})
}

// TestEveryReadIsBounded checks that no route reads past strict mode.
func TestEveryReadIsBounded(t *testing.T) {
	bodies := map[string]string{
		"": `{"ids":[1]}`, "/scroll": `{}`, "/count": `{}`, "/query": `{"query":[1,1]}`, "/query/batch": `{"searches":[{"query":[1,1]}]}`,
		"/search": `{"vector":[1,1],"limit":1}`, "/search/batch": `{"searches":[{"vector":[1,1],"limit":1}]}`,
		"/recommend": `{"positive":[1],"limit":1}`, "/recommend/batch": `{"searches":[{"positive":[1],"limit":1}]}`,
		"/discover": `{"target":1,"limit":1}`, "/discover/batch": `{"searches":[{"target":1,"limit":1}]}`,
		"/query/groups": `{"query":[1,1],"group_by":"k"}`, "/search/groups": `{"vector":[1,1],"group_by":"k","limit":1,"group_size":1}`,
		"/recommend/groups":      `{"positive":[1],"group_by":"k","limit":1,"group_size":1}`,
		"/search/matrix/pairs":   `{}`,
		"/search/matrix/offsets": `{}`, "/facet": `{"key":"k"}`,
	}
	s := start(t)
	const c = "/collections/c"
	s.result("PUT", c, `{"vectors":{"size":2,"distance":"Dot"},"strict_mode_config":{"enabled":true,"read_rate_limit":1}}`)
	s.result("PUT", c+"/index", `{"field_name":"k","field_schema":"keyword"}`)
	s.result("PUT", c+"/points", `{"points":[{"id":1,"vector":[1,1],"payload":{"k":"x"}},{"id":2,"vector":[1,2],"payload":{"k":"y"}}]}`)
	tried := 0
	for _, r := range s.h.(*echo.Echo).Routes() {
		name, ok := strings.CutPrefix(r.Path, "/collections/:collection/points")
		if strings.HasSuffix(r.Path, "/facet") {
			name, ok = "/facet", true
		}
		route := "POST {c}/points" + name
		if !ok || r.Method != http.MethodPost || slices.Contains(accessTable[writers], route) || slices.Contains(accessTable[pointers], route) {
			continue
		}
		body, ok := bodies[name]
		if !ok {
			t.Errorf("there is no body to try %s with", r.Path)
			continue
		}
		path := strings.Replace(r.Path, ":collection", "c", 1)
		s.result("PATCH", c, `{"strict_mode_config":{"enabled":false}}`)
		s.result("POST", path, body) // and a new bucket
		s.result("PATCH", c, `{"strict_mode_config":{"enabled":true}}`)
		s.result("GET", c+"/points/1", "")
		if code, text := s.errorOf("POST", path, body); code != http.StatusTooManyRequests {
			t.Errorf("%s %s: %d %s", path, body, code, text)
		}
		tried++
	}
	if tried < 6 {
		t.Errorf("only %d routes were tried", tried)
	}
}
