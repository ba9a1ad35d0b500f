package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// writeFilters writes a folder of filters for the rows: a fifth of them is red, and of
// those the odd ones have no size.
func writeFilters(t *testing.T, d *dataset) (folder string) {
	t.Helper()
	folder = t.TempDir()
	var lines strings.Builder
	var red, small []int
	for row := range d.base.rows {
		payload := map[string]any{"color": []string{"red", "green", "blue", "black", "white"}[row%5]}
		if row%2 == 0 {
			payload["size"] = row
		}
		text, err := json.Marshal(payload)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(&lines, "%s\n", text)
		if row%5 == 0 {
			red = append(red, row)
			if row%2 == 0 && row < 100 {
				small = append(small, row)
			}
		}
	}
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, folder, "payload.jsonl.zst", z.EncodeAll([]byte(lines.String()), nil))
	write(t, folder, "filters.json", fmt.Appendf(nil, `{
		"red": {"matching_points": %d, "qdrant_filter": {"must": [{"key": "color", "match": {"value": "red"}}]}},
		"small_red": {"matching_points": %d, "qdrant_filter": {"must": [{"key": "color", "match": {"value": "red"}}, {"key": "size", "range": {"lt": 100}}]}}
	}`, len(red), len(small)))
	for name, rows := range map[string][]int{"red": red, "small_red": small} {
		nearest := &matrix{rows: d.queries.rows, dim: len(rows)}
		for q := range d.queries.rows {
			slices.SortFunc(rows, func(a, b int) int {
				if dot(d.queries.row(q), d.base.row(a)) > dot(d.queries.row(q), d.base.row(b)) {
					return -1
				}
				return 1
			})
			for _, row := range rows {
				nearest.data = append(nearest.data, float32(row))
			}
		}
		if err := nearest.writeNPY(filepath.Join(folder, "gt_filter_"+name+"_ids.npy")); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func write(t *testing.T, folder, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Filters that come with the data are searched with after those that are drawn, and judged by
// the rows that the folder says are nearest.
func TestGivenFilters(t *testing.T) {
	d := smallDataset(t, "given")
	folder := writeFilters(t, d)
	s, err := benchFilters(context.Background(), d, folder, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	rows := s.Tables[0].Rows
	for i, want := range [][]string{{"small_red", "10", "1.0000"}, {"red", "60", "1.0000"}} {
		if got := rows[len(rows)-2+i][:3]; !slices.Equal(got, want) {
			t.Errorf("row %q, want %q", got, want)
		}
	}
	nearest, err := readNPY(filepath.Join(folder, "gt_filter_red_ids.npy"))
	if err != nil {
		t.Fatal(err)
	}
	nearest.row(0)[k-1] = nearest.row(0)[0] // says that there is nobody behind the first
	if err := nearest.writeNPY(filepath.Join(folder, "gt_filter_red_ids.npy")); err != nil {
		t.Fatal(err)
	}
	if _, err := benchFilters(context.Background(), d, folder, 1, 0); err == nil || !strings.Contains(err.Error(), "filter red: a scan") {
		t.Errorf("rows that are not the nearest: %v", err)
	}
}

// A folder that does not fit the vectors, or is broken, is an error that says where.
func TestBadFilters(t *testing.T) {
	d := smallDataset(t, "bad")
	for _, c := range []struct{ file, text, want string }{
		{"filters.json", "{", "filters.json: unexpected end"},
		{"filters.json", `{"red": {"matching_points": 60, "qdrant_filter": {"must": [{"key": "colour", "match": {"value": "red"}}]}}}`, "no payload has colour"},
		{"filters.json", `{"red": {"matching_points": 0, "qdrant_filter": {"must": []}}}`, "40 queries and 0 matches"},
		{"gt_filter_red_ids.npy", "no", "gt_filter_red_ids.npy: "},
	} {
		folder := writeFilters(t, d)
		write(t, folder, c.file, []byte(c.text))
		_, err := readFilters(folder, d.base, d.queries, payloads{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want %s", c.file, c.text, err, c.want)
		}
	}
	folder := writeFilters(t, d)
	short := &matrix{rows: d.base.rows - 1, dim: d.base.dim, data: d.base.data}
	if _, err := readFilters(folder, short, d.queries, payloads{}); err == nil || !strings.Contains(err.Error(), "300 lines for 299 vectors") {
		t.Errorf("a line more: %v", err)
	}
}
