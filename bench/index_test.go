package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func smallDataset(t *testing.T, shape string) *dataset {
	t.Helper()
	base, queries := &matrix{rows: 300, dim: 24}, &matrix{rows: 40, dim: 24}
	row := newTopics(24).row
	base.fill(1, row)
	queries.fill(2, row)
	d, err := keep(shape, filepath.Join(t.TempDir(), shape), func() (*matrix, *matrix, error) { return base, queries, nil })
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Freshet answers the protocol, and judged by the truth it finds nearly all.
func TestServeEngine(t *testing.T) {
	d := smallDataset(t, "served")
	kth, err := d.truth(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{name: freshetName, rows: filepath.Join(t.TempDir(), "rows.npy")}
	commands := fmt.Sprintf("build 1 50\ninsert\nsearch 100 %d 1 %s\nbuild 2 0\nsearch 100 %[1]d 2 %[2]s\n", k, e.rows)
	var out strings.Builder
	if err := serveEngine(context.Background(), freshetName, d.basePath(), d.queriesPath(), strings.NewReader(commands), &out); err != nil {
		t.Fatal(err)
	}
	var answers []answer
	for line := range strings.Lines(out.String()) {
		var a answer
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	if len(answers) != 6 || answers[0].Version == "" || len(answers[2].Walls) != 50 || len(answers[2].CPUs) != 50 {
		t.Fatalf("answers: %s", out.String())
	}
	recall, err := e.recall(d, kth)
	if err != nil {
		t.Fatal(err)
	}
	if recall < 0.95 {
		t.Errorf("recall %.3f", recall)
	}
	for _, bad := range []string{"build 1", "search 10 3 1 x", "destroy"} {
		if err := serveEngine(context.Background(), freshetName, d.basePath(), d.queriesPath(), strings.NewReader(bad+"\n"), &out); err == nil {
			t.Errorf("%q was obeyed", bad)
		}
	}
}

// After all replacements every point has its own vector again, once.
func TestAge(t *testing.T) {
	ctx := context.Background()
	d := smallDataset(t, "aged")
	for name, order := range map[string][]int{"rows": slices.Collect(func(yield func(int) bool) {
		for i := range d.base.rows {
			if !yield(i) {
				return
			}
		}
	}), "clusters": byCluster(d.base)} {
		x, _, err := buildIndex(ctx, d)
		if err != nil {
			t.Fatal(err)
		}
		if err := x.age(ctx, d.base, order, 32); err != nil {
			t.Fatal(err)
		}
		if n := x.slots.Dead(); n != 0 {
			t.Errorf("%s: %d dead slots are left", name, n)
		}
		seen := make([]int, d.base.rows)
		view := x.slots.View()
		for slot, row := range x.rowOf {
			if view.Visible(uint32(slot)) {
				seen[row]++
			}
		}
		for row, n := range seen {
			if n != 1 {
				t.Fatalf("%s: row %d is there %d times", name, row, n)
			}
		}
		if err := x.close(); err != nil {
			t.Error(err)
		}
	}
}

func TestFilter(t *testing.T) {
	d := smallDataset(t, "filtered")
	for _, kind := range []string{"random", "correlated"} {
		for share, want := range map[float64]int{0.0001: 1, 0.1: 30, 0.5: 150} {
			n := 0
			for _, yes := range filter(d.base, kind, share) {
				if yes {
					n++
				}
			}
			if n != want {
				t.Errorf("%s %g: %d accepted, want %d", kind, share, n, want)
			}
		}
	}
}
