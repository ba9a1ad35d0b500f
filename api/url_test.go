package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const wrongQuery = "Deserialize error in query parameters: "

// parametersOf returns the parameters of an operation, with those that it refers to.
func (d *document) parametersOf(path, verb string) []map[string]any {
	var all []map[string]any
	list, _ := at(d.paths, path, verb)["parameters"].([]any)
	for _, p := range list {
		parameter := at(p)
		if ref, ok := parameter["$ref"].(string); ok {
			parameter = at(d.whole, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
		}
		all = append(all, parameter)
	}
	return all
}

// misfits are values that no parameter of the kind may have.
func misfits(schema map[string]any) []string {
	switch {
	case schema["type"] == "boolean":
		return []string{"", "1", "TRUE", "maybe", "null"}
	case schema["type"] == "integer", schema["anyOf"] != nil, strings.HasSuffix(fmt.Sprint(schema["$ref"]), "/Positive"), strings.HasSuffix(fmt.Sprint(schema["$ref"]), "/Uint"):
		return []string{"", "-1", "1.5", "1e3", "x", "18446744073709551616"}
	case schema["type"] == "number":
		return []string{"", "x", "NaN", "1e400"}
	case schema["enum"] != nil, strings.HasSuffix(fmt.Sprint(schema["$ref"]), "/UpdateMode"):
		return []string{"", "other"}
	case schema["type"] == "string":
		return []string{"%FF"}
	default: // JSON
		return []string{"", "[", "7"}
	}
}

// call fills in a path of the document. The collection c and the source s exist.
func call(path string) string {
	return strings.NewReplacer("{collection}", "c", "{source}", "s", "{id}", "1", "{field}", "n", "{vector}", "v", "{snapshot}", "x", "{shard}", "0", "{rest}", "x", "{into}", "d").Replace(path)
}

// changesCollections are the operations that tell of a timeout of 0 as Qdrant does there.
var changesCollections = map[string]bool{
	"put /collections/{collection}": true, "patch /collections/{collection}": true, "delete /collections/{collection}": true,
	"post /collections/aliases": true,
}

// TestParametersOfURLs checks that each parameter of each operation of the document is
// read, in the same way, and that nothing is done where one is wrong.
func TestParametersOfURLs(t *testing.T) {
	h := startHostile(t)
	d, err := theDocument()
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for path, item := range d.paths {
		for verb := range at(item) {
			for _, p := range d.parametersOf(path, verb) {
				if p["in"] != "query" {
					continue
				}
				name := p["name"].(string)
				media := "application/json"
				switch about := fmt.Sprint(p["description"]); { // some are read beside a table only
				case name == "first_id", name == "using" && verb == "put":
					media = "application/x-npy"
				case strings.HasPrefix(about, "Of a table"):
					media = "application/vnd.apache.arrow.stream"
				}
				schema := at(p, "schema")
				queries := []string{name + "=%zz", name + "=a&" + name + "=a"}
				for _, bad := range misfits(schema) {
					queries = append(queries, name+"="+bad)
				}
				if minimum, _ := schema["minimum"].(interface{ String() string }); minimum != nil && minimum.String() == "1" {
					queries = append(queries, name+"=0")
				}
				for _, query := range queries {
					r := httptest.NewRequest(strings.ToUpper(verb), call(path)+"?"+query, http.NoBody)
					r.Header.Set("Content-Type", media)
					w := h.send(r)
					want, code := wrongQuery, http.StatusBadRequest
					if query == "limit=0" || query == "timeout=0" && changesCollections[verb+" "+path] {
						want, code = "Validation error in query parameters: ["+name+": value 0 invalid, must be ", http.StatusUnprocessableEntity
					}
					if w.Code != code || !strings.Contains(w.Body.String(), want) {
						t.Errorf("%s %s: %d %s", verb, r.URL, w.Code, w.Body)
					}
					tried++
				}
			}
		}
	}
	if tried < 500 {
		t.Errorf("%d requests were tried", tried)
	}
	h.unchanged("parameters of URLs")
}
