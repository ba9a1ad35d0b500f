package main

import (
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestDocument(t *testing.T) {
	m := machine{CPU: "Example", Cores: 2, Flags: "AVX2", Caches: "L1d 32 KiB", Memory: "8 GiB", System: "linux/amd64", Go: "go1.26"}
	d := &dataset{name: "tiny", base: &matrix{rows: 2000, dim: 8}, queries: &matrix{rows: 10, dim: 8}}
	took := answer{Wall: 1, CPU: 1, Bytes: 1_900_000, Walls: []float64{1e-4, 2e-4}, CPUs: []float64{1e-4, 2e-4}}
	half := answer{Wall: 0.5, CPU: 1}
	all := []*measured{
		{
			engine: &engine{name: freshetName, version: "freshet 1"}, built: half, inserted: took, built2: half,
			curve: []reached{{10, 0.9, 9000}, {12, 0.99, 3000}}, searched: [2]answer{took, half},
		},
		{
			engine: &engine{name: hnswlibName, version: "hnswlib 0.8.0"}, built: took, inserted: took, built2: half,
			curve: []reached{{10, 0.85, 1000}, {12, 0.97, 500}, {16, 0.995, 100}}, searched: [2]answer{took, half},
		},
		{engine: &engine{name: "faiss-flat", missing: "no module"}},
	}
	s := graphSection(d, all, 100, 3)
	s.Part, s.Data = "graph", d.name
	s.Machine, s.Revision, s.Date = m, "abc", "2026-01-02"
	other := &section{
		Part: "http", Data: "tiny", Title: "HTTP: tiny", Lead: "Lead.", Machine: m, Revision: "abc", Date: "2026-01-02",
		Tables: []table{{Head: []string{"", "µs"}, Rows: [][]string{{"grün", "1"}}}},
	}
	text, err := document([]*section{s, other}, func(s *section) string { return "benchmarks/" + s.Part + ".svg" })
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "document.md", text)

	other.Machine.Cores = 4
	if _, err := document([]*section{s, other}, func(*section) string { return "" }); err == nil || !strings.Contains(err.Error(), "another machine") {
		t.Errorf("results of two machines in one document: %v", err)
	}
}

func TestCount(t *testing.T) {
	for x, want := range map[float64]string{
		0.1234: "0.123", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 999.6: "1,000", 1234567: "1,234,567", math.Inf(1): "–",
	} {
		if got := count(x); got != want {
			t.Errorf("%v: %q, want %q", x, got, want)
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{999: "999", 1000: "1k", 1001: "1001", 50_000: "50k", 1_000_000: "1M", 1_500_000: "1500k"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
