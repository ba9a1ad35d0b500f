package server

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNewSparse(t *testing.T) {
	for _, x := range []struct {
		indices []uint32
		values  []float32
		want    Sparse
		err     string
	}{
		{[]uint32{9, 2, math.MaxUint32, 0}, []float32{1, 2, 3, 4}, Sparse{[]uint32{0, 2, 9, math.MaxUint32}, []float32{4, 2, 1, 3}}, ""},
		{[]uint32{1, 2}, []float32{1, 0}, Sparse{[]uint32{1, 2}, []float32{1, 0}}, ""},
		{[]uint32{}, []float32{}, Sparse{[]uint32{}, []float32{}}, ""},
		{[]uint32{1}, nil, Sparse{}, "values: Validation error: must be the same length as indices [{}]"},
		{[]uint32{7, 1, 7}, []float32{1, 2, 3}, Sparse{}, "indices: Validation error: must be unique [{}]"},
	} {
		got, err := NewSparse(slices.Clone(x.indices), slices.Clone(x.values))
		if d := cmp.Diff(x.want, got); d != "" || x.err == "" && err != nil || x.err != "" && (err == nil || err.Error() != x.err) {
			t.Errorf("%v %v: %v %s", x.indices, x.values, err, d)
		}
	}
}

// randomForms returns vectors of all forms.
func randomForms(r *rand.Rand) Vectors {
	floats := func(n int) []float32 {
		values := make([]float32, n)
		for i := range values {
			values[i] = float32(r.NormFloat64())
		}
		return values
	}
	sparse := Sparse{Indices: []uint32{}, Values: floats(r.IntN(300))}
	for range sparse.Values {
		step := uint32(1)
		if len(sparse.Indices) == 0 {
			step = 0
		}
		last := uint32(0)
		if n := len(sparse.Indices); n > 0 {
			last = sparse.Indices[n-1]
		}
		sparse.Indices = append(sparse.Indices, last+step+r.Uint32N(1<<(1+r.IntN(20))))
	}
	dim := 1 + r.IntN(9)
	return Vectors{
		"": Dense(floats(r.IntN(50))), "none": Sparse{[]uint32{}, []float32{}}, "far": Sparse{[]uint32{0, math.MaxUint32}, []float32{1, 2}},
		"sparse": sparse, "multi": Multi{Values: floats(dim * (1 + r.IntN(5))), Dim: dim},
	}
}

func TestVectorRecords(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 200 {
		want := randomForms(r)
		raw := appendVectors(nil, want)
		got, err := decodeVectors(raw)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Fatalf("%v %s", err, d)
		}
		dense := make([]float32, len(want[""].(Dense)))
		if ok, err := findVector(raw, "", dense); !ok || err != nil || !slices.Equal(dense, want[""].(Dense)) {
			t.Fatalf("found %v, %v, %v", dense, ok, err)
		}
		if _, err := findVector(raw, "sparse", dense); err == nil {
			t.Fatal("a sparse vector passed for a dense one")
		}
		if _, err := decodeVectors(raw[:r.IntN(len(raw))]); err == nil {
			t.Fatal("a record that is cut off passed")
		}
	}
	// As format 2 had it.
	old := []byte("\x01\x02" + "\x00\x00\x01\x00\x00\x80\x3f" + "\x01b\x00\x02\x00\x00\x80\x3f\x00\x00\x00\x40")
	got, err := decodeVectors(old)
	if d := cmp.Diff(Vectors{"": Dense{1}, "b": Dense{1, 2}}, got); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
}

func TestDamagedVectorRecords(t *testing.T) {
	for name, raw := range map[string]string{
		"unknown kind":       "\x01\x01\x00\x07\x00",
		"index twice":        "\x01\x01\x00\x01\x02\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"index too large":    "\x01\x01\x00\x01\x02\x01\xff\xff\xff\xff\x0f\x00\x00\x00\x00\x00\x00\x00\x00",
		"no rows":            "\x01\x01\x00\x02\x01\x00",
		"no dimension":       "\x01\x01\x00\x02\x00\x01",
		"rows are missing":   "\x01\x01\x00\x02\x01\x02\x00\x00\x00\x00",
		"more than it holds": "\x01\x01\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00",
	} {
		if v, err := decodeVectors([]byte(raw)); err == nil {
			t.Errorf("%s: %v", name, v)
		}
	}
}

func FuzzVectorRecord(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 10 {
		f.Add(appendVectors(nil, randomForms(r)))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		vectors, err := decodeVectors(raw)
		if err != nil {
			return
		}
		for name, v := range vectors {
			switch v := v.(type) {
			case Sparse:
				if len(v.Indices) != len(v.Values) || !slices.IsSorted(v.Indices) || len(slices.Compact(slices.Clone(v.Indices))) != len(v.Indices) {
					t.Fatalf("%q: %v", name, v)
				}
			case Multi:
				if v.Dim < 1 || v.Len() < 1 || v.Len()*v.Dim != len(v.Values) {
					t.Fatalf("%q: %v", name, v)
				}
			}
		}
		written := appendVectors(nil, vectors)
		again, err := decodeVectors(written)
		if err != nil || string(appendVectors(nil, again)) != string(written) {
			t.Fatalf("%v became %v, %v", vectors, again, err)
		}
	})
}
