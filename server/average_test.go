package server

import (
	"reflect"
	"testing"
)

func TestAverageOf(t *testing.T) {
	for name, c := range map[string]struct{ positive, negative, want []Vector }{
		"one":      {[]Vector{Dense{1, -2, 3}}, nil, []Vector{Dense{1, -2, 3}}},
		"two":      {[]Vector{Dense{1, 2}, Dense{3, 6}}, nil, []Vector{Dense{2, 4}}},
		"negative": {[]Vector{Dense{1, 2}, Dense{3, 6}}, []Vector{Dense{1, 1}, Dense{3, -1}}, []Vector{Dense{2, 8}}},
		"sparse": {
			[]Vector{Sparse{Indices: []uint32{1, 7}, Values: []float32{2, 4}}},
			[]Vector{Sparse{Indices: []uint32{3, 7}, Values: []float32{1, 1}}},
			[]Vector{Sparse{Indices: []uint32{1, 3, 7}, Values: []float32{4, -1, 7}}},
		},
		"rows": {
			[]Vector{Multi{Values: []float32{1, 2, 3, 4}, Dim: 2}},
			[]Vector{Multi{Values: []float32{5, 6}, Dim: 2}},
			[]Vector{Multi{Values: []float32{1, 2, 3, 4, -5, -6}, Dim: 2}},
		},
		"no positive":      {nil, []Vector{Dense{1}}, nil},
		"other dimensions": {[]Vector{Dense{1, 2}}, []Vector{Dense{1}}, nil},
		"other form":       {[]Vector{Dense{1}}, []Vector{Sparse{}}, nil},
	} {
		got, err := averageOf(c.positive, c.negative)
		switch {
		case c.want == nil:
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		case err != nil || !reflect.DeepEqual(got, c.want[0]):
			t.Errorf("%s: %v, %v, want %v", name, got, err, c.want[0])
		}
	}
}
