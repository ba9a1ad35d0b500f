package api

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
)

// audit records who has asked for what, and whether it was let through: one record
// for each request of a route that needs a right, when it is answered. No body, no
// key and no parameter but the collection is in it.
type audit struct {
	handler slog.Handler
	log     *slog.Logger
	failing atomic.Bool // the last record could not be written
}

// record is a middleware outside of authenticate.
func (a *audit) record(next echo.HandlerFunc) echo.HandlerFunc {
	if a.handler == nil {
		return next
	}
	return func(c echo.Context) error {
		started := time.Now()
		if err := next(c); err != nil {
			c.Error(err) // it answers, so that the status is known
		}
		if ruleOf(c.Request().Method, c.Path()) != free {
			a.write(c, started)
		}
		return nil
	}
}

func (a *audit) write(c echo.Context, started time.Time) {
	req, who := c.Request(), callerOf(c)
	remote, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		remote = req.RemoteAddr
	}
	status := c.Response().Status
	result := "allowed"
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		result = "denied"
	}
	r := slog.NewRecord(time.Now(), slog.LevelInfo, "request", 0)
	r.AddAttrs(
		slog.String("method", req.Method), slog.String("route", c.Path()), slog.String("collection", pathParam(c, "collection")),
		slog.String("by", who.by), slog.String("subject", who.subject), slog.String("remote", remote),
		slog.String("result", result), slog.Int("status", status), slog.Int64("took_us", time.Since(started).Microseconds()),
	)
	// Written also when the client has gone.
	err = a.handler.Handle(context.WithoutCancel(req.Context()), r)
	if failed := err != nil; a.failing.Swap(failed) != failed && failed {
		a.log.Error("the audit log cannot be written", "err", err)
	}
}
