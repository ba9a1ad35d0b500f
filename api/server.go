// Package api serves Qdrant's REST API over a server.DB.
package api

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/prometheus/client_golang/prometheus"

	"freshet/server"
	"freshet/server/embed"
	"freshet/server/memory"
)

// CompatibleVersion is the version of the API that is served. Clients compare
// it with their own.
const CompatibleVersion = "1.19.0"

// Limits of one server.
const (
	MaxBody     = 32 << 20 // bytes, after decompression
	maxInFlight = 1024     // requests; more are refused with 503
	// maxWaits bounds those of them that wait for others, which costs them nothing and can
	// last: for records that are to come, or for an endpoint that makes vectors.
	maxWaits   = maxInFlight / 2
	maxTimeout = time.Hour
	// defaultTimeout bounds a request that does not say how long it may take.
	defaultTimeout = time.Minute
)

// Registry keeps metrics, as a prometheus.Registry does.
type Registry interface {
	prometheus.Registerer
	prometheus.Gatherer
}

// Options configure a Server.
type Options struct {
	Logger   *slog.Logger // default: discard
	Registry Registry     // gets the API's metrics and is served at /metrics; default: a new one
	Version  string       // of freshet
	Commit   string       // of freshet
	Title    string       // at /; default: who we are
	// APIKeys allow everything, ReadOnlyAPIKeys to read. Without any, everybody may
	// do everything.
	APIKeys, ReadOnlyAPIKeys []string
	// Tokens takes JSON Web Tokens that are signed with one of APIKeys.
	Tokens bool
	// Origins are those whose web pages may use the server besides its own, "*" for all.
	// Default: all where a key is asked for, else those of this machine.
	Origins []string
	// Local says that only this machine can reach the server. Without a key, requests
	// for hosts that it cannot be are refused then.
	Local bool
	// Behind counts the sources that have to catch up before requests should be sent
	// here, and the records they have to read; default: there are none.
	Behind func() (sources int, records int64)
	// Audit gets a record of each request; default: none are kept.
	Audit   slog.Handler
	Sources Sources       // default: none are managed
	Models  *embed.Models // make vectors of texts; default: none
	// Memory bounds what requests in flight may take; default: fixed bounds.
	Memory *memory.Guard
	// Connections are counted in the metrics; default: none are.
	Connections *Connections
}

// Server is the HTTP side of a database.
type Server struct {
	db      *server.DB
	o       Options
	echo    *echo.Echo
	started time.Time
	id      string // of this process, in telemetry
	metrics *metrics
	keys    keys
	pages   *pages
	// caughtUp says that the server has been ready.
	caughtUp atomic.Bool
	slots    chan struct{} // one for each request in flight
	waits    chan struct{} // one for each of those that waits for others
	// Rooms for what requests in flight have in memory: large and small bodies, answers.
	large, small, answers *room
}

// New returns a server of db.
func New(db *server.DB, o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	o.Title = cmp.Or(o.Title, defaultTitle)
	s := &Server{
		db: db, o: o, echo: echo.New(), started: time.Now(), id: uuid.NewString(),
		metrics: newMetrics(db, o), slots: make(chan struct{}, maxInFlight), waits: make(chan struct{}, maxWaits), keys: newKeys(o),
		large: newRoom(o.Memory, largeShare, maxLarge), answers: newRoom(o.Memory, answerShare, maxAnswer),
		small: newRoom(o.Memory, smallShare, maxSmall),
	}
	s.small.guard = nil // searches go on
	s.pages = newPages(o, s.keys.none())
	s.echo.HTTPErrorHandler = s.unrouted
	s.echo.Pre(withoutSlash, middleware.RemoveTrailingSlash())
	s.echo.Use(s.pages.cors(), s.compress, (&audit{handler: o.Audit, log: o.Logger}).record, s.guardPages, s.authenticate)
	s.routes()
	return s
}

// Handler returns the handler of all requests.
func (s *Server) Handler() http.Handler { return s.echo }

// HTTPServer returns a server of its own for the handler.
func (s *Server) HTTPServer() *http.Server { return HTTPServer(s.echo, s.o.Logger) }

// unrouted answers what no handler did: an unknown path, or a method that the path does
// not have, is an empty 404, as in Qdrant; which methods it has the header Allow says.
func (s *Server) unrouted(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	status := http.StatusInternalServerError
	var he *echo.HTTPError
	if errors.As(err, &he) {
		status = he.Code
	}
	if status == http.StatusMethodNotAllowed {
		status = http.StatusNotFound
	}
	if err := c.NoContent(status); err != nil {
		s.o.Logger.Debug("answer not sent", "err", err)
	}
}

// handler answers one request with the result of the envelope: encoded JSON or
// anything that encoding/json takes.
type handler func(r *request) (any, error)

// request is one HTTP request with what most handlers need of it.
type request struct {
	echo.Context
	s       *Server
	ctx     context.Context // ends with the request's timeout
	started time.Time
	params  url.Values // of the URL, see query
	// What it has of the server's rooms.
	large, small, answer hold
}

// ownAnswer answers without the envelope.
type ownAnswer func() error

// encoded is a result that is JSON already.
type encoded []byte

// handle wraps a handler in what all share: admission, deadline, the envelope,
// errors, metrics.
func (s *Server) handle(h handler) echo.HandlerFunc {
	return func(c echo.Context) error {
		if isLonger(c) {
			return echo.ErrNotFound
		}
		started := time.Now()
		r := &request{
			Context: c, s: s, started: started,
			large: hold{room: s.large}, small: hold{room: s.small}, answer: hold{room: s.answers},
		}
		defer r.answer.shrink(0)
		result, err := s.survive(r.Path(), func() (any, error) { return s.serve(r, h) })
		own, isOwn := result.(ownAnswer)
		switch {
		case err != nil:
			err = r.fail(err)
		case isOwn:
			err = own()
		default:
			err = r.succeed(result)
		}
		s.metrics.observe(c.Request().Method, c.Path(), c.Response().Status, time.Since(started))
		return err
	}
}

// isLonger says whether the path has more parts than its route, whose last parameter the
// router gives all that is left. A slash in a parameter has to be escaped.
func isLonger(c echo.Context) bool {
	route := c.Path()
	return !strings.HasSuffix(route, "*") && strings.Count(echo.GetPath(c.Request()), "/") > strings.Count(route, "/")
}

func (s *Server) serve(r *request, h handler) (any, error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		return nil, &server.Error{Kind: server.Unavailable, Text: "too many requests in flight, try again"}
	}
	if err := r.readQuery(); err != nil {
		return nil, err
	}
	timeout, err := r.timeout()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Request().Context(), timeout)
	defer cancel()
	r.ctx = server.WithRoom(ctx, r.answering())
	defer r.large.shrink(0)
	defer r.small.shrink(0)
	return h(r)
}

// survive does what a request asks for. A panic is an error of that request alone.
func (s *Server) survive(path string, do func() (any, error)) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.o.Logger.Error("a handler panicked", "path", path, "panic", p, "stack", string(debug.Stack()))
			result, err = nil, errors.New("the request could not be handled")
		}
	}()
	return do()
}

// waiting does what lasts until others have done something.
func (r *request) waiting(do func() error) error {
	select {
	case r.s.waits <- struct{}{}:
		defer func() { <-r.s.waits }()
		return do()
	default:
		return &server.Error{Kind: server.Unavailable, Text: "too many requests wait for records or for vectors of texts, try again"}
	}
}
