package api

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"freshet/server"
	"freshet/server/point"
)

// param returns a decoded path parameter.
func (r *request) param(name string) string { return pathParam(r.Context, name) }

// collection returns the collection that the path names.
func (r *request) collection() (*server.Collection, error) {
	name := r.param("collection")
	if err := server.CheckName(name); err != nil {
		return nil, err
	}
	return r.s.db.Collection(name)
}

// pointID returns the id in the path.
func (r *request) pointID() (point.ID, error) {
	text := r.param("id")
	id, err := point.ParsePath(text)
	if err != nil {
		return id, wrongInput("Can not recognize %q as point id", text)
	}
	return id, nil
}

// timeout returns how long the request may take.
func (r *request) timeout() (time.Duration, error) {
	value := r.QueryParam("timeout")
	if value == "" && (strings.Contains(r.Path(), "/snapshots") || r.Path() == sourceWait) {
		return maxTimeout, nil
	}
	if value == "" {
		return defaultTimeout, nil
	}
	n, err := strconv.ParseUint(value, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, badQuery("number too large to fit in target type")
	case err != nil:
		return 0, badQuery("invalid digit found in string")
	}
	if n == 0 && r.Path() == collectionPath && r.Request().Method != http.MethodGet {
		return 0, &statusError{http.StatusUnprocessableEntity, "Validation error in query parameters: [timeout: value 0 invalid, must be 1 or larger]"}
	}
	if n == 0 {
		return 0, badQuery("invalid value: integer `0`, expected a nonzero u64")
	}
	return time.Duration(min(n, uint64(maxTimeout/time.Second))) * time.Second, nil
}

// admitTimeout tells whether the collection lets a request ask for its timeout.
func (r *request) admitTimeout(c *server.Collection) error {
	value := r.QueryParam("timeout")
	if value == "" {
		return nil
	}
	seconds, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return badQuery("invalid digit found in string")
	}
	return c.AdmitTimeout(seconds)
}

// wait returns the parameter of writes that says when to answer.
func (r *request) wait() (bool, error) {
	switch r.QueryParam("wait") {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, badQuery("provided string was not `true` or `false`")
	}
}

// flag reads a parameter that is true or false, the default.
func (r *request) flag(name string) (bool, error) {
	switch r.QueryParam(name) {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, badQuery("%s: provided string was not `true` or `false`", name)
	}
}

// ordering checks the parameter of writes that matters only in a cluster.
func (r *request) ordering() error {
	switch v := r.QueryParam("ordering"); v {
	case "", "weak", "medium", "strong":
		return nil
	default:
		return badQuery("unknown variant `%.40s`, expected one of `weak`, `medium`, `strong`", v)
	}
}

// consistency checks the parameter of reads that matters only in a cluster.
func (r *request) consistency() error {
	switch v := r.QueryParam("consistency"); v {
	case "", "majority", "quorum", "all":
		return nil
	default:
		if n, err := strconv.ParseUint(v, 10, 32); err != nil || n == 0 {
			return badQuery("unknown read consistency `%.40s`, expected `majority`, `quorum`, `all` or a number of 1 or more", v)
		}
		return nil
	}
}
