package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// npy returns a file with the header that numpy writes.
func npy(header string, data ...byte) []byte {
	header += strings.Repeat(" ", 63-(10+len(header))%64) + "\n"
	return append(append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), byte(len(header)>>8)), append([]byte(header), data...)...)
}

func TestDecodeNPY(t *testing.T) {
	for _, c := range []struct {
		name, header string
		data         []byte
		want         []float32
		err          string
	}{
		{"float32", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }", []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0}, []float32{1, -2}, ""},
		{"float16", "{'descr': '<f2', 'fortran_order': False, 'shape': (1, 2), }", []byte{0, 0x3c, 0, 0xc0}, []float32{1, -2}, ""},
		{"int32", "{'descr': '<i4', 'fortran_order': False, 'shape': (1, 2), }", []byte{7, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, []float32{7, -1}, ""},
		{"no rows", "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), }", nil, nil, ""},
		{"short", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }", []byte{0, 0, 0x80, 0x3f, 0}, nil, "EOF"},
		{"float64", "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 1), }", nil, nil, "want float16, float32 or int32"},
		{"big-endian", "{'descr': '>f4', 'fortran_order': False, 'shape': (2, 1), }", nil, nil, "want float16, float32 or int32"},
		{"columns first", "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1), }", nil, nil, "C order"},
		{"one dimension", "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", nil, nil, "two dimensions"},
		{"no columns", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 0), }", nil, nil, "want at most"},
		{"too many rows", "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 1), }", nil, nil, "want at most"},
	} {
		m, err := decodeNPY(bytes.NewReader(npy(c.header, c.data...)))
		switch {
		case c.err == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.err)
		case c.err == "" && !slices.Equal(m.data, c.want):
			t.Errorf("%s: %v, want %v", c.name, m.data, c.want)
		}
	}
}

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

func FuzzDecodeNPY(f *testing.F) {
	f.Add(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1), }", 0, 0, 0x80, 0x3f))
	f.Add(npy("{'descr': '<f2', 'fortran_order': False, 'shape': (2147483648, 65536), }", 1, 2))
	f.Fuzz(func(t *testing.T, text []byte) {
		if m, err := decodeNPY(bytes.NewReader(text)); err == nil && len(m.data) != m.rows*m.dim {
			t.Errorf("%d × %d, but %d numbers", m.rows, m.dim, len(m.data))
		}
	})
}
