package minilm_test

import (
	"math"
	"testing"

	"freshet/examples/minilm"
)

func TestSampleIsWhole(t *testing.T) {
	base, err := minilm.Base()
	if err != nil {
		t.Fatal(err)
	}
	queries, err := minilm.Queries()
	if err != nil {
		t.Fatal(err)
	}
	if len(base) != 4000 || len(queries) != 40 {
		t.Errorf("%d rows, %d queries", len(base), len(queries))
	}
	seen := map[string]bool{}
	for _, row := range append(base, queries...) {
		norm := 0.0
		for _, x := range row.Vector {
			norm += float64(x) * float64(x)
		}
		if seen[row.ID] || row.Text == "" || row.Section == "" || math.Abs(norm-1) > 1e-3 {
			t.Fatalf("row %q, %q: squared length %g, seen before: %v", row.ID, row.Text, norm, seen[row.ID])
		}
		seen[row.ID] = true
	}
}
