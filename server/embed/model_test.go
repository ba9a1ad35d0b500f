package embed

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

const dimension = 3

// asked is a request as an endpoint sees it.
type asked struct {
	Model    string   `json:"model"`
	Encoding string   `json:"encoding_format"`
	Input    []string `json:"input"`
	key      string
	raw      string
}

// endpoint answers as a test wants it to and keeps what it was asked.
type endpoint struct {
	*httptest.Server
	mu    sync.Mutex
	asked []asked
}

func (e *endpoint) requests() []asked {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]asked(nil), e.asked...)
}

// texts counts those that were sent.
func (e *endpoint) texts() int {
	n := 0
	for _, a := range e.requests() {
		n += len(a.Input)
	}
	return n
}

func newEndpoint(t *testing.T, answer func(w http.ResponseWriter, a asked)) *endpoint {
	t.Helper()
	e := &endpoint{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		a := asked{key: r.Header.Get("Authorization"), raw: string(raw)}
		if err == nil {
			err = json.Unmarshal(raw, &a)
		}
		if err != nil || r.Method != http.MethodPost {
			t.Errorf("the endpoint was sent %s %q: %v", r.Method, raw, err)
		}
		e.mu.Lock()
		e.asked = append(e.asked, a)
		e.mu.Unlock()
		answer(w, a)
	}))
	t.Cleanup(e.Close)
	return e
}

// vectorOf is what a good endpoint makes of a text.
func vectorOf(text string) []float32 {
	return []float32{float32(len(text)), float32(text[0]), 0.5}
}

type embedding struct {
	Index     int `json:"index"`
	Embedding any `json:"embedding"`
}

// good answers as it should, the last text first.
func good(w http.ResponseWriter, a asked) {
	var data []embedding
	for i := len(a.Input) - 1; i >= 0; i-- {
		v := vectorOf(a.Input[i])
		var e any = v
		if a.Encoding == "base64" {
			raw := make([]byte, 0, 4*len(v))
			for _, x := range v {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
			}
			e = base64.StdEncoding.EncodeToString(raw)
		}
		data = append(data, embedding{i, e})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"object": "list", "data": data, "model": a.Model})
}

func refuse(status int, text string) func(http.ResponseWriter, asked) {
	return func(w http.ResponseWriter, _ asked) {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"error":{"message":%q}}`, text)
	}
}

func newTestModel(t *testing.T, url string, change func(*ModelConfig)) *Model {
	t.Helper()
	c := Config{Models: []ModelConfig{{Name: "m", URL: url + "/v1/embeddings", Model: "the-model", Dimension: dimension, Timeout: 5 * time.Second}}}
	if change != nil {
		change(&c.Models[0])
	}
	c.SetDefaults()
	all, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(all.Close)
	return all.Model("m")
}

func inputs(texts ...string) []Input {
	list := make([]Input, len(texts))
	for i, text := range texts {
		list[i].Text = text
	}
	return list
}

func manyInputs(n int) []Input {
	list := make([]Input, n)
	for i := range list {
		list[i].Text = fmt.Sprintf("%c text %d", 'a'+i%26, i)
	}
	return list
}

// check compares results with what a good endpoint makes of the texts.
func check(t *testing.T, prefix string, in []Input, results []Result) {
	t.Helper()
	if len(results) != len(in) {
		t.Fatalf("%d results for %d texts", len(results), len(in))
	}
	for i, r := range results {
		if want := vectorOf(prefix + in[i].Text); r.Err != nil || fmt.Sprint(r.Vector) != fmt.Sprint(want) {
			t.Errorf("text %d: got %v, %v, want %v", i, r.Vector, r.Err, want)
		}
	}
}

func TestEmbed(t *testing.T) {
	for _, encoding := range []string{"float", "base64"} {
		t.Run(encoding, func(t *testing.T) {
			e := newEndpoint(t, good)
			m := newTestModel(t, e.URL, func(c *ModelConfig) { c.Encoding, c.Batch = encoding, 7 })
			in := manyInputs(50)
			in = append(in, in[3], in[10]) // asked for once
			results, err := m.Embed(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			check(t, "", in, results)
			for _, a := range e.requests() {
				if len(a.Input) > 7 || a.Model != "the-model" || a.Encoding != encoding {
					t.Errorf("asked for %d texts of %q in %q", len(a.Input), a.Model, a.Encoding)
				}
			}
			if e.texts() != 50 {
				t.Errorf("%d texts were sent, 50 are different", e.texts())
			}
			results[0].Vector[0] = -1 // ours to change, as the cache has its own
			again, err := m.Embed(t.Context(), in)
			if err != nil || e.texts() != 50 {
				t.Fatalf("%v, %d texts were sent, 50 are in the cache", err, e.texts())
			}
			check(t, "", in, again)
			if got := testutil.ToFloat64(m.metrics.texts.WithLabelValues("m", fromCache)); got != 52 {
				t.Errorf("%v texts are counted as from the cache, 52 were", got)
			}
		})
	}
}

// TestPrefixesAndOptions checks what makes texts different ones.
func TestPrefixesAndOptions(t *testing.T) {
	e := newEndpoint(t, good)
	m := newTestModel(t, e.URL, func(c *ModelConfig) { c.QueryPrefix, c.DocumentPrefix = "q: ", "passage: " })
	results, err := m.Embed(t.Context(), inputs("x"))
	if err != nil {
		t.Fatal(err)
	}
	check(t, "passage: ", inputs("x"), results)
	results, err = m.Embed(t.Context(), []Input{{Text: "x", Query: true}})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "q: ", inputs("x"), results)
	options, err := ParseOptions([]byte(`{"user": "u", "a": [1, 2]}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Embed(t.Context(), []Input{{Text: "x"}, {Text: "x", Options: options}}); err != nil {
		t.Fatal(err)
	}
	last := e.requests()[len(e.requests())-1]
	if want := `{"model":"the-model","encoding_format":"float","input":["passage: x"],"a":[1,2],"user":"u"}`; last.raw != want {
		t.Errorf("asked %s, want %s", last.raw, want)
	}
	if len(e.requests()) != 3 {
		t.Errorf("%d requests, 3 are needed", len(e.requests()))
	}
}

func TestOptions(t *testing.T) {
	for raw, want := range map[string]string{
		`null`: "", `{}`: "", `{"b":1,"a":{"d":1,"c":2}}`: `,"a":{"c":2,"d":1},"b":1`,
		`[]`: "options are a map", `{"a":1,"a":2}`: "options are a map", `{"input":["x"]}`: "options may not say `input`",
		`{"a":"` + strings.Repeat("x", maxOptions) + `"}`: "options may have 4096 bytes",
	} {
		got, err := ParseOptions([]byte(raw))
		if err != nil {
			got = Options(err.Error())
		}
		if string(got) != want {
			t.Errorf("%.40s: got %q, want %q", raw, got, want)
		}
	}
}

// TestRefusedText sees to it that texts an endpoint refuses do not take others along.
func TestRefusedText(t *testing.T) {
	for _, status := range []int{400, 413, 422} {
		e := newEndpoint(t, func(w http.ResponseWriter, a asked) {
			if strings.Contains(strings.Join(a.Input, ""), "poison") {
				refuse(status, "no poison")(w, a)
				return
			}
			good(w, a)
		})
		m := newTestModel(t, e.URL, nil)
		in := manyInputs(40)
		in[5].Text, in[39].Text, in[20].Text = "poison", "more poison", ""
		results, err := m.Embed(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			var refused *RefusedError
			isRefused := errors.As(r.Err, &refused)
			if want := i == 5 || i == 20 || i == 39; isRefused != want || isRefused != (r.Vector == nil) {
				t.Errorf("text %d: %v, %v", i, r.Vector, r.Err)
			}
		}
		if want := fmt.Sprintf(`embedding model "m": the endpoint answered %d: no poison`, status); results[5].Err.Error() != want {
			t.Errorf("got %q, want %q", results[5].Err, want)
		}
	}
}

// TestAllRefused tells a bad text, which another one beside it shows, from an endpoint
// that takes none.
func TestAllRefused(t *testing.T) {
	e := newEndpoint(t, func(w http.ResponseWriter, a asked) {
		if a.Input[0] == "poison" {
			refuse(400, "no poison")(w, a)
			return
		}
		good(w, a)
	})
	results, err := newTestModel(t, e.URL, nil).Embed(t.Context(), inputs("poison"))
	if err != nil || results[0].Err == nil {
		t.Errorf("got %v, %v", results, err)
	}
	closed := newEndpoint(t, refuse(400, "no such model"))
	_, err = newTestModel(t, closed.URL, nil).Embed(t.Context(), manyInputs(5))
	var fault *FaultError
	if !errors.As(err, &fault) || !strings.Contains(err.Error(), "every text is refused") || !strings.Contains(err.Error(), "no such model") {
		t.Errorf("got %v", err)
	}
}

// TestPassingFaults lets an endpoint fail a few times before it works.
func TestPassingFaults(t *testing.T) {
	for name, fail := range map[string]func(http.ResponseWriter, asked){
		"429": refuse(429, "slowly"),
		"429 with a time": func(w http.ResponseWriter, a asked) {
			w.Header().Set("Retry-After", "0.01")
			refuse(429, "slowly")(w, a)
		},
		"500": refuse(500, "a fault"),
		"503": refuse(503, "starting"),
		"408": refuse(408, "too slow"),
		"the connection breaks": func(w http.ResponseWriter, _ asked) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				err = c.Close()
			}
			if err != nil {
				panic(err)
			}
		},
		"the answer breaks off": func(w http.ResponseWriter, _ asked) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"data":[`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var failures atomic.Int32
			e := newEndpoint(t, func(w http.ResponseWriter, a asked) {
				if failures.Add(1) <= 2 {
					fail(w, a)
					return
				}
				good(w, a)
			})
			in := inputs("a", "b")
			results, err := newTestModel(t, e.URL, nil).Embed(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			check(t, "", in, results)
		})
	}
}

// TestHostileAnswers are faults of the endpoint, and of no text.
func TestHostileAnswers(t *testing.T) {
	write := func(s string) func(http.ResponseWriter, asked) {
		return func(w http.ResponseWriter, _ asked) { _, _ = io.WriteString(w, s) }
	}
	for name, x := range map[string]struct {
		answer func(http.ResponseWriter, asked)
		want   string
	}{
		"not JSON":          {write("<html>"), "the answer is not a JSON object"},
		"half":              {write(`{"data":[{"index":0,"embedding":[1,2,3]}`), "the answer is not JSON"},
		"nothing":           {write(""), "the answer is not a JSON object"},
		"a list":            {write("[]"), "the answer is not a JSON object"},
		"no data":           {write("{}"), "the answer has no `data`"},
		"data no list":      {write(`{"data":{}}`), "the answer's `data` is not a list"},
		"too few":           {write(`{"data":[{"index":0,"embedding":[1,2,3]}]}`), "the answer has 1 embeddings for 2 texts"},
		"too many":          {write(`{"data":[{"embedding":[1,2,3]},{"embedding":[1,2,3]},{"embedding":[1,2,3]}]}`), "more than 2 embeddings for 2 texts"},
		"other dimension":   {write(`{"data":[{"index":0,"embedding":[1,2]},{"index":1,"embedding":[1,2]}]}`), "the answer's embeddings have 2 dimensions, the configuration says 3"},
		"index twice":       {write(`{"data":[{"index":1,"embedding":[1,2,3]},{"index":1,"embedding":[1,2,3]}]}`), "the answer has the index 1 twice"},
		"index beyond":      {write(`{"data":[{"index":2,"embedding":[1,2,3]}]}`), "the answer has the index 2 for 2 texts"},
		"index negative":    {write(`{"data":[{"index":-1,"embedding":[1,2,3]}]}`), "the answer has the index -1 for 2 texts"},
		"no embedding":      {write(`{"data":[{"index":0}]}`), "has no `embedding`"},
		"not numbers":       {write(`{"data":[{"index":0,"embedding":["a"]}]}`), "is not a list of numbers"},
		"not base64":        {write(`{"data":[{"index":0,"embedding":"?"}]}`), "is not float32 in base64"},
		"element no object": {write(`{"data":[1]}`), "is not an object"},
		"trailing":          {write(`{"data":[{"embedding":[1,2,3]},{"embedding":[1,2,3]}]} x`), "the answer is not JSON"},
		"401":               {refuse(401, "not sk-secret"), "the endpoint answered 401: the key is missing or not the right one"},
		"404":               {refuse(404, "no such model"), "the endpoint answered 404: no such model"},
		"redirect": {func(w http.ResponseWriter, _ asked) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(302)
		}, "the endpoint answered 302"},
		"without end": {func(w http.ResponseWriter, _ asked) {
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, "the answer has more than"},
		"error without end": {func(w http.ResponseWriter, _ asked) {
			w.WriteHeader(404)
			for {
				if _, err := w.Write([]byte(strings.Repeat("x", 1<<16))); err != nil {
					return
				}
			}
		}, "the endpoint answered 404: xxx"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEndpoint(t, x.answer)
			_, err := newTestModel(t, e.URL, nil).Embed(t.Context(), inputs("a", "b"))
			var fault *FaultError
			if !errors.As(err, &fault) || !strings.Contains(err.Error(), x.want) {
				t.Errorf("got %v, want %q", err, x.want)
			}
			if len(err.Error()) > 500 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			if n := len(e.requests()); n != 1 {
				t.Errorf("%d requests, one shows what is wrong", n)
			}
		})
	}
}

// TestNotFinite refuses the text without a usable vector and keeps the other.
func TestNotFinite(t *testing.T) {
	nan := base64.StdEncoding.EncodeToString([]byte{0, 0, 0xc0, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0})
	for _, vector := range []string{`null`, `[1,null,3]`, `[1e39,1,1]`, `"` + nan + `"`} {
		e := newEndpoint(t, func(w http.ResponseWriter, _ asked) {
			_, _ = fmt.Fprintf(w, `{"data":[{"index":1,"embedding":%s},{"index":0,"embedding":[1,2,3]}]}`, vector)
		})
		results, err := newTestModel(t, e.URL, nil).Embed(t.Context(), inputs("a", "b"))
		if err != nil {
			t.Fatal(err)
		}
		if results[0].Err != nil || results[1].Err == nil || !strings.Contains(results[1].Err.Error(), "not finite") {
			t.Errorf("%s: got %v", vector, results)
		}
	}
}

// TestSilentEndpoint ends with the request's time, and with each attempt's.
func TestSilentEndpoint(t *testing.T) {
	t.Parallel()
	silent := make(chan struct{})
	e := newEndpoint(t, func(http.ResponseWriter, asked) { <-silent })
	defer close(silent)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := newTestModel(t, e.URL, nil).Embed(ctx, inputs("a"))
	var fault *FaultError
	if !errors.As(err, &fault) || !strings.Contains(err.Error(), "in the time of the request") {
		t.Errorf("got %v", err)
	}
	m := newTestModel(t, e.URL, func(c *ModelConfig) { c.Timeout = 10 * time.Millisecond })
	_, err = m.Embed(t.Context(), inputs("a"))
	if !errors.As(err, &fault) || !strings.Contains(err.Error(), "did not answer in 10ms") {
		t.Errorf("got %v", err)
	}
	if n := testutil.ToFloat64(m.metrics.requests.WithLabelValues("m", outcomeFault)); n != maxTries {
		t.Errorf("%v attempts, want %d", n, maxTries)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err = newTestModel(t, e.URL, nil).Embed(ctx, inputs("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestAskedToWait does not ask an endpoint again before its time.
func TestAskedToWait(t *testing.T) {
	e := newEndpoint(t, func(w http.ResponseWriter, a asked) {
		w.Header().Set("Retry-After", "60")
		refuse(429, "slowly")(w, a)
	})
	m := newTestModel(t, e.URL, nil)
	for range 3 {
		_, err := m.Embed(t.Context(), inputs("a"))
		var fault *FaultError
		if !errors.As(err, &fault) || fault.RetryAfter < 50*time.Second || fault.RetryAfter > time.Minute {
			t.Errorf("got %v", err)
		}
	}
	if n := len(e.requests()); n != 1 {
		t.Errorf("%d requests within the time to wait", n)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "x": 0, "-1": 0, "NaN": 0, "2": 2 * time.Second, "0.5": 500 * time.Millisecond, "1e300": maxRetryAfter, "Inf": maxRetryAfter,
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second, "Fri, 02 Jan 2026 03:04:00 GMT": 0, "Sat, 02 Jan 2027 03:04:00 GMT": maxRetryAfter,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: got %s, want %s", header, got, want)
		}
	}
}

// TestConcurrency lets as many requests as allowed be in flight, from all callers.
func TestConcurrency(t *testing.T) {
	const allowed = 3
	var now, most atomic.Int32
	full := make(chan struct{})
	var once sync.Once
	e := newEndpoint(t, func(w http.ResponseWriter, a asked) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if n == allowed {
			once.Do(func() { close(full) })
		}
		<-full // the others are on their way
		good(w, a)
	})
	m := newTestModel(t, e.URL, func(c *ModelConfig) { c.Batch, c.Concurrency = 1, allowed })
	var wg sync.WaitGroup
	for caller := range 2 {
		wg.Go(func() {
			in := inputs(fmt.Sprint("a", caller), fmt.Sprint("b", caller))
			results, err := m.Embed(t.Context(), in)
			if err != nil {
				t.Error(err)
				return
			}
			check(t, "", in, results)
		})
	}
	wg.Wait()
	if most.Load() != allowed {
		t.Errorf("%d requests were in flight, %d are allowed", most.Load(), allowed)
	}
}

func TestCacheIsBounded(t *testing.T) {
	for _, size := range []int{0, 5} {
		e := newEndpoint(t, good)
		m := newTestModel(t, e.URL, func(c *ModelConfig) { c.Cache = &size })
		for range 2 {
			if _, err := m.Embed(t.Context(), manyInputs(20)); err != nil {
				t.Fatal(err)
			}
		}
		if m.cache != nil && m.cache.Len() != size || m.cache == nil && size != 0 {
			t.Errorf("a cache of %d holds another number of vectors", size)
		}
		if want := 40 - size; e.texts() < want {
			t.Errorf("%d texts were sent, a cache of %d leaves %d", e.texts(), size, want)
		}
	}
}

func TestKeys(t *testing.T) {
	e := newEndpoint(t, good)
	path := filepath.Join(t.TempDir(), "key")
	m := newTestModel(t, e.URL, func(c *ModelConfig) { c.APIKeyFile = path })
	var fault *FaultError
	if _, err := m.Embed(t.Context(), inputs("a")); !errors.As(err, &fault) || !strings.Contains(err.Error(), "api_key_file") {
		t.Errorf("got %v", err)
	}
	for _, key := range []string{"sk-one", "sk-two"} { // the file is read again
		if err := os.WriteFile(path, []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Embed(t.Context(), inputs("a "+key)); err != nil {
			t.Fatal(err)
		}
		if got := e.requests()[len(e.requests())-1].key; got != "Bearer "+key {
			t.Errorf("the key sent is %q", got)
		}
	}
	if err := os.WriteFile(path, []byte("sk\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Embed(t.Context(), inputs("b")); !errors.As(err, &fault) || strings.Contains(err.Error(), "sk") {
		t.Errorf("got %v", err)
	}
	t.Setenv("EMBEDDING_KEY", "sk-env")
	echo := newEndpoint(t, func(w http.ResponseWriter, a asked) { refuse(404, "who is "+a.key)(w, a) })
	_, err := newTestModel(t, echo.URL, func(c *ModelConfig) { c.APIKeyEnv = "EMBEDDING_KEY" }).Embed(t.Context(), inputs("a"))
	if err == nil || strings.Contains(err.Error(), "sk-env") || !strings.Contains(err.Error(), "who is Bearer …") {
		t.Errorf("got %v", err)
	}
}

// TestAddressIsNotRepeated keeps what may be in an address out of errors.
func TestAddressIsNotRepeated(t *testing.T) {
	t.Parallel()
	c := Config{Models: []ModelConfig{{Name: "m", URL: "http://127.0.0.1:1/v1/embeddings?key=secret", Dimension: dimension}}}
	c.SetDefaults()
	all, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = all.Model("m").Embed(t.Context(), inputs("a"))
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("got %v", err)
	}
}

func TestConfig(t *testing.T) {
	base := func() ModelConfig {
		return ModelConfig{Name: "m", URL: "http://localhost/v1/embeddings", Dimension: 3}
	}
	for name, x := range map[string]struct {
		change func(*ModelConfig)
		want   string
	}{
		"good":        {func(*ModelConfig) {}, ""},
		"name":        {func(m *ModelConfig) { m.Name = "" }, "embedding.models[0].name: needs 1 to 200 bytes"},
		"url":         {func(m *ModelConfig) { m.URL = "localhost:80" }, "embedding.models[0].url: is not"},
		"password":    {func(m *ModelConfig) { m.URL = "http://a:b@c/" }, "embedding.models[0].url: may not hold a password"},
		"dimension":   {func(m *ModelConfig) { m.Dimension = 0 }, "embedding.models[0].dimension: 0 is not from 1 to 65536"},
		"batch":       {func(m *ModelConfig) { m.Batch = -1 }, "embedding.models[0].batch: -1 is not"},
		"concurrency": {func(m *ModelConfig) { m.Concurrency = 1000 }, "embedding.models[0].concurrency: 1000 is not"},
		"timeout":     {func(m *ModelConfig) { m.Timeout = time.Hour }, "embedding.models[0].timeout: 1h0m0s is not"},
		"cache":       {func(m *ModelConfig) { m.Cache = new(-1) }, "embedding.models[0].cache: -1 is not"},
		"encoding":    {func(m *ModelConfig) { m.Encoding = "int8" }, "embedding.models[0].encoding: \"int8\" is not"},
		"keys":        {func(m *ModelConfig) { m.APIKeyEnv, m.APIKeyFile = "a", "b" }, "embedding.models[0].api_key_env: is there beside"},
		"prefix":      {func(m *ModelConfig) { m.QueryPrefix = strings.Repeat("x", 5000) }, "embedding.models[0].query_prefix: has 5000 bytes"},
	} {
		m := base()
		x.change(&m)
		c := Config{Models: []ModelConfig{m}}
		c.SetDefaults()
		got := ""
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if x.want == "" && got != "" || !strings.HasPrefix(got, x.want) {
			t.Errorf("%s: got %q, want %q", name, got, x.want)
		}
	}
	twice := Config{Models: []ModelConfig{base(), base()}}
	twice.SetDefaults()
	if err := twice.Validate(); err == nil || !strings.Contains(err.Error(), "is the name of another model too") {
		t.Errorf("got %v", err)
	}
}

func FuzzReadAnswer(f *testing.F) {
	for _, s := range []string{
		`{"data":[{"index":1,"embedding":[1,2,3]},{"index":0,"embedding":"AAAAAAAAAAAAAAAA"}]}`,
		`{"data":[{"embedding":[1,null,3]},{"embedding":null}]}`, `{"data":[{"index":9}]}`, `[]`, `{"data":[[]]`,
	} {
		f.Add([]byte(s), 2)
	}
	f.Fuzz(func(t *testing.T, raw []byte, n int) {
		n = min(max(n, 0), 100)
		vectors, err := readAnswer(raw, n, dimension)
		if err != nil {
			return
		}
		if len(vectors) != n {
			t.Fatalf("%d vectors for %d texts", len(vectors), n)
		}
		for _, v := range vectors {
			if v != nil && len(v) != dimension {
				t.Fatalf("a vector of %d dimensions", len(v))
			}
			for _, x := range v {
				if y := float64(x); math.IsNaN(y) || math.IsInf(y, 0) {
					t.Fatal("a number is not finite")
				}
			}
		}
	})
}
