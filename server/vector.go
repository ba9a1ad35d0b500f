package server

import (
	"cmp"
	"slices"
)

// Vector is a vector in one of its three forms: Dense, Sparse or Multi.
type Vector interface {
	form() string // as errors name it
}

// Vectors holds a point's vectors by name; "" is the unnamed vector.
type Vectors map[string]Vector

// Dense is a vector with a number for each dimension.
type Dense []float32

// Sparse is a vector that is zero but at Indices, which ascend. There is a value for
// each, and there may be none.
type Sparse struct {
	Indices []uint32
	Values  []float32
}

// Multi is several dense vectors that stand for one point: rows of the same length,
// one after the other. There is at least one.
type Multi struct {
	Values []float32
	Dim    int // length of a row
}

const (
	denseForm  = "regular"
	sparseForm = "sparse"
	multiForm  = "multi"
)

func (Dense) form() string  { return denseForm }
func (Sparse) form() string { return sparseForm }
func (Multi) form() string  { return multiForm }

// Len returns the number of rows.
func (m Multi) Len() int { return len(m.Values) / m.Dim }

// Row returns a row; it is part of m.
func (m Multi) Row(i int) []float32 { return m.Values[i*m.Dim : (i+1)*m.Dim : (i+1)*m.Dim] }

// NewSparse makes a vector of indices in any order, each with its value. It sorts
// them in place.
func NewSparse(indices []uint32, values []float32) (Sparse, error) {
	if len(indices) != len(values) {
		return Sparse{}, invalid("values", "Validation error: must be the same length as indices [{}]")
	}
	if !slices.IsSorted(indices) {
		sortTogether(indices, values)
	}
	for i, x := range indices {
		if i > 0 && indices[i-1] == x {
			return Sparse{}, invalid("indices", "Validation error: must be unique [{}]")
		}
	}
	return Sparse{Indices: indices, Values: values}, nil
}

func sortTogether(indices []uint32, values []float32) {
	type entry struct {
		index uint32
		value float32
	}
	entries := make([]entry, len(indices))
	for i := range entries {
		entries[i] = entry{indices[i], values[i]}
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.index, b.index) })
	for i, e := range entries {
		indices[i], values[i] = e.index, e.value
	}
}

// wrongForm says that a vector was given where those of another form are stored.
func wrongForm(given, stored string) error {
	form := given
	if form == denseForm {
		form = stored
	}
	return errorf(WrongInput, "Conversion between %s and regular vectors failed", form)
}
