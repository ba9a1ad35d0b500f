package server

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
)

// The value under storage.Vector holds a point's vectors, each with a byte for its
// kind. The bytes are described in docs/storage.md.
const vectorsFormat = 1

// The kinds.
const (
	denseFloat32 byte = iota
	sparseFloat32
	multiFloat32
)

// appendVectors encodes a point's vectors in name order.
func appendVectors(dst []byte, vectors Vectors) []byte {
	dst = append(dst, vectorsFormat)
	dst = binary.AppendUvarint(dst, uint64(len(vectors)))
	for _, name := range slices.Sorted(maps.Keys(vectors)) {
		dst = binary.AppendUvarint(dst, uint64(len(name)))
		dst = append(dst, name...)
		dst = appendVector(dst, vectors[name])
	}
	return dst
}

func appendVector(dst []byte, v Vector) []byte {
	switch v := v.(type) {
	case Sparse:
		dst = append(dst, sparseFloat32)
		dst = binary.AppendUvarint(dst, uint64(len(v.Indices)))
		before := uint32(0)
		for _, index := range v.Indices {
			dst = binary.AppendUvarint(dst, uint64(index-before))
			before = index
		}
		return appendFloats(dst, v.Values)
	case Multi:
		dst = append(dst, multiFloat32)
		dst = binary.AppendUvarint(dst, uint64(v.Dim))
		dst = binary.AppendUvarint(dst, uint64(v.Len()))
		return appendFloats(dst, v.Values)
	case Dense:
		dst = append(dst, denseFloat32)
		dst = binary.AppendUvarint(dst, uint64(len(v)))
		return appendFloats(dst, v)
	default:
		panic(fmt.Sprintf("a vector of the type %T", v))
	}
}

func appendFloats(dst []byte, values []float32) []byte {
	dst = slices.Grow(dst, 4*len(values))
	for _, x := range values {
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(x))
	}
	return dst
}

// decodeVectors reads a value of storage.Vector into memory of its own.
func decodeVectors(value []byte) (Vectors, error) {
	vectors := Vectors{}
	err := eachVector(value, func(v rawVector) error {
		vectors[string(v.name)] = v.decode()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return vectors, nil
}

// findVector stores the named vector of a value of storage.Vector in dst, which
// is of its dimension. It returns false if there is none.
func findVector(value []byte, name string, dst []float32) (found bool, err error) {
	err = eachVector(value, func(v rawVector) error {
		if string(v.name) != name {
			return nil
		}
		if v.kind != denseFloat32 || len(v.floats) != 4*len(dst) {
			return fmt.Errorf("a stored vector %q has kind %d and %d numbers instead of %d", name, v.kind, len(v.floats)/4, len(dst))
		}
		decodeFloats(dst, v.floats)
		found = true
		return nil
	})
	return found, err
}

// rawVector is a vector as it is stored; it is part of the record.
type rawVector struct {
	record  []byte // all of it
	name    []byte
	kind    byte
	dim     int    // of a multivector
	indices []byte // of a sparse vector, each as the difference to the one before
	floats  []byte
}

// eachVector calls visit with each vector in a value of storage.Vector.
func eachVector(value []byte, visit func(v rawVector) error) error {
	r := reader{rest: value}
	format, count := r.byte(), r.uvarint()
	if r.bad || format != vectorsFormat || count > uint64(len(value)) {
		return fmt.Errorf("a vector record is damaged (format byte %d, %d bytes)", format, len(value))
	}
	for range count {
		rest := r.rest
		v := r.vector()
		v.record = rest[:len(rest)-len(r.rest)]
		if r.bad {
			return fmt.Errorf("a vector record is damaged (%d bytes)", len(value))
		}
		if err := visit(v); err != nil {
			return err
		}
	}
	if len(r.rest) != 0 {
		return fmt.Errorf("a vector record has %d bytes too many", len(r.rest))
	}
	return nil
}

func (r *reader) vector() rawVector {
	v := rawVector{name: r.take(r.uvarint()), kind: r.byte()}
	switch v.kind {
	case denseFloat32:
		v.floats = r.take(4 * r.count())
	case sparseFloat32:
		n := r.count()
		v.indices = r.ascending(n)
		v.floats = r.take(4 * n)
	case multiFloat32:
		dim := r.count()
		v.dim = int(dim)
		rows := r.count()
		if dim == 0 || rows == 0 || rows > uint64(len(r.rest))/dim {
			r.bad = true
			break
		}
		v.floats = r.take(4 * dim * rows)
	default:
		r.bad = true
	}
	return v
}

// ascending takes n indices, which have to ascend.
func (r *reader) ascending(n uint64) []byte {
	start := r.rest
	index := uint64(0)
	for i := range n {
		difference := r.uvarint()
		if i > 0 && difference == 0 || difference > math.MaxUint32-index {
			r.bad = true
		}
		if r.bad {
			return nil
		}
		index += difference
	}
	return start[:len(start)-len(r.rest)]
}

// decode returns a copy of the vector.
func (v rawVector) decode() Vector {
	values := make([]float32, len(v.floats)/4)
	decodeFloats(values, v.floats)
	switch v.kind {
	case sparseFloat32:
		indices := make([]uint32, len(values))
		r := reader{rest: v.indices}
		before := uint32(0)
		for i := range indices {
			before += uint32(r.uvarint())
			indices[i] = before
		}
		return Sparse{Indices: indices, Values: values}
	case multiFloat32:
		return Multi{Values: values, Dim: v.dim}
	default:
		return Dense(values)
	}
}

func decodeFloats(dst []float32, raw []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
}
