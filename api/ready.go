package api

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"
)

// What the routes of health say, in the words of Qdrant.
const (
	alive    = "healthz check passed"
	ready    = "all shards are ready"
	notReady = "some shards are not ready"
)

// ready answers whether requests should be sent here: not before what was missed has
// been read. Once that is so it stays so, since a server that is busy is better than none.
func (s *Server) ready(c echo.Context) error {
	if s.o.Behind != nil && !s.caughtUp.Load() {
		if sources, records := s.o.Behind(); sources > 0 {
			c.Response().Header().Set("Retry-After", "1")
			return c.String(http.StatusServiceUnavailable,
				fmt.Sprintf("%s\n%d sources read what they have missed, %d records", notReady, sources, records))
		}
		s.caughtUp.Store(true)
	}
	return c.String(http.StatusOK, ready)
}

// Loading answers while the database is being opened: that the process lives, how far
// it is, and for all else when to try again.
func Loading(progress fmt.Stringer) http.Handler {
	mux := http.NewServeMux()
	say := func(status int, text func() string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", echo.MIMETextPlainCharsetUTF8)
			if status != http.StatusOK {
				w.Header().Set("Retry-After", "1")
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(text())) // the client may be gone
		}
	}
	mux.Handle("GET /healthz", say(http.StatusOK, func() string { return alive }))
	mux.Handle("GET /livez", say(http.StatusOK, func() string { return alive }))
	mux.Handle("GET /readyz", say(http.StatusServiceUnavailable, func() string { return notReady + "\n" + progress.String() }))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", echo.MIMEApplicationJSON)
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		_ = json.NewEncoder(w).Encode(map[string]any{ // the client may be gone
			"status": map[string]string{"error": "Service unavailable: " + progress.String()}, "time": 0.0,
		})
	})
	return mux
}
