// Package payload works on the JSON object that goes with a point: decoding it
// without losing integers, addressing values in it by path, changing it, and
// choosing what of it a read returns.
package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxDepth bounds how deep objects and arrays may be nested.
const MaxDepth = 128

var (
	errNotObject = errors.New("invalid type: expected a map")
	errDepth     = fmt.Errorf("recursion limit exceeded: a payload may be nested %d deep", MaxDepth)
	errNumber    = errors.New("number out of range")
	errUTF8      = errors.New("invalid unicode code point")
)

// Compact checks that raw is one JSON object in UTF-8 within MaxDepth and
// returns it without insignificant white space. null gives nil.
func Compact(raw []byte) (json.RawMessage, error) {
	raw = bytes.TrimSpace(raw)
	if string(raw) == "null" {
		return nil, nil
	}
	if len(raw) == 0 || raw[0] != '{' {
		return nil, errNotObject
	}
	if !utf8.Valid(raw) {
		return nil, errUTF8
	}
	if !shallow(raw) {
		return nil, errDepth
	}
	if !finite(raw) {
		return nil, errNumber
	}
	var out bytes.Buffer
	out.Grow(len(raw))
	if err := json.Compact(&out, raw); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// plainDigits is how many characters a number without exponent has at most that
// is surely within the range of float64.
const plainDigits = 300

// finite says whether float64 holds raw's numbers. Only those that may be out of its
// range are read.
func finite(raw []byte) bool {
	quoted := false
	start := -1 // of the number that is being looked at
	doubtful := false
	for i := 0; i <= len(raw); i++ {
		var c byte
		if i < len(raw) {
			c = raw[i]
		}
		switch {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c >= '0' && c <= '9' || c == '-' || start >= 0 && (c == '.' || c == '+' || c == 'e' || c == 'E'):
			if start < 0 {
				start, doubtful = i, false
			}
			doubtful = doubtful || c == 'e' || c == 'E' || i-start > plainDigits
		case start >= 0:
			if doubtful {
				if _, err := strconv.ParseFloat(string(raw[start:i]), 64); err != nil {
					return false
				}
			}
			start = -1
		}
	}
	return true
}

// shallow says whether raw's nesting stays within MaxDepth, before anything
// recursive looks at it.
func shallow(raw []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return true
}

// Decode reads a JSON object. Numbers become int64, uint64 (above the largest
// int64) or float64, as they are written: 7 is an integer, 7.0 is not. Of
// repeated members the last counts.
func Decode(raw []byte) (map[string]any, error) {
	doc, err := decodeVerbatim(raw)
	if err != nil {
		return nil, err
	}
	for k, v := range doc {
		doc[k] = numbers(v)
	}
	return doc, nil
}

// decodeVerbatim decodes with numbers as json.Number.
func decodeVerbatim(raw []byte) (map[string]any, error) {
	if !shallow(raw) {
		return nil, errDepth
	}
	if !utf8.Valid(raw) {
		return nil, errUTF8
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var doc map[string]any
	if err := d.Decode(&doc); err != nil {
		return nil, err
	}
	if doc == nil {
		return nil, errNotObject
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("trailing characters")
	}
	return doc, nil
}

func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		return number(string(v))
	case []any:
		for i, e := range v {
			v[i] = numbers(e)
		}
	case map[string]any:
		for k, e := range v {
			v[k] = numbers(e)
		}
	}
	return v
}

func number(s string) any {
	if !strings.ContainsAny(s, ".eE") {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return n
		}
		if n, err := strconv.ParseUint(s, 10, 64); err == nil {
			return n
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil { // beyond the range: the nearest there is
		return math.Copysign(math.MaxFloat64, f)
	}
	return f
}

// float marshals so that it stays a float: 7.0, not 7.
type float float64

func (f float) MarshalJSON() ([]byte, error) {
	raw, err := json.Marshal(float64(f))
	if err == nil && !bytes.ContainsAny(raw, ".eE") {
		raw = append(raw, ".0"...)
	}
	return raw, err
}

// Encode writes a decoded object with its members sorted.
func Encode(doc map[string]any) (json.RawMessage, error) {
	return encode(floats(doc))
}

func encode(doc any) (json.RawMessage, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(doc); err != nil {
		return nil, fmt.Errorf("encode payload: %w", err)
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// floats returns v with each float64 replaced, copying what it changes.
func floats(v any) any {
	switch v := v.(type) {
	case float64:
		return float(v)
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = floats(e)
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = floats(e)
		}
		return m
	}
	return v
}
