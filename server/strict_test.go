package server

import "testing"

func TestStrictVectors(t *testing.T) {
	two := uint64(2)
	s := StrictMode{
		Multivector: map[string]StrictMulti{"m": {MaxVectors: &two}, "any": {}},
		Sparse:      map[string]StrictSparse{"s": {MaxLength: &two}, "any": {}},
	}
	rows := func(n int) Multi { return Multi{Values: make([]float32, 3*n), Dim: 3} }
	indices := func(n int) Sparse { return Sparse{Indices: make([]uint32, n), Values: make([]float32, n)} }
	for _, x := range []struct {
		name string
		v    Vector
		want string
	}{
		{"m", rows(2), ""},
		{"m", rows(3), "Multivector 'm' has a limit of 2 vectors, but 3 were provided!"},
		{"any", rows(3), ""},
		{"other", rows(3), ""},
		{"s", indices(2), ""},
		{"s", indices(3), "Sparse vector 's' has a limit of 2 indices, but 3 were provided!"},
		{"any", indices(3), ""},
		{"s", Dense{1, 2, 3}, ""},
	} {
		err := s.admitVector(x.name, x.v)
		if got := errorText(err); got != x.want || err != nil && KindOf(err) != BadRequest {
			t.Errorf("%s %v: %q, want %q", x.name, x.v, got, x.want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
