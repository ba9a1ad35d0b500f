package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// queries are all kinds of query, of vectors with 4 dimensions.
var queries = []string{
	`{"prefetch":[{"query":%[1]s},{"query":2}],"query":{"fusion":"rrf"}}`,
	`{"prefetch":[{"query":%[1]s},{"query":2}],"query":{"fusion":"dbsf"}}`,
	`{"prefetch":{"query":%[1]s},"query":[1,2,3,4]}`,
	`{"prefetch":{"query":[1,2,3,4]},"query":%[1]s}`,
	`{"query":{"nearest":%[1]s,"mmr":{"diversity":0.5}}}`,
	`{"query":{"recommend":{"positive":[%[1]s,1],"negative":[2]}}}`,
	`{"query":{"recommend":{"positive":[1],"negative":[%[1]s],"strategy":"best_score"}}}`,
	`{"query":{"recommend":{"positive":[1],"negative":[%[1]s],"strategy":"sum_scores"}}}`,
	`{"query":{"discover":{"target":%[1]s,"context":[{"positive":1,"negative":2}]}}}`,
	`{"query":{"context":[{"positive":%[1]s,"negative":2}]}}`,
	`{"query":{"relevance_feedback":{"target":%[1]s,"feedback":[{"example":1,"score":3e38},{"example":[0,1,0,0],"score":-3e38}],"strategy":{"naive":{"a":3e38,"b":2,"c":-3e38}}}}}`,
}

// withoutSecond makes queries such that ask for no point 2, which not every collection has.
var withoutSecond = strings.NewReplacer(`"query":2`, `"query":1`, `"negative":2`, `"negative":[0,1,0,0]`, `"negative":[2]`, `"negative":[[0,1,0,0]]`)

// TestQueriesOfExtremeVectors checks that no kind of query answers with what is not
// JSON, or as if the fault were ours.
func TestQueriesOfExtremeVectors(t *testing.T) {
	vectors := []string{"[0,0,0,0]", "[1e-30,0,0,0]", "[3e38,3e38,3e38,3e38]", "[-3e38,3e38,-3e38,3e38]", "[1e-40,0,0,0]"}
	for _, metric := range []string{"Cosine", "Dot", "Euclid", "Manhattan"} {
		s := start(t)
		s.result("PUT", "/collections/c", fmt.Sprintf(`{"vectors":{"size":4,"distance":%q}}`, metric))
		for i, v := range vectors {
			s.result("PUT", "/collections/c/points", fmt.Sprintf(`{"points":[{"id":%d,"vector":%s}]}`, i, v))
		}
		for _, query := range queries {
			for _, v := range vectors {
				body := fmt.Sprintf(query, v)
				// The average of some examples is beyond float32.
				code, text := s.errorOf("POST", "/collections/c/points/query", body)
				if code != http.StatusOK && !strings.Contains(text, "holds a value that is not a finite number") {
					t.Errorf("%s, %s: %d %s", metric, body, code, text)
				}
			}
		}
		// A formula may have no result for such scores; then it says so.
		for _, v := range vectors {
			code, text := s.errorOf("POST", "/collections/c/points/query", fmt.Sprintf(`{"prefetch":{"query":%s},"query":{"formula":{"mult":["$score","$score"]}}}`, v))
			if code != http.StatusOK && !strings.HasPrefix(text, "Wrong input: The expression") {
				t.Errorf("%s, formula over %s: %d %s", metric, v, code, text)
			}
		}
	}
}

// TestQueriesAreBounded checks queries that are too deep or too large.
func TestQueriesAreBounded(t *testing.T) {
	h := startHostile(t)
	for _, query := range queries {
		limited := strings.TrimSuffix(fmt.Sprintf(query, "[1,2,3,4]"), "}") + `,"limit":9223372036854775807,"offset":0}`
		limited = withoutSecond.Replace(limited)
		var code int
		if bytes := allocated(func() { code = h.raw("POST", hostilePoints+"/query", limited).Code }); code != http.StatusOK || bytes > 16<<20 {
			t.Errorf("%s: %d, %d bytes were allocated", limited, code, bytes)
		}
	}
	nested := func(n int) string {
		return strings.Repeat(`{"query":[1,2,3,4],"prefetch":`, n) + `{"query":[1,2,3,4]}` + strings.Repeat("}", n)
	}
	h.result("POST", hostilePoints+"/query", nested(64))
	sums := func(n int) string {
		return `{"prefetch":{"query":[1,2,3,4]},"query":{"formula":` + strings.Repeat(`{"sum":[`, n) + "1" + strings.Repeat("]}", n) + `}}`
	}
	for _, body := range []string{nested(66), nested(100_000), sums(100_000)} {
		if w := h.raw("POST", hostilePoints+"/query", body); w.Code != http.StatusBadRequest || w.Body.Len() > 600 {
			t.Errorf("%.60s…: %d %.600s", body, w.Code, w.Body)
		}
	}
}
