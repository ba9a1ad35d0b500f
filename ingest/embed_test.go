package ingest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/ingest"
	"freshet/server"
	"freshet/server/embed"
	"freshet/server/payload"
	"freshet/server/point"
)

// endpoint makes vectors of 2 dimensions of a text: its length, and 1.
type endpoint struct {
	mu     sync.Mutex
	fail   int                 // a status to answer with
	state  func() ingest.State // of the source; nil: not of interest
	states []ingest.State      // when it failed
	texts  []string
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct{ Input []string }
	err := json.NewDecoder(r.Body).Decode(&body)
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case err != nil:
		w.WriteHeader(http.StatusTeapot)
		return
	case e.fail != 0:
		if e.state != nil {
			e.states = append(e.states, e.state())
		}
		w.WriteHeader(e.fail)
		return
	case strings.Contains(strings.Join(body.Input, " "), "poison"):
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	e.texts = append(e.texts, body.Input...)
	type item struct {
		Embedding []float32 `json:"embedding"`
	}
	var data []item
	for _, text := range body.Input {
		v := []float32{float32(len(text)), 1}
		if text == "nowhere" {
			v = []float32{0, 0}
		}
		data = append(data, item{v})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data})
}

func (e *endpoint) answer(status int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fail = status
}

// attempts returns the states of the source at the requests that failed.
func (e *endpoint) attempts() []ingest.State {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.states)
}

// embedding gives a rig the model m.
func (r *rig) embedding() *endpoint {
	r.t.Helper()
	e := &endpoint{}
	h := httptest.NewServer(e)
	cfg := embed.Config{Models: []embed.ModelConfig{{Name: "m", URL: h.URL, Dimension: 2, Batch: 3}}}
	cfg.SetDefaults()
	models, err := embed.New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		r.halt()
		models.Close()
		h.Close()
	})
	r.models = models
	return e
}

// vector returns the unnamed vector of a point as it was made, before it was scaled.
func (r *rig) vector(id string) server.Vector {
	r.t.Helper()
	c, err := r.db.Collection("c")
	if err != nil {
		r.t.Fatal(err)
	}
	parsed, err := point.Parse(id)
	if err != nil {
		r.t.Fatal(err)
	}
	records, err := c.Retrieve(context.Background(), []point.ID{parsed}, payload.Selector{}, server.VectorSelector{All: true})
	if err != nil || len(records) != 1 {
		r.t.Fatalf("%d points %s, %v", len(records), id, err)
	}
	return records[0].Vectors[""]
}

func ofText(text string) map[string]ingest.Embedding {
	return map[string]ingest.Embedding{"": {Model: "m", Text: text}}
}

func TestTextsBecomeVectors(t *testing.T) {
	s := ingest.Source{Embed: ofText("${value.title}: ${value.body}"), OnCreate: ingest.OnCreate{Auto: true, Distance: server.Dot}}
	s.Payload.Exclude = []string{"body", "secret"}
	r := newRig(t, 1, s)
	e := r.embedding()
	r.run()
	r.produce(
		value(`{"id":"a","title":"one","body":"a text","n":1,"secret":2}`),
		value(`{"id":"b","title":"two","body":"of it \"all\""}`),
		value(`{"id":"gone","title":"three","body":"x"}`),
		&kgo.Record{Key: []byte("gone")},
		value(`{"id":"c","title":"only"}`),
		value(`{"id":"d","body":5}`),
		value(`{"id":"a","title":"one","body":"another text","n":2}`),
	)
	r.applied(0, 6)
	r.expect(map[string]string{"a": `{"title":"one","n":2}`, "b": `{"title":"two"}`, "c": `{"title":"only"}`, "d": `{}`})
	for id, text := range map[string]string{"a": "one: another text", "b": `two: of it "all"`, "c": "only: ", "d": ": 5"} {
		want := server.Vector(server.Dense{float32(len(text)), 1})
		if diff := cmp.Diff(want, r.vector(id)); diff != "" {
			t.Errorf("the vector of %s (-want +got):\n%s", id, diff)
		}
	}
	if len(e.texts) != 6 {
		t.Errorf("the endpoint was sent %q", e.texts)
	}
	r.eventually(func() string { // metrics come after the commit
		if n := samplesOf(t, r.metrics, "embed"); n != 7 {
			return fmt.Sprintf("%d records are counted in the stage embed, want 7", n)
		}
		return ""
	})
}

// samplesOf counts the samples of a stage.
func samplesOf(t *testing.T, g prometheus.Gatherer, stage string) uint64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "freshet_stage_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "stage" && l.GetValue() == stage {
					return m.GetHistogram().GetSampleCount()
				}
			}
		}
	}
	return 0
}

func TestTextsThatCannotBeEmbedded(t *testing.T) {
	r := newRig(t, 1, ingest.Source{Embed: ofText("value.text")})
	r.create(2)
	r.embedding()
	r.run()
	bad := map[string]string{
		`{"id":1,"text":"poison"}`:      "embedding_refused",
		`{"id":2,"text":""}`:            "no_text",
		`{"id":3,"text":null}`:          "no_text",
		`{"id":4}`:                      "no_text",
		`{"id":5,"text":["a"]}`:         "no_text",
		`{"id":6,"text":"nowhere"}`:     "zero_vector",
		`{"text":"a"}`:                  "no_id",
		`{"id":7,"text":"two poisons"}`: "embedding_refused",
	}
	for v := range bad {
		r.produce(value(v), value(`{"id":100,"text":"good"}`))
	}
	r.applied(0, int64(2*len(bad)-1))
	r.expect(map[string]string{"100": `{"text":"good"}`})
	letters := r.letters()
	if len(letters) != len(bad) {
		t.Errorf("%d dead letters, want %d", len(letters), len(bad))
	}
	for _, l := range letters {
		if want := bad[string(l.Value)]; l.Reason != want || l.Detail == "" {
			t.Errorf("%s: %s, %s, want %s", l.Value, l.Reason, l.Detail, want)
		}
	}
}

// TestEndpointAway keeps records until the endpoint takes them: none is a dead letter.
func TestEndpointAway(t *testing.T) {
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusUnauthorized, http.StatusBadRequest} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 1, ingest.Source{Embed: ofText("value.text"), OnCreate: ingest.OnCreate{Auto: true}})
			e := r.embedding()
			e.answer(status)
			r.run()
			var records []*kgo.Record
			want := map[string]string{}
			for i := range 20 {
				records = append(records, value(fmt.Sprintf(`{"id":"%d","text":"text %d"}`, i, i)))
				want[fmt.Sprint(i)] = fmt.Sprintf(`{"text":"text %d"}`, i)
			}
			r.produce(records...)
			r.eventually(func() string {
				if s := r.manager.Status()[0]; s.State != ingest.Retrying || !strings.Contains(s.Error, `embedding model "m": `) {
					return "the source does not say that the endpoint fails"
				}
				return ""
			})
			e.answer(0)
			r.applied(0, 19)
			r.expect(want)
			if letters := r.letters(); len(letters) > 0 {
				t.Errorf("%d dead letters", len(letters))
			}
		})
	}
}

// TestModelThatDoesNotFit says so instead of making dead letters of all records.
func TestModelThatDoesNotFit(t *testing.T) {
	r := newRig(t, 1, ingest.Source{Embed: ofText("value.text")})
	r.create(3)
	r.embedding()
	r.run()
	r.produce(value(`{"id":1,"text":"a"}`))
	r.eventually(func() string {
		if s := r.manager.Status()[0]; s.State != ingest.Retrying || !strings.Contains(s.Error, `the model "m" has 2 dimensions, the collection's vector "" has 3`) {
			return "the source does not say what is wrong"
		}
		return ""
	})
	if letters := r.letters(); len(letters) > 0 {
		t.Errorf("%d dead letters", len(letters))
	}
}

func TestToleranceNoneOfTexts(t *testing.T) {
	r := newRig(t, 1, ingest.Source{Embed: ofText("value.text"), ErrorsTolerance: "none"})
	r.create(2)
	r.embedding()
	r.run()
	r.produce(value(`{"id":1,"text":"a"}`), value(`{"id":2,"text":"poison"}`), value(`{"id":3,"text":"a"}`))
	r.eventually(func() string {
		for _, p := range r.manager.Status()[0].Partitions {
			if p.State == ingest.Failed && strings.Contains(p.Error, "offset 1: embedding_refused") {
				return ""
			}
		}
		return "the partition goes on"
	})
	r.expect(map[string]string{"1": `{"text":"a"}`})
}

func TestEmbedSettings(t *testing.T) {
	for text, want := range map[string]string{
		"value.f": "", "value.a.b": "", "${value.f}": "", "A ${value.f}, b ${value.g}": "",
		"": "is not value.<field>", "value.": "is not value.<field>", "key": "is not value.<field>", "f": "is not value.<field>",
		"${value.f": "has a ${", "${f}": "has a ${", "${value.}": "has a ${",
	} {
		c := ingest.Config{Kafka: ingest.Kafka{BootstrapServers: "a:1"}, Sources: []ingest.Source{{Name: "s", Topics: []string{"t"}, Embed: ofText(text)}}}
		c.SetDefaults()
		got := ""
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if want == "" && got != "" || !strings.Contains(got, want) || want != "" && !strings.HasPrefix(got, `sources[0].embed[""].text: `) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	db, err := server.Open(t.Context(), t.TempDir(), server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	c := ingest.Config{Kafka: ingest.Kafka{BootstrapServers: "a:1"}, Sources: []ingest.Source{{Name: "s", Topics: []string{"t"}, Embed: ofText("value.f")}}}
	c.SetDefaults()
	if _, err := ingest.New(c, db, ingest.Options{Refresh: time.Second}); err == nil || !strings.Contains(err.Error(), `embed[""].model: "m" is no model of the configuration; none is configured`) {
		t.Errorf("got %v", err)
	}
}
