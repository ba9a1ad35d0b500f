package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"

	"github.com/klauspost/compress/zstd"

	"freshet/server"
	"freshet/server/filter"
)

// body reads the whole request, decompressed, up to MaxBody.
func (r *request) body() ([]byte, error) {
	req := r.Request()
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
	if !utf8.Valid(raw) {
		return badFormat("invalid unicode code point")
	}
	err := json.Unmarshal(raw, dst)
	if err == nil {
		return nil
	}
	var known *statusError
	var own *server.Error
	var invalid *filter.ValidationError
	if errors.As(err, &known) || errors.As(err, &own) || errors.As(err, &invalid) {
		return err
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		if strings.HasPrefix(syntax.Error(), "unexpected end") {
			return badFormat("EOF while parsing a value at %s", place(raw, int64(len(raw))))
		}
		return badFormat("%v at %s", err, place(raw, syntax.Offset))
	case errors.As(err, &kind):
		return badFormat("invalid type: %s, expected %v at %s", kind.Value, kind.Type, place(raw, kind.Offset))
	default:
		return badFormat("%v", err)
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
