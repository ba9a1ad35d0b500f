//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// rateWindow is what stands for Grafana's $__rate_interval.
const rateWindow = 8 * time.Second

// settled is how long nothing is changed once the limit is where it should be: without, most
// samples would be of the few seconds in which it moves, when the time of a batch follows it.
const settled = 12 * time.Second

// slowModel is an embedding endpoint that takes a time for each text, which can be changed.
type slowModel struct{ perText atomic.Int64 } // nanoseconds

func (m *slowModel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var request struct{ Input []string }
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	time.Sleep(time.Millisecond + time.Duration(m.perText.Load()*int64(len(request.Input))))
	type embedding struct {
		Index     int       `json:"index"`
		Embedding []float64 `json:"embedding"`
	}
	answer := struct {
		Data []embedding `json:"data"`
	}{}
	for i := range request.Input {
		e := embedding{Index: i}
		for range 8 {
			e.Embedding = append(e.Embedding, rand.NormFloat64())
		}
		answer.Data = append(answer.Data, e)
	}
	_ = json.NewEncoder(w).Encode(answer) // the client may be gone
}

// TestGrafanaPanels lets records flow through a model that becomes slow and recovers, and runs
// the expression of every panel on a Prometheus that has watched. All have to give finite
// values, and the limit of a batch and the time of one have to move against each other. That
// is not to be seen beside other tests, so it has the machine to itself.
func TestGrafanaPanels(t *testing.T) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "texts"))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	const quick, slow = 20 * time.Microsecond, 6 * time.Millisecond
	model := new(slowModel)
	model.perText.Store(int64(quick))
	endpoint := httptest.NewServer(model)
	defer endpoint.Close()
	f := startFreshet(t, fmt.Sprintf(`
http: {api_key: everything, read_only_api_key: reading}
embedding:
  models: [{name: m, url: %q, dimension: 8, batch: 2048, concurrency: 1, cache: 0}]
kafka: {bootstrap.servers: %q}
sources:
  - name: docs
    topics: [texts]
    embed: {"": {model: m, text: value.text}}
    on_create: {auto: true}
    # Settles in seconds, to keep the test short, and takes no notice of what else the machine does.
    batch: {max: 150, shrink: 0.5, grow: 1.5, target_p99_ms: 400, grow_below_ms: 200}
`, endpoint.URL+"/v1/embeddings", strings.Join(broker.ListenAddrs(), ",")))
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { produceBursts(ctx, t, broker.ListenAddrs()) })
	key := http.Header{"Api-Key": {"everything"}}
	eventually(t, timeoutOfTests, func() error { return f.call("GET", "/collections/docs", key, nil, nil) })
	index := map[string]string{"field_name": "n", "field_schema": "integer"}
	if err := f.call("PUT", "/collections/docs/index?wait=true", key, index, nil); err != nil {
		t.Fatal(err)
	}
	prometheus := startPrometheus(t, f, "reading")

	wg.Go(func() { ask(ctx, t, f, key) })

	limitIs := func(reached func(limit float64) bool) {
		t.Helper()
		eventually(t, 2*timeoutOfTests, func() error {
			now := time.Now()
			for _, s := range prometheus.query(t, "last_over_time(freshet_source_batch_limit[1m])", now, now) {
				for _, limit := range s.values {
					if !reached(limit) {
						return fmt.Errorf("the limit is %.0f", limit)
					}
					return nil
				}
			}
			return errors.New("there is no limit")
		})
		time.Sleep(settled) // for samples of how it is now
	}
	limitIs(func(limit float64) bool { return limit == 150 })
	began := time.Now().Add(-settled)
	model.perText.Store(int64(slow))
	limitIs(func(limit float64) bool { return limit < 75 })
	model.perText.Store(int64(quick))
	limitIs(func(limit float64) bool { return limit == 150 })
	ended := time.Now()
	stop()
	wg.Wait()
	for expr, title := range panels(t) {
		list := prometheus.query(t, expr, began, ended)
		if len(list) == 0 {
			t.Errorf("%s: no series: %s", title, expr)
		}
		for _, s := range list {
			finite := 0
			for _, v := range s.values {
				if !math.IsNaN(v) && !math.IsInf(v, 0) {
					finite++
				}
			}
			// A quantile of nothing is no number: there is none while nothing happens.
			if finite < len(s.values)/2 || finite == 0 {
				t.Errorf("%s: %d of %d values are finite: %s, %v", title, finite, len(s.values), expr, s.labels)
			}
		}
	}
	p99 := prometheus.query(t, "freshet_source_batch_p99_seconds", began, ended)
	limit := prometheus.query(t, "freshet_source_batch_limit", began, ended)
	if len(p99) != 1 || len(limit) != 1 {
		t.Fatalf("%d and %d series", len(p99), len(limit))
	}
	rho := rankCorrelation(p99[0].values, limit[0].values)
	t.Logf("rank correlation of P99 and limit: %.2f", rho)
	if rho > -0.5 {
		t.Errorf("the rank correlation of P99 and limit is %.2f", rho)
		for _, at := range slices.Sorted(maps.Keys(p99[0].values)) {
			t.Logf("%d: P99 %.3f s, limit %.0f", at, p99[0].values[at], limit[0].values[at])
		}
	}
}

// produceBursts writes 200 records at once, twice a second, and now and then one that has
// no text.
func produceBursts(ctx context.Context, t *testing.T, brokers []string) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic("texts"), kgo.ProducerLinger(0))
	if err != nil {
		t.Error(err)
		return
	}
	defer client.Close()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for range 200 {
			id := fmt.Sprintf("doc-%d", n%5000)
			value := fmt.Appendf(nil, `{"id": %q, "text": "text %d", "n": %d}`, id, n, n)
			if n%1000 == 0 {
				value = fmt.Appendf(nil, `{"id": %q}`, id)
			}
			client.Produce(ctx, &kgo.Record{Key: []byte(id), Value: value}, nil)
			n++
		}
	}
}

// ask searches all the time, asks for what is not there, and comes without a key.
func ask(ctx context.Context, t *testing.T, f *freshet, key http.Header) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		query := map[string]any{"query": []float32{1, 2, 3, 4, 5, 6, 7, 8}, "limit": 3}
		if err := f.call("POST", "/collections/docs/points/query", key, query, nil); err != nil {
			t.Error(err)
			return
		}
		if err := f.call("GET", "/collections/none", key, nil, nil); err == nil {
			t.Error("there is a collection called none")
		}
		if err := f.call("GET", "/collections", nil, nil, nil); err == nil {
			t.Error("a request without a key was answered")
		}
	}
}

// panels returns the dashboard's expressions with the titles of their panels, and what
// Grafana puts in the place of variables.
func panels(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "k8s/chart/files/dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title, Type string
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(raw, &dashboard); err != nil {
		t.Fatal(err)
	}
	variables := regexp.MustCompile(`\$(__rate_interval|collection|source|instance)`)
	list := map[string]string{}
	for _, p := range dashboard.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s has no expression", p.Title)
		}
		for _, target := range p.Targets {
			expr := variables.ReplaceAllStringFunc(target.Expr, func(v string) string {
				if v == "$__rate_interval" {
					return rateWindow.String()
				}
				return ".*"
			})
			if strings.Contains(expr, "$") {
				t.Errorf("%s: an unknown variable: %s", p.Title, expr)
			}
			list[expr] = p.Title
		}
	}
	return list
}

// rankCorrelation is Spearman's, of the values at the same times.
func rankCorrelation(a, b map[int64]float64) float64 {
	var x, y []float64
	for at, v := range a {
		if w, ok := b[at]; ok {
			x, y = append(x, v), append(y, w)
		}
	}
	return correlation(ranks(x), ranks(y))
}

// ranks returns the rank of each value, the mean of their ranks for equal ones.
func ranks(values []float64) []float64 {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(values[i], values[j]) })
	out := make([]float64, len(values))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && values[order[j]] == values[order[i]] {
			j++
		}
		for _, k := range order[i:j] {
			out[k] = float64(i+j-1) / 2
		}
		i = j
	}
	return out
}

// correlation is Pearson's.
func correlation(x, y []float64) float64 {
	mean := func(v []float64) (sum float64) {
		for _, e := range v {
			sum += e
		}
		return sum / float64(len(v))
	}
	mx, my := mean(x), mean(y)
	var xy, xx, yy float64
	for i := range x {
		xy += (x[i] - mx) * (y[i] - my)
		xx += (x[i] - mx) * (x[i] - mx)
		yy += (y[i] - my) * (y[i] - my)
	}
	return xy / math.Sqrt(xx*yy)
}
