package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"freshet/api/openapi"
)

func text(s string) echo.HandlerFunc {
	return func(c echo.Context) error { return c.String(http.StatusOK, s) }
}

func wrap(h http.Handler) echo.HandlerFunc {
	return func(c echo.Context) error {
		h.ServeHTTP(c.Response(), c.Request())
		return nil
	}
}

const defaultTitle = "freshet - vector search engine with the REST API of qdrant"

// root says which API is spoken, for clients that check it, and by whom.
func (s *Server) root(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]string{
		"title":           s.o.Title,
		"version":         CompatibleVersion,
		"commit":          s.o.Commit,
		"freshet_version": s.o.Version,
	})
}

// description answers with the OpenAPI document of these routes.
func description(c echo.Context) error {
	doc, err := openapi.Document()
	if err != nil {
		return err
	}
	return c.JSONBlob(http.StatusOK, doc)
}

// standalone answers what only a cluster can do; allowed are the methods that the path
// has without one.
func standalone(allowed ...string) handler {
	return func(r *request) (any, error) {
		r.Response().Header().Set(echo.HeaderAllow, strings.Join(allowed, ", "))
		return nil, &statusError{status: http.StatusMethodNotAllowed, text: "Qdrant is running in standalone mode"}
	}
}
