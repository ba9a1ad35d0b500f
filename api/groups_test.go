package api_test

import "testing"

// Of the points of one group some may have come by a value, others by a score.
func TestGroupsOfOrderedAndScoredPoints(t *testing.T) {
	s := start(t)
	s.result("PUT", "/collections/c", `{"vectors":{"size":1,"distance":"Dot"}}`)
	s.result("PUT", "/collections/c/points", `{"points":[{"id":1,"vector":[1],"payload":{"g":"a","n":7}},{"id":2,"vector":[2],"payload":{"g":"a"}}]}`)
	s.result("PUT", "/collections/c/index", `{"field_name":"n","field_schema":"integer"}`)
	s.expect("POST", "/collections/c/points/query/groups", `{"prefetch":[{"query":[1],"limit":5},{"query":{"order_by":"n"},"limit":5}],"query":{"rrf":{"k":1}},"group_by":"g"}`,
		`{"groups":[{"id":"a","hits":[{"id":1,"version":1,"score":1.5,"order_value":7},{"id":2,"version":1,"score":1}]}]}`)
	s.expect("POST", "/collections/c/points/query/groups", `{"prefetch":[{"query":[1],"limit":5},{"query":{"order_by":"n"},"limit":5}],"query":{"rrf":{"k":1,"weights":[1,0.1]}},"group_by":"g"}`,
		`{"groups":[{"id":"a","hits":[{"id":2,"version":1,"score":1},{"id":1,"version":1,"score":0.6,"order_value":7}]}]}`)
}
