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
