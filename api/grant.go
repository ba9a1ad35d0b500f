package api

import (
	"fmt"
	"net/http"
)

// grant is what a key allows. The zero value allows nothing.
type grant struct {
	manage bool // everything
	read   bool // to read everything
	// collections says what is allowed beyond that, by their names.
	collections map[string]mode
}

// mode is what a token allows with a collection, in the words of its claims.
type mode string

const (
	modeRead        mode = "r"
	modeWrite       mode = "rw"
	modeWritePoints mode = "prw"
)

// full is what everybody may do where there are no keys.
var full = grant{manage: true, read: true}

// allows returns nil if the grant is enough for a route, else what is missing. The
// collection of the route may be named in either of two ways.
func (g grant) allows(need rule, named, resolved string) error {
	if g.manage || need == free || need == listing {
		return nil
	}
	if g.read && (need == readAll || need == read || need == readWhole) {
		return nil
	}
	switch {
	case g.collectionAllows(need, named), g.collectionAllows(need, resolved):
		return nil
	case g.read:
		return errReadOnly
	case need == manage:
		return forbidden("the right to manage is required")
	case need == readAll:
		return forbidden("access to all collections is required")
	case need == read, need == readWhole:
		return forbidden("access to collection %.300s is required", named)
	default:
		return forbidden("write access to collection %.300s is required", named)
	}
}

func (g grant) collectionAllows(need rule, collection string) bool {
	m := g.collections[collection]
	switch need {
	case read:
		return m != ""
	case readWhole:
		return m == modeRead || m == modeWrite
	case writePoints:
		return m == modeWrite || m == modeWritePoints
	case writeWhole:
		return m == modeWrite
	default:
		return false
	}
}

// mayRead says whether the points of a collection may be seen.
func (g grant) mayRead(named, resolved string) bool { return g.allows(read, named, resolved) == nil }

var errReadOnly = forbidden("the API key allows to read only")

func forbidden(format string, args ...any) error {
	return &statusError{http.StatusForbidden, "Forbidden: " + fmt.Sprintf(format, args...)}
}
