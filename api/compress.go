package api

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/labstack/echo/v4"
)

// compressFrom is the size from which an answer is worth compressing, in bytes.
const compressFrom = 2048

// compress offers zstd and gzip for large answers, as long as there is memory for it.
func (s *Server) compress(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		encoding := preferred(c.Request().Header.Get("Accept-Encoding"))
		if encoding == "" {
			return next(c)
		}
		w := &compressor{ResponseWriter: c.Response().Writer, encoding: encoding, memory: hold{room: s.answers}}
		c.Response().Writer = w
		err := next(c)
		if closeErr := w.close(); err == nil {
			err = closeErr
		}
		c.Response().Writer = w.ResponseWriter
		return err
	}
}

// preferred returns the encoding of those offered that the client likes best, zstd
// where it likes both alike, "" for none (RFC 9110, section 12.5.3).
func preferred(accepted string) string {
	const unnamed = -1
	gz, zs, none, others := float64(unnamed), float64(unnamed), float64(unnamed), float64(unnamed)
	for part := range strings.SplitSeq(accepted, ",") {
		name, parameter, weighted := strings.Cut(part, ";")
		q := 1.0
		if weighted {
			text, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(parameter)), "q=")
			var err error
			if q, err = strconv.ParseFloat(text, 64); !ok || err != nil || !(q >= 0 && q <= 1) {
				continue // not understood, so not asked for
			}
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "zstd":
			zs = q
		case "gzip", "x-gzip":
			gz = q
		case "identity":
			none = q
		case "*":
			others = q
		}
	}
	if gz == unnamed {
		gz = others
	}
	if zs == unnamed {
		zs = others
	}
	switch {
	case zs > 0 && zs >= gz && zs >= none:
		return "zstd"
	case gz > 0 && gz >= none:
		return "gzip"
	default:
		return ""
	}
}

// compressor decides at the first write whether the answer is compressed: its size is that
// of the first write, or the length that is announced.
type compressor struct {
	http.ResponseWriter
	encoding string
	status   int
	writer   io.WriteCloser
	memory   hold // of the writer
	begun    bool
}

func (w *compressor) WriteHeader(status int) { w.status = status }

func (w *compressor) Write(b []byte) (int, error) {
	if !w.begun {
		// Files go as they are: parts of them can be asked for.
		isFile := w.Header().Get("Content-Type") == octetStream
		announced, err := strconv.Atoi(w.Header().Get("Content-Length"))
		if err != nil {
			announced = 0
		}
		w.begin(max(len(b), announced) >= compressFrom && w.Header().Get("Content-Encoding") == "" && !isFile)
	}
	if w.writer != nil {
		return w.writer.Write(b)
	}
	return w.ResponseWriter.Write(b)
}

func (w *compressor) begin(large bool) {
	w.begun = true
	w.Header().Add("Vary", "Accept-Encoding")
	if large && w.memory.more(writerMemory[w.encoding]) == nil {
		w.Header().Set("Content-Encoding", w.encoding)
		w.Header().Del("Content-Length")
		w.writer = newWriter(w.encoding, w.ResponseWriter)
	}
	if w.status != 0 {
		w.ResponseWriter.WriteHeader(w.status)
	}
}

// Unwrap lets http.ResponseController reach the connection.
func (w *compressor) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *compressor) close() error {
	if !w.begun {
		w.begin(false)
	}
	if w.writer == nil {
		return nil
	}
	defer w.memory.shrink(0)
	return w.writer.Close()
}

// writerMemory is what a writer takes, in bytes, as measured.
var writerMemory = map[string]int64{"gzip": 1100 << 10, "zstd": 2800 << 10}

var (
	gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(io.Discard) }}
	zstdWriters = sync.Pool{New: func() any {
		// The usual window of 4 MiB takes three times the memory.
		z, err := zstd.NewWriter(io.Discard, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20))
		if err != nil { // only wrong options fail
			panic(err)
		}
		return z
	}}
)

// pooled gives its writer back when it is closed.
type pooled struct {
	io.WriteCloser
	pool *sync.Pool
}

func (p pooled) Close() error {
	err := p.WriteCloser.Close()
	p.pool.Put(p.WriteCloser)
	return err
}

func newWriter(encoding string, to io.Writer) io.WriteCloser {
	if encoding == "zstd" {
		z := zstdWriters.Get().(*zstd.Encoder)
		z.Reset(to)
		return pooled{z, &zstdWriters}
	}
	z := gzipWriters.Get().(*gzip.Writer)
	z.Reset(to)
	return pooled{z, &gzipWriters}
}
