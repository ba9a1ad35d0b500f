package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"freshet/server"
	"freshet/server/filter"
	"freshet/server/object"
)

// clockSkew is by how much the clocks of a token's maker and of this machine may differ.
const clockSkew = 30 * time.Second

// Refusals, in the words of Qdrant.
var (
	errNoKey      = &statusError{http.StatusUnauthorized, "Must provide an API key or an Authorization bearer token"}
	errInvalidKey = &statusError{http.StatusUnauthorized, "Invalid API key or JWT"}
	errExpired    = &statusError{http.StatusForbidden, "ExpiredSignature"}
	errSignature  = &statusError{http.StatusForbidden, "InvalidSignature"}
	errPayload    = &statusError{http.StatusUnauthorized, "access: payload constraints are not supported"}
	errNoMatch    = &statusError{http.StatusUnauthorized, "Invalid JWT, stateful validation failed"}
	errNoChecked  = &statusError{http.StatusForbidden, "Invalid JWT, stateful validation failed"}
)

// tokens reads tokens that are signed with one of the keys that allow everything.
type tokens struct {
	secrets [][]byte
	// One algorithm: else a token could choose "none", or have a key taken for what it
	// is not.
	parser    *jwt.Parser
	validator *jwt.Validator
}

func newTokens(keys []string) *tokens {
	t := &tokens{
		parser:    jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithoutClaimsValidation()),
		validator: jwt.NewValidator(jwt.WithLeeway(clockSkew)),
	}
	for _, key := range keys {
		t.secrets = append(t.secrets, []byte(key))
	}
	return t
}

// unread are the claims of a token as they are written. Anybody can write a token whose claims
// take long to read, so that comes after its signature.
type unread struct {
	jwt.RegisteredClaims // none: for the methods
	raw                  []byte
}

// UnmarshalJSON keeps the claims.
func (u *unread) UnmarshalJSON(raw []byte) error {
	u.raw = bytes.Clone(raw)
	return nil
}

// claims are the members of a token that count; all of them may be missing.
type claims struct {
	jwt.RegisteredClaims
	Access accessClaim `json:"access"`
	Exists *struct {
		Collection string `json:"collection"`
		Matches    []struct {
			Key   string          `json:"key"`
			Value json.RawMessage `json:"value"`
		} `json:"matches"`
	} `json:"value_exists"`
	// Named is whom the audit log names.
	Named string `json:"subject"`
}

// UnmarshalJSON refuses claims in which an object has a name twice, in whatever case, as that
// is how they are read: of two rights nobody can say which is meant.
func (c *claims) UnmarshalJSON(raw []byte) error {
	if err := unambiguous(object.NewReader(raw)); err != nil {
		return err
	}
	type plain claims
	return json.Unmarshal(raw, (*plain)(c))
}

// unambiguous reads a value, and looks at the names in it.
func unambiguous(o *object.Reader) error {
	switch o.Kind() {
	case '{':
		seen := map[string]bool{}
		return o.Members(func(name string) error {
			folded := strings.ToLower(strings.ToUpper(name)) // to upper first: ſ is a small s, too
			if seen[folded] {
				return object.DuplicateError{Name: name}
			}
			seen[folded] = true
			return unambiguous(o)
		})
	case '[':
		return o.Elements(func(int) error { return unambiguous(o) })
	default:
		return o.Skip()
	}
}

// accessClaim is "r", "m" or a list of collections.
type accessClaim struct {
	given bool
	grant grant
}

// UnmarshalJSON reads the claim. What it does not know is no access.
func (a *accessClaim) UnmarshalJSON(raw []byte) error {
	a.given = true
	var global string
	if json.Unmarshal(raw, &global) == nil {
		switch global {
		case "r":
			a.grant = grant{read: true}
		case "m":
			a.grant = full
		default:
			return fmt.Errorf("access: %.20q is not r or m", global)
		}
		return nil
	}
	var list []struct {
		Collection string          `json:"collection"`
		Access     mode            `json:"access"`
		Payload    json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(raw, &list); err != nil || list == nil {
		return errors.New("access is neither r nor m nor a list of collections")
	}
	a.grant = grant{collections: map[string]mode{}}
	for _, c := range list {
		switch {
		case c.Payload != nil && string(c.Payload) != "null":
			return errPayload
		case c.Access != modeRead && c.Access != modeWrite && c.Access != modeWritePoints:
			return fmt.Errorf("access to a collection: %.20q is not r, rw or prw", c.Access)
		}
		if before, twice := a.grant.collections[c.Collection]; twice && before != c.Access {
			return errors.New("access: a collection is there twice")
		}
		a.grant.collections[c.Collection] = c.Access
	}
	return nil
}

// read returns what a token says, once its signature is right. If its time is over it is
// errExpired.
func (t *tokens) read(token string) (c claims, err error) {
	raw, err := t.signed(token)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		var own *statusError
		if errors.As(err, &own) {
			return c, own
		}
		return c, errInvalidKey
	}
	if !c.Access.given {
		c.Access.grant = full
	}
	switch err := t.validator.Validate(c); {
	case errors.Is(err, jwt.ErrTokenExpired):
		return c, errExpired
	case err != nil:
		return c, errInvalidKey
	}
	return c, nil
}

// signed returns the claims of a token that is signed with one of the keys.
func (t *tokens) signed(token string) ([]byte, error) {
	for _, secret := range t.secrets {
		var u unread
		_, err := t.parser.ParseWithClaims(token, &u, func(*jwt.Token) (any, error) { return secret, nil })
		switch {
		case err == nil:
			return u.raw, nil
		case !errors.Is(err, jwt.ErrTokenSignatureInvalid):
			return nil, errInvalidKey
		}
	}
	return nil, errSignature
}

// exists checks the claim by which a token is bound to a point.
func (c *claims) exists(ctx context.Context, db *server.DB) error {
	if c.Exists == nil {
		return nil
	}
	if c.Exists.Matches == nil { // misspelt perhaps: nothing would be demanded of the point
		return errNoMatch
	}
	type match struct {
		Key   string                     `json:"key"`
		Match map[string]json.RawMessage `json:"match"`
	}
	must := make([]match, 0, len(c.Exists.Matches))
	for _, m := range c.Exists.Matches {
		must = append(must, match{m.Key, map[string]json.RawMessage{"value": m.Value}})
	}
	raw, err := json.Marshal(map[string]any{"must": must})
	if err != nil {
		return errNoMatch
	}
	f := new(filter.Filter)
	if err := f.UnmarshalJSON(raw); err != nil {
		return errNoMatch
	}
	collection, err := db.Collection(c.Exists.Collection)
	if err != nil {
		return errNoChecked
	}
	n, err := collection.Count(ctx, f)
	if err != nil {
		return err
	}
	if n == 0 {
		return errNoMatch
	}
	return nil
}
