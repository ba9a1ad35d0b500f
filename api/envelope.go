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
	case server.Unavailable:
		return http.StatusServiceUnavailable, "Service unavailable: " + e.Error()
	default:
		return http.StatusInternalServerError, "Service internal error: " + e.Error()
	}
}

func (r *request) succeed(result any) error {
	body := append(make([]byte, 0, 512), `{"result":`...)
	if raw, ok := result.(encoded); ok {
		body = append(body, raw...)
	} else {
		raw, err := json.Marshal(result)
		if err != nil {
			return r.fail(fmt.Errorf("encode the result: %w", err))
		}
		body = append(body, raw...)
	}
	body = append(body, `,"status":"ok","time":`...)
	body = strconv.AppendFloat(body, time.Since(r.started).Seconds(), 'g', 6, 64)
	body = append(body, '}')
	return r.JSONBlob(http.StatusOK, body)
}

// fail answers with an error. Only faults of ours are logged as errors.
func (r *request) fail(err error) error {
	status, text := classify(err)
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
	return r.JSON(status, map[string]any{
		"status": map[string]string{"error": text},
		"time":   time.Since(r.started).Seconds(),
	})
}
