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

// Reader reads one JSON value (RFC 8259, in UTF-8).
type Reader struct {
	d      *jsontext.Decoder
	unique bool // members are
}

// NewReader returns a reader of raw, which must not change while it is used. A name
// that an object has twice is a DuplicateError to Members, but not to Value and Skip.
func NewReader(raw []byte) *Reader {
	r := NewLenientReader(raw)
	r.unique = true
	return r
}

// NewLenientReader is NewReader of objects that may have a name twice, as payloads may:
// each of the members is visited, in order.
func NewLenientReader(raw []byte) *Reader {
	return &Reader{d: jsontext.NewDecoder(bytes.NewBuffer(raw), jsontext.AllowDuplicateNames(true))}
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
	var seen map[string]struct{}
	if r.unique {
		seen = map[string]struct{}{}
	}
	for r.d.PeekKind() == '"' {
		token, err := r.d.ReadToken()
		if err != nil {
			return r.explain(err)
		}
		name := token.String()
		if r.unique {
			if _, twice := seen[name]; twice {
				return DuplicateError{name}
			}
			seen[name] = struct{}{}
		}
		if err := visit(name); err != nil {
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

// CheckUnique returns a DuplicateError if an object in raw, at any depth, has a name
// twice. Whether raw is JSON at all is left to those that read it.
func CheckUnique(raw []byte) error {
	err := jsontext.NewDecoder(bytes.NewBuffer(raw)).SkipValue()
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) && errors.Is(syntax.Err, jsontext.ErrDuplicateName) {
		return DuplicateError{syntax.JSONPointer.LastToken()}
	}
	return nil
}

// Split returns the members of raw, an object, and their values, which are parts of
// raw. A name that is there twice is a DuplicateError.
func Split(raw []byte) (map[string]json.RawMessage, error) {
	r := NewReader(raw)
	if r.Kind() != '{' {
		return nil, errors.New("invalid type: expected a map")
	}
	members := map[string]json.RawMessage{}
	err := r.Members(func(name string) error {
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
