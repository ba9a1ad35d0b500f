package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/labstack/echo/v4"

	"freshet/server"
)

// TestRoomForBodies checks how much of the rooms for bodies a request holds once its body
// is read, and that it gives back all of it.
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
		name         string
		size         int64
		large, small int64 // the rooms
		unknown      bool  // the request does not say its length
		full         bool  // there is no room
		status       int   // of an error that trying again does not help
		inLarge      int64 // is held
		inSmall      int64
	}{
		{name: "small", size: 100, large: 2 * mib, small: smallBody, inSmall: 100},
		{name: "small, of unknown length", size: smallBody, large: 2 * mib, small: smallBody, unknown: true, inSmall: smallBody},
		{name: "small, without room", size: 100, large: 2 * mib, full: true},
		{name: "large", size: 3 * mib, large: MaxBody, inLarge: 3 * mib},
		{name: "large, of unknown length", size: 3 * mib, large: MaxBody, small: smallBody, unknown: true, inLarge: 3 * mib},
		{name: "larger than the room", size: 3 * mib, large: mib, status: http.StatusRequestEntityTooLarge},
		{name: "larger than the room, of unknown length", size: 3 * mib, large: mib, small: smallBody, unknown: true, status: http.StatusRequestEntityTooLarge},
	} {
		for encoding, compressed := range compressions {
			if encoding != "" && !x.unknown {
				continue // the length of what is decompressed is not known
			}
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
				s := &Server{large: sized(x.large), small: sized(max(x.small, 100))}
				if x.small == 0 && x.full {
					s.small.free.TryAcquire(100)
				}
				r := &request{
					Context: echo.New().NewContext(req, httptest.NewRecorder()), s: s, ctx: ctx,
					large: hold{room: s.large}, small: hold{room: s.small},
				}
				raw, err := r.body()
				var e *server.Error
				var known *statusError
				switch {
				case x.full && (!errors.As(err, &e) || e.Kind != server.Unavailable),
					x.status != 0 && (!errors.As(err, &known) || known.status != x.status),
					!x.full && x.status == 0 && (err != nil || int64(len(raw)) != x.size):
					t.Fatalf("got %d bytes, %v", len(raw), err)
				}
				if x.status == 0 && (r.large.n != x.inLarge || r.small.n != x.inSmall) {
					t.Errorf("%d and %d bytes are held, want %d and %d", r.large.n, r.small.n, x.inLarge, x.inSmall)
				}
				r.large.shrink(0)
				if !s.large.free.TryAcquire(x.large) {
					t.Error("not all is given back")
				}
			})
		}
	}
}

func sized(bytes int64) *room { return newRoom(nil, 1, bytes) }

// Of those that wait for room there are not many: the others are told at once.
func TestWaitForRoom(t *testing.T) {
	m := sized(100)
	first := hold{room: m}
	if err := first.wait(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make(chan error, 2*maxWaiting)
	for range maxWaiting {
		wg.Go(func() {
			h := hold{room: m}
			errs <- h.wait(t.Context(), 100)
			h.shrink(0)
		})
	}
	for m.waiting.Load() < maxWaiting {
		runtime.Gosched()
	}
	last := hold{room: m}
	if err := last.wait(t.Context(), 1); !errors.Is(err, errCrowded) {
		t.Errorf("one too many got %v", err)
	}
	first.shrink(0)
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Errorf("one that waited got %v", err)
		}
	}
	if n := m.waiting.Load(); n != 0 {
		t.Errorf("%d wait still", n)
	}
}

// Answers take room as they are put together, all of them together no more than there is.
func TestRoomForAnswers(t *testing.T) {
	m := sized(4 * smallBody)
	one, other := request{answer: hold{room: m}}, request{answer: hold{room: m}}
	take := one.answering()
	for range 10 {
		if err := take(smallBody / 10); err != nil || one.answer.n != 0 {
			t.Fatalf("a small answer holds %d bytes: %v", one.answer.n, err)
		}
	}
	if err := take(3 * smallBody); err != nil || one.answer.n < 3*smallBody-10 {
		t.Errorf("%d bytes are held: %v", one.answer.n, err)
	}
	if err := other.answering()(4 * smallBody); !errors.Is(err, errCrowded) {
		t.Errorf("without room: %v", err)
	}
	one.answer.shrink(0)
	if err := other.answering()(5 * smallBody); err != nil {
		t.Errorf("with all the room: %v", err)
	}
	var e *server.Error
	if err := one.answering()(5*smallBody + 1); !errors.As(err, &e) || e.Kind != server.BadRequest {
		t.Errorf("more than there is: %v", err)
	}
}
