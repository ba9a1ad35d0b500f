package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"freshet/server"
)

// body reads the whole request, decompressed, up to MaxBody.
func (r *request) body() ([]byte, error) {
	req := r.Request()
	if err := r.reserve(req); err != nil {
		return nil, err
	}
	source := io.Reader(http.MaxBytesReader(r.Response(), req.Body, MaxBody))
	switch encoding := strings.ToLower(req.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(source)
		if err != nil {
			return nil, badFormat("the body is not gzip: %v", err)
		}
		source = z
	case "zstd":
		z, err := zstd.NewReader(source, zstd.WithDecoderMaxMemory(MaxBody), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, badFormat("the body is not zstd: %v", err)
		}
		defer z.Close()
		source = z
	default:
		return nil, &statusError{http.StatusUnsupportedMediaType, fmt.Sprintf("Content-Encoding %.40q is not one of gzip, zstd", encoding)}
	}
	var buf bytes.Buffer
	if n := req.ContentLength; n > 0 && n <= MaxBody {
		buf.Grow(int(n) + bytes.MinRead)
	}
	_, err := buf.ReadFrom(io.LimitReader(source, MaxBody+1))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge), errors.Is(err, zstd.ErrDecoderSizeExceeded), buf.Len() > MaxBody:
		return nil, &statusError{http.StatusRequestEntityTooLarge, fmt.Sprintf("Payload too large: a body may have %d bytes", MaxBody)}
	case err != nil:
		return nil, badFormat("the body could not be read: %v", err)
	}
	return buf.Bytes(), nil
}

// reserve waits until there is room for the request's body.
func (r *request) reserve(req *http.Request) error {
	n := req.ContentLength
	if n < 0 || n > MaxBody || req.Header.Get("Content-Encoding") != "" {
		n = MaxBody // it may be as long
	}
	if n <= smallBody {
		return nil
	}
	if err := r.s.bodies.Acquire(r.ctx, n); err != nil {
		return &server.Error{Kind: server.Unavailable, Text: "too many large requests in flight, try again", Err: err}
	}
	r.held = n
	return nil
}

// decode reads the body into dst.
func (r *request) decode(dst any) error {
	raw, err := r.body()
	if err != nil {
		return err
	}
	return decodeJSON(raw, dst)
}

// decodeJSON reads one JSON value. Errors have the form and the prefix that
// clients of the API know.
func decodeJSON(raw []byte, dst any) error {
	err := json.Unmarshal(raw, dst)
	if err == nil {
		return nil
	}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return wrongSyntax(raw, syntax)
	}
	var known *statusError
	var own *server.Error
	if errors.As(err, &known) || errors.As(err, &own) {
		return err
	}
	var kind *json.SemanticError
	for errors.As(err, &kind) {
		if kind.Err == nil {
			return badFormat("invalid type: %s, expected %s at %s", kinds[byte(kind.JSONKind)], expected(kind.GoType), place(raw, kind.ByteOffset))
		}
		err = kind.Err
	}
	return badFormat("%v", err)
}

func wrongSyntax(raw []byte, err *jsontext.SyntacticError) error {
	at := place(raw, err.ByteOffset)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return badFormat("EOF while parsing a value at %s", place(raw, int64(len(raw))))
	case errors.Is(err, jsontext.ErrDuplicateName):
		return badFormat("duplicate field `%.60s` at %s", err.JSONPointer.LastToken(), at)
	default:
		return badFormat("%v at %s", err.Err, at)
	}
}

// expected names what a Go type takes, as clients know it.
func expected(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "a boolean"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "a sequence"
	case reflect.Struct, reflect.Map:
		return "a map"
	case reflect.Float32, reflect.Float64:
		return "a number"
	default:
		return "an integer within its limits"
	}
}

func place(raw []byte, offset int64) string {
	before := raw[:min(max(offset, 0), int64(len(raw)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before)
	if last := bytes.LastIndexByte(before, '\n'); last >= 0 {
		column -= last + 1
	}
	if len(raw) == 0 {
		column = 0
	}
	return fmt.Sprintf("line %d column %d", line, column)
}
