package decode

import (
	"encoding/binary"
	"math"

	"freshet/server"
)

// readFloat32 reads a vector that is the whole value: 32-bit floats, little-endian.
func readFloat32(w *row, value []byte) error {
	if len(value) == 0 || len(value)%4 != 0 {
		return Bad(Undecodable, "a value of %d bytes is no sequence of 32-bit floats", len(value))
	}
	if len(w.m.vectorNames) == 0 {
		return Bad(Undecodable, "the value is a vector, and all vectors are made of texts")
	}
	v := make(server.Dense, len(value)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(value[4*i:]))
	}
	w.vectors[w.m.vectorNames[0]] = v
	return finite("value", v)
}

// finite refuses what no vector may hold.
func finite(field string, v []float32) error {
	for i, x := range v {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return Bad(BadVector, "the field %q: element %d is %v", field, i, x)
		}
	}
	return nil
}
