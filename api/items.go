package api

import (
	"errors"
	"fmt"

	"freshet/server"
	"freshet/server/object"
)

// inItem says that an error is about the i-th item of a list in the request.
func inItem(i int, err error) error {
	var twice object.DuplicateError
	if errors.As(err, &twice) {
		err = badFormat("%v", twice)
	}
	if err == nil {
		return nil
	}
	return &server.ItemError{Index: i, Err: err}
}

// ofItem names the item of a list in the request that an error is about, if it is about
// one: `list[i]` begins the path of the error or, where that has none, ends its text.
func ofItem(list string, err error) error {
	var item *server.ItemError
	if !errors.As(err, &item) {
		return err
	}
	at := fmt.Sprintf("%s[%d]", list, item.Index)
	var given *statusError
	if errors.As(item.Err, &given) {
		return &statusError{given.status, fmt.Sprintf("%s (%s)", given.text, at)}
	}
	var e *server.Error
	if !errors.As(item.Err, &e) {
		return err
	}
	named := *e
	switch e.Kind {
	case server.Invalid:
		named.Path = at + "." + e.Path
	case server.NotFound, server.WrongInput, server.BadRequest, server.Conflict:
		named.Text = fmt.Sprintf("%s (%s)", e.Text, at)
	default: // the next request may not get it
		return err
	}
	return &named
}
