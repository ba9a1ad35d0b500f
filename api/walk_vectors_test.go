package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// takers are bodies with a place for a vector, of all operations that take vectors.
var takers = map[string][]string{
	"put /collections/{collection}/points": {
		`{"points":[{"id":7,"vector":%s}]}`, `{"points":[{"id":7,"vector":{"":%s}}]}`,
		`{"batch":{"ids":[7],"vectors":[%s]}}`, `{"batch":{"ids":[7],"vectors":{"":[%s]}}}`,
		`{"points":[{"id":8,"vector":[1,2,3,4]},{"id":7,"vector":%s}]}`,
	},
	"put /collections/{collection}/points/vectors": {`{"points":[{"id":1,"vector":%s}]}`, `{"points":[{"id":1,"vector":{"":%s}}]}`},
	"post /collections/{collection}/points/batch": {
		`{"operations":[{"delete":{"points":[1]}},{"upsert":{"points":[{"id":7,"vector":%s}]}}]}`,
		`{"operations":[{"update_vectors":{"points":[{"id":1,"vector":%s}]}}]}`,
	},
	"post /collections/{collection}/points/query": append([]string{`{"query":%s}`, `{"query":{"nearest":%s}}`}, queries...),
	"post /collections/{collection}/points/query/batch": {
		`{"searches":[{"query":[1,2,3,4]},{"query":%s}]}`, `{"searches":[{"prefetch":{"query":%s},"query":{"fusion":"rrf"}}]}`,
	},
	"post /collections/{collection}/points/query/groups":     {`{"query":%s,"group_by":"n"}`},
	"post /collections/{collection}/points/search":           {`{"vector":%s,"limit":1}`, `{"vector":{"name":"","vector":%s},"limit":1}`},
	"post /collections/{collection}/points/search/batch":     {`{"searches":[{"vector":%s,"limit":1}]}`},
	"post /collections/{collection}/points/search/groups":    {`{"vector":%s,"group_by":"n","group_size":1,"limit":1}`},
	"post /collections/{collection}/points/recommend":        {`{"positive":[%s],"limit":1}`, `{"positive":[1],"negative":[%s],"limit":1}`},
	"post /collections/{collection}/points/recommend/batch":  {`{"searches":[{"positive":[%s],"limit":1}]}`},
	"post /collections/{collection}/points/recommend/groups": {`{"positive":[%s],"group_by":"n","group_size":1,"limit":1}`},
	"post /collections/{collection}/points/discover":         {`{"target":%s,"limit":1}`, `{"context":[{"positive":1,"negative":%s}],"limit":1}`},
	"post /collections/{collection}/points/discover/batch":   {`{"searches":[{"target":%s,"limit":1}]}`},
}

// misshapen are no vectors of 4 dimensions. None is the id of a point, either.
var misshapen = []string{
	`[]`, `[1]`, `[1,2,3]`, `[1,2,3,4,5]`, `[1,2,3,null]`, `[1,2,3,"4"]`, `[1,2,3,true]`, `[1,2,3,1e39]`, `[1,2,3,NaN]`, `[1,2,3,04]`,
	`[[]]`, `[[1,2,3,4],[1,2,3]]`, `[[1,2,3]]`, `[[[1,2,3,4]]]`, `[1,[2,3,4]]`,
	`{"indices":[1],"values":[1]}`, `{"indices":[1,1],"values":[1,2]}`, `{"indices":[1],"values":[]}`, `{"indices":[-1],"values":[1]}`,
	`{"indices":[4294967296],"values":[1]}`, `{"nope":[1,2,3,4]}`, `true`, `1.5`, `-1`,
}

// TestVectorsOfAllOperations checks that no operation of the document takes a vector that
// does not fit.
func TestVectorsOfAllOperations(t *testing.T) {
	h := startHostile(t)
	d, err := theDocument()
	if err != nil {
		t.Fatal(err)
	}
	var taking []string
	for path, item := range d.paths {
		for verb := range at(item) {
			if d.reaches(at(d.paths, path, verb, "requestBody"), "Dense", map[string]bool{}) {
				taking = append(taking, verb+" "+path)
			}
		}
	}
	slices.Sort(taking)
	if known := slices.Sorted(maps.Keys(takers)); !slices.Equal(taking, known) {
		t.Errorf("by the document vectors are taken by\n%s\nand by the test\n%s", strings.Join(taking, "\n"), strings.Join(known, "\n"))
	}
	for operation, bodies := range takers {
		verb, path, _ := strings.Cut(operation, " ")
		for _, form := range bodies {
			for _, wait := range []string{"", "?wait=true"} {
				for _, v := range misshapen {
					body := withoutSecond.Replace(fmt.Sprintf(form, v))
					w := h.raw(strings.ToUpper(verb), call(path)+wait, body)
					var answer struct{ Status struct{ Error string } }
					err := json.Unmarshal(w.Body.Bytes(), &answer)
					ok := slices.ContainsFunc([]string{wrongFormat, "Wrong input: ", "Bad request: ", "Validation error in JSON body: ["}, func(prefix string) bool {
						return strings.HasPrefix(answer.Status.Error, prefix)
					})
					if err != nil || !ok || w.Code != http.StatusBadRequest && w.Code != http.StatusUnprocessableEntity {
						t.Errorf("%s %s: %d %.300s", operation, body, w.Code, w.Body)
					}
				}
			}
		}
	}
	h.unchanged("vectors that do not fit")
}

// reaches tells whether a schema refers to another, by others or itself.
func (d *document) reaches(value any, name string, seen map[string]bool) bool {
	switch v := value.(type) {
	case []any:
		return slices.ContainsFunc(v, func(x any) bool { return d.reaches(x, name, seen) })
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok && !seen[ref] {
			seen[ref] = true
			pointer := strings.Split(strings.TrimPrefix(ref, "#/"), "/")
			if pointer[len(pointer)-1] == name || d.reaches(at(d.whole, pointer...), name, seen) {
				return true
			}
		}
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), func(x any) bool { return d.reaches(x, name, seen) })
	default:
		return false
	}
}
