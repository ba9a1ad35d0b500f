package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
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

// content reads the whole request, decompressed, up to the largest body there is room for.
func (r *request) content() ([]byte, error) {
	req := r.Request()
	limit := r.maxBody()
	source, done, err := decompressed(req, http.MaxBytesReader(r.Response(), req.Body, limit))
	if err != nil {
		return nil, err
	}
	defer done()
	var buf bytes.Buffer
	if n := req.ContentLength; n > limit {
		return nil, bodyTooLarge(limit)
	} else if n >= 0 && req.Header.Get("Content-Encoding") == "" {
		if err := r.reserve(n); err != nil {
			return nil, err
		}
		buf.Grow(int(n) + bytes.MinRead)
	} else if err := r.reserveUnknown(&buf, source, limit); err != nil {
		return nil, err
	}
	if err := readUpTo(&buf, source, limit+1, limit); err != nil {
		return nil, err
	}
	r.large.shrink(int64(buf.Len()))
	r.small.shrink(int64(buf.Len()))
	return buf.Bytes(), nil
}

// maxBody is the largest body that is taken, in bytes.
func (r *request) maxBody() int64 { return min(MaxBody, r.s.large.size) }

func bodyTooLarge(limit int64) error {
	return &statusError{http.StatusRequestEntityTooLarge, fmt.Sprintf("Payload too large: a body may have %d bytes", limit)}
}

// errSlowBody is for clients that keep the room of a body they do not send.
var errSlowBody = &statusError{http.StatusRequestTimeout, "Request timeout: the body came too slowly"}

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

// readUpTo reads on until buf has n bytes, more than limit of which are too many.
func readUpTo(buf *bytes.Buffer, source io.Reader, n, limit int64) error {
	_, err := buf.ReadFrom(io.LimitReader(source, n-int64(buf.Len())))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge), errors.Is(err, zstd.ErrDecoderSizeExceeded), int64(buf.Len()) > limit:
		return bodyTooLarge(limit)
	case err != nil:
		return unreadable(err)
	}
	return nil
}

// unreadable is what a client sees of an error that ended its body.
func unreadable(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errSlowBody
	}
	return badFormat("the body could not be read: %v", err)
}

// reserve waits until there is room for n bytes of the request's body.
func (r *request) reserve(n int64) error {
	if n <= smallBody {
		return r.small.wait(r.ctx, n)
	}
	return r.large.wait(r.ctx, n)
}

// reserveUnknown reads the beginning of a body of unknown length. If there is more of
// it, it may be as long as any, and room for that is waited for.
func (r *request) reserveUnknown(buf *bytes.Buffer, source io.Reader, limit int64) error {
	if err := r.reserve(smallBody); err != nil {
		return err
	}
	if err := readUpTo(buf, source, smallBody+1, limit); err != nil || buf.Len() <= smallBody {
		return err
	}
	r.small.shrink(0)
	return r.reserve(limit)
}

// decode reads the body into dst.
func (r *request) decode(dst any) error {
	raw, err := r.body()
	if err != nil {
		return err
	}
	if string(bytes.TrimSpace(raw)) == "null" {
		return badFormat("invalid type: null, expected a map at %s", place(raw, 0))
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
