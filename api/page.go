package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"freshet/api/dashboard"
)

// pageFiles are those of the page at /dashboard. Each has a route of its own, so that
// nothing else below that path is free of a key.
var pageFiles = dashboard.Files()

func (s *Server) pageRoutes() {
	for path, file := range pageFiles {
		s.echo.GET(path, func(c echo.Context) error { return sendPage(c, file) })
	}
}

// withoutSlash takes the slash from the end of an escaped path, as RemoveTrailingSlash does
// of the others. Those who ask for the page with a slash at its end are sent to the page:
// its addresses are relative, for proxies that serve it below a path.
func withoutSlash(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		u := c.Request().URL
		u.RawPath = strings.TrimSuffix(u.RawPath, "/")
		if u.Path == dashboard.Page+"/" {
			return c.Redirect(http.StatusMovedPermanently, ".."+dashboard.Page)
		}
		return next(c)
	}
}

func sendPage(c echo.Context, file dashboard.File) error {
	h := c.Response().Header()
	h.Set("Content-Security-Policy", dashboard.Policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", file.Tag)
	if c.Request().Header.Get("If-None-Match") == file.Tag {
		return c.NoContent(http.StatusNotModified)
	}
	return c.Blob(http.StatusOK, file.Type, file.Body)
}
