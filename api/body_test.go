package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/labstack/echo/v4"
	"golang.org/x/sync/semaphore"

	"freshet/server"
)

// TestRoomForBodies checks how much of the room for large bodies a request holds once
// its body is read, and that it gives back all of it.
func TestRoomForBodies(t *testing.T) {
	const mib = 1 << 20
	compressions := map[string]func([]byte) io.Reader{
		"": func(b []byte) io.Reader { return bytes.NewReader(b) },
		"gzip": func(b []byte) io.Reader {
			var out bytes.Buffer
			w := gzip.NewWriter(&out)
			_, _ = w.Write(b) // a buffer takes everything
			_ = w.Close()
			return &out
		},
		"zstd": func(b []byte) io.Reader {
			w, err := zstd.NewWriter(nil)
			if err != nil {
				t.Fatal(err)
			}
			return bytes.NewReader(w.EncodeAll(b, nil))
		},
	}
	for _, x := range []struct {
		name       string
		size, room int64
		unknown    bool // the request does not say its length
		held       int64
		full       bool // there is no room
	}{
		{name: "small", size: 100, room: 0, held: 0},
		{name: "small, of unknown length", size: mib, room: 0, unknown: true, held: 0},
		{name: "large", size: 3 * mib, room: MaxBody, held: 3 * mib},
		{name: "large, of unknown length", size: 3 * mib, room: MaxBody, unknown: true, held: 3 * mib},
		{name: "large, without room", size: 3 * mib, room: mib, unknown: true, full: true},
	} {
		for encoding, compressed := range compressions {
			t.Run(x.name+" "+encoding, func(t *testing.T) {
				body := compressed(make([]byte, x.size))
				if x.unknown {
					body = io.MultiReader(body)
				}
				req := httptest.NewRequest("PUT", "/", body)
				req.Header.Set("Content-Encoding", encoding)
				if encoding == "" {
					req.Header.Del("Content-Encoding")
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if x.full {
					cancel() // it would wait
				}
				s := &Server{bodies: semaphore.NewWeighted(x.room)}
				r := &request{Context: echo.New().NewContext(req, httptest.NewRecorder()), s: s, ctx: ctx}
				raw, err := r.body()
				if x.full {
					var e *server.Error
					if !errors.As(err, &e) || e.Kind != server.Unavailable {
						t.Fatalf("got %v", err)
					}
				} else if err != nil || int64(len(raw)) != x.size {
					t.Fatalf("got %d bytes, %v", len(raw), err)
				}
				if r.held != x.held {
					t.Errorf("%d bytes are held, want %d", r.held, x.held)
				}
				s.bodies.Release(r.held)
				if !s.bodies.TryAcquire(x.room) {
					t.Error("not all is given back")
				}
			})
		}
	}
}
