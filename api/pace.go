package api

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// MaxHeaders is how large all headers of a request may be, in bytes.
const MaxHeaders = 64 << 10

// Limits are how long clients may keep a server waiting.
type Limits struct {
	Header time.Duration // until the last header of a request
	Idle   time.Duration // between two requests
	// Body is how long a client may have the server wait for its body, all waiting taken
	// together, apart from the time that what it has sent took at Rate.
	Body time.Duration
	// Request is how long a body may take in all. Uploads of snapshots may take longer.
	Request time.Duration
	// Answer is as Body, for a client that takes what it is sent.
	Answer time.Duration
	Rate   int64 // bytes a second
}

// UsualLimits returns those of a real server. The largest body has to come with some
// 110 KB a second, as without Rate: that is for those who want to keep a small one open.
func UsualLimits() Limits {
	return Limits{
		Header: 10 * time.Second, Idle: 2 * time.Minute,
		Body: 10 * time.Second, Request: 5 * time.Minute,
		Answer: time.Minute, Rate: 16 << 10,
	}
}

// HTTPServer returns a server for a handler with limits against clients that send
// slowly or not at all.
func HTTPServer(h http.Handler, log *slog.Logger) *http.Server { return UsualLimits().Server(h, log) }

// Server returns a server for a handler that holds clients to the limits.
func (l Limits) Server(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           &pacing{limits: l, next: h},
		ReadHeaderTimeout: l.Header,
		// Bodies and answers have deadlines that move. This one is for what the server
		// says by itself.
		WriteTimeout:   l.Answer,
		IdleTimeout:    l.Idle,
		MaxHeaderBytes: MaxHeaders,
		HTTP2:          &http.HTTP2Config{WriteByteTimeout: l.Answer},
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// pacing holds requests to limits.
type pacing struct {
	limits Limits
	next   http.Handler
}

// ServeHTTP implements http.Handler.
func (p *pacing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	connection := http.NewResponseController(w)
	paced := &pacedWriter{ResponseWriter: w, connection: connection, budget: newBudget(p.limits.Answer, p.limits.Rate)}
	err := connection.SetWriteDeadline(time.Time{})
	var body *pacedBody
	if r.Body != nil && r.Body != http.NoBody {
		// What no handler reads the server reads by itself, within this time.
		err = errors.Join(err, connection.SetReadDeadline(began.Add(p.limits.Body)))
		body = &pacedBody{
			ReadCloser: r.Body, connection: connection, budget: newBudget(p.limits.Body, p.limits.Rate),
			end: began.Add(p.limits.Request),
		}
		r.Body = body
	}
	if err != nil { // the connection is closed
		return
	}
	p.next.ServeHTTP(paced, r)
	// The rest of the answer is sent after this, and an error is that of a closed connection.
	_ = connection.SetWriteDeadline(time.Now().Add(p.limits.Answer))
	if body != nil && !body.whole {
		answered(r)
	}
}

// budget is how long a client may still have the server wait. It grows with the bytes that
// are moved, but never beyond what it was at first.
type budget struct {
	most, left time.Duration
	rate       int64
}

func newBudget(most time.Duration, rate int64) budget { return budget{most, most, rate} }

func (b *budget) spend(waited time.Duration, n int) {
	b.left = min(b.left-waited+time.Duration(n)*time.Second/time.Duration(b.rate), b.most)
}

// pacedBody is a body that has to come at a pace. Time in which nobody reads does not
// count.
type pacedBody struct {
	io.ReadCloser
	connection *http.ResponseController
	budget     budget
	end        time.Time // zero: none
	whole      bool      // it was read to its end
}

func (b *pacedBody) Read(p []byte) (int, error) {
	began := time.Now()
	deadline := began.Add(b.budget.left)
	if !b.end.IsZero() && b.end.Before(deadline) {
		deadline = b.end
	}
	if err := b.connection.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p)
	b.budget.spend(time.Since(began), n)
	if errors.Is(err, io.EOF) {
		b.whole = true
		// From here on the server reads to see whether the client goes away, which may last
		// as long as the request. If this fails, it has gone.
		_ = b.connection.SetReadDeadline(time.Time{})
	}
	return n, err
}

// takeTime lets a body be as long under way as it likes, as long as bytes come: never
// nothing for longer than stall.
func takeTime(body io.ReadCloser, stall time.Duration) {
	if b, ok := body.(*pacedBody); ok {
		b.end, b.budget = time.Time{}, newBudget(stall, b.budget.rate)
	}
}

// pacedWriter sends an answer that has to be taken at a pace. Time in which nobody writes
// does not count.
type pacedWriter struct {
	http.ResponseWriter
	connection *http.ResponseController
	budget     budget
}

// Write sends parts that a client can take in time.
func (w *pacedWriter) Write(p []byte) (int, error) {
	const part = 64 << 10
	for sent := 0; ; {
		began := time.Now()
		if err := w.connection.SetWriteDeadline(began.Add(w.budget.left)); err != nil {
			return sent, err
		}
		n, err := w.ResponseWriter.Write(p[sent:min(sent+part, len(p))])
		w.budget.spend(time.Since(began), n)
		if sent += n; err != nil || sent == len(p) {
			return sent, err
		}
	}
}

// FlushError sends what was written; http.ResponseController calls it.
func (w *pacedWriter) FlushError() error {
	began := time.Now()
	defer func() { w.budget.spend(time.Since(began), 0) }()
	if err := w.connection.SetWriteDeadline(began.Add(w.budget.left)); err != nil {
		return err
	}
	return w.connection.Flush()
}

// Unwrap lets http.ResponseController reach the connection.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
