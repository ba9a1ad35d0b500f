package server

import (
	"slices"

	"github.com/viterin/vek"
	"github.com/viterin/vek/vek32"
)

// averageOf returns the average of positive vectors, moved as far again from the
// average of negative ones if there are any. Of multivectors it has the rows of all,
// those of negative ones with the opposite sign.
func averageOf(positive, negative []Vector) (Vector, error) {
	if len(positive) == 0 {
		return nil, errorf(WrongInput, "Positive vectors should not be empty with `average` strategy")
	}
	weight := 1 / float64(len(positive))
	if len(negative) > 0 {
		weight *= 2
	}
	var sum vectorSum
	for _, v := range positive {
		if err := sum.add(v, weight); err != nil {
			return nil, err
		}
	}
	for _, v := range negative {
		if err := sum.add(v, -1/float64(len(negative))); err != nil {
			return nil, err
		}
	}
	return sum.vector(), nil
}

// opposite returns a vector with the signs changed.
func opposite(v Vector) Vector {
	var sum vectorSum
	if sum.add(v, -1) != nil {
		return v
	}
	return sum.vector()
}

// vectorSum adds up vectors of one form, that of the first.
type vectorSum struct {
	first  Vector
	dense  []float64
	sparse map[uint32]float64
	rows   []float32
}

func (s *vectorSum) add(v Vector, weight float64) error {
	if s.first == nil {
		s.first, s.sparse = v, map[uint32]float64{}
		if d, ok := v.(Dense); ok {
			s.dense = make([]float64, len(d))
		}
	}
	if v.form() != s.first.form() {
		return errorf(WrongInput, "Positive and negative vectors should be of the same type, either all dense or all sparse or all multi")
	}
	switch v := v.(type) {
	case Dense:
		if len(v) != len(s.dense) {
			return errorf(WrongInput, "Vector dimension error: expected dim: %d, got %d", len(s.dense), len(v))
		}
		weighted := vek.FromFloat32(v)
		vek.MulNumber_Inplace(weighted, weight)
		vek.Add_Inplace(s.dense, weighted)
	case Sparse:
		for i, index := range v.Indices {
			s.sparse[index] += weight * float64(v.Values[i])
		}
	case Multi:
		sign := float32(1)
		if weight < 0 {
			sign = -1
		}
		for _, x := range v.Values {
			s.rows = append(s.rows, sign*x)
		}
	}
	return nil
}

func (s *vectorSum) vector() Vector {
	switch first := s.first.(type) {
	case Sparse:
		sum := Sparse{}
		for index := range s.sparse {
			sum.Indices = append(sum.Indices, index)
		}
		slices.Sort(sum.Indices)
		for _, index := range sum.Indices {
			sum.Values = append(sum.Values, float32(s.sparse[index]))
		}
		return sum
	case Multi:
		return Multi{Values: s.rows, Dim: first.Dim}
	default:
		return Dense(vek32.FromFloat64(s.dense))
	}
}
