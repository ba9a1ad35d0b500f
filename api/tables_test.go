package api_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
)

// arrowStream writes rows that are given as JSON.
func arrowStream(t *testing.T, rows string, fields ...arrow.Field) []byte {
	t.Helper()
	schema := arrow.NewSchema(fields, nil)
	batch, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	if err := w.Write(batch); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// npyOf writes an array of float32.
func npyOf(shape string, data ...byte) []byte {
	header := "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }"
	header += strings.Repeat(" ", 117-len(header)) + "\n"
	return append([]byte("\x93NUMPY\x01\x00"+string([]byte{byte(len(header)), 0})+header), data...)
}

// table sends a body that is a table and returns the status with the result or the text
// of the error.
func (s *service) table(method, path, media string, body []byte) (int, any) {
	s.t.Helper()
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", media)
	w := s.send(r)
	var answer struct {
		Result any
		Status any
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		s.t.Fatalf("%s %s: %v in %q", method, path, err, w.Body)
	}
	if o, ok := answer.Status.(map[string]any); ok {
		return w.Code, o["error"]
	}
	return w.Code, answer.Result
}

const (
	arrowType = "application/vnd.apache.arrow.stream"
	npyType   = "application/x-npy"
)

var (
	idField     = arrow.Field{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true}
	vectorField = arrow.Field{Name: "vector", Type: arrow.ListOf(arrow.PrimitiveTypes.Float32), Nullable: true}
	namedField  = arrow.Field{Name: "vector.b", Type: arrow.ListOf(arrow.PrimitiveTypes.Float32), Nullable: true}
	colorField  = arrow.Field{Name: "color", Type: arrow.BinaryTypes.String, Nullable: true}
)

func TestTablesInsteadOfJSON(t *testing.T) {
	s := start(t)
	s.result("PUT", "/collections/c", `{"vectors":{"size":2,"distance":"Dot"}}`)
	const points = "/collections/c/points"
	ok := func(method, path, media string, body []byte) any {
		t.Helper()
		status, result := s.table(method, path, media, body)
		if status != 200 {
			t.Fatalf("%s %s: got %d %v", method, path, status, result)
		}
		return result
	}
	ok("PUT", points+"?wait=true", arrowType, arrowStream(t, `[{"id":1,"vector":[1,0],"color":"red"},{"id":2,"vector":[0,1]}]`, idField, vectorField, colorField))
	ok("PUT", points+"?wait=true&first_id=3", npyType, npyOf("(1, 2)", 0, 0, 0, 64, 0, 0, 0, 0))
	s.expect("POST", points+"/scroll", `{"with_vector":true}`, `{"points":[
		{"id":1,"payload":{"color":"red"},"vector":[1,0]},{"id":2,"payload":{},"vector":[0,1]},{"id":3,"payload":{},"vector":[2,0]}],"next_page_offset":null}`)

	// An upsert in the ways that parameters tell, and of vectors alone.
	ok("PUT", points+"?wait=true&update_mode=insert_only", arrowType, arrowStream(t, `[{"id":1,"vector":[9,9]}]`, idField, vectorField))
	ok("PUT", points+"?wait=true&update_filter="+url.QueryEscape(`{"must":{"key":"color","match":{"value":"blue"}}}`), arrowType, arrowStream(t, `[{"id":1,"vector":[9,9]}]`, idField, vectorField))
	ok("PUT", points+"/vectors?wait=true", arrowType, arrowStream(t, `[{"id":1,"vector":[4,0]}]`, idField, vectorField))
	s.expect("GET", points+"/1", "", `{"id":1,"payload":{"color":"red"},"vector":[4,0]}`)

	// Queries answer as those in JSON do.
	red := `{"must":{"key":"color","match":{"value":"red"}}}`
	for _, x := range []struct {
		path, body   string
		query        url.Values
		media, table string
	}{
		{
			"/query/batch", `{"searches":[{"query":[1,0],"limit":2,"with_payload":true},{"query":[0,1],"limit":2,"with_payload":true}]}`,
			url.Values{"limit": {"2"}, "with_payload": {"true"}},
			arrowType, string(arrowStream(t, `[{"vector":[1,0]},{"vector":[0,1]}]`, vectorField)),
		},
		{"/query", `{"query":[1,0],"filter":` + red + `}`, url.Values{"filter": {red}}, npyType, string(npyOf("(2,)", 0, 0, 128, 63, 0, 0, 0, 0))},
		{
			"/query", `{"query":[1,0],"using":"","offset":1,"limit":1,"score_threshold":0.5,"with_vector":true,"with_payload":["color"],"params":{"exact":true}}`,
			url.Values{
				"using": {""}, "offset": {"1"}, "limit": {"1"}, "score_threshold": {"0.5"}, "with_vector": {"true"},
				"with_payload": {`["color"]`}, "params": {`{"exact":true}`},
			},
			npyType, string(npyOf("(2,)", 0, 0, 128, 63, 0, 0, 0, 0)),
		},
	} {
		want := s.result("POST", points+x.path, x.body)
		if diff := cmp.Diff(want, ok("POST", points+x.path+"?"+x.query.Encode(), x.media, []byte(x.table))); diff != "" {
			t.Errorf("%s (-JSON +table):\n%s", x.body, diff)
		}
	}
}

// TestWrongTables checks that what is wrong with a table is told with the place, and
// changes nothing.
func TestWrongTables(t *testing.T) {
	h := startHostile(t)
	one := arrowStream(t, `[{"id":5,"vector":[1,2,3,4]}]`, idField, vectorField)
	for _, x := range []struct {
		method, path, media string
		body                []byte
		status              int
		text                string
	}{
		{"PUT", "", arrowType, []byte(`{"points":[]}`), 400, "Bad request: Arrow stream: the metadata of a message may have"},
		{"PUT", "", arrowType, one[:len(one)-8], 400, "Bad request: Arrow stream: the stream ends too early"},
		{"PUT", "", arrowType, arrowStream(t, `[]`, idField, vectorField), 400, "Bad request: Empty update request"},
		{"PUT", "", arrowType, arrowStream(t, `[{"id":5,"vector":[1,2,3,4]},{"vector":[1,2,3,4]}]`, idField, vectorField), 400, `Bad request: Arrow stream: row 1, column "id": null is no id`},
		{"PUT", "?wait=true", arrowType, arrowStream(t, `[{"id":5,"vector":[1,2,3,4]},{"id":6,"vector":[1,2,3]}]`, idField, vectorField), 400, `Bad request: Arrow stream: row 1, column "vector": Vector dimension error: expected dim: 4, got 3`},
		{"PUT", "", arrowType, arrowStream(t, `[{"id":5,"vector":[1,2,3,"NaN"]}]`, idField, vectorField), 400, `Bad request: Arrow stream: row 0, column "vector": Vector "" holds a value that is not a finite number`},
		{"PUT", "", arrowType, arrowStream(t, `[{"id":5,"vector.b":[1]}]`, idField, namedField), 400, `Bad request: Arrow stream: row 0, column "vector.b": Not existing vector name error: b`},
		{"PUT", "?update_mode=x", arrowType, one, 400, "Deserialize error in query parameters: update_mode: unknown variant `x`"},
		{"PUT", "?update_mode=upsert&update_mode=upsert", arrowType, one, 400, "Deserialize error in query parameters: duplicate field `update_mode`"},
		{"PUT", `?update_filter={"must":3}`, arrowType, one, 400, "Deserialize error in query parameters: update_filter: "},
		{"PUT", `?update_filter={"min_should":{"conditions":[],"min_count":0}}`, arrowType, one, 422, "Validation error in query parameters: [update_filter.min_should.min_count: min_count must be greater than 0]"},
		{"PUT", "?update_filter={", arrowType, one, 400, "Deserialize error in query parameters: update_filter: "},
		{"PUT", "?wait=maybe", arrowType, one, 400, "Deserialize error in query parameters: "},
		{"PUT", "", npyType, npyOf("(1, 1)", 0, 0, 0, 0), 400, "Deserialize error in query parameters: first_id: "},
		{"PUT", "?first_id=18446744073709551615", npyType, npyOf("(2, 1)", 0, 0, 0, 0, 0, 0, 0, 0), 400, "Deserialize error in query parameters: first_id: "},
		{"PUT", "?first_id=1", npyType, npyOf("(1, 1)", 0, 0, 0, 0), 400, `Bad request: .npy array: row 0, column "vector": Vector dimension error`},
		{"PUT", "?first_id=1", npyType, npyOf("(2, 1)", 0, 0, 0, 0), 400, "Bad request: .npy array: 132 bytes, the header says 136"},
		{"POST", "/query", arrowType, arrowStream(t, `[{"vector":[1,2,3,4]},{"vector":[1,2,3,4]}]`, vectorField), 400, "Bad request: the table has 2 rows, want one"},
		{"POST", "/query/batch", arrowType, arrowStream(t, `[{"vector":[1,2,3,4]},{"vector":[1,2,3]}]`, vectorField), 400, "Wrong input: Vector dimension error: expected dim: 4, got 3 (searches[1])"},
		{"POST", "/query/batch?limit=0", arrowType, arrowStream(t, `[{"vector":[1,2,3,4]}]`, vectorField), 422, "Validation error in query parameters: [limit: value 0 invalid, must be 1 or larger]"},
		{"POST", `/query?params={"hnsw_ef":0}`, arrowType, arrowStream(t, `[{"vector":[1,2,3,4]}]`, vectorField), 422, "Validation error in query parameters: [params.hnsw_ef: value 0 invalid"},
		{"POST", `/query?params={"exact":3}`, arrowType, arrowStream(t, `[{"vector":[1,2,3,4]}]`, vectorField), 400, "Deserialize error in query parameters: params: invalid type: number, expected a boolean at offset 10"},
		{"POST", "/query?offset=-1", arrowType, arrowStream(t, `[{"vector":[1,2,3,4]}]`, vectorField), 400, "Deserialize error in query parameters: offset: "},
		{"POST", "/query?with_payload=3", npyType, npyOf("(1, 1)", 0, 0, 0, 0), 400, "Deserialize error in query parameters: with_payload: data did not match"},
		{"POST", "/query?limit=null&score_threshold=x", npyType, npyOf("(1, 1)", 0, 0, 0, 0), 400, `Deserialize error in query parameters: score_threshold: "x" is not JSON`},
		{"POST", "/query/batch?using=c", arrowType, arrowStream(t, `[{"vector.b":[1,2,3,4]}]`, namedField), 400, "Deserialize error in query parameters: using: "},
		{"POST", "/scroll", arrowType, one, 415, "Content-Type application/vnd.apache.arrow.stream is not taken here"},
		{"POST", "/batch", npyType, one, 415, "Content-Type application/x-npy is not taken here"},
	} {
		status, got := h.table(x.method, hostilePoints+x.path, x.media, x.body)
		if text, _ := got.(string); status != x.status || !strings.HasPrefix(text, x.text) {
			t.Errorf("%s %s:\n got %d %v\nwant %d %s", x.method, x.path, status, got, x.status, x.text)
		}
		if diff := cmp.Diff(h.before, h.state()); diff != "" {
			t.Fatalf("%s %s changed something (-before +after):\n%s", x.method, x.path, diff)
		}
	}
}
