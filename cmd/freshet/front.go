package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"

	"freshet/api"
)

// front answers on the port from the moment it is taken: first that the database is
// being opened, then what the API answers.
type front struct {
	log     *slog.Logger
	address string
	server  *http.Server
	// connections are those that are open.
	connections *api.Connections
	handler     atomic.Pointer[http.Handler]
	ended       chan struct{} // closed when it does not serve any more
	err         error         // why, once it has ended
}

// listen takes the port, for so many connections, and answers by first. end must be called.
func listen(ctx context.Context, c *httpConfig, connections int, log *slog.Logger, first http.Handler) (*front, error) {
	f := &front{log: log, ended: make(chan struct{})}
	f.show(first)
	f.server = api.HTTPServer(f, log)
	if c.TLS.used() {
		var err error
		if f.server.TLSConfig, err = newCertificates(c.TLS, log).serverConfig(); err != nil {
			return nil, err
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use by another process; --listen takes another address", c.Listen)
	}
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	f.address = listener.Addr().String()
	f.connections = api.LimitConnections(f.server, listener, connections, log)
	go func() {
		defer close(f.ended)
		if c.TLS.used() {
			f.err = f.server.ServeTLS(f.connections, "", "")
		} else {
			f.err = f.server.Serve(f.connections)
		}
	}()
	return f, nil
}

// show has requests answered by h from now on.
func (f *front) show(h http.Handler) { f.handler.Store(&h) }

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*f.handler.Load()).ServeHTTP(w, r)
}

// end gives the port up, after requests in progress have ended, or drainTime.
func (f *front) end(ctx context.Context) error {
	drain, stop := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer stop()
	err := f.server.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		f.log.Warn("requests in progress were cut off", "after", drainTime.String())
		err = f.server.Close()
	}
	<-f.ended
	if errors.Is(f.err, http.ErrServerClosed) {
		return err
	}
	return errors.Join(f.err, err)
}
