package decode

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"freshet/server"
	"freshet/server/floats"
	"freshet/server/object"
)

// bytesPerFloat is about what a number of a vector takes in JSON; it sizes the first
// allocation.
const bytesPerFloat = 10

// space is what JSON takes for white space.
const space = " \t\r\n"

var errEmptyVector = errors.New("an empty array")

// jsonVector reads a vector in one of its forms: numbers, rows of numbers, or
// {"indices": …, "values": …}. raw is JSON.
func jsonVector(raw []byte) (server.Vector, error) {
	switch {
	case raw[0] == '{':
		return jsonSparse(raw)
	case raw[0] == '[' && bytes.HasPrefix(bytes.TrimLeft(raw[1:], space), []byte{'['}):
		return jsonMulti(raw)
	}
	v, err := jsonFloats(raw)
	return server.Dense(v), err
}

func jsonFloats(raw []byte) ([]float32, error) {
	v, _, err := floats.Scan(make([]float32, 0, len(raw)/bytesPerFloat), raw)
	if err == nil && len(v) == 0 {
		err = errEmptyVector
	}
	return slices.Clip(v), err
}

func jsonMulti(raw []byte) (server.Vector, error) {
	var m server.Multi
	rows, err := object.SplitArray(raw)
	if err != nil {
		return nil, err
	}
	for i, raw := range rows {
		row, err := jsonFloats(raw)
		switch {
		case err != nil:
			return nil, fmt.Errorf("row %d: %w", i, err)
		case i > 0 && len(row) != m.Dim:
			return nil, fmt.Errorf("row %d has %d numbers, row 0 has %d", i, len(row), m.Dim)
		}
		m.Dim = len(row)
		m.Values = append(m.Values, row...)
	}
	return m, nil
}

func jsonSparse(raw []byte) (server.Vector, error) {
	fields, err := object.Split(raw)
	if err != nil {
		return nil, err
	}
	if fields["indices"] == nil || fields["values"] == nil {
		return nil, errors.New("a sparse vector needs indices and values")
	}
	elements, err := object.SplitArray(fields["indices"])
	if err != nil {
		return nil, fmt.Errorf("indices: %w", err)
	}
	indices := make([]uint32, len(elements))
	for i, raw := range elements {
		n, err := strconv.ParseUint(string(raw), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("indices: %.40s is no unsigned 32-bit integer", raw)
		}
		indices[i] = uint32(n)
	}
	values, _, err := floats.Scan(make([]float32, 0, len(indices)), fields["values"])
	if err != nil {
		return nil, fmt.Errorf("values: %w", err)
	}
	return newSparse(indices, values)
}

func newSparse(indices []uint32, values []float32) (server.Vector, error) {
	if len(indices) != len(values) {
		return nil, fmt.Errorf("%d indices and %d values", len(indices), len(values))
	}
	v, err := server.NewSparse(indices, values)
	if err != nil {
		return nil, errors.New("an index is there twice")
	}
	return v, nil
}
