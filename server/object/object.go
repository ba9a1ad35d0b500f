// Package object reads JSON member by member in one pass over the bytes, so
// that a large array of numbers is never scanned twice.
package object

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// Reader reads one JSON value (RFC 8259, in UTF-8). Of repeated members each is
// visited, in order.
type Reader struct{ d *jsontext.Decoder }

// NewReader returns a reader of raw, which must not change while it is used.
func NewReader(raw []byte) *Reader {
	return &Reader{jsontext.NewDecoder(bytes.NewBuffer(raw), jsontext.AllowDuplicateNames(true))}
}

// SyntaxError reports bytes that are not JSON. Offset is where.
type SyntaxError struct {
	Offset int64
	EOF    bool // the value ends too early
	Text   string
}

func (e *SyntaxError) Error() string { return e.Text }

// Kind returns the first byte of the next value, with '0' for any number, 0 if
// there is none.
func (r *Reader) Kind() byte { return byte(r.d.PeekKind()) }

// Value returns the next value as it is written, valid until the next call.
func (r *Reader) Value() ([]byte, error) {
	v, err := r.d.ReadValue()
	return v, r.explain(err)
}

// Skip leaves the next value out.
func (r *Reader) Skip() error { return r.explain(r.d.SkipValue()) }

// Members calls visit for each member of the next value, an object; visit has
// to read or skip the member's value.
func (r *Reader) Members(visit func(name string) error) error {
	if _, err := r.d.ReadToken(); err != nil {
		return r.explain(err)
	}
	for r.d.PeekKind() == '"' {
		name, err := r.d.ReadToken()
		if err != nil {
			return r.explain(err)
		}
		if err := visit(name.String()); err != nil {
			return err
		}
	}
	_, err := r.d.ReadToken()
	return r.explain(err)
}

// Elements calls visit for each element of the next value, an array; visit has
// to read or skip the element.
func (r *Reader) Elements(visit func(i int) error) error {
	if _, err := r.d.ReadToken(); err != nil {
		return r.explain(err)
	}
	for i := 0; ; i++ {
		switch kind := r.d.PeekKind(); kind {
		case ']', 0: // 0: an error that ReadToken tells
			_, err := r.d.ReadToken()
			return r.explain(err)
		default:
			if err := visit(i); err != nil {
				return err
			}
		}
	}
}

// DuplicateError reports a member that an object has twice.
type DuplicateError struct{ Name string }

func (e DuplicateError) Error() string { return fmt.Sprintf("duplicate field `%.60s`", e.Name) }

// Split returns the members of raw, an object, and their values, which are parts of
// raw. A name that is there twice is a DuplicateError.
func Split(raw []byte) (map[string]json.RawMessage, error) {
	r := NewReader(raw)
	if r.Kind() != '{' {
		return nil, errors.New("invalid type: expected a map")
	}
	members := map[string]json.RawMessage{}
	err := r.Members(func(name string) error {
		if _, twice := members[name]; twice {
			return DuplicateError{name}
		}
		var err error
		members[name], err = r.part(raw)
		return err
	})
	return members, err
}

// SplitArray returns the elements of raw, an array; they are parts of raw.
func SplitArray(raw []byte) ([]json.RawMessage, error) {
	r := NewReader(raw)
	if r.Kind() != '[' {
		return nil, errors.New("invalid type: expected a sequence")
	}
	elements := []json.RawMessage{}
	err := r.Elements(func(int) error {
		value, err := r.part(raw)
		elements = append(elements, value)
		return err
	})
	return elements, err
}

// part reads the next value and returns where it stands in raw, which r reads.
func (r *Reader) part(raw []byte) ([]byte, error) {
	value, err := r.Value()
	if err != nil {
		return nil, err
	}
	end := int(r.d.InputOffset())
	return raw[end-len(value) : end : end], nil
}

// End checks that nothing follows.
func (r *Reader) End() error {
	_, err := r.d.ReadToken()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return r.explain(err)
	default:
		return &SyntaxError{Offset: r.d.InputOffset(), Text: "trailing characters"}
	}
}

// Offset returns how many bytes have been read.
func (r *Reader) Offset() int64 { return r.d.InputOffset() }

func (r *Reader) explain(err error) error {
	if err == nil {
		return nil
	}
	var syntax *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return &SyntaxError{Offset: r.d.InputOffset(), EOF: true, Text: "EOF while parsing a value"}
	case errors.As(err, &syntax):
		return &SyntaxError{Offset: syntax.ByteOffset, Text: fmt.Sprint(syntax.Err)}
	default:
		return &SyntaxError{Offset: r.d.InputOffset(), Text: err.Error()}
	}
}
