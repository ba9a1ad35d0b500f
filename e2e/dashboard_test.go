//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/examples/minilm"
)

// TestDashboard has Chromium use the page as people do. With a folder for them in
// SCREENSHOTS it takes the pictures of docs, too, for which a source works for minutes.
func TestDashboard(t *testing.T) {
	for _, program := range []string{"chromium", "node"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("e2e/setup.sh has not been run: %v", err)
		}
	}
	s := startStage(t)
	empty := startFreshet(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "page/page.mjs")
	cmd.Env = append(os.Environ(), "FRESHET_URL="+s.freshet.url, "EMPTY_URL="+empty.url, "STAGE_URL="+s.control.URL, "CHROMIUM=chromium",
		"PLAYWRIGHT="+filepath.Join(root, ".cache", "page", "node_modules", "playwright-core", "index.mjs"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second // the browser has the same output
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("\n%s", out)
}

// stage is a server with something to look at: a topic that texts flow through, a model
// that can be made slow, and records with all that people may want to do to the page.
type stage struct {
	t       *testing.T
	freshet *freshet
	brokers []string
	control *httptest.Server
	texts   map[string][]float32
	perText atomic.Int64 // nanoseconds that the model takes for a text; below 0 it refuses
	rate    atomic.Int64 // records produced per second
}

const (
	hostile  = `"><img src=x onerror="window.hacked=1"><script>window.hacked=2</script>`
	stageKey = "the-key"
)

func startStage(t *testing.T) *stage {
	t.Helper()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "glosses"), kfake.SeedTopics(1, "orders", "hostile"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	s := &stage{t: t, brokers: broker.ListenAddrs(), texts: map[string][]float32{}}
	s.rate.Store(200)
	s.perText.Store(int64(200 * time.Microsecond))
	base, err := minilm.Base()
	if err != nil {
		t.Fatal(err)
	}
	queries, err := minilm.Queries()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range append(base, queries...) {
		s.texts[row.Text] = row.Vector
	}
	model := httptest.NewServer(http.HandlerFunc(s.embed))
	t.Cleanup(model.Close)
	s.freshet = startFreshet(t, fmt.Sprintf(`
http: {api_key: %q, read_only_api_key: "reader", jwt_rbac: true}
kafka: {bootstrap.servers: %q}
embedding:
  models:
    - {name: minilm, url: "%s/v1/embeddings", dimension: %d, cache: 0, batch: 500, concurrency: 1}
    - {name: away, url: "http://127.0.0.1:9/v1/embeddings", dimension: 2}
sources:
  - name: glosses
    topics: [glosses]
    embed: {"": {model: minilm, text: value.text}}
    on_create: {auto: true, distance: Cosine}
  - name: later
    topics: [later]
`, stageKey, strings.Join(s.brokers, ","), model.URL, minilm.Dim))
	s.call("PUT", "/collections/orders", `{"vectors":{"size":2,"distance":"Dot"}}`)
	s.call("POST", "/collections/orders/sources", `{"name":"orders","topics":["orders"]}`)
	s.seed()
	s.control = httptest.NewServer(http.HandlerFunc(s.command))
	t.Cleanup(s.control.Close)
	var wg sync.WaitGroup
	wg.Go(func() { s.flow(t.Context(), base) })
	t.Cleanup(wg.Wait) // the context of the test has ended by then
	return s
}

func (s *stage) call(method, path, body string) {
	s.t.Helper()
	if err := s.freshet.call(method, path, http.Header{"Api-Key": {stageKey}}, json.RawMessage(body), nil); err != nil {
		s.t.Fatal(err)
	}
}

// seed brings in what is looked at one by one.
func (s *stage) seed() {
	s.t.Helper()
	s.call("PUT", "/collections/it%27s%20%26amp;%20more", `{"vectors":{"a & b":{"size":2,"distance":"Dot"}}}`)
	odd := func(id string) map[string]any {
		return map[string]any{"id": id, "vector": map[string]any{"a & b": []int{3, 4}}}
	}
	point, err := json.Marshal(map[string]any{"points": []any{
		odd("."), odd(".."), odd("a/../b?c=d#e"), odd("%2e%2e"), odd(" two  spaces "), odd("a\u202eb\n"), odd("👩‍🚀 ' \""), odd(strings.Repeat("long", 250)),
		map[string]any{"id": hostile, "vector": map[string]any{"a & b": []int{1, 2}}, "payload": map[string]any{hostile: hostile, "list": []any{hostile, nil, 1.5}}},
		map[string]any{"id": uint64(math.MaxUint64), "vector": map[string]any{"a & b": []int{2, 1}}, "payload": map[string]any{"n": 1}},
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.call("PUT", "/collections/it%27s%20%26amp;%20more/points?wait=true", string(point))
	s.call("PUT", "/collections/it%27s%20%26amp;%20more/index?wait=true", `{"field_name":"\"<b onmouseover=window.hacked=3>\"","field_schema":"keyword"}`)
	client, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...))
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	hostileValue, err := json.Marshal(map[string]any{"embedding": hostile, "id": hostile})
	if err != nil {
		s.t.Fatal(err)
	}
	records := []*kgo.Record{
		{Topic: "orders", Value: []byte(`{"number":"a-17","embedding":[1,0]}`)},
		{Topic: "orders", Value: []byte(`{"number":"a-18","embedding":[0,1]}`)},
		{Topic: "orders", Key: []byte(hostile), Value: hostileValue},
		{Topic: "orders", Value: []byte("\xff\xfe not JSON")},
	}
	if err := client.ProduceSync(s.t.Context(), records...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

// flow produces the rows, over and over, until ctx ends.
func (s *stage) flow(ctx context.Context, rows []minilm.Row) {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.DefaultProduceTopic("glosses"))
	if err != nil {
		s.t.Error(err)
		return
	}
	defer client.Close()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for range s.rate.Load() / 20 {
			row := rows[i%len(rows)]
			i++
			value, err := json.Marshal(map[string]any{"id": row.ID, "text": row.Text, "section": row.Section})
			if err != nil {
				s.t.Error(err)
				return
			}
			client.Produce(ctx, &kgo.Record{Key: []byte(row.ID), Value: value}, nil)
		}
	}
}

// embed answers as an OpenAI-compatible endpoint: the texts of the sample have their
// vectors, others some of their own.
func (s *stage) embed(w http.ResponseWriter, r *http.Request) {
	var body struct{ Input []string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	type item struct {
		Index     int       `json:"index"`
		Embedding []float32 `json:"embedding"`
	}
	data := make([]item, len(body.Input))
	for i, text := range body.Input {
		vector := s.texts[text]
		if vector == nil {
			h := fnv.New64a()
			_, _ = h.Write([]byte(text)) // never fails
			random := rand.New(rand.NewPCG(h.Sum64(), 0))
			vector = make([]float32, minilm.Dim)
			for j := range vector {
				vector[j] = float32(random.NormFloat64())
			}
		}
		data[i] = item{i, vector}
	}
	perText := s.perText.Load()
	if perText < 0 {
		http.Error(w, "away for lunch", http.StatusServiceUnavailable)
		return
	}
	time.Sleep(time.Duration(perText * int64(len(body.Input))))
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data}) // the client may have gone
}

// command is how the script moves the stage: /kill, /start, /rate?n= (records per second),
// /model?n= (µs a text; below 0 it refuses).
func (s *stage) command(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseInt(r.URL.Query().Get("n"), 10, 64)
	switch r.URL.Path {
	case "/kill":
		s.freshet.kill()
		err = nil
	case "/start":
		s.freshet.start()
		err = nil
	case "/rate":
		s.rate.Store(n)
	case "/model":
		s.perText.Store(n * int64(time.Microsecond))
	default:
		err = fmt.Errorf("no such command")
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}
