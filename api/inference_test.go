package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"freshet/api"
	"freshet/server/embed"
)

// endpoint makes vectors of 4 dimensions: a text's words say which of them are 1, and
// what stands before the text is kept.
type endpoint struct {
	mu    sync.Mutex
	asked [][]string
	fail  int // a status to answer with
}

var words = []string{"red", "green", "blue", "white"}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Model string
		Input []string
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	e.asked = append(e.asked, body.Input)
	status := e.fail
	e.mu.Unlock()
	if status != 0 || strings.Contains(strings.Join(body.Input, " "), "poison") {
		w.WriteHeader(max(status, http.StatusBadRequest))
		return
	}
	type item struct {
		Index     int       `json:"index"`
		Embedding []float32 `json:"embedding"`
	}
	data := make([]item, len(body.Input))
	for i, text := range body.Input {
		v := make([]float32, len(words))
		for j, word := range words {
			if strings.Contains(text, word) {
				v[j] = 1
			}
		}
		if body.Model == "other" {
			v = v[:3]
		}
		data[i] = item{i, v}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data})
}

// requests returns what was asked since the last call.
func (e *endpoint) requests() [][]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	asked := e.asked
	e.asked = nil
	return asked
}

func (e *endpoint) answer(status int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fail = status
}

// startEmbedding is a server with the models colours, without a cache, and other.
func startEmbedding(t *testing.T) (*service, *endpoint) {
	t.Helper()
	s, e := start(t), &endpoint{}
	h := httptest.NewServer(e)
	t.Cleanup(h.Close)
	cfg := embed.Config{Models: []embed.ModelConfig{
		{Name: "colours", URL: h.URL, Dimension: len(words), Cache: new(0), QueryPrefix: "query: ", DocumentPrefix: "doc: "},
		{Name: "other", URL: h.URL, Dimension: 3},
	}}
	cfg.SetDefaults()
	models, err := embed.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(models.Close)
	s.h = api.New(s.db, api.Options{Models: models}).Handler()
	return s, e
}

// doc is a text in place of a vector.
func doc(text string) string { return fmt.Sprintf(`{"text":%q,"model":"colours"}`, text) }

func TestModelsAreListed(t *testing.T) {
	s, _ := startEmbedding(t)
	s.expect("GET", "/embedding/models", "", `{"models":[{"dimension":4,"name":"colours"},{"dimension":3,"name":"other"}]}`)
	start(t).expect("GET", "/embedding/models", "", `{"models":[]}`)
}

// TestHeadersChooseNoEndpoint sends what other databases take for the address and the key of
// the model: the endpoint of the configuration is asked, and nobody else.
func TestHeadersChooseNoEndpoint(t *testing.T) {
	s, e := startEmbedding(t)
	s.result("PUT", "/collections/c", `{"vectors":{"size":4,"distance":"Dot"}}`)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the address of a header was asked: %s %s", r.Method, r.URL)
	}))
	defer other.Close()
	for _, name := range []string{
		"X-OpenAI-BaseURL", "X-OpenAI-Base-URL", "X-Ollama-BaseURL", "X-Embedding-URL", "X-Base-URL", "X-Endpoint", "X-Forwarded-Host", "X-Original-URL", "Forwarded",
	} {
		r := httptest.NewRequest("POST", "/collections/c/points/query", strings.NewReader(`{"query":`+doc("red")+`}`))
		r.Header.Set(name, other.URL)
		r.Header.Set("X-OpenAI-Api-Key", "theirs")
		if w := s.send(r); w.Code != http.StatusOK || len(e.requests()) != 1 {
			t.Errorf("with %s: %d %s, or the endpoint was not asked", name, w.Code, w.Body)
		}
	}
}

func TestTextsInWrites(t *testing.T) {
	s, e := startEmbedding(t)
	s.expect("PUT", "/collections/c", `{"vectors":{"size":4,"distance":"Dot"}}`, `true`)
	s.expect("PUT", "/collections/n", `{"vectors":{"text":{"size":4,"distance":"Dot"},"options":{"size":4,"distance":"Dot"},"image":{"size":4,"distance":"Dot"}}}`, `true`)
	vectorOf := func(collection string, id int, want string) {
		t.Helper()
		s.expect("POST", "/collections/"+collection+"/points", fmt.Sprintf(`{"ids":[%d],"with_vector":true,"with_payload":false}`, id),
			fmt.Sprintf(`[{"id":%d,"vector":%s}]`, id, want))
	}
	for _, x := range []struct {
		name, method, path, body string
		asked                    string
	}{
		{"points", "PUT", "c/points?wait=true", `{"points":[{"id":1,"vector":` + doc("red") + `},{"id":2,"vector":[1,2,3,4]},{"id":3,"vector":{"":` + doc("blue") + `}}]}`, "doc: red,doc: blue"},
		{"columns", "PUT", "c/points?wait=true", `{"batch":{"ids":[4,5],"vectors":[` + doc("green") + `,` + doc("white") + `]}}`, "doc: green,doc: white"},
		{"vectors", "PUT", "c/points/vectors?wait=true", `{"points":[{"id":2,"vector":` + doc("red white") + `}]}`, "doc: red white"},
		{"batch", "POST", "c/points/batch?wait=true", `{"operations":[{"upsert":{"points":[{"id":6,"vector":` + doc("red") + `}]}},{"update_vectors":{"points":[{"id":1,"vector":` + doc("green") + `}]}}]}`, "doc: red,doc: green"},
		{"names of members of a document", "PUT", "n/points?wait=true", `{"points":[{"id":1,"vector":{"text":` + doc("red") + `,"options":` + doc("blue") + `,"image":[0,0,0,1]}}]}`, "doc: red,doc: blue"},
		{"columns by name", "PUT", "n/points?wait=true", `{"batch":{"ids":[2],"vectors":{"text":[` + doc("green") + `]}}}`, "doc: green"},
	} {
		s.result(x.method, "/collections/"+x.path, x.body)
		asked := e.requests()
		if len(asked) != 1 || strings.Join(asked[0], ",") != x.asked {
			t.Errorf("%s: asked %q, want %q at once", x.name, asked, x.asked)
		}
	}
	vectorOf("c", 1, `[0,1,0,0]`)
	vectorOf("c", 2, `[1,0,0,1]`)
	vectorOf("c", 3, `[0,0,1,0]`)
	vectorOf("c", 5, `[0,0,0,1]`)
	vectorOf("c", 6, `[1,0,0,0]`)
	vectorOf("n", 1, `{"text":[1,0,0,0],"options":[0,0,1,0],"image":[0,0,0,1]}`)
	vectorOf("n", 2, `{"text":[0,1,0,0]}`)
}

func TestTextsInSearches(t *testing.T) {
	s, e := startEmbedding(t)
	s.expect("PUT", "/collections/c", `{"vectors":{"size":4,"distance":"Dot"}}`, `true`)
	s.result("PUT", "/collections/c/points?wait=true",
		`{"points":[{"id":1,"vector":[9,1,1,1]},{"id":2,"vector":[1,9,1,1]},{"id":3,"vector":[1,1,9,1]},{"id":4,"vector":[1,1,1,9]}]}`)
	red, green, blue := doc("red"), doc("green"), doc("blue")
	for _, x := range []struct {
		path, body string
		asked      string
		want       float64
	}{
		{"query", `{"query":` + red + `,"limit":1}`, "query: red", 1},
		{"query", `{"query":{"options":{},"model":"colours","text":"green"},"limit":1}`, "query: green", 2},
		{"query", `{"query":{"nearest":` + blue + `},"limit":1}`, "query: blue", 3},
		{"query", `{"query":{"nearest":` + blue + `,"mmr":{"diversity":0.1}},"limit":1}`, "query: blue", 3},
		{"query", `{"query":{"recommend":{"positive":[` + red + `,1],"negative":[` + green + `]}},"limit":1}`, "query: red,query: green", 3},
		{"query", `{"query":{"recommend":{"positive":[` + red + `],"negative":[` + green + `]}},"limit":1}`, "query: red,query: green", 1},
		{"query", `{"query":{"discover":{"target":` + red + `,"context":[{"positive":` + red + `,"negative":` + green + `}]}},"limit":1}`, "query: red,query: green", 1},
		{"query", `{"query":{"context":[{"positive":` + blue + `,"negative":` + green + `}]},"limit":4}`, "query: blue,query: green", 3},
		{"query", `{"prefetch":[{"query":` + green + `,"limit":1}],"query":` + red + `,"limit":1}`, "query: green,query: red", 2},
		{"recommend", `{"positive":[` + red + `],"negative":[` + green + `],"limit":1}`, "query: red,query: green", 1},
		{"discover", `{"target":` + blue + `,"context":[],"limit":1}`, "query: blue", 3},
	} {
		result := s.result("POST", "/collections/c/points/"+x.path, x.body)
		if page, ok := result.(map[string]any); ok {
			result = page["points"]
		}
		first := result.([]any)[0].(map[string]any)
		if first["id"] != x.want {
			t.Errorf("%s: found %v first, want %v", x.body, first, x.want)
		}
		if asked := e.requests(); len(asked) != 1 || strings.Join(asked[0], ",") != x.asked {
			t.Errorf("%s: asked %q, want %q at once", x.body, asked, x.asked)
		}
	}
	s.result("POST", "/collections/c/points/query/groups", `{"query":`+red+`,"group_by":"n"}`)
	if asked := e.requests(); len(asked) != 1 {
		t.Errorf("asked %q for groups", asked)
	}
	s.result("POST", "/collections/c/points/query/batch", `{"searches":[{"query":`+red+`},{"query":`+green+`},{"query":`+red+`}]}`)
	if asked := e.requests(); len(asked) != 1 || len(asked[0]) != 2 {
		t.Errorf("asked %q for a batch with two different texts", asked)
	}
}

func TestWrongTexts(t *testing.T) {
	s, e := startEmbedding(t)
	s.expect("PUT", "/collections/c", `{"vectors":{"size":4,"distance":"Dot"}}`, `true`)
	for _, x := range []struct {
		document string
		status   int
		want     string
	}{
		{`{"text":"a","model":"nope"}`, 400, `Bad request: Unknown embedding model "nope"; there are: colours, other`},
		{`{"text":"a"}`, 400, "Format error in JSON body: missing field `model`"},
		{`{"model":"colours"}`, 400, "Format error in JSON body: missing field `text`"},
		{`{"text":"","model":"colours"}`, 422, "text must not be empty"},
		{`{"text":"` + strings.Repeat("x", embed.MaxText+1) + `","model":"colours"}`, 422, "text has 1048577 bytes, 1048576 are allowed"},
		{`{"text":"a","model":"colours","options":{"model":"x"}}`, 400, "options may not say `model`"},
		{`{"text":"a","model":"colours","options":[]}`, 400, "options are a map"},
		{`{"image":"http://x/y.png","model":"colours"}`, 400, "`image` cannot be embedded here, only `text` can"},
		{`{"object":{"a":1},"model":"colours"}`, 400, "`object` cannot be embedded here, only `text` can"},
		{`{"text":"poison","model":"colours"}`, 400, "Bad request: "},
		{`{"text":"a","text":"b","model":"colours"}`, 400, "duplicate field `text`"},
	} {
		for path, body := range map[string]string{
			"PUT points":        `{"points":[{"id":1,"vector":` + x.document + `}]}`,
			"POST points/query": `{"query":` + x.document + `}`,
		} {
			method, path, _ := strings.Cut(path, " ")
			w := httptest.NewRecorder()
			s.h.ServeHTTP(w, httptest.NewRequest(method, "/collections/c/"+path, strings.NewReader(body)))
			var answer struct{ Status struct{ Error string } }
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != x.status || !strings.Contains(answer.Status.Error, x.want) {
				t.Errorf("%s %.100s: %d %s, want %d %s", path, body, w.Code, w.Body, x.status, x.want)
			}
		}
	}
	s.expect("POST", "/collections/c/points/count", `{}`, `{"count":0}`)
	if w := s.do("POST", "/collections/c/points/query", `{"query":{"text":"a","model":"other"}}`); w.Code != 400 || !strings.Contains(w.Body.String(), "expected dim: 4, got 3") {
		t.Errorf("a model of another dimension: %d %s", w.Code, w.Body)
	}
	e.requests()
	e.answer(http.StatusInternalServerError)
	w := s.do("POST", "/collections/c/points/query", `{"query":`+doc("red")+`}`)
	if w.Code != 503 || !strings.Contains(w.Body.String(), `Service unavailable: embedding model \"colours\": the endpoint answered 500`) || w.Header().Get("Retry-After") == "" {
		t.Errorf("an endpoint with a fault: %d %s", w.Code, w.Body)
	}
	if len(e.requests()) < 2 {
		t.Error("a fault that may pass was not tried again")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	w = httptest.NewRecorder()
	s.h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "POST", "/collections/c/points/query", strings.NewReader(`{"query":`+doc("blue")+`}`)))
	if w.Code != 503 {
		t.Errorf("the time is over before the endpoint works: %d %s", w.Code, w.Body)
	}
	plain := start(t)
	plain.expect("PUT", "/collections/c", `{"vectors":{"size":4,"distance":"Dot"}}`, `true`)
	if w := plain.do("POST", "/collections/c/points/query", `{"query":`+doc("red")+`}`); w.Code != 400 || !strings.Contains(w.Body.String(), `Unknown embedding model \"colours\"; none is configured`) {
		t.Errorf("without models: %d %s", w.Code, w.Body)
	}
}

// TestManyTexts bounds what texts make of a small request.
func TestManyTexts(t *testing.T) {
	s, e := startEmbedding(t)
	s.expect("PUT", "/collections/c", `{"vectors":{"size":4,"distance":"Dot"}}`, `true`)
	huge := embed.Config{Models: []embed.ModelConfig{{Name: "m", URL: "http://127.0.0.1:1", Dimension: 65536}}}
	huge.SetDefaults()
	models, err := embed.New(huge)
	if err != nil {
		t.Fatal(err)
	}
	s.h = api.New(s.db, api.Options{Models: models}).Handler()
	body := `{"query":{"recommend":{"positive":[` + strings.Repeat(`{"text":"a","model":"m"},`, 300) + `1]}}}`
	if w := s.do("POST", "/collections/c/points/query", body); w.Code != 400 || !strings.Contains(w.Body.String(), "there are too many") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if len(e.requests()) > 0 {
		t.Error("the endpoint was asked")
	}
}
