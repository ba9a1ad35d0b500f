package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

// access is what a request does, and so what its key has to allow.
type access uint8

const (
	free    access = iota // needs no key
	reading               // any key
	writing               // not a read-only key
)

// freeRoutes need no key: they tell nothing of the data.
var freeRoutes = map[string]bool{"/": true, "/healthz": true, "/livez": true, "/readyz": true, "/openapi.json": true}

// readingPosts are the routes by which a POST changes nothing. A route that is not
// here needs a key that may write.
var readingPosts = func() map[string]bool {
	routes := map[string]bool{collectionPath + "/points": true, collectionPath + "/facet": true, sourceWait: true}
	for _, path := range []string{
		"scroll", "count", "query", "query/batch", "query/groups", "search", "search/batch", "search/groups",
		"search/matrix/pairs", "search/matrix/offsets", "recommend", "recommend/batch", "recommend/groups",
		"discover", "discover/batch",
	} {
		routes[collectionPath+"/points/"+path] = true
	}
	return routes
}()

// accessOf returns the access that a route needs.
func accessOf(method, route string) access {
	switch {
	case method == http.MethodGet && freeRoutes[route]:
		return free
	case method == http.MethodGet, method == http.MethodPost && readingPosts[route]:
		return reading
	default:
		return writing
	}
}

// keys are the API keys that a server knows, as digests: comparing those takes as
// long for any key, right or wrong. Without any there is no authentication.
type keys struct{ full, readOnly [][sha256.Size]byte }

func newKeys(o Options) keys {
	var k keys
	for _, key := range o.APIKeys {
		k.full = append(k.full, sha256.Sum256([]byte(key)))
	}
	for _, key := range o.ReadOnlyAPIKeys {
		k.readOnly = append(k.readOnly, sha256.Sum256([]byte(key)))
	}
	return k
}

func (k keys) none() bool { return len(k.full)+len(k.readOnly) == 0 }

// granted returns the most that a key allows; free if it is not known.
func (k keys) granted(key string) access {
	digest := sha256.Sum256([]byte(key))
	in := func(list [][sha256.Size]byte) bool {
		found := 0
		for i := range list {
			found |= subtle.ConstantTimeCompare(list[i][:], digest[:])
		}
		return found == 1
	}
	full, readOnly := in(k.full), in(k.readOnly)
	switch {
	case full:
		return writing
	case readOnly:
		return reading
	default:
		return free
	}
}

// keyOf returns the key that a request brings, "" for none.
func keyOf(h http.Header) string {
	if key := h.Get("api-key"); key != "" {
		return key
	}
	if kind, key, ok := strings.Cut(h.Get("Authorization"), " "); ok && strings.EqualFold(kind, "Bearer") {
		return strings.TrimSpace(key)
	}
	return ""
}

// authenticate refuses requests whose key does not allow what they do.
func (s *Server) authenticate(next echo.HandlerFunc) echo.HandlerFunc {
	if s.keys.none() {
		return next
	}
	return func(c echo.Context) error {
		needed := accessOf(c.Request().Method, c.Path())
		if needed == free {
			return next(c)
		}
		key := keyOf(c.Request().Header)
		granted := s.keys.granted(key)
		if granted >= needed {
			return next(c)
		}
		var err error
		switch {
		case key == "":
			err = c.String(http.StatusUnauthorized, "Must provide an API key or an Authorization bearer token")
		case granted == free:
			err = c.String(http.StatusUnauthorized, "Invalid API key or JWT")
		default:
			r := &request{Context: c, s: s, started: time.Now()}
			err = r.fail(&statusError{http.StatusForbidden, "Forbidden: the API key allows to read only"})
		}
		s.metrics.refused.WithLabelValues(strconv.Itoa(c.Response().Status)).Inc()
		return err
	}
}
