package api

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"freshet/server"
)

// audit records who has asked for what, and whether it was let through: one record
// for each request of a route that needs a right, when it is answered. No body, no
// key and no parameter but the collection is in it, and anybody's record is short.
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

// maxAudited is how much of a text of the client is recorded, in bytes; all of the name of
// a collection.
const maxAudited = server.MaxNameBytes

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
	given := func(name, text string) slog.Attr { return slog.String(name, text[:min(len(text), maxAudited)]) }
	r := slog.NewRecord(time.Now(), slog.LevelInfo, "request", 0)
	r.AddAttrs(
		given("method", req.Method), slog.String("route", c.Path()), given("collection", pathParam(c, "collection")),
		slog.String("by", who.by), given("subject", who.subject), slog.String("remote", remote),
		slog.String("result", result), slog.Int("status", status), slog.Int64("took_us", time.Since(started).Microseconds()),
	)
	// Written also when the client has gone.
	err = a.handler.Handle(context.WithoutCancel(req.Context()), r)
	if failed := err != nil; a.failing.Swap(failed) != failed && failed {
		a.log.Error("the audit log cannot be written", "err", err)
	}
}
