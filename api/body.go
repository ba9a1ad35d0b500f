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

// body reads the whole request, which has to be JSON.
func (r *request) body() ([]byte, error) {
	if media := r.media(); isTable(media) {
		return nil, &statusError{http.StatusUnsupportedMediaType, fmt.Sprintf("Content-Type %s is not taken here, only by upserts, updates of vectors, and queries", media)}
	}
	return r.content()
}

// content reads the whole request, decompressed, up to MaxBody.
func (r *request) content() ([]byte, error) {
	req := r.Request()
	source, done, err := decompressed(req, http.MaxBytesReader(r.Response(), req.Body, MaxBody))
	if err != nil {
		return nil, err
	}
	defer done()
	var buf bytes.Buffer
	if n := req.ContentLength; n >= 0 && n <= MaxBody && req.Header.Get("Content-Encoding") == "" {
		if err := r.reserve(n); err != nil {
			return nil, err
		}
		buf.Grow(int(n) + bytes.MinRead)
	} else if err := r.reserveUnknown(&buf, source); err != nil {
		return nil, err
	}
	if err := readUpTo(&buf, source, MaxBody+1); err != nil {
		return nil, err
	}
	if n := int64(buf.Len()); r.held > n {
		r.s.bodies.Release(r.held - n)
		r.held = n
	}
	return buf.Bytes(), nil
}

// decompressed returns what a request says, and what is to be called after reading it.
func decompressed(req *http.Request, source io.Reader) (io.Reader, func(), error) {
	switch encoding := strings.ToLower(req.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
		return source, func() {}, nil
	case "gzip":
		z, err := gzip.NewReader(source)
		if err != nil {
			return nil, nil, badFormat("the body is not gzip: %v", err)
		}
		return z, func() {}, nil
	case "zstd":
		z, err := zstd.NewReader(source, zstd.WithDecoderMaxMemory(MaxBody), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, nil, badFormat("the body is not zstd: %v", err)
		}
		return z, z.Close, nil
	default:
		return nil, nil, &statusError{http.StatusUnsupportedMediaType, fmt.Sprintf("Content-Encoding %.40q is not one of gzip, zstd", encoding)}
	}
}

// readUpTo reads on until buf has n bytes, more than MaxBody of which are too many.
func readUpTo(buf *bytes.Buffer, source io.Reader, n int64) error {
	_, err := buf.ReadFrom(io.LimitReader(source, n-int64(buf.Len())))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge), errors.Is(err, zstd.ErrDecoderSizeExceeded), buf.Len() > MaxBody:
		return &statusError{http.StatusRequestEntityTooLarge, fmt.Sprintf("Payload too large: a body may have %d bytes", MaxBody)}
	case err != nil:
		return badFormat("the body could not be read: %v", err)
	}
	return nil
}

// reserve waits until there is room for n bytes of the request's body.
func (r *request) reserve(n int64) error {
	if n <= smallBody {
		return nil
	}
	if err := r.s.bodies.Acquire(r.ctx, n); err != nil {
		return &server.Error{Kind: server.Unavailable, Text: errTooLarge, Err: err}
	}
	r.held = n
	return nil
}

// reserveUnknown reads the beginning of a body of unknown length. If there is more of
// it, it may be as long as any, and room for that is waited for: all at once, since
// bodies that each have a part of the room and wait for more could wait for each other.
func (r *request) reserveUnknown(buf *bytes.Buffer, source io.Reader) error {
	if err := readUpTo(buf, source, smallBody+1); err != nil || buf.Len() <= smallBody {
		return err
	}
	return r.reserve(MaxBody)
}

// reserveMore takes room for what is made of a body. It does not wait, since the
// request has room already.
func (r *request) reserveMore(n int64) error {
	if !r.s.bodies.TryAcquire(n) {
		return &server.Error{Kind: server.Unavailable, Text: errTooLarge}
	}
	r.held += n
	return nil
}

const errTooLarge = "too many large requests in flight, try again"

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
