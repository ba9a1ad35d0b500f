package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/labstack/echo/v4"

	"freshet/api"
	"freshet/server"
)

// untouched is a body that must not be read.
type untouched struct{ read bool }

func (b *untouched) Read([]byte) (int, error) {
	b.read = true
	return 0, errors.New("the body was read")
}

func (b *untouched) Close() error { return nil }

// TestBodiesOfTheRefusedAreNotRead sends requests that are not allowed to every route.
func TestBodiesOfTheRefusedAreNotRead(t *testing.T) {
	s := startWithKeys(t)
	free := map[string]bool{}
	for _, route := range accessTable[anybody] {
		free[route] = true
	}
	routes := 0
	for _, r := range s.h.(*echo.Echo).Routes() {
		if free[r.Method+" "+r.Path] || strings.HasPrefix(r.Path, "/dashboard") {
			continue
		}
		routes++
		for _, key := range []string{"", "wrong", token(t, "wrong", `{"access":"m"}`), token(t, "full", `{"access":[]}`)} {
			if key == token(t, "full", `{"access":[]}`) && r.Method == "GET" {
				continue // some lists are for any key
			}
			body := new(untouched)
			req := httptest.NewRequest(r.Method, strings.NewReplacer(`\:`, ":", ":collection", "c").Replace(r.Path), body)
			req.ContentLength = 1 << 40
			if key != "" {
				req.Header.Set("api-key", key)
			}
			w := httptest.NewRecorder()
			s.h.ServeHTTP(w, req)
			if body.read || w.Code != 401 && w.Code != 403 {
				t.Errorf("%s %s with the key %.10q: %d, the body was read: %t", r.Method, r.Path, key, w.Code, body.read)
			}
		}
	}
	if routes < 90 {
		t.Errorf("only %d routes were found", routes)
	}
}

// TestRefusedUploadsLeaveNothing uploads a snapshot without the right to.
func TestRefusedUploadsLeaveNothing(t *testing.T) {
	snapshots := t.TempDir()
	db, err := server.Open(context.Background(), t.TempDir(), server.Options{SnapshotsDir: snapshots})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	h := api.New(db, api.Options{APIKeys: []string{"full"}, ReadOnlyAPIKeys: []string{"reader"}, Tokens: true}).Handler()
	send := func(key string) *httptest.ResponseRecorder {
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		part, err := form.CreateFormFile("snapshot", "a.snapshot")
		if err == nil {
			_, err = part.Write(bytes.Repeat([]byte("x"), 1<<20))
		}
		if err := errors.Join(err, form.Close()); err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequest("POST", "/collections/c/snapshots/upload", &body)
		req.Header.Set("Content-Type", form.FormDataContentType())
		req.Header.Set("api-key", key)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		return w
	}
	for key, want := range map[string]int{
		"": 401, "wrong": 401, "reader": 403, token(t, "full", `{"access":"r"}`): 403,
		token(t, "full", `{"access":[{"collection":"c","access":"rw"}]}`): 403,
		"full": 400, // allowed, and no snapshot
	} {
		if w := send(key); w.Code != want {
			t.Errorf("with the key %.10q: %d %s, want %d", key, w.Code, w.Body, want)
		}
		files, err := os.ReadDir(snapshots)
		if err != nil || len(files) != 0 || len(db.Collections()) != 0 {
			t.Errorf("with the key %.10q something is left: %v, %v, %v", key, files, db.Collections(), err)
		}
	}
}

// TestSpellingsOfPaths asks without a key for what needs one, by names that a check of
// the path as it is written could take for what is free.
func TestSpellingsOfPaths(t *testing.T) {
	s := startWithKeys(t)
	s.with("full", "PUT", "/collections/hidden", `{"vectors":{"size":1,"distance":"Dot"}}`)
	for _, path := range []string{
		"/dashboard%2f..%2fcollections", "/dashboard/..%2fcollections", "/dashboard/../collections", "/dashboard/..;/collections",
		"/healthz%2f..%2fcollections", "/healthz/../collections", "/openapi.json/../collections", "/./collections", "/%2e/collections",
		"//collections", "/collections/", "/collections//", "/%63ollections", "/collections%2f", "/COLLECTIONS", "/collections?/healthz",
		"/collections/hidden%2f", "/collections/hidden/../hidden", "/metrics/", "/%6detrics", "/telemetry/", "/snapshots/..%2f..%2fetc%2fpasswd",
		"/debug/pprof/", "/debug/pprof/heap", "/debug/vars",
	} {
		for _, header := range []string{"", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix"} {
			req := httptest.NewRequest("GET", path, nil)
			if header != "" {
				req.Header.Set(header, "/healthz")
			}
			w := httptest.NewRecorder()
			s.h.ServeHTTP(w, req)
			if w.Code != 401 || strings.Contains(w.Body.String(), "hidden") {
				t.Errorf("%s with %q: %d %s", path, header, w.Code, w.Body)
			}
		}
	}
}

// TestNoDebugging asks with every right for what servers tell developers.
func TestNoDebugging(t *testing.T) {
	s := startWithKeys(t)
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile?seconds=1", "/debug/vars", "/debug/requests", "/stacktrace", "/expr"} {
		for _, method := range []string{"GET", "POST"} {
			if w := s.with("full", method, path, ""); w.Code != 404 && w.Code != 405 {
				t.Errorf("%s %s: %d %.200s", method, path, w.Code, w.Body)
			}
		}
	}
}

// TestBombs sends little that becomes much.
func TestBombs(t *testing.T) {
	h := startHostile(t)
	const parts = 1 << 10 // of 1 MiB each
	part := bytes.Repeat([]byte(" "), 1<<20)
	var gz, zs bytes.Buffer
	g := gzip.NewWriter(&gz)
	z, err := zstd.NewWriter(&zs)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.WriteCloser{g, z} {
		_, err := w.Write(part)
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for encoding, some := range map[string][]byte{"gzip": gz.Bytes(), "zstd": zs.Bytes()} {
		bomb := bytes.Repeat(some, parts)
		for _, x := range []struct{ method, path, media string }{
			{"PUT", hostilePoints, "application/json"},
			{"POST", hostilePoints + "/query", "application/json"},
			{"PUT", hostilePoints, "application/vnd.apache.arrow.stream"},
			{"PUT", hostilePoints + "?first_id=1", "application/x-npy"},
			{"PUT", "/collections/d", "application/json"},
		} {
			req := httptest.NewRequest(x.method, x.path, bytes.NewReader(bomb))
			req.Header.Set("Content-Type", x.media)
			req.Header.Set("Content-Encoding", encoding)
			w := httptest.NewRecorder()
			if n := allocated(func() { h.h.ServeHTTP(w, req) }); w.Code != http.StatusRequestEntityTooLarge || n > 10*api.MaxBody { // twice what it is without the race detector
				t.Errorf("%d bytes of %s to %s %s: %d, %d bytes were allocated", len(bomb), encoding, x.method, x.path, w.Code, n)
			}
		}
	}
}

// listening serves h on a free port within limits, and at most so many connections.
func listening(t *testing.T, h http.Handler, limits api.Limits, connections int) *api.Connections {
	t.Helper()
	s := limits.Server(h, slog.New(slog.DiscardHandler))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	limited := api.LimitConnections(s, l, connections, slog.New(slog.DiscardHandler))
	done := make(chan error, 1)
	go func() { done <- s.Serve(limited) }()
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), <-done); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return limited
}

// TestSlowAndLargeRequests sends what keeps a connection busy, and more than is taken.
func TestSlowAndLargeRequests(t *testing.T) {
	s := start(t)
	s.result("PUT", "/collections/c", `{"vectors":{"size":1,"distance":"Dot"}}`)
	listen := func(wait time.Duration) string {
		limits := api.Limits{Header: wait, Body: wait, Request: time.Minute, Idle: wait, Answer: time.Minute, Rate: 1 << 10}
		return listening(t, s.h, limits, 1000).Addr().String()
	}
	hasty, patient := listen(50*time.Millisecond), listen(time.Minute)
	post := func(headers, body string) string {
		return "POST /collections/c/points/scroll HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n" + body
	}
	for name, x := range map[string]struct {
		to, sent string
		want     string // of the answer, before the server closes the connection
	}{
		"nothing":                  {hasty, "", ""},
		"a header that never ends": {hasty, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: ", ""},
		"a body that never comes":  {hasty, post("Content-Length: 100\r\n", ""), "408 Request Timeout"},
		"a body that breaks off":   {hasty, post("Content-Length: 100\r\n", `{"limit": `), "408 Request Timeout"},
		"chunks that end nowhere":  {hasty, post("Transfer-Encoding: chunked\r\n", "5\r\n{    \r\n"), "408 Request Timeout"},
		"a header that is large":   {patient, post(fmt.Sprintf("X-A: %s\r\n", strings.Repeat("a", 128<<10)), ""), "431 Request Header Fields Too Large"},
		"many headers":             {patient, post(strings.Repeat("X-A: a\r\n", 16<<10), ""), "431 Request Header Fields Too Large"},
		"a path that is long":      {patient, "GET /" + strings.Repeat("a", 128<<10) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", "431 Request Header Fields Too Large"},
		"two lengths":              {patient, post("Content-Length: 2\r\nContent-Length: 3\r\n", "{}"), "400 Bad Request"},
		"a length and chunks":      {patient, post("Content-Length: 2\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n", "0\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n"), "4"},
		"a body of 1 TiB":          {hasty, post(fmt.Sprintf("Content-Length: %d\r\n", int64(1)<<40), "{}"), "413 Request Entity Too Large"},
		"a line end in a header":   {patient, post("X-A: a\rX-B: b\r\n", "{}"), "400 Bad Request"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", x.to)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }() // the server has
			if _, err := io.WriteString(c, x.sent); err != nil {
				t.Logf("the server did not take all: %v", err)
			}
			if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(c)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("the connection stays open")
			}
			line, _, _ := strings.Cut(string(answer), "\r\n")
			if !strings.HasPrefix(strings.TrimPrefix(line, "HTTP/1.1 "), x.want) || x.want == "" && line != "" {
				t.Errorf("got %.200q, want %s", line, x.want)
			}
			if n := strings.Count(string(answer), "HTTP/1.1 "); n > 1 {
				t.Errorf("there are %d answers", n)
			}
		})
	}
}
