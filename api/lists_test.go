package api_test

import (
	"strings"
	"testing"
)

func TestFacetAndMatrixErrors(t *testing.T) {
	s := queryService(t)
	s.result("PUT", "/collections/c/index", `{"field_name":"n","field_schema":"integer"}`)
	const format = "Format error in JSON body: "
	for _, test := range []struct {
		path, body string
		code       int
		want       string
	}{
		{"/facet", `{}`, 400, format + "missing field `key`"},
		{"/facet", `{"key":null}`, 400, format + "missing field `key`"},
		{"/facet", `{"key":1}`, 400, format + "invalid type: number, expected a string"},
		{"/facet", `{"key":"a["}`, 400, format + "Invalid json path: 'a['"},
		{"/facet", `[]`, 400, format + "invalid type: sequence, expected a map"},
		{"/facet", `{"key":"n","limit":-1}`, 400, format + "invalid value: integer `-1`, expected usize"},
		{"/facet", `{"key":"n","limit":"3"}`, 400, format + "invalid type: string, expected usize"},
		{"/facet", `{"key":"n","limit":0}`, 422, "Validation error in JSON body: [facet_request.limit: value 0 invalid, must be 1 or larger]"},
		{"/facet", `{"key":"n","exact":1}`, 400, format + "invalid type: number, expected a boolean"},
		{"/facet", `{"key":"n","filter":{"must":{"key":"n"}}}`, 422, "Validation error in JSON body: [facet_request.filter.must"},
		{"/facet", `{"key":"n","shard_key":"a"}`, 400, `Bad request: Shard key "a" not found`},
		{"/facet", `{"key":"m"}`, 400, "Wrong input: No appropriate index for faceting: `m`."},
		{"/points/search/matrix/pairs", `{"sample":1}`, 422, "Validation error in JSON body: [search_matrix_request.sample: value 1 invalid, must be 2 or larger]"},
		{"/points/search/matrix/offsets", `{"limit":0}`, 422, "Validation error in JSON body: [search_matrix_request.limit: value 0 invalid, must be 1 or larger]"},
		{"/points/search/matrix/pairs", `{"sample":2.5}`, 400, format + "invalid type: floating point `2.5`, expected usize"},
		{"/points/search/matrix/pairs", `{"using":1}`, 400, format + "invalid type: number, expected a string"},
		{"/points/search/matrix/pairs", `{"using":"foo"}`, 400, "Wrong input: Not existing vector name error: foo"},
		{"/points/search/matrix/pairs", `{"filter":{"foo":[]}}`, 400, format + "unknown field `foo`"},
	} {
		code, text := s.errorOf("POST", "/collections/c"+test.path, test.body)
		if code != test.code || !strings.HasPrefix(text, test.want) {
			t.Errorf("%s %s\ngot  %d %s\nwant %d %s", test.path, test.body, code, text, test.code, test.want)
		}
	}
	s.expect("POST", "/collections/c/facet", `{"key":"n","limit":9223372036854775807,"filter":{"must":{"key":"n","range":{"gte":3}}}}`, `{"hits":[{"value":3,"count":1},{"value":4,"count":1}]}`)
	s.expect("POST", "/collections/c/points/search/matrix/pairs", `{"limit":1,"filter":{"must":{"has_id":[1,2,4]}}}`, `{"pairs":[{"a":1,"b":4,"score":2},{"a":2,"b":4,"score":1},{"a":4,"b":1,"score":2}]}`)
	s.expect("POST", "/collections/c/points/search/matrix/offsets", `{"limit":1,"filter":{"must":{"has_id":[1,2,4]}}}`, `{"offsets_row":[0,1,2],"offsets_col":[2,2,0],"scores":[2,1,2],"ids":[1,2,4]}`)
	s.expect("POST", "/collections/c/points/search/matrix/offsets", `{"filter":{"must":{"has_id":[1]}}}`, `{"offsets_row":[],"offsets_col":[],"scores":[],"ids":[]}`)
}

func TestGroupForms(t *testing.T) {
	s := queryService(t)
	s.result("PUT", "/collections/c/points", `{"points":[{"id":5,"vector":[5,0],"payload":{"n":[1,"x",1,true]}}]}`)
	const format = "Format error in JSON body: "
	for _, test := range []struct {
		path, body string
		code       int
		want       string
	}{
		{"query", `{"query":[1,0]}`, 400, format + "missing field `group_by`"},
		{"query", `{"query":[1,0],"group_by":3}`, 400, format + "invalid type: number, expected a string"},
		{"query", `{"query":[1,0],"group_by":"["}`, 400, format + "Invalid json path: '['"},
		{"query", `{"query":[1,0],"group_by":"n","group_size":0}`, 422, "Validation error in JSON body: [search_group_request.group_size: value 0 invalid, must be 1 or larger]"},
		{"query", `{"query":[1,0],"group_by":"n","limit":0}`, 422, "Validation error in JSON body: [search_group_request.limit: value 0 invalid, must be 1 or larger]"},
		{"query", `{"query":[1,0],"group_by":"n","group_by":"n"}`, 400, format + "duplicate field `group_by`"},
		{"query", `{"query":[1,0],"group_by":"n","with_lookup":1}`, 400, format + "data did not match any variant of untagged enum WithLookupInterface"},
		{"query", `{"query":[1,0],"group_by":"n","with_lookup":{}}`, 400, format + "data did not match any variant of untagged enum WithLookupInterface"},
		{"query", `{"query":[1,0],"group_by":"n","with_lookup":"nope"}`, 404, "Not found: Collection nope not found"},
		{"query", `{"query":9,"group_by":"n"}`, 404, "Not found: No point with id 9 found"},
		{"query", `{"query":[1,0,0],"group_by":"n"}`, 400, "Wrong input: Vector dimension error: expected dim: 2, got 3"},
		{"query", `{"query":{"fusion":"rrf"},"group_by":"n"}`, 400, "Wrong input: Validation failed: cannot apply Fusion without prefetches"},
		{"search", `{"vector":[1,0],"group_by":"n","group_size":1}`, 400, format + "missing field `limit`"},
		{"search", `{"vector":[1,0],"group_by":"n","limit":1}`, 400, format + "missing field `group_size`"},
		{"recommend", `{"positive":[1],"group_by":"n","limit":1,"group_size":-1}`, 400, format + "invalid value: integer `-1`, expected usize"},
	} {
		code, text := s.errorOf("POST", "/collections/c/points/"+test.path+"/groups", test.body)
		if code != test.code || !strings.HasPrefix(text, test.want) {
			t.Errorf("%s %s\ngot  %d %s\nwant %d %s", test.path, test.body, code, text, test.code, test.want)
		}
	}
	const groups = "/collections/c/points/%s/groups"
	path := func(kind string) string { return strings.Replace(groups, "%s", kind, 1) }
	s.expect("POST", path("query"), `{"query":[1,0],"group_by":"n","group_size":2,"limit":2,"offset":1,"with_lookup":{"collection":"other","with_vectors":true}}`,
		`{"groups":[{"hits":[{"id":5,"version":2,"score":5},{"id":1,"version":1,"score":1}],"id":1,"lookup":{"id":1,"payload":{},"vector":{"v":[0,3]}}},{"hits":[{"id":5,"version":2,"score":5}],"id":"x"}]}`)
	s.expect("POST", path("search"), `{"vector":[0,1],"group_by":"n","group_size":1,"limit":1,"with_payload":true,"with_lookup":null}`, `{"groups":[{"hits":[{"id":2,"version":1,"score":1,"payload":{"n":2}}],"id":2}]}`)
	s.expect("POST", path("recommend"), `{"positive":[5],"group_by":"n","group_size":1,"limit":1}`, `{"groups":[{"hits":[{"id":4,"version":1,"score":10}],"id":4}]}`)
	s.expect("POST", path("query"), `{"query":[1,0],"group_by":"none"}`, `{"groups":[]}`)
}
