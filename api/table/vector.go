package table

import (
	"errors"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"freshet/server"
)

// vectorReader returns the vector of a row of one batch, nil for null.
type vectorReader func(i int) (server.Vector, error)

var errEmpty = errors.New("a vector must not be empty")

// readerOf returns the reader of a column: lists of numbers are dense vectors, lists of
// lists multivectors, structs of indices and values sparse vectors.
func readerOf(column arrow.Array, room Room) (vectorReader, error) {
	for {
		extended, ok := column.(array.ExtensionArray)
		if !ok {
			break
		}
		column = extended.Storage()
	}
	var read vectorReader
	switch c := column.(type) {
	case *array.Null:
		return func(int) (server.Vector, error) { return nil, nil }, nil
	case *array.Struct:
		s, err := sparseOf(c, room)
		if err != nil {
			return nil, err
		}
		read = s
	case array.ListLike:
		if rows, ok := c.ListValues().(array.ListLike); ok {
			numbers, err := numbersOf(rows.ListValues(), room)
			if err != nil {
				return nil, err
			}
			read = multiOf(c, rows, numbers)
			break
		}
		numbers, err := numbersOf(c.ListValues(), room)
		if err != nil {
			return nil, err
		}
		read = func(i int) (server.Vector, error) {
			v, err := numbers.list(nil, c, i)
			if err == nil && len(v) == 0 {
				err = errEmpty
			}
			return server.Dense(v), err
		}
	default:
		return nil, fmt.Errorf("type %s: want lists of numbers, lists of such lists, or structs of indices and values", column.DataType())
	}
	return func(i int) (server.Vector, error) {
		if column.IsNull(i) {
			return nil, nil
		}
		v, err := read(i)
		if err != nil {
			return nil, err
		}
		return v, nil
	}, nil
}

func multiOf(column, rows array.ListLike, numbers numbers) vectorReader {
	return func(i int) (server.Vector, error) {
		begin, end, err := span(column, i)
		if err != nil {
			return nil, err
		}
		if begin == end {
			return nil, errors.New("a multivector has at least one row")
		}
		var m server.Multi
		for j := begin; j < end; j++ {
			before := len(m.Values)
			if rows.IsNull(j) {
				return nil, fmt.Errorf("row %d of the multivector is null", j-begin)
			}
			if m.Values, err = numbers.list(m.Values, rows, j); err != nil {
				return nil, err
			}
			switch n := len(m.Values) - before; {
			case n == 0:
				return nil, errEmpty
			case j == begin:
				m.Dim = n
			case n != m.Dim:
				return nil, fmt.Errorf("row %d of the multivector has %d numbers, the first one %d", j-begin, n, m.Dim)
			}
		}
		return m, nil
	}
}

func sparseOf(column *array.Struct, room Room) (vectorReader, error) {
	var lists [2]array.ListLike
	for k, f := range column.DataType().(*arrow.StructType).Fields() {
		list, ok := column.Field(k).(array.ListLike)
		switch {
		case f.Name == "indices" && ok:
			lists[0] = list
		case f.Name == "values" && ok:
			lists[1] = list
		}
	}
	if lists[0] == nil || lists[1] == nil {
		return nil, errors.New("a sparse vector is a struct of two lists, indices and values")
	}
	values, err := numbersOf(lists[1].ListValues(), room)
	if err != nil {
		return nil, fmt.Errorf("values: %w", err)
	}
	return func(i int) (server.Vector, error) {
		if lists[0].IsNull(i) || lists[1].IsNull(i) {
			return nil, errors.New("the indices or values are null")
		}
		begin, end, err := span(lists[0], i)
		if err != nil {
			return nil, err
		}
		if err := room.take(4 * (end - begin)); err != nil {
			return nil, err
		}
		indices := make([]uint32, 0, end-begin)
		for j := begin; j < end; j++ {
			n, negative, ok := integerOf(lists[0].ListValues(), j)
			if !ok || negative || n > math.MaxUint32 || lists[0].ListValues().IsNull(j) {
				return nil, fmt.Errorf("index %d is not an integer of 32 bits", j-begin)
			}
			indices = append(indices, uint32(n))
		}
		v, err := values.list(nil, lists[1], i)
		if err != nil {
			return nil, err
		}
		return server.NewSparse(indices, v)
	}, nil
}

// numbers are the elements of lists.
type numbers struct {
	values arrow.Array
	room   Room
	// add appends those from begin to end.
	add func(dst []float32, begin, end int) []float32
}

func numbersOf(values arrow.Array, room Room) (n numbers, err error) {
	n.values, n.room = values, room
	switch a := values.(type) {
	case *array.Float32:
		n.add = func(dst []float32, begin, end int) []float32 { return append(dst, a.Float32Values()[begin:end]...) }
	case *array.Float16:
		n.add = func(dst []float32, begin, end int) []float32 {
			for _, x := range a.Values()[begin:end] {
				dst = append(dst, x.Float32())
			}
			return dst
		}
	case *array.Float64:
		n.add = adder(a.Float64Values())
	case *array.Int8:
		n.add = adder(a.Int8Values())
	case *array.Uint8:
		n.add = adder(a.Uint8Values())
	case *array.Int16:
		n.add = adder(a.Int16Values())
	case *array.Uint16:
		n.add = adder(a.Uint16Values())
	case *array.Int32:
		n.add = adder(a.Int32Values())
	case *array.Uint32:
		n.add = adder(a.Uint32Values())
	case *array.Int64:
		n.add = adder(a.Int64Values())
	case *array.Uint64:
		n.add = adder(a.Uint64Values())
	case *array.Null: // of lists that are all empty
		n.add = func(dst []float32, _, _ int) []float32 { return dst }
	default:
		err = fmt.Errorf("elements of type %s: want numbers", values.DataType())
	}
	return n, err
}

// adder appends numbers as float32; those out of its range become infinite.
func adder[T int8 | uint8 | int16 | uint16 | int32 | uint32 | int64 | uint64 | float64](values []T) func([]float32, int, int) []float32 {
	return func(dst []float32, begin, end int) []float32 {
		for _, x := range values[begin:end] {
			dst = append(dst, float32(x))
		}
		return dst
	}
}

// list appends the numbers of one list.
func (n *numbers) list(dst []float32, lists array.ListLike, i int) ([]float32, error) {
	begin, end, err := span(lists, i)
	if err != nil {
		return nil, err
	}
	if n.values.NullN() != 0 {
		for j := begin; j < end; j++ {
			if n.values.IsNull(j) {
				return nil, fmt.Errorf("element %d is null", j-begin)
			}
		}
	}
	if err := n.room.take(4 * (end - begin)); err != nil {
		return nil, err
	}
	if dst == nil {
		dst = make([]float32, 0, end-begin)
	}
	return n.add(dst, begin, end), nil
}

// span returns the elements of one list.
func span(lists array.ListLike, i int) (begin, end int, err error) {
	from, to := lists.ValueOffsets(i)
	if n := lists.ListValues().Len(); from < 0 || to < from || to > int64(n) {
		return 0, 0, fmt.Errorf("a list from element %d to %d of %d", from, to, n)
	}
	return int(from), int(to), nil
}
