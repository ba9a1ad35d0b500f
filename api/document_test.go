package api_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"freshet/api/dashboard"
	"freshet/api/openapi"
)

// undone are operations that the document has and the server does not.
var undone = map[string]bool{}

// document is the OpenAPI document with its schemas compiled as they are needed.
type document struct {
	whole    any
	paths    map[string]any
	compiler *jsonschema.Compiler
	mu       sync.Mutex
	schemas  map[string]*jsonschema.Schema // by pointer into the document
}

var theDocument = sync.OnceValues(func() (*document, error) {
	raw, err := openapi.Document()
	if err != nil {
		return nil, err
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	d := &document{whole: parsed, compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}}
	d.paths = at(parsed, "paths")
	return d, d.compiler.AddResource("document.json", parsed)
})

// at returns the object to which the names lead, nil without one.
func at(value any, names ...string) map[string]any {
	o, _ := value.(map[string]any)
	for _, name := range names {
		o, _ = o[name].(map[string]any)
	}
	return o
}

// fits tells whether raw fits the schema that a pointer leads to.
func (d *document) fits(raw []byte, pointer ...string) error {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	var where strings.Builder
	for _, name := range pointer {
		where.WriteString("/" + escape.Replace(name))
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	d.mu.Lock()
	schema := d.schemas[where.String()]
	if schema == nil {
		if schema, err = d.compiler.Compile("document.json#" + where.String()); err == nil {
			d.schemas[where.String()] = schema
		}
	}
	d.mu.Unlock()
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// find returns the path of the document that a request takes, the one with the
// fewest parameters of those with its method, "" without any.
func (d *document) find(method, url string) (path, verb string) {
	verb = strings.ToLower(method)
	least := math.MaxInt
	for candidate, item := range d.paths {
		if at(item, verb) == nil {
			continue
		}
		if n := parameters(candidate, url); n >= 0 && n < least {
			path, least = candidate, n
		}
	}
	return path, verb
}

// parameters returns how many parts of a URL are parameters of a path, -1 if it is
// not of this path.
func parameters(path, url string) int {
	want, got := strings.Split(path, "/"), strings.Split(url, "/")
	if len(want) != len(got) {
		return -1
	}
	n := 0
	for i := range want {
		switch {
		case strings.HasPrefix(want[i], "{") && got[i] != "":
			n++
		case want[i] != got[i]:
			return -1
		}
	}
	return n
}

// accepts tells what is wrong with a request that was accepted. A body without a type
// is JSON.
func (d *document) accepts(path, verb, contentType string, body []byte) error {
	content := at(d.paths, path, verb, "requestBody", "content")
	switch media, _, err := mime.ParseMediaType(cmp.Or(contentType, "application/json")); {
	case err != nil:
		return err
	case content == nil:
		return nil
	case content[media] == nil:
		return fmt.Errorf("%s %s has no bodies of the type %s", verb, path, media)
	case media != "application/json":
		return nil
	}
	return d.fits(body, "paths", path, verb, "requestBody", "content", "application/json", "schema")
}

// acceptsQuery tells what is wrong with the parameters of a URL that were accepted.
func (d *document) acceptsQuery(path, verb string, query url.Values) error {
	pointers := map[string][]string{}
	parameters, _ := at(d.paths, path, verb)["parameters"].([]any)
	for i, p := range parameters {
		parameter, pointer := at(p), []string{"paths", path, verb, "parameters", strconv.Itoa(i)}
		if ref, ok := parameter["$ref"].(string); ok {
			pointer = strings.Split(strings.TrimPrefix(ref, "#/"), "/")
			parameter = at(d.whole, pointer...)
		}
		if parameter["in"] != "query" {
			continue
		}
		if at(parameter, "content") != nil {
			pointer = append(pointer, "content", "application/json")
		}
		pointers[parameter["name"].(string)] = append(pointer, "schema")
	}
	for name, values := range query {
		pointer := pointers[name]
		if pointer == nil {
			return fmt.Errorf("%s %s has no parameter %s", verb, path, name)
		}
		for _, value := range values {
			quoted, err := json.Marshal(value)
			if err != nil {
				return err
			}
			if asText := d.fits(quoted, pointer...); asText == nil {
				continue
			}
			if err := d.fits([]byte(value), pointer...); err != nil {
				return fmt.Errorf("parameter %s: %w", name, err)
			}
		}
	}
	return nil
}

// gives tells what is wrong with an answer.
func (d *document) gives(path, verb string, status int, contentType string, body []byte) error {
	code := strconv.Itoa(status)
	response := at(d.paths, path, verb, "responses", code)
	if response == nil {
		return fmt.Errorf("%s %s has no answer %s", verb, path, code)
	}
	pointer := []string{"paths", path, verb, "responses", code}
	if response["$ref"] != nil {
		pointer = []string{"components", "responses", code}
	}
	kind, _, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil:
		return err
	case at(d.whole, append(pointer, "content")...)[kind] == nil:
		return fmt.Errorf("%s %s has no answer %s of the type %s", verb, path, code, kind)
	case kind != "application/json":
		return nil
	}
	return d.fits(body, append(pointer, "content", kind, "schema")...)
}

// checkDocument compares a request and its answer with the document.
func (s *service) checkDocument(r *http.Request, body []byte, w *httptest.ResponseRecorder) {
	s.t.Helper()
	d, err := theDocument()
	if err != nil {
		s.t.Fatal(err)
	}
	route := r.URL.EscapedPath()
	if len(route) > 1 {
		route = strings.TrimSuffix(route, "/")
	}
	path, verb := d.find(r.Method, route)
	if path == "" || undone[verb+" "+path] && w.Code == http.StatusNotFound {
		if w.Code < 300 && r.Method != http.MethodOptions {
			s.t.Errorf("%s %s is served, but not in api/openapi", r.Method, r.URL)
		}
		return
	}
	if w.Code < 300 && r.Header.Get("Content-Encoding") == "" {
		err := errors.Join(d.accepts(path, verb, r.Header.Get("Content-Type"), body), d.acceptsQuery(path, verb, r.URL.Query()))
		if err != nil {
			s.t.Errorf("%s %s %.300s is accepted, but does not fit api/openapi: %v", r.Method, r.URL, body, err)
		}
	}
	if w.Header().Get("Content-Encoding") != "" {
		return
	}
	if err := d.gives(path, verb, w.Code, w.Header().Get("Content-Type"), w.Body.Bytes()); err != nil {
		s.t.Errorf("%s %s %.300s\nis answered %d %.300s,\nwhich does not fit api/openapi: %v", r.Method, r.URL, body, w.Code, w.Body, err)
	}
}

// TestRoutesAreDocumented compares the routes of the server with the document.
func TestRoutesAreDocumented(t *testing.T) {
	d, err := theDocument()
	if err != nil {
		t.Fatal(err)
	}
	e, ok := start(t).h.(*echo.Echo)
	if !ok {
		t.Fatal("the handler is not of echo")
	}
	served := map[string]bool{}
	for _, route := range e.Routes() {
		if strings.HasPrefix(route.Path, dashboard.Page+"/") {
			continue // files of the page are no part of the API
		}
		parts := strings.Split(route.Path, "/")
		for i, part := range parts {
			if name, ok := strings.CutPrefix(part, ":"); ok {
				parts[i] = "{" + name + "}"
			} else if part == "*" {
				parts[i] = "{rest}"
			}
		}
		path, verb := strings.ReplaceAll(strings.Join(parts, "/"), `\:`, ":"), strings.ToLower(route.Method)
		served[verb+" "+path] = true
		if at(d.paths, path, verb) == nil {
			t.Errorf("%s %s is served, but not in api/openapi", route.Method, path)
		}
	}
	for path, item := range d.paths {
		for verb := range at(item) {
			if name := verb + " " + path; !served[name] && !undone[name] {
				t.Errorf("%s is in api/openapi, but not served", name)
			}
		}
	}
}

// beyondSchemas are the requests that Qdrant finds malformed and the document
// does not, as no schema can say why, or as we allow more.
var beyondSchemas = []int{
	29,     // an escaped slash in a name
	41,     // columns of different lengths
	45, 90, // any string is an id
	100,      // the syntax of paths
	408,      // an open ring
	650, 654, // arrays of different lengths
}

// TestDocumentFitsQdrant compares the requests that a real Qdrant accepted, and
// all its answers, with the document; and what it calls malformed must be so by
// the document, too.
func TestDocumentFitsQdrant(t *testing.T) {
	d, err := theDocument()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range readGolden(t) {
		path, verb := d.find(g.Method, httptest.NewRequest(g.Method, g.Path, nil).URL.EscapedPath())
		if path == "" || path == "/" || g.ContentType == nil || !strings.HasPrefix(*g.ContentType, "application/json") {
			continue // Qdrant's / has no commit unless it is a release
		}
		misfit := d.accepts(path, verb, "", g.Body)
		if g.Status < 300 && misfit != nil {
			t.Errorf("Qdrant accepts %s: %v", g, misfit)
		}
		malformed := g.Status == http.StatusUnprocessableEntity || bytes.Contains(g.Answer, []byte("Format error"))
		if malformed && (misfit == nil) != slices.Contains(beyondSchemas, g.N) {
			t.Errorf("Qdrant answers %s with %s, the document says %v", g, g.Answer, misfit)
		}
		if err := d.gives(path, verb, g.Status, *g.ContentType, g.Answer); err != nil {
			t.Errorf("Qdrant answers %s with %.300s: %v", g, g.Answer, err)
		}
	}
}

func TestDocumentIsServed(t *testing.T) {
	w := start(t).do("GET", "/openapi.json", "")
	var doc struct {
		OpenAPI string
		Paths   map[string]json.RawMessage
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || !strings.HasPrefix(doc.OpenAPI, "3.1.") || len(doc.Paths) < 30 {
		t.Errorf("%v: %.200s", err, w.Body)
	}
}
