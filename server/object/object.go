// Package object reads JSON member by member in one pass over the bytes, so
// that a large array of numbers is never scanned twice.
package object

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"freshet/server/floats"
)

// maxDepth bounds how deep values may be nested, as jsontext does.
const maxDepth = 10_000

// Reader reads one JSON value (RFC 8259, in UTF-8). It finds its way through objects
// and arrays itself; what is in them jsontext reads, and floats the vectors.
type Reader struct {
	raw    []byte
	pos    int
	depth  int
	unique bool // members are

	// d reads one value at a time, from rest.
	d    jsontext.Decoder
	rest bytes.Buffer
}

// NewReader returns a reader of raw, which must not change while it is used. A name
// that an object has twice is a DuplicateError to Members, but not to Value and Skip.
func NewReader(raw []byte) *Reader { return &Reader{raw: raw, unique: true} }

// NewLenientReader is NewReader of objects that may have a name twice, as payloads may:
// each of the members is visited, in order.
func NewLenientReader(raw []byte) *Reader { return &Reader{raw: raw} }

// SyntaxError reports bytes that are not JSON. Offset is where.
type SyntaxError struct {
	Offset int64
	EOF    bool // the value ends too early
	Text   string
}

func (e *SyntaxError) Error() string { return e.Text }

// next returns the next byte that is no white space, 0 at the end.
func (r *Reader) next() byte {
	for ; r.pos < len(r.raw); r.pos++ {
		switch c := r.raw[r.pos]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// Kind returns the first byte of the next value, with '0' for any number, 0 if
// there is none.
func (r *Reader) Kind() byte {
	switch c := r.next(); c {
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return '0'
	case '{', '[', '"', 't', 'f', 'n':
		return c
	default:
		return 0
	}
}

// Nested says whether the next value is an array whose first element is an array.
func (r *Reader) Nested() bool {
	if r.next() != '[' {
		return false
	}
	inside := Reader{raw: r.raw, pos: r.pos + 1}
	return inside.next() == '['
}

var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true)}

// one points d at the next value.
func (r *Reader) one() {
	r.next()
	r.rest = *bytes.NewBuffer(r.raw[r.pos:])
	r.d.Reset(&r.rest, lenient...)
}

// plain returns the end of the next value if that is a string of ASCII in which nothing
// is escaped, as most names and many values are; else 0.
func (r *Reader) plain() (end int) {
	if r.next() != '"' {
		return 0
	}
	for i := r.pos + 1; i < len(r.raw); i++ {
		switch c := r.raw[i]; {
		case c == '"':
			return i + 1
		case c < ' ', c >= utf8.RuneSelf, c == '\\':
			return 0
		}
	}
	return 0
}

// Value returns the next value as it is written, a part of what is read.
func (r *Reader) Value() ([]byte, error) {
	if end := r.plain(); end > 0 {
		v := r.raw[r.pos:end:end]
		r.pos = end
		return v, nil
	}
	r.one()
	v, err := r.d.ReadValue()
	if err != nil {
		return nil, r.explain(err)
	}
	r.pos += int(r.d.InputOffset())
	return v, nil
}

// Skip leaves the next value out.
func (r *Reader) Skip() error {
	_, err := r.Value()
	return err
}

// Floats reads the next value, an array of numbers, and appends them to dst. A value
// that is none is left out, and the error is one of those of floats.Scan.
func (r *Reader) Floats(dst []float32) ([]float32, error) {
	const bytesEach = 10 // about, to size the first allocation
	r.next()
	if dst == nil {
		dst = make([]float32, 0, 1+max(bytes.IndexByte(r.raw[r.pos:], ']'), 0)/bytesEach)
	}
	values, rest, wrong := floats.Scan(dst, r.raw[r.pos:])
	if wrong == nil {
		r.pos = len(r.raw) - len(rest)
		return values, nil
	}
	if err := r.Skip(); err != nil {
		return dst, err
	}
	return dst, wrong
}

// Members calls visit for each member of the next value, an object; visit has
// to read or skip the member's value.
func (r *Reader) Members(visit func(name string) error) error {
	var seen map[string]struct{}
	if r.unique {
		seen = map[string]struct{}{}
	}
	return r.each('{', '}', func(int) error {
		name, err := r.name()
		if err != nil {
			return err
		}
		if r.unique {
			if _, twice := seen[name]; twice {
				return DuplicateError{name}
			}
			seen[name] = struct{}{}
		}
		return visit(name)
	})
}

// Elements calls visit for each element of the next value, an array; visit has
// to read or skip the element.
func (r *Reader) Elements(visit func(i int) error) error { return r.each('[', ']', visit) }

// each visits what is between two brackets, separated by commas.
func (r *Reader) each(first, last byte, visit func(i int) error) error {
	if r.next() != first {
		return r.unexpected("at start of value")
	}
	if r.depth++; r.depth > maxDepth {
		return r.wrong("exceeded max depth")
	}
	r.pos++
	if r.next() != last {
		for i := 0; ; i++ {
			if err := visit(i); err != nil {
				return err
			}
			if r.next() != ',' {
				break
			}
			r.pos++
		}
	}
	if r.next() != last {
		return r.unexpected("after a value (expecting ',' or " + string([]byte{'\'', last, '\''}) + ")")
	}
	r.pos++
	r.depth--
	return nil
}

// name reads the name of a member, and its colon.
func (r *Reader) name() (string, error) {
	if r.next() != '"' {
		return "", r.unexpected("at start of string (expecting '\"')")
	}
	name, err := r.text()
	if err != nil {
		return "", err
	}
	if r.next() != ':' {
		return "", r.unexpected("after object name (expecting ':')")
	}
	r.pos++
	return name, nil
}

// text reads a string.
func (r *Reader) text() (string, error) {
	if end := r.plain(); end > 0 {
		text := string(r.raw[r.pos+1 : end-1])
		r.pos = end
		return text, nil
	}
	r.one()
	token, err := r.d.ReadToken()
	if err != nil {
		return "", r.explain(err)
	}
	text := token.String()
	r.pos += int(r.d.InputOffset())
	return text, nil
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
		members[name], err = r.Value()
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
		value, err := r.Value()
		elements = append(elements, value)
		return err
	})
	return elements, err
}

// End checks that nothing follows.
func (r *Reader) End() error {
	if r.next(); r.pos < len(r.raw) {
		return &SyntaxError{Offset: r.Offset() + 1, Text: "trailing characters"}
	}
	return nil
}

// Offset returns how many bytes have been read.
func (r *Reader) Offset() int64 { return int64(r.pos) }

func (r *Reader) wrong(text string) error { return &SyntaxError{Offset: r.Offset(), Text: text} }

// unexpected reports the next byte.
func (r *Reader) unexpected(where string) error {
	if r.pos >= len(r.raw) {
		return r.explain(io.ErrUnexpectedEOF)
	}
	return r.wrong(fmt.Sprintf("invalid character %q %s", r.raw[r.pos], where))
}

func (r *Reader) explain(err error) error {
	var syntax *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return &SyntaxError{Offset: int64(len(r.raw)), EOF: true, Text: "EOF while parsing a value"}
	case errors.As(err, &syntax):
		return &SyntaxError{Offset: r.Offset() + syntax.ByteOffset, Text: fmt.Sprint(syntax.Err)}
	default:
		return r.wrong(err.Error())
	}
}
