// Package point defines what identifies a point.
package point

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

// MaxTextBytes bounds an id that is a string.
const MaxTextBytes = 1024

// ErrInvalid is wrapped by every error about something that is not a point id.
var ErrInvalid = errors.New("valid values are an unsigned integer, a UUID or a string of 1 to 1024 bytes")

type kind uint8

// The kinds sort in this order.
const (
	none kind = iota
	number
	uuidKind
	text
)

// ID identifies a point: an unsigned 64-bit integer, a UUID, or any other
// string, which is kept verbatim. IDs are comparable with ==. The zero ID is no
// id at all.
type ID struct {
	kind   kind
	hi, lo uint64 // a UUID's halves; lo alone for a number
	text   string
}

// Number returns the id of an integer.
func Number(n uint64) ID { return ID{kind: number, lo: n} }

// UUID returns the id of a UUID given as its 16 bytes.
func UUID(u [16]byte) ID {
	return ID{kind: uuidKind, hi: binary.BigEndian.Uint64(u[:8]), lo: binary.BigEndian.Uint64(u[8:])}
}

// Parse reads an id given as a string: a UUID in any of its forms (hyphenated,
// 32 hexadecimal digits, URN, either case), else the string itself. "123" is a
// string, not the number.
func Parse(s string) (ID, error) {
	switch len(s) {
	case 32, 36, 45:
		if u, err := uuid.Parse(s); err == nil {
			return UUID(u), nil
		}
	case 0:
		return ID{}, fmt.Errorf("an empty string is not a valid point ID, %w", ErrInvalid)
	}
	if len(s) > MaxTextBytes {
		return ID{}, fmt.Errorf("a string of %d bytes is not a valid point ID, %w", len(s), ErrInvalid)
	}
	if !utf8.ValidString(s) {
		return ID{}, fmt.Errorf("a string that is not UTF-8 is not a valid point ID, %w", ErrInvalid)
	}
	return ID{kind: text, text: strings.Clone(s)}, nil
}

// ParsePath reads an id given in a URL: digits are a number if it fits 64 bits,
// anything else is read as by Parse.
func ParsePath(s string) (ID, error) {
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return Number(n), nil
	}
	return Parse(s)
}

// IsZero says whether the id is missing.
func (id ID) IsZero() bool { return id.kind == none }

// AsNumber returns the integer of an id that is one.
func (id ID) AsNumber() (uint64, bool) { return id.lo, id.kind == number }

// AsUUID returns the bytes of an id that is a UUID.
func (id ID) AsUUID() ([16]byte, bool) { return id.uuid(), id.kind == uuidKind }

func (id ID) uuid() (u [16]byte) {
	binary.BigEndian.PutUint64(u[:8], id.hi)
	binary.BigEndian.PutUint64(u[8:], id.lo)
	return u
}

// String returns the id as text; a UUID hyphenated and in lower case.
func (id ID) String() string {
	switch id.kind {
	case number:
		return strconv.FormatUint(id.lo, 10)
	case uuidKind:
		return uuid.UUID(id.uuid()).String()
	default:
		return id.text
	}
}

// AppendJSON appends the id as JSON: a number or a string.
func (id ID) AppendJSON(dst []byte) []byte {
	switch id.kind {
	case none:
		return append(dst, "null"...)
	case number:
		return strconv.AppendUint(dst, id.lo, 10)
	case uuidKind:
		dst = append(dst, '"')
		u := id.uuid()
		for i, group := range [...][]byte{u[:4], u[4:6], u[6:8], u[8:10], u[10:]} {
			if i > 0 {
				dst = append(dst, '-')
			}
			dst = hex.AppendEncode(dst, group)
		}
		return append(dst, '"')
	default:
		quoted, err := json.Marshal(id.text)
		if err != nil { // a string always marshals
			return append(dst, "null"...)
		}
		return append(dst, quoted...)
	}
}

// MarshalJSON returns the id as JSON.
func (id ID) MarshalJSON() ([]byte, error) { return id.AppendJSON(nil), nil }

// UnmarshalJSON reads an unsigned integer, exactly up to 2^64-1, or a string.
func (id *ID) UnmarshalJSON(raw []byte) error {
	raw = bytes.TrimSpace(raw)
	if len(raw) > 0 && raw[0] == '"' {
		s, err := unquote(raw)
		if err != nil {
			return err
		}
		parsed, err := Parse(s)
		if err != nil {
			return err
		}
		*id = parsed
		return nil
	}
	n, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil {
		return fmt.Errorf("value %s is not a valid point ID, %w", shorten(raw), ErrInvalid)
	}
	*id = Number(n)
	return nil
}

// unquote reads a JSON string. Most ids are ASCII and written as they are.
func unquote(raw []byte) (string, error) {
	plain := len(raw) > 1 && raw[len(raw)-1] == '"'
	for _, c := range raw[1:max(len(raw)-1, 1)] {
		plain = plain && c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\'
	}
	if plain {
		return string(raw[1 : len(raw)-1]), nil
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err
}

// shorten keeps a value quoted in an error message short.
func shorten(raw []byte) []byte {
	const limit = 60
	if len(raw) <= limit {
		return raw
	}
	return append(raw[:limit:limit], "…"...)
}

// AppendKey appends the id in a form whose bytes sort like the ids: numbers,
// UUIDs, strings, each kind in its own order.
func (id ID) AppendKey(dst []byte) []byte {
	dst = append(dst, byte(id.kind))
	switch id.kind {
	case number:
		return binary.BigEndian.AppendUint64(dst, id.lo)
	case uuidKind:
		dst = binary.BigEndian.AppendUint64(dst, id.hi)
		return binary.BigEndian.AppendUint64(dst, id.lo)
	default:
		return append(dst, id.text...)
	}
}

// FromKey reads what AppendKey wrote.
func FromKey(key []byte) (ID, error) {
	if len(key) > 0 {
		body := key[1:]
		switch k := kind(key[0]); {
		case k == number && len(body) == 8:
			return Number(binary.BigEndian.Uint64(body)), nil
		case k == uuidKind && len(body) == 16:
			return UUID([16]byte(body)), nil
		case k == text && len(body) > 0 && len(body) <= MaxTextBytes && utf8.Valid(body):
			return ID{kind: text, text: string(body)}, nil
		}
	}
	return ID{}, fmt.Errorf("a stored point id of %d bytes is damaged", len(key))
}
