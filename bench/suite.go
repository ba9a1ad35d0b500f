package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// run is some parts on one set of data.
type run struct {
	source
	parts []string // nil: all
}

var (
	graphOnly = []string{"graph"}
	graphs    = []string{"graph", "updates", "latency", "filters", "bound"} // what is about the graph alone
)

func synthetic(shape string, dim, size int, parts []string) run {
	return run{source{shape: shape, dim: dim, size: size}, parts}
}

// quick is what `make bench` measures, in about a quarter of an hour.
var quick = []run{
	synthetic(clusteredShape, 96, 10_000, graphOnly),
	synthetic(clusteredShape, 384, 20_000, append([]string{"rest", "backlog", "restart", "snapshots", "tuning", "batches"}, graphs...)),
	synthetic(clusteredShape, 768, 10_000, graphOnly),
	synthetic(clusteredShape, 1536, 10_000, graphOnly),
	synthetic(gaussianShape, 384, 10_000, []string{"graph", "tuning"}),
	{source{}, []string{"ingest", "http", "rest"}},
}

// full takes hours.
var full = []run{
	synthetic(clusteredShape, 96, 10_000, graphOnly),
	synthetic(clusteredShape, 384, 10_000, graphOnly),
	synthetic(clusteredShape, 768, 10_000, graphOnly),
	synthetic(clusteredShape, 1536, 10_000, graphOnly),
	synthetic(clusteredShape, 96, 100_000, graphOnly),
	synthetic(clusteredShape, 384, 100_000, append([]string{"rest", "backlog", "restart", "snapshots"}, graphs...)),
	synthetic(clusteredShape, 768, 100_000, graphOnly),
	synthetic(clusteredShape, 1536, 50_000, graphs),
	synthetic(gaussianShape, 384, 100_000, graphOnly),
	synthetic(clusteredShape, 96, 1_000_000, graphOnly),
	synthetic(clusteredShape, 384, 1_000_000, []string{"graph", "latency", "filters", "bound", "restart", "snapshots"}), // three graphs would not fit
	{source{}, []string{"ingest", "http", "rest"}},
}

// runAll measures one of the lists above, or everything on the data named.
func runAll(ctx context.Context, o options) error {
	runs := quick
	switch {
	case o.base != "" || o.shape != "":
		runs = []run{{o.source, nil}}
	case o.full:
		runs = full
	}
	for _, r := range runs {
		o.source = r.source
		for _, p := range allParts {
			if r.parts != nil && !slices.Contains(r.parts, p.name) {
				continue
			}
			if err := p.do(ctx, o); err != nil {
				return err
			}
		}
	}
	return nil
}

const (
	documentPath = "docs/benchmarks.md"
	imagesDir    = "benchmarks" // beside the document
)

// writeReport writes the document and its plots of all that was kept.
func writeReport(ctx context.Context) error {
	sections, err := readSections()
	if err != nil {
		return err
	}
	image := func(s *section) string {
		if s.Plot == nil {
			return ""
		}
		return imagesDir + "/" + s.Part + "-" + s.Data + ".svg"
	}
	text, err := document(sections, image)
	if err != nil {
		return err
	}
	dir := filepath.Dir(documentPath)
	if err := os.MkdirAll(filepath.Join(dir, imagesDir), 0o755); err != nil {
		return err
	}
	for _, s := range sections {
		if path := image(s); path != "" {
			if err := drawPlot(ctx, s.Plot, filepath.Join(dir, path)); err != nil {
				return err
			}
		}
	}
	if err := os.WriteFile(documentPath, []byte(text), 0o644); err != nil {
		return err
	}
	progress("%s: %d sections", documentPath, len(sections))
	return nil
}

// drawPlot lets bench/plot, a program of a module of its own, draw.
func drawPlot(ctx context.Context, p *plot, path string) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, ".cache/bench-plot")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(text), os.Stderr
	svg, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("draw %s: %w", path, err)
	}
	return os.WriteFile(path, svg, 0o644)
}
