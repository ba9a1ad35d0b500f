package api

import (
	queue "container/list"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"freshet/server/metric"
)

// settleTime is how long a connection is left alone after it was made, and after an answer.
const settleTime = time.Second

// Connections are those of a server, of which there are at most so many. When one more
// comes, the one that has been without a request for longest is closed for it. While all of
// them have a request, the new one waits until one ends, and those behind it wait in the
// system's queue.
type Connections struct {
	net.Listener
	limit   int
	settle  time.Duration
	log     *slog.Logger
	changed chan struct{} // has one after there may be room
	done    chan struct{} // closed when no more are taken
	closing sync.Once

	mu     sync.Mutex
	open   int
	quiet  queue.List // of *connection, without a request, for longest first
	given  int        // were closed for others
	warned time.Time
}

// LimitConnections has a server, which must not serve yet, take at most limit connections
// of a listener.
func LimitConnections(s *http.Server, l net.Listener, limit int, log *slog.Logger) *Connections {
	c := &Connections{
		Listener: l, limit: limit, settle: settleTime, log: log,
		changed: make(chan struct{}, 1), done: make(chan struct{}),
	}
	s.ConnState = c.state
	s.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connectionKey{}, connectionOf(conn))
	}
	return c
}

// connectionKey is the key of its connection in the context of a request.
type connectionKey struct{}

// connectionOf returns one of Connections, which TLS may be around, nil for another.
func connectionOf(c net.Conn) *connection {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	own, _ := c.(*connection)
	return own
}

// answered has the connection of a request, which it has alone, be one without a request: the
// server only waits for what is left of the body, which may never come.
func answered(r *http.Request) {
	c, _ := r.Context().Value(connectionKey{}).(*connection)
	if c == nil || r.ProtoMajor > 1 {
		return
	}
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.enterQuiet()
	c.of.tell()
}

// connection is one of Connections.
type connection struct {
	net.Conn
	of     *Connections
	closed sync.Once
	// Guarded by of.mu.
	since time.Time      // when it became quiet
	place *queue.Element // among the quiet ones, nil while it has a request
	gone  bool
}

// Accept returns the next connection once there is room for it.
func (l *Connections) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	for {
		victim, wait := l.room()
		switch {
		case victim != nil:
			if err := victim.Close(); err != nil {
				l.log.Debug("a quiet connection was closed for another", "err", err)
			}
			continue
		case wait == 0:
			return l.take(c), nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-l.changed:
		case <-timer.C:
		case <-l.done:
			err = net.ErrClosed
		}
		timer.Stop()
		if err != nil {
			_ = c.Close() // it was never used
			return nil, err
		}
	}
}

// room returns a connection that is to be closed, or how long to wait at most for a change;
// neither, if there is room.
func (l *Connections) room() (victim *connection, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open < l.limit {
		return nil, 0
	}
	first := l.quiet.Front()
	if first == nil {
		if now := time.Now(); now.Sub(l.warned) > time.Minute {
			l.warned = now
			l.log.Warn("all connections have requests, others wait for one to end", "connections", l.limit)
		}
		return nil, time.Hour
	}
	c := first.Value.(*connection)
	if wait = l.settle - time.Since(c.since); wait > 0 {
		return nil, wait
	}
	l.given++
	return c, 0
}

func (l *Connections) take(c net.Conn) *connection {
	l.mu.Lock()
	defer l.mu.Unlock()
	own := &connection{Conn: c, of: l}
	own.enterQuiet()
	l.open++
	return own
}

// state hears from the server what becomes of a connection.
func (l *Connections) state(c net.Conn, state http.ConnState) {
	own := connectionOf(c)
	if own == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	own.leaveQuiet()
	if state == http.StateIdle || state == http.StateNew {
		own.enterQuiet()
	}
	l.tell()
}

// tell wakes up who waits for room.
func (l *Connections) tell() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// Close takes no more connections.
func (l *Connections) Close() error {
	l.closing.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// enterQuiet puts the connection behind those without a request, of which it is none, unless it
// is closed. The caller has the lock of all of them.
func (c *connection) enterQuiet() {
	if !c.gone {
		c.since = time.Now()
		c.place = c.of.quiet.PushBack(c)
	}
}

// leaveQuiet takes the connection from those without a request, if it is one. The caller has
// the lock of all of them.
func (c *connection) leaveQuiet() {
	if c.place != nil {
		c.of.quiet.Remove(c.place)
		c.place = nil
	}
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.closed.Do(func() {
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		c.leaveQuiet()
		c.gone = true
		c.of.open--
		c.of.tell()
	})
	return c.Conn.Close()
}

// CloseWrite lets the server say that nothing follows, so that what it said arrives.
func (c *connection) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

var (
	connectionsDesc = metric.Gauge("freshet_http_connections", "Connections that are open.")
	mostDesc        = metric.Gauge("freshet_http_connections_limit", "Connections that may be open at once; 0: any number.")
	closedDesc      = metric.Counter("freshet_http_connections_closed_total", "Connections without a request that were closed to make room for others.")
)

// Metrics returns what is described.
func (l *Connections) Metrics() []metric.Desc {
	return []metric.Desc{connectionsDesc, mostDesc, closedDesc}
}

// Describe names the metrics.
func (l *Connections) Describe(ch chan<- *prometheus.Desc) { metric.Describe(l, ch) }

// Collect reads them. There may be no connections that are looked at: l may be nil.
func (l *Connections) Collect(ch chan<- prometheus.Metric) {
	open, limit, given := 0, 0, 0
	if l != nil {
		l.mu.Lock()
		open, limit, given = l.open, l.limit, l.given
		l.mu.Unlock()
	}
	ch <- connectionsDesc.Of(float64(open))
	ch <- mostDesc.Of(float64(limit))
	ch <- closedDesc.Of(float64(given))
}
