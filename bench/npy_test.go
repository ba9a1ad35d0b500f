package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestWriteAndMapNPY(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.npy")
	want := &matrix{rows: 3, dim: 2, data: []float32{1, 2, 3, 4, 5, 6}}
	if err := want.writeNPY(path); err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func(string) (*matrix, error){"read": readNPY, "map": mapNPY} {
		m, err := read(path)
		if err != nil {
			t.Fatal(err)
		}
		if m.rows != 3 || m.dim != 2 || !slices.Equal(m.data, want.data) {
			t.Errorf("%s: %+v, want %+v", name, m, want)
		}
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, whole[:len(whole)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := mapNPY(path); err == nil {
		t.Error("a file that ends early was mapped")
	}
}
