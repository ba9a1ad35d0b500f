package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hostile is a server with a collection that bad input must not change.
type hostile struct {
	*service
	before any
}

const hostilePoints = "/collections/c/points"

func startHostile(t *testing.T) *hostile {
	t.Helper()
	s := start(t)
	s.result("PUT", "/collections/c", `{"vectors":{"size":4,"distance":"Dot"}}`)
	s.result("PUT", hostilePoints, `{"points":[{"id":1,"vector":[1,0,0,0],"payload":{"n":1}},{"id":9223372036854775808,"vector":[0,1,0,0],"payload":{"n":9223372036854775807}}]}`)
	h := &hostile{service: s}
	h.before = h.state()
	return h
}

func (h *hostile) state() any {
	return []any{h.result("GET", "/collections", ""), h.result("GET", "/collections/c", ""), h.result("POST", hostilePoints+"/scroll", `{"with_vector":true}`)}
}

// refuses checks that a request gets a 4xx with the text, and changes nothing.
func (h *hostile) refuses(method, path, body string, status int, text string) {
	h.t.Helper()
	w := h.raw(method, path, body)
	var answer struct{ Status struct{ Error string } }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		h.t.Fatalf("%s %s: %v in %q", method, path, err, w.Body)
	}
	code, got := w.Code, answer.Status.Error
	if code != status || !strings.HasPrefix(got, text) {
		h.t.Errorf("%s %s %.200s:\n got %d %.300s\nwant %d %s", method, path, body, code, got, status, text)
	}
	h.unchanged(fmt.Sprintf("%s %s %.200s", method, path, body))
}

// unchanged checks that something has changed nothing.
func (h *hostile) unchanged(by string) {
	h.t.Helper()
	if diff := cmp.Diff(h.before, h.state()); diff != "" {
		h.t.Fatalf("%s changed something (-before +after):\n%s", by, diff)
	}
}

// raw sends a request without a look at the API's document, which takes more memory
// than the request.
func (h *hostile) raw(method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

const wrongFormat = "Format error in JSON body: "

func TestNumbersAtTheirLimits(t *testing.T) {
	h := startHostile(t)
	vector := `"vector":[1,2,3,4]`
	for _, x := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"PUT", hostilePoints, `{"points":[{"id":18446744073709551616,` + vector + `}]}`, 400, wrongFormat + "value 18446744073709551616 is not a valid point ID"},
		{"PUT", hostilePoints, `{"points":[{"id":-9223372036854775808,` + vector + `}]}`, 400, wrongFormat + "value -9223372036854775808 is not a valid point ID"},
		{"PUT", hostilePoints, `{"points":[{"id":1e3,` + vector + `}]}`, 400, wrongFormat + "value 1e3 is not a valid point ID"},
		{"PUT", hostilePoints, `{"points":[{"id":1,` + vector + `,"payload":{"a":1e400}}]}`, 400, wrongFormat},
		{"PUT", hostilePoints, `{"points":[{"id":1,` + vector + `,"payload":{"a":[{"b":-1e999}]}}]}`, 400, wrongFormat},
		{"POST", hostilePoints + "/payload", `{"points":[1],"payload":{"a":1e400}}`, 400, wrongFormat},
		{"PUT", hostilePoints, `{"points":[{"id":1,"vector":[1,2,3,3.5e38]}]}`, 400, wrongFormat},
		{"PUT", hostilePoints, `{"points":[{"id":1,"vector":[1,2,3,01]}]}`, 400, wrongFormat},
		{"POST", hostilePoints + "/query", `{"query":[1,2,3,-1e39]}`, 400, wrongFormat},
		{"POST", hostilePoints + "/query", `{"limit":18446744073709551616}`, 400, wrongFormat + "invalid type: floating point `18446744073709551616`, expected usize"},
		{"POST", hostilePoints + "/query", `{"limit":1.0}`, 400, wrongFormat + "invalid type: floating point `1.0`, expected usize"},
		{"POST", hostilePoints + "/query", `{"offset":-9223372036854775809}`, 400, wrongFormat},
		{"POST", hostilePoints + "/query", `{"query":[1,2,3,4],"score_threshold":1e39}`, 400, wrongFormat},
		{"POST", hostilePoints + "/scroll", `{"offset":18446744073709551616}`, 400, wrongFormat},
		{"POST", hostilePoints + "/scroll", `{"filter":{"must":{"key":"n","match":{"value":18446744073709551616}}}}`, 400, wrongFormat},
		{"POST", hostilePoints + "/scroll", `{"filter":{"must":{"key":"n","match":{"any":[18446744073709551616]}}}}`, 400, wrongFormat},
		{"POST", hostilePoints + "/scroll", `{"filter":{"must":{"key":"n","range":{"gt":1e400}}}}`, 400, wrongFormat},
		{"POST", hostilePoints + "/scroll", `{"filter":{"must":{"key":"n","values_count":{"gt":4294967296}}}}`, 400, wrongFormat},
		{"POST", hostilePoints + "/scroll", `{"filter":{"min_should":{"conditions":[{"has_id":[1]}],"min_count":18446744073709551616}}}`, 400, wrongFormat},
		{"POST", hostilePoints + "/scroll", `{"filter":{"must":{"key":"l","geo_radius":{"center":{"lat":1e308,"lon":0},"radius":1}}}}`, 400, wrongFormat},
		{"POST", hostilePoints + "/scroll?timeout=18446744073709551616", `{}`, 400, "Deserialize error in query parameters: number too large to fit in target type"},
		{"POST", hostilePoints + "/scroll?consistency=18446744073709551616", `{}`, 400, "Deserialize error in query parameters: "},
		{"PUT", "/collections/d", `{"vectors":{"size":9223372036854775807,"distance":"Dot"}}`, 422, "Validation error in JSON body: [vectors.size: value 9223372036854775807 invalid"},
		{"PUT", "/collections/d", `{"vectors":{"size":9223372036854775808,"distance":"Dot"}}`, 400, wrongFormat},
		{"PUT", "/collections/d", `{"vectors":{"size":4.0,"distance":"Dot"}}`, 400, wrongFormat},
		{"PUT", "/collections/d", `{"vectors":{"size":4,"distance":"Dot"},"hnsw_config":{"m":9223372036854775807}}`, 422, "Validation error in JSON body: [hnsw_config.m: value 9223372036854775807 invalid"},
		{"PUT", "/collections/d", `{"vectors":{"size":4,"distance":"Dot"},"shard_number":4294967296}`, 400, wrongFormat},
		{"PATCH", "/collections/c", `{"strict_mode_config":{"max_query_limit":18446744073709551616}}`, 400, wrongFormat},
		{"GET", hostilePoints + "/18446744073709551616", ``, 404, "Not found: "}, // an id that is a string
	} {
		h.refuses(x.method, x.path, x.body, x.status, x.text)
	}
	// What fits is kept to the last digit.
	h.expect("GET", hostilePoints+"/9223372036854775808", "", `{"id":9223372036854775808,"payload":{"n":9223372036854775807},"vector":[0,1,0,0]}`)
	if w := h.do("GET", hostilePoints+"/9223372036854775808", ""); !strings.Contains(w.Body.String(), `"id":9223372036854775808,"payload":{"n":9223372036854775807}`) {
		t.Errorf("got %s", w.Body)
	}
	h.expect("POST", hostilePoints+"/count", `{"filter":{"must":{"key":"n","match":{"value":9223372036854775807}}}}`, `{"count":1}`)
	h.expect("POST", hostilePoints+"/count", `{"filter":{"must":{"key":"n","match":{"value":9223372036854775806}}}}`, `{"count":0}`)
}

// TestHugeLimits checks that limits are no sizes of anything.
func TestHugeLimits(t *testing.T) {
	h := startHostile(t)
	for _, x := range []struct{ path, body string }{
		{"/query", `{"query":[1,2,3,4],"limit":9223372036854775807}`},
		{"/query", `{"query":[1,2,3,4],"limit":18446744073709551615,"offset":18446744073709551615}`},
		{"/query", `{"limit":9223372036854775807,"offset":9223372036854775807}`},
		{"/query", `{"query":[1,2,3,4],"params":{"hnsw_ef":9223372036854775807}}`},
		{"/query", `{"query":[1,2,3,4],"params":{"quantization":{"oversampling":1e30}}}`},
		{"/query", `{"query":[1,2,3,4],"limit":1000000000000,"filter":{"must":{"key":"n","match":{"value":1}}}}`},
		{"/search", `{"vector":[1,2,3,4],"limit":9223372036854775807}`},
		{"/scroll", `{"limit":9223372036854775807}`},
		{"/query/groups", `{"query":[1,2,3,4],"group_by":"n","limit":9223372036854775807,"group_size":9223372036854775807}`},
		{"/query/groups", `{"group_by":"n","prefetch":{"limit":9223372036854775807},"query":[1,2,3,4],"limit":18446744073709551615}`},
		{"/search/matrix/pairs", `{"sample":9223372036854775807,"limit":9223372036854775807}`},
		{"/search/matrix/offsets", `{"sample":18446744073709551615,"limit":3}`},
	} {
		var w *httptest.ResponseRecorder
		if bytes := allocated(func() { w = h.raw("POST", hostilePoints+x.path, x.body) }); bytes > 16<<20 || w.Code != http.StatusOK {
			t.Errorf("%s %s: %d bytes were allocated: %d %s", x.path, x.body, bytes, w.Code, w.Body)
		}
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestDeepNesting(t *testing.T) {
	h := startHostile(t)
	const depth = 200_000
	arrays := strings.Repeat("[", depth) + strings.Repeat("]", depth)
	objects := strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
	filters := func(n int, inner string) string {
		return strings.Repeat(`{"must":[`, n) + inner + strings.Repeat("]}", n)
	}
	for _, deep := range []string{arrays, objects, strings.Repeat("[", depth), filters(depth, "")} {
		for _, x := range []struct{ method, path, body string }{
			{"PUT", hostilePoints, `{"points":[{"id":1,"vector":%s}]}`},
			{"PUT", hostilePoints, `{"points":[{"id":1,"vector":[1,2,3,4],"payload":{"a":%s}}]}`},
			{"PUT", hostilePoints, `{"batch":{"ids":[1],"vectors":%s}}`},
			{"PUT", hostilePoints, `{"points":[],"unknown":%s}`},
			{"POST", hostilePoints + "/payload", `{"points":[1],"payload":{"a":%s}}`},
			{"POST", hostilePoints + "/batch", `{"operations":%s}`},
			{"POST", hostilePoints + "/delete", `{"points":%s}`},
			{"POST", hostilePoints + "/query", `{"query":%s}`},
			{"POST", hostilePoints + "/query", `{"filter":%s}`},
			{"POST", hostilePoints + "/search", `{"vector":%s,"limit":1}`},
			{"POST", hostilePoints + "/scroll", `{"filter":{"must":%s}}`},
			{"POST", hostilePoints + "/scroll", `{"with_payload":%s}`},
			{"POST", hostilePoints + "/search/matrix/pairs", `{"filter":%s}`},
			{"POST", hostilePoints + "/query/groups", `{"group_by":"a","query":[1,2,3,4],"filter":%s}`},
			{"POST", "/collections/c/facet", `{"key":"a","filter":%s}`},
			{"POST", hostilePoints + "/query/batch", `{"searches":%s}`},
			{"PUT", "/collections/d", `{"vectors":%s}`},
			{"PUT", "/collections/d", `{"metadata":{"a":%s}}`},
			{"PATCH", "/collections/c", `{"metadata":{"a":%s}}`},
			{"PUT", "/collections/c/index", `{"field_name":"a","field_schema":%s}`},
			{"POST", "/collections/aliases", `{"actions":%s}`},
		} {
			w := h.raw(x.method, x.path, fmt.Sprintf(x.body, deep))
			if w.Code != http.StatusBadRequest || w.Body.Len() > 600 {
				t.Errorf("%s %s %s with %.9s…: %d %.600s", x.method, x.path, x.body, deep, w.Code, w.Body)
			}
		}
	}
	h.refuses("POST", hostilePoints+"/scroll", `{"filter":`+filters(66, `{"has_id":[1]}`)+`}`, 400, wrongFormat+"recursion limit exceeded")
	h.result("POST", hostilePoints+"/scroll", `{"filter":`+filters(64, `{"has_id":[1]}`)+`}`)
	payload := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	h.refuses("PUT", hostilePoints, `{"points":[{"id":1,"vector":[1,2,3,4],"payload":`+payload(129)+`}]}`, 400, wrongFormat+"payload: recursion limit exceeded")
	h.result("PUT", hostilePoints, `{"points":[{"id":1,"vector":[1,2,3,4],"payload":`+payload(128)+`}]}`)
}

// TestMemoryOfFilters checks that what a filter takes follows its length and not
// its depth.
func TestMemoryOfFilters(t *testing.T) {
	h := startHostile(t)
	ids := strings.Repeat("1,", 1<<20) + "1"
	flat := `{"must":[{"has_id":[` + ids + `]}]}`
	deep := strings.Repeat(`{"must":[`, 15) + `{"has_id":[` + ids + `]}` + strings.Repeat("]}", 15)
	for _, filter := range []string{flat, deep} {
		body := `{"filter":` + filter + `}`
		var w *httptest.ResponseRecorder
		bytes := allocated(func() { w = h.raw("POST", hostilePoints+"/count", body) })
		if !strings.Contains(w.Body.String(), `{"count":1}`) {
			t.Errorf("%.20s…: %d %s", filter, w.Code, w.Body)
		}
		if most := uint64(12 * len(body)); bytes > most {
			t.Errorf("%.20s…: %d bytes were allocated for a body of %d", filter, bytes, len(body))
		}
	}
	var distinct strings.Builder
	for i := range 1<<20 + 1 {
		fmt.Fprintf(&distinct, "%d,", i)
	}
	h.refuses("POST", hostilePoints+"/count", `{"filter":{"must":{"has_id":[`+distinct.String()+`0]}}}`, 400, wrongFormat+"a filter may list at most 1048576 values and ids")
	h.refuses("POST", hostilePoints+"/count", `{"filter":{"must":{"key":"n","match":{"any":[`+distinct.String()+`0]}}}}`, 400, wrongFormat+"a filter may list at most 1048576 values and ids")
	conditions := strings.Repeat(`{"key":"n","match":{"value":1}},`, 10_000)
	h.refuses("POST", hostilePoints+"/count", `{"filter":{"should":[`+strings.TrimSuffix(conditions, ",")+`]}}`, 400, wrongFormat+"a filter may have at most 8192 conditions")
	long := strings.Repeat(`{"must":[`, 60) + `{"has_id":[` + strings.Repeat("1,", 3<<20) + `1]}` + strings.Repeat("]}", 60)
	h.refuses("POST", hostilePoints+"/count", `{"filter":`+long+`}`, 400, wrongFormat+"recursion limit exceeded: a filter of so many bytes")
}

func TestDuplicateMembers(t *testing.T) {
	h := startHostile(t)
	for _, x := range []struct{ method, path, body, name string }{
		{"PUT", hostilePoints, `{"points":[{"id":1,"vector":[1,2,3,4]}],"points":[{"id":2,"vector":[1,2,3,4]}]}`, "points"},
		{"PUT", hostilePoints, `{"points":[{"id":1,"id":2,"vector":[1,2,3,4]}]}`, "id"},
		{"PUT", hostilePoints, `{"points":[{"id":1,"vector":[1,2,3,4],"vector":[4,3,2,1]}]}`, "vector"},
		{"PUT", hostilePoints, `{"points":[{"id":1,"vector":[1,2,3,4],"payload":{"a":1},"payload":{"b":1}}]}`, "payload"},
		{"PUT", hostilePoints, `{"batch":{"ids":[1],"ids":[2],"vectors":[[1,2,3,4]]}}`, "ids"},
		{"PUT", hostilePoints, `{"points":[{"id":1,"vector":[1,2,3,4],"payload":null,"payload":{"b":1}}]}`, "payload"},
		{"PUT", hostilePoints, `{"points":[{"id":1,"vector":{"":[1,2,3,4],"":[4,3,2,1]}}]}`, ""},
		{"PUT", hostilePoints, `{"points":[{"id":1,"vector":{"":{"indices":[1],"indices":[2],"values":[1]}}}]}`, "indices"},
		{"PUT", hostilePoints, `{"batch":{"ids":[1],"vectors":{"":[[1,2,3,4]],"":[[1,2,3,4]]}}}`, ""},
		{"PUT", hostilePoints, `{"batch":{"ids":[1],"vectors":[{"indices":[1],"values":[1],"values":[1]}]}}`, "values"},
		{"PUT", hostilePoints, `{"points":[{"id":1,"vector":[1,2,3,4]}],"update_filter":{"must":[],"must":[]}}`, "must"},
		{"PUT", hostilePoints + "/vectors", `{"points":[],"points":[{"id":1,"vector":[1,2,3,4]}]}`, "points"},
		{"POST", hostilePoints + "/delete", `{"points":[1],"points":[2]}`, "points"},
		{"POST", hostilePoints + "/payload", `{"points":[1],"payload":{"a":1},"payload":{"b":1}}`, "payload"},
		{"POST", hostilePoints + "/payload/delete", `{"points":[1],"keys":["a"],"keys":["n"]}`, "keys"},
		{"POST", hostilePoints + "/batch", `{"operations":[],"operations":[{"delete":{"points":[1]}}]}`, "operations"},
		{"POST", hostilePoints + "/batch", `{"operations":[{"delete":{"points":[1],"points":[2]}}]}`, "points"},
		{"POST", hostilePoints + "/batch", `{"operations":[{"delete":{"points":[1]},"delete":{"points":[2]}}]}`, "delete"},
		{"POST", hostilePoints + "/query", `{"query":[1,2,3,4],"limit":1,"limit":2}`, "limit"},
		{"POST", hostilePoints + "/query", `{"query":[1,2,3,4],"filter":{"must":[],"must":[]}}`, "must"},
		{"POST", hostilePoints + "/query", `{"query":[1,2,3,4],"filter":{"must":{"key":"n","key":"m","is_null":true}}}`, "key"},
		{"POST", hostilePoints + "/query", `{"filter":{"must":{"key":"n","match":{"value":1,"value":2}}}}`, "value"},
		{"POST", hostilePoints + "/query", `{"filter":{"must":{"key":"n","range":{"gt":1,"gt":2}}}}`, "gt"},
		{"POST", hostilePoints + "/query", `{"filter":{"must":{"key":"n","values_count":{"gt":1,"gt":2}}}}`, "gt"},
		{"POST", hostilePoints + "/query", `{"filter":{"must":{"key":"n","geo_radius":{"center":{"lat":1,"lat":2,"lon":1},"radius":1}}}}`, "lat"},
		{"POST", hostilePoints + "/query", `{"filter":{"must":{"nested":{"key":"n","key":"m","filter":{}}}}}`, "key"},
		{"POST", hostilePoints + "/query", `{"filter":{"must":{"is_empty":{"key":"n","key":"m"}}}}`, "key"},
		{"POST", hostilePoints + "/query", `{"query":[1,2,3,4],"params":{"exact":true,"exact":false}}`, "exact"},
		{"POST", hostilePoints + "/query", `{"query":[1,2,3,4],"with_payload":{"include":["a"],"include":["b"]}}`, "include"},
		{"POST", hostilePoints + "/query", `{"query":{"nearest":[1,2,3,4],"nearest":[1,1,1,1]}}`, "nearest"},
		{"POST", hostilePoints + "/query", `{"query":{"nearest":[1,2,3,4],"mmr":{},"mmr":{}}}`, "mmr"},
		{"POST", hostilePoints + "/query", `{"query":{"indices":[1],"values":[1],"values":[2]}}`, "values"},
		{"POST", hostilePoints + "/query", `{"query":{"recommend":{"positive":[1],"positive":[2]}}}`, "positive"},
		{"POST", hostilePoints + "/query", `{"query":{"discover":{"target":1,"context":{"positive":1,"positive":1,"negative":2}}}}`, "positive"},
		{"POST", hostilePoints + "/query", `{"query":{"fusion":"rrf","fusion":"dbsf"},"prefetch":{"query":[1,2,3,4]}}`, "fusion"},
		{"POST", hostilePoints + "/query", `{"query":{"formula":1,"formula":2},"prefetch":{"query":[1,2,3,4]}}`, "formula"},
		{"POST", hostilePoints + "/query", `{"query":{"formula":{"sum":[1],"sum":[2]}},"prefetch":{"query":[1,2,3,4]}}`, "sum"},
		{"POST", hostilePoints + "/query", `{"query":{"formula":{"div":{"left":1,"left":2,"right":1}}},"prefetch":{"query":[1,2,3,4]}}`, "left"},
		{"POST", hostilePoints + "/query", `{"query":{"formula":"n","defaults":{"n":1,"n":2}},"prefetch":{"query":[1,2,3,4]}}`, "n"},
		{"POST", hostilePoints + "/query", `{"query":{"order_by":{"key":"a","key":"b"}}}`, "key"},
		{"POST", hostilePoints + "/query", `{"query":[1,2,3,4],"prefetch":{"query":[1,2,3,4],"limit":1,"limit":2}}`, "limit"},
		{"POST", hostilePoints + "/query/batch", `{"searches":[{"query":{"sample":"random","sample":"random"}}]}`, "sample"},
		{"POST", hostilePoints + "/search", `{"vector":{"name":"","name":"","vector":[1,2,3,4]},"limit":2}`, "name"},
		{"POST", hostilePoints + "/search", `{"vector":[1,2,3,4],"vector":[1,2,3,4],"limit":2}`, "vector"},
		{"POST", hostilePoints + "/scroll", `{"limit":1,"limit":1}`, "limit"},
		{"POST", hostilePoints + "/count", `{"exact":true,"exact":true}`, "exact"},
		{"POST", hostilePoints, `{"ids":[1],"ids":[2]}`, "ids"},
		{"PUT", "/collections/d", `{"vectors":{"size":4,"distance":"Dot"},"vectors":{"size":5,"distance":"Dot"}}`, "vectors"},
		{"PUT", "/collections/d", `{"vectors":{"size":4,"size":5,"distance":"Dot"}}`, "size"},
		{"PUT", "/collections/d", `{"vectors":{"a":{"size":4,"distance":"Dot"},"a":{"size":5,"distance":"Dot"}}}`, "a"},
		{"PATCH", "/collections/c", `{"hnsw_config":{"m":8},"hnsw_config":{"m":9}}`, "hnsw_config"},
		{"PUT", "/collections/c/index", `{"field_name":"a","field_name":"b","field_schema":"keyword"}`, "field_name"},
		{"PUT", "/collections/c/index", `{"field_name":"a","field_schema":{"type":"integer","type":"float"}}`, "type"},
		{"PUT", "/collections/c/vectors/v", `{"dense":{"size":4,"size":5,"distance":"Dot"}}`, "size"},
		{"POST", "/collections/aliases", `{"actions":[],"actions":[]}`, "actions"},
	} {
		h.refuses(x.method, x.path, x.body, 400, wrongFormat+"duplicate field `"+x.name+"`")
	}
	// A payload may have them, as in Qdrant: the last counts.
	h.result("PUT", hostilePoints, `{"points":[{"id":1,"vector":[1,0,0,0],"payload":{"a":1,"a":2}}]}`)
	h.expect("POST", hostilePoints+"/count", `{"filter":{"must":{"key":"a","match":{"value":2}}}}`, `{"count":1}`)
}

func TestInvalidUTF8(t *testing.T) {
	h := startHostile(t)
	for _, bad := range []string{"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80", "a\x80"} {
		for _, x := range []struct{ method, path, body string }{
			{"PUT", hostilePoints, `{"points":[{"id":"%s","vector":[1,2,3,4]}]}`},
			{"PUT", hostilePoints, `{"points":[{"id":1,"vector":[1,2,3,4],"payload":{"a":"%s"}}]}`},
			{"PUT", hostilePoints, `{"points":[{"id":1,"vector":[1,2,3,4],"payload":{"%s":1}}]}`},
			{"PUT", hostilePoints, `{"points":[{"id":1,"vector":{"%s":[1,2,3,4]}}]}`},
			{"POST", hostilePoints + "/payload", `{"points":[1],"payload":{"a":"%s"}}`},
			{"POST", hostilePoints + "/payload", `{"points":[1],"payload":{},"key":"%s"}`},
			{"POST", hostilePoints + "/payload/delete", `{"points":[1],"keys":["%s"]}`},
			{"POST", hostilePoints + "/delete", `{"points":["%s"]}`},
			{"POST", hostilePoints + "/scroll", `{"filter":{"must":{"key":"n","match":{"value":"%s"}}}}`},
			{"POST", hostilePoints + "/query", `{"using":"%s"}`},
			{"POST", hostilePoints + "/scroll", `{"unknown":"%s"}`},
			{"PUT", "/collections/d", `{"vectors":{"%s":{"size":4,"distance":"Dot"}}}`},
			{"PATCH", "/collections/c", `{"metadata":{"a":"%s"}}`},
			{"PUT", "/collections/c/index", `{"field_name":"%s","field_schema":"keyword"}`},
			{"POST", "/collections/aliases", `{"actions":[{"create_alias":{"collection_name":"c","alias_name":"%s"}}]}`},
		} {
			h.refuses(x.method, x.path, fmt.Sprintf(x.body, bad), 400, wrongFormat)
		}
	}
	h.refuses("PUT", "/collections/%FF", `{}`, 422, "Validation error in path parameters: [collection_name: ")
}
