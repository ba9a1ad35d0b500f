package openapi_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"freshet/api/openapi"
)

// TestDocument checks that the document is one of OpenAPI 3.1, and that it has
// no schema that nothing refers to.
func TestDocument(t *testing.T) {
	raw, err := openapi.Document()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !doc.IsOpenAPI31OrLater() {
		t.Errorf("the document is of OpenAPI %s", doc.OpenAPI)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	for name := range doc.Components.Schemas {
		if !strings.Contains(string(raw), `"#/components/schemas/`+name+`"`) {
			t.Errorf("nothing refers to the schema %s", name)
		}
	}
	ids := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.OperationID == "" || op.Summary == "" || ids[op.OperationID] {
				t.Errorf("%s %s has no summary, or no id of its own", method, path)
			}
			ids[op.OperationID] = true
		}
	}
	var abbreviated func(at string, value any)
	abbreviated = func(at string, value any) {
		switch v := value.(type) {
		case []any:
			for _, x := range v {
				abbreviated(at, x)
			}
		case map[string]any:
			for name, x := range v {
				if strings.HasSuffix(name, "?") || name == "$error" {
					t.Errorf("%s.%s is left of the abbreviations", at, name)
				}
				abbreviated(at+"."+name, x)
			}
		}
	}
	var all any
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	abbreviated("", all)
}
