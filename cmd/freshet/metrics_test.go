package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"freshet/api"
	"freshet/ingest"
	"freshet/server"
	"freshet/server/embed"
	"freshet/server/metric"
)

var update = flag.Bool("update", false, "write docs/metrics.md")

const metricsPage = "../../docs/metrics.md"

// TestMetricsAreDocumented compares the documentation's table with the metrics that are
// served. What stands above it is written by hand.
func TestMetricsAreDocumented(t *testing.T) {
	was, err := os.ReadFile(metricsPage)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(was), "| metric |")
	if !ok {
		t.Fatalf("%s has no table", metricsPage)
	}
	want := head + metricsTable(t)
	if *update && !t.Failed() {
		if err := os.WriteFile(metricsPage, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want == string(was) {
		return
	}
	has := strings.Split(string(was), "\n")
	for line := range strings.SplitSeq(want, "\n") {
		if !slices.Contains(has, line) {
			t.Errorf("missing: %s", line)
		}
	}
	t.Errorf("%s is not what the code says: go test ./cmd/freshet -run Metrics -update writes it", metricsPage)
}

// metricsTable returns the table of the metrics that a server registers, by name.
func metricsTable(t *testing.T) string {
	t.Helper()
	db, err := server.Open(t.Context(), t.TempDir(), server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	registry := &describing{Registry: prometheus.NewRegistry()}
	models, err := embed.New(embed.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer models.Close()
	if err := models.Register(registry); err != nil {
		t.Fatal(err)
	}
	var cfg ingest.Config
	cfg.SetDefaults()
	if _, err := ingest.New(cfg, db, ingest.Options{Registry: registry}); err != nil {
		t.Fatal(err)
	}
	api.New(db, api.Options{Registry: registry})
	for _, u := range registry.unknown {
		t.Error(u)
	}
	slices.SortFunc(registry.rows, func(a, b string) int {
		return strings.Compare(strings.ReplaceAll(a, "`", ""), strings.ReplaceAll(b, "`", ""))
	})
	return "| metric | type | labels | |\n|---|---|---|---|\n" + strings.Join(registry.rows, "")
}

// describing notes what is registered, a row for each metric.
type describing struct {
	*prometheus.Registry
	rows, unknown []string
}

func (r *describing) Register(c prometheus.Collector) error {
	switch c := c.(type) {
	case *prometheus.CounterVec:
		r.note(c, "counter")
	case *prometheus.GaugeVec:
		r.note(c, "gauge")
	case *prometheus.HistogramVec:
		r.note(c, "histogram")
	case metric.Collector:
		for _, d := range c.Metrics() {
			r.row(d.Desc, map[prometheus.ValueType]string{prometheus.CounterValue: "counter", prometheus.GaugeValue: "gauge"}[d.Type])
		}
	default:
		r.note(c, "")
	}
	return r.Registry.Register(c)
}

func (r *describing) MustRegister(collectors ...prometheus.Collector) {
	for _, c := range collectors {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

// note writes the rows of a collector whose metrics are of one type.
func (r *describing) note(c prometheus.Collector, kind string) {
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		c.Describe(descs)
	}()
	for desc := range descs {
		r.row(desc, kind)
	}
}

// described is how the library writes a Desc, which shows its parts nowhere else.
var described = regexp.MustCompile(`^Desc\{fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"), unit: "", constLabels: \{\}, variableLabels: \{(.*)\}\}$`)

func (r *describing) row(desc *prometheus.Desc, kind string) {
	// The head of the page speaks of those of the runtime and the process.
	if strings.HasPrefix(desc.String(), `Desc{fqName: "go_`) || strings.HasPrefix(desc.String(), `Desc{fqName: "process_`) {
		return
	}
	parts := described.FindStringSubmatch(desc.String())
	if parts == nil || kind == "" {
		r.unknown = append(r.unknown, fmt.Sprintf("what is the type of %v, and are its labels variable?", desc))
		return
	}
	name, err := strconv.Unquote(parts[1])
	if err != nil {
		r.unknown = append(r.unknown, err.Error())
	}
	help, err := strconv.Unquote(parts[2])
	if err != nil {
		r.unknown = append(r.unknown, err.Error())
	}
	r.rows = append(r.rows, fmt.Sprintf("| `%s` | %s | %s | %s |\n", name, kind, strings.ReplaceAll(parts[3], ",", ", "), help))
}
