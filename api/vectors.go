package api

import (
	"errors"
	"math"
	"strconv"

	"freshet/server"
	"freshet/server/floats"
	"freshet/server/object"
)

// vectors reads a bare vector, a text in its place, or vectors by name.
func (v *vectorReader) vectors(o *object.Reader, path string, dst *server.Vectors) (err error) {
	vectors := server.Vectors{}
	*dst = vectors
	switch o.Kind() {
	case '[':
		vectors[""], err = v.vector(o, path)
		return err
	case '{':
		return v.named(o, path, vectors)
	default:
		if err := o.Skip(); err != nil {
			return err
		}
		return errNoVariant
	}
}

// vector reads a vector in one of its forms: numbers, rows of numbers, or indices and
// values; or a text in its place.
func (v *vectorReader) vector(o *object.Reader, path string) (server.Vector, error) {
	if o.Kind() == '{' {
		return v.object(o, path)
	}
	return readNumbers(o, path)
}

// readNumbers reads a dense vector or a multivector.
func readNumbers(o *object.Reader, path string) (server.Vector, error) {
	if o.Nested() {
		return readRows(o, path)
	}
	v, err := o.Floats(nil)
	switch {
	case err != nil:
		return nil, wrongNumber(path, err)
	case len(v) == 0:
		return nil, notValid(path+".vector", "dense vector must not be empty")
	}
	return server.Dense(v), nil
}

// wrongNumber is what clients see of an error of object.Reader.Floats.
func wrongNumber(path string, err error) error {
	switch {
	case errors.Is(err, floats.ErrRange):
		return badFormat("%s.vector: %v", path, err)
	case errors.Is(err, floats.ErrSyntax), errors.Is(err, floats.ErrNull):
		return errNoVariant
	default:
		return err
	}
}

// readRows reads a multivector.
func readRows(o *object.Reader, path string) (server.Vector, error) {
	var m server.Multi
	err := o.Elements(func(i int) error {
		before := len(m.Values)
		var err error
		if m.Values, err = o.Floats(m.Values); err != nil {
			return wrongNumber(path, err)
		}
		switch n := len(m.Values) - before; {
		case n == 0:
			return notValid(path+".data", "all vectors must be non-empty")
		case i == 0:
			m.Dim = n
		case n != m.Dim:
			return notValid(path+".values", "Validation error: must be the same length as indices [{}]")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// object reads a sparse vector or a text.
func (v *vectorReader) object(o *object.Reader, path string) (server.Vector, error) {
	var s sparseParts
	var d document
	err := o.Members(func(name string) error {
		switch {
		case isSparse(name):
			return s.read(o, name, path)
		case isDocument(o, name) || mayBeDocument(name):
			return d.read(o, name)
		default:
			return o.Skip()
		}
	})
	switch {
	case err != nil:
		return nil, err
	case d.found() && !s.complete():
		return d.vector(v, path)
	default:
		return s.vector(path)
	}
}

// sparseParts are the members of a sparse vector.
type sparseParts struct {
	indices []uint32
	values  []float32
}

// isSparse says whether a member is one of a sparse vector.
func isSparse(name string) bool { return name == "indices" || name == "values" }

func (s *sparseParts) read(o *object.Reader, name, path string) error {
	if o.Kind() != '[' {
		if err := o.Skip(); err != nil {
			return err
		}
		return errNoVariant
	}
	if name == "indices" {
		s.indices = []uint32{}
		return o.Elements(func(int) error {
			raw, err := o.Value()
			if err != nil {
				return err
			}
			n, err := strconv.ParseUint(string(raw), 10, 32)
			if err != nil {
				return errNoVariant
			}
			s.indices = append(s.indices, uint32(n))
			return nil
		})
	}
	values, err := o.Floats(nil)
	if err != nil {
		return wrongNumber(path, err)
	}
	s.values = values
	return nil
}

// complete says whether the members make a vector.
func (s *sparseParts) complete() bool { return s.indices != nil && s.values != nil }

func (s *sparseParts) vector(path string) (server.Vector, error) {
	if !s.complete() {
		return nil, errNoVariant
	}
	v, err := server.NewSparse(s.indices, s.values)
	var invalid *server.Error
	if errors.As(err, &invalid) {
		return nil, notValid(path+"."+invalid.Path, "%s", invalid.Text)
	}
	return v, err
}

// appendVector writes a vector as it is read.
func appendVector(dst []byte, v server.Vector) []byte {
	switch v := v.(type) {
	case server.Dense:
		return appendFloats(dst, v)
	case server.Sparse:
		dst = append(dst, `{"indices":[`...)
		for i, index := range v.Indices {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendUint(dst, uint64(index), 10)
		}
		dst = append(dst, `],"values":`...)
		return append(appendFloats(dst, v.Values), '}')
	case server.Multi:
		dst = append(dst, '[')
		for i := range v.Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendFloats(dst, v.Row(i))
		}
		return append(dst, ']')
	default: // no vector
		return append(dst, "null"...)
	}
}

func appendFloats(dst []byte, v []float32) []byte {
	dst = append(dst, '[')
	for i, x := range v {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendFloat(dst, x)
	}
	return append(dst, ']')
}

// appendFloat writes the shortest form that reads back as x, which is finite.
func appendFloat(dst []byte, x float32) []byte { return appendNumber(dst, float64(x), 32) }

// appendNumber writes a float of 32 or 64 bits.
func appendNumber(dst []byte, x float64, bits int) []byte {
	format := byte('f')
	if a := math.Abs(x); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, x, format, -1, bits)
	for _, c := range dst[start:] {
		if c == '.' || c == 'e' {
			return dst
		}
	}
	return append(dst, ".0"...) // a float stays a float for clients that tell them apart
}
