package api

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
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

func telemetry(r *request) (any, error) {
	return map[string]any{
		"id": "freshet",
		"app": map[string]any{
			"name":    "freshet",
			"version": CompatibleVersion,
			"startup": r.s.started.UTC().Format(time.RFC3339Nano),
		},
		"collections": map[string]any{"number_of_collections": len(r.s.db.Collections())},
		"cluster":     map[string]any{"enabled": false},
		"requests": map[string]any{
			"rest": map[string]any{"responses": map[string]any{}},
			"grpc": map[string]any{"responses": map[string]any{}},
		},
	}, nil
}

// standalone answers what only a cluster can do.
func standalone(*request) (any, error) {
	return nil, &statusError{status: http.StatusMethodNotAllowed, text: "Qdrant is running in standalone mode"}
}
