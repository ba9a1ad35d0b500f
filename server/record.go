package server

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// stored is the value under storage.Point: who wrote the point last, and its
// payload. The bytes are described in docs/storage.md.
type stored struct {
	operation uint64
	version   storedVersion
	payload   json.RawMessage // an object, or empty for none
}

// storedVersion is a Version with its stream as a number of the collection's
// stream table (0 for REST).
type storedVersion struct {
	stream uint32
	time   int64
	offset int64
}

const recordFormat = 1

func appendVersion(dst []byte, v storedVersion) []byte {
	dst = binary.AppendUvarint(dst, uint64(v.stream))
	dst = binary.AppendVarint(dst, v.time)
	return binary.AppendVarint(dst, v.offset)
}

func (s *stored) append(dst []byte) []byte {
	dst = append(dst, recordFormat)
	dst = binary.AppendUvarint(dst, s.operation)
	dst = appendVersion(dst, s.version)
	return append(dst, s.payload...)
}

// decodeStored reads a value of storage.Point. The payload aliases value.
func decodeStored(value []byte) (stored, error) {
	r := reader{rest: value}
	format := r.byte()
	s := stored{operation: r.uvarint(), version: r.version()}
	if r.bad || format != recordFormat {
		return stored{}, fmt.Errorf("a point record is damaged (format byte %d, %d bytes)", format, len(value))
	}
	s.payload = json.RawMessage(r.rest)
	return s, nil
}

const (
	vectorsFormat = 1
	denseFloat32  = 0
)

// appendVectors encodes a point's vectors in name order.
func appendVectors(dst []byte, vectors Vectors) []byte {
	dst = append(dst, vectorsFormat)
	dst = binary.AppendUvarint(dst, uint64(len(vectors)))
	names := make([]string, 0, len(vectors))
	for name := range vectors {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		dst = binary.AppendUvarint(dst, uint64(len(name)))
		dst = append(dst, name...)
		dst = append(dst, denseFloat32)
		dst = binary.AppendUvarint(dst, uint64(len(vectors[name])))
		for _, x := range vectors[name] {
			dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(x))
		}
	}
	return dst
}

// decodeVectors reads a value of storage.Vector into memory of its own.
func decodeVectors(value []byte) (Vectors, error) {
	vectors := Vectors{}
	err := eachVector(value, func(name, raw []byte) error {
		v := make([]float32, len(raw)/4)
		decodeFloats(v, raw)
		vectors[string(name)] = v
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
	err = eachVector(value, func(n, raw []byte) error {
		if string(n) != name {
			return nil
		}
		if len(raw) != 4*len(dst) {
			return fmt.Errorf("a stored vector %q has %d dimensions instead of %d", name, len(raw)/4, len(dst))
		}
		decodeFloats(dst, raw)
		found = true
		return nil
	})
	return found, err
}

// eachVector calls visit with the name and the floats of each vector in a value
// of storage.Vector.
func eachVector(value []byte, visit func(name, raw []byte) error) error {
	r := reader{rest: value}
	format, count := r.byte(), r.uvarint()
	if r.bad || format != vectorsFormat || count > uint64(len(value)) {
		return fmt.Errorf("a vector record is damaged (format byte %d, %d bytes)", format, len(value))
	}
	for range count {
		name := r.take(r.uvarint())
		kind := r.byte()
		raw := r.take(4 * min(r.uvarint(), uint64(len(value))))
		if r.bad || kind != denseFloat32 {
			return fmt.Errorf("a vector record is damaged (%d bytes)", len(value))
		}
		if err := visit(name, raw); err != nil {
			return err
		}
	}
	if len(r.rest) != 0 {
		return fmt.Errorf("a vector record has %d bytes too many", len(r.rest))
	}
	return nil
}

func decodeFloats(dst []float32, raw []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
}

// reader takes a record apart; bad is set, and stays set, once bytes are missing.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) byte() byte {
	b := r.take(1)
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

func (r *reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) version() storedVersion {
	return storedVersion{stream: uint32(r.uvarint()), time: r.varint(), offset: r.varint()}
}
