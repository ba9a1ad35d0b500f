package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"freshet/server"
)

// digest stands for an API key: to compare two takes as long for any key, right or wrong.
type digest struct {
	_   [0]func() // by this neither == nor a map compares digests
	sum [sha256.Size]byte
}

func digestOf(key string) digest { return digest{sum: sha256.Sum256([]byte(key))} }

// equals returns 1 if both are of the same key, else 0. It is the one use of the sums.
func (d *digest) equals(other *digest) int {
	return subtle.ConstantTimeCompare(d.sum[:], other.sum[:])
}

// keys are the API keys that a server knows. Without any there is no authentication.
type keys struct {
	full, readOnly []digest
	tokens         *tokens // nil: tokens are not taken
}

func newKeys(o Options) keys {
	var k keys
	for _, key := range o.APIKeys {
		k.full = append(k.full, digestOf(key))
	}
	for _, key := range o.ReadOnlyAPIKeys {
		k.readOnly = append(k.readOnly, digestOf(key))
	}
	if o.Tokens {
		k.tokens = newTokens(o.APIKeys)
	}
	return k
}

func (k keys) none() bool { return len(k.full)+len(k.readOnly) == 0 }

// caller is who sends a request.
type caller struct {
	grant
	by      string // how it is known: none, api_key, read_only_api_key or jwt
	subject string // of a token
}

// byKey returns the caller that a key, which is no token, stands for.
func (k keys) byKey(key string) (caller, bool) {
	given := digestOf(key)
	in := func(list []digest) bool {
		found := 0
		for i := range list {
			found |= list[i].equals(&given)
		}
		return found == 1
	}
	isFull, isReadOnly := in(k.full), in(k.readOnly)
	switch {
	case isFull:
		return caller{grant: full, by: "api_key"}, true
	case isReadOnly:
		return caller{grant: grant{read: true}, by: "read_only_api_key"}, true
	default:
		return caller{by: "none"}, false
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

// identify finds out who sends a request, also of one that is refused: a token that is
// signed and does not count any more is still somebody's. Nothing is read but headers, and
// points only for a token that is signed.
func (s *Server) identify(ctx context.Context, h http.Header) (caller, error) {
	key := keyOf(h)
	if key == "" {
		return caller{by: "none"}, errNoKey
	}
	who, known := s.keys.byKey(key)
	if known {
		return who, nil
	}
	if s.keys.tokens == nil {
		return who, errInvalidKey
	}
	c, err := s.keys.tokens.read(key)
	if err != nil && !errors.Is(err, errExpired) {
		return who, err
	}
	who = caller{by: "jwt", subject: c.Named}
	if err == nil {
		err = c.exists(ctx, s.db)
	}
	if err == nil {
		who.grant = c.Access.grant
	}
	return who, err
}

const callerKey = "caller"

// callerOf returns who sends a request; one that was refused may do nothing.
func callerOf(c echo.Context) caller {
	if who, ok := c.Get(callerKey).(caller); ok {
		return who
	}
	return caller{by: "none"}
}

// authenticate refuses requests whose key does not allow what they do.
func (s *Server) authenticate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if s.keys.none() {
			c.Set(callerKey, caller{grant: full, by: "none"})
			return next(c)
		}
		need := ruleOf(c.Request().Method, c.Path())
		if need == free {
			return next(c)
		}
		who, err := s.identify(c.Request().Context(), c.Request().Header)
		c.Set(callerKey, who) // also for the audit log
		if err == nil {
			named := pathParam(c, "collection")
			err = who.allows(need, named, s.resolve(named))
		}
		if err == nil {
			return next(c)
		}
		return s.refuse(c, err)
	}
}

// refuse answers a request that is not let through.
func (s *Server) refuse(c echo.Context, err error) error {
	var known *statusError
	if errors.As(err, &known) && known.status == http.StatusUnauthorized {
		err = c.String(known.status, known.text)
	} else {
		r := &request{Context: c, s: s, started: time.Now()}
		err = r.fail(err)
	}
	s.metrics.refused.WithLabelValues(strconv.Itoa(c.Response().Status)).Inc()
	return err
}

// resolve returns the name of the collection that a name or an alias stands for.
func (s *Server) resolve(name string) string {
	if name == "" {
		return ""
	}
	if c, err := s.db.Collection(name); err == nil {
		return c.Name()
	}
	return name
}

// mayRead says whether the one who asks may see a collection.
func (r *request) mayRead(name string) bool {
	return callerOf(r.Context).mayRead(name, r.s.resolve(name))
}

// lookedUp returns a collection that a request names beside the one of its path.
func (r *request) lookedUp(name string) (*server.Collection, error) {
	if !r.mayRead(name) {
		return nil, forbidden("access to collection %.300s is required", name)
	}
	c, err := r.s.db.Collection(name)
	if err != nil {
		return nil, &server.Error{Kind: server.NotFound, Text: fmt.Sprintf("Collection %s not found", name)}
	}
	return c, nil
}

// pathParam returns a decoded parameter of the path.
func pathParam(c echo.Context, name string) string {
	value := c.Param(name)
	if c.Request().URL.RawPath == "" {
		return value
	}
	if decoded, err := url.PathUnescape(value); err == nil {
		return decoded
	}
	return value
}
