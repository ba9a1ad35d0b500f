package api

import (
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
	seconds, given, err := r.uint("timeout")
	switch {
	case err != nil:
		return 0, err
	case !given && strings.HasSuffix(r.Path(), "/snapshots/upload"):
		return recoveryTime, nil // as long as bytes come
	case !given && (strings.Contains(r.Path(), "/snapshots") || r.Path() == sourceWait):
		return maxTimeout, nil
	case !given:
		return defaultTimeout, nil
	case seconds == 0 && r.changesCollections():
		return 0, invalidQuery("timeout: value 0 invalid, must be 1 or larger")
	case seconds == 0:
		return 0, badQuery("invalid value: integer `0`, expected a nonzero u64")
	}
	return time.Duration(min(seconds, uint64(maxTimeout/time.Second))) * time.Second, nil
}

// changesCollections tells whether the request creates, changes or removes collections
// or aliases.
func (r *request) changesCollections() bool {
	return r.Path() == aliasesPath || r.Path() == collectionPath && r.Request().Method != http.MethodGet
}

// admitTimeout tells whether the collection lets a request ask for its timeout.
func (r *request) admitTimeout(c *server.Collection) error {
	seconds, given, err := r.uint("timeout")
	if err != nil || !given {
		return err
	}
	return c.AdmitTimeout(seconds)
}

// wait returns the parameter of writes that says when to answer.
func (r *request) wait() (bool, error) { return r.flag("wait", false) }

// ordering checks the parameter of writes that matters only in a cluster.
func (r *request) ordering() error {
	v, given, err := r.query("ordering")
	if err != nil || !given || v == "weak" || v == "medium" || v == "strong" {
		return err
	}
	return badQuery("unknown variant `%.40s`, expected one of `weak`, `medium`, `strong`", v)
}

// consistency checks the parameter of reads that matters only in a cluster.
func (r *request) consistency() error {
	v, given, err := r.query("consistency")
	if err != nil || !given || v == "majority" || v == "quorum" || v == "all" {
		return err
	}
	if n, err := strconv.ParseUint(v, 10, 32); err != nil || n == 0 {
		return badQuery("unknown read consistency `%.40s`, expected `majority`, `quorum`, `all` or a number of 1 or more", v)
	}
	return nil
}
