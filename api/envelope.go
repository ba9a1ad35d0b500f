package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"freshet/server"
)

// statusError is an error whose status and text are given.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

// formatError begins the errors of what is no JSON of the right form.
const formatError = "Format error in JSON body: "

func badFormat(format string, args ...any) error {
	return &statusError{http.StatusBadRequest, formatError + fmt.Sprintf(format, args...)}
}

func badQuery(format string, args ...any) error {
	return &statusError{http.StatusBadRequest, "Deserialize error in query parameters: " + fmt.Sprintf(format, args...)}
}

// invalidQuery returns the error of a parameter of the URL whose value is of the right
// kind and outside its limits.
func invalidQuery(format string, args ...any) error {
	return &statusError{http.StatusUnprocessableEntity, "Validation error in query parameters: [" + fmt.Sprintf(format, args...) + "]"}
}

func badRequest(format string, args ...any) error {
	return &server.Error{Kind: server.BadRequest, Text: fmt.Sprintf(format, args...)}
}

func wrongInput(format string, args ...any) error {
	return &server.Error{Kind: server.WrongInput, Text: fmt.Sprintf(format, args...)}
}

func notValid(path, format string, args ...any) error {
	return &server.Error{Kind: server.Invalid, Path: path, Text: fmt.Sprintf(format, args...)}
}

// classify turns an error into a status and the text a client sees.
func classify(err error) (status int, text string) {
	var known *statusError
	if errors.As(err, &known) {
		return known.status, known.text
	}
	var e *server.Error
	if !errors.As(err, &e) {
		if errors.Is(err, context.Canceled) {
			return 499, "Service internal error: the client went away"
		}
		return http.StatusInternalServerError, "Service internal error: " + err.Error()
	}
	switch e.Kind {
	case server.NotFound:
		return http.StatusNotFound, "Not found: " + e.Error()
	case server.Exists, server.Conflict:
		return http.StatusConflict, "Wrong input: " + e.Error()
	case server.WrongInput:
		return http.StatusBadRequest, "Wrong input: " + e.Error()
	case server.BadRequest:
		return http.StatusBadRequest, "Bad request: " + e.Error()
	case server.Invalid:
		where := "JSON body"
		if e.Path == "collection_name" {
			where = "path parameters"
		}
		return http.StatusUnprocessableEntity, fmt.Sprintf("Validation error in %s: [%s]", where, e.Error())
	case server.RateLimited:
		return http.StatusTooManyRequests, "Rate limiting exceeded: " + e.Error()
	case server.Full:
		return http.StatusInsufficientStorage, "Insufficient storage: " + e.Error()
	case server.Timeout:
		return http.StatusRequestTimeout, "Timeout: " + e.Error()
	case server.Unavailable, server.MemoryFull:
		return http.StatusServiceUnavailable, "Service unavailable: " + e.Error()
	default:
		return http.StatusInternalServerError, "Service internal error: " + e.Error()
	}
}

func (r *request) succeed(result any) error {
	if p, ok := result.(pieces); ok {
		return r.send(p)
	}
	raw, ok := result.(encoded)
	if !ok {
		var err error
		if raw, err = json.Marshal(result); err != nil {
			return r.fail(fmt.Errorf("encode the result: %w", err))
		}
	}
	before := []byte(`{"result":`)
	after := r.end(nil)
	w := r.Response()
	w.Header().Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	// compress looks at the length. What is large is not put together first.
	w.Header().Set(echo.HeaderContentLength, strconv.Itoa(len(before)+len(raw)+len(after)))
	w.WriteHeader(http.StatusOK)
	if len(raw) < compressFrom {
		before, raw, after = append(append(before, raw...), after...), nil, nil
	}
	for _, part := range [][]byte{before, raw, after} {
		if len(part) == 0 {
			continue
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// end appends what comes behind the result.
func (r *request) end(dst []byte) []byte {
	dst = strconv.AppendFloat(append(dst, `,"status":"ok","time":`...), time.Since(r.started).Seconds(), 'g', 6, 64)
	return append(dst, '}')
}

// explain returns the status and the text of an error, and sets the headers that go with
// them. Only faults of ours are logged as errors.
func (r *request) explain(err error) (status int, text string) {
	status, text = classify(err)
	if status == http.StatusInternalServerError {
		r.s.o.Logger.Error("request failed", "method", r.Request().Method, "path", r.Path(), "err", err)
	}
	switch status {
	case http.StatusServiceUnavailable:
		r.Response().Header().Set("Retry-After", "1")
	case http.StatusInsufficientStorage: // somebody has to do something first
		r.Response().Header().Set("Retry-After", "10")
	}
	var e *server.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		r.Response().Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	return status, text
}

// fail answers with an error.
func (r *request) fail(err error) error {
	status, text := r.explain(err)
	return r.JSON(status, map[string]any{
		"status": map[string]string{"error": text},
		"time":   time.Since(r.started).Seconds(),
	})
}
