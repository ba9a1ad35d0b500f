package api

import (
	"errors"
	"net/url"
	"strconv"
	"unicode/utf8"
)

// readQuery reads the parameters of the URL. One that cannot be read is an error: it would
// be as good as absent.
func (r *request) readQuery() (err error) {
	if r.params, err = url.ParseQuery(r.Request().URL.RawQuery); err != nil {
		return badQuery("%v", err)
	}
	return nil
}

// query returns a parameter of the URL and whether there is one. An empty one is there.
// All parameters are read by it: none may be given twice.
func (r *request) query(name string) (value string, given bool, err error) {
	switch values := r.params[name]; {
	case len(values) == 0:
		return "", false, nil
	case len(values) > 1:
		return "", true, badQuery("duplicate field `%s`", name)
	case !utf8.ValidString(values[0]):
		return "", true, badQuery("%s: not UTF-8", name)
	default:
		return values[0], true, nil
	}
}

// flag reads a parameter that is true or false.
func (r *request) flag(name string, byDefault bool) (bool, error) {
	value, given, err := r.query(name)
	switch {
	case err != nil || !given:
		return byDefault, err
	case value == "true" || value == "false":
		return value == "true", nil
	default:
		return false, badQuery("provided string was not `true` or `false`")
	}
}

// uint reads a parameter that is an unsigned integer.
func (r *request) uint(name string) (n uint64, given bool, err error) {
	value, given, err := r.query(name)
	if err != nil || !given {
		return 0, given, err
	}
	n, err = strconv.ParseUint(value, 10, 64)
	switch {
	case err == nil:
		return n, true, nil
	case value == "":
		return 0, true, badQuery("cannot parse integer from empty string")
	case errors.Is(err, strconv.ErrRange):
		return 0, true, badQuery("number too large to fit in target type")
	default:
		return 0, true, badQuery("invalid digit found in string")
	}
}
