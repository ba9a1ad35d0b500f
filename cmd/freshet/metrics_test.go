package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"freshet/api"
	"freshet/ingest"
	"freshet/server"
	"freshet/server/embed"
)

// TestMetricsAreDocumented compares the metrics that are served with those that the
// documentation names.
func TestMetricsAreDocumented(t *testing.T) {
	db, err := server.Open(t.Context(), t.TempDir(), server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	registry := prometheus.NewRegistry()
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

	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		registry.Describe(descs)
	}()
	var served []string
	fqName := regexp.MustCompile(`fqName: "([^"]+)"`)
	for desc := range descs {
		name := fqName.FindStringSubmatch(desc.String())[1]
		if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			served = append(served, name)
		}
	}
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	code := regexp.MustCompile("`([a-z0-9_]+)`")
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) > 1 {
			for _, match := range code.FindAllStringSubmatch(cells[1], -1) {
				named = append(named, match[1])
			}
		}
	}
	slices.Sort(served)
	slices.Sort(named)
	for _, name := range slices.Compact(slices.Clone(served)) {
		if !slices.Contains(named, name) {
			t.Errorf("%s is served and not documented", name)
		}
	}
	for _, name := range named {
		if !slices.Contains(served, name) {
			t.Errorf("%s is documented and not served", name)
		}
	}
}
