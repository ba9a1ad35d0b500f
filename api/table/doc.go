// Package table reads tables of points and of queries that are no JSON: Arrow IPC
// streams and .npy arrays. Input may be hostile: what it claims is never allocated
// before it is there.
package table

import (
	"errors"
	"fmt"
)

// Room takes note of bytes that decoding needs from now on. Its error ends decoding and
// is returned as it is.
type Room func(bytes int) error

// rowBytes is what a row needs besides its vectors and payload.
const rowBytes = 64

// Error says what is wrong with a table and where.
type Error struct {
	Row    int    // from 0; −1: it is no single row
	Column string // "": it is no single column
	Err    error
}

func (e *Error) Error() string {
	switch {
	case e.Row < 0 && e.Column == "":
		return e.Err.Error()
	case e.Row < 0:
		return fmt.Sprintf("column %.100q: %v", e.Column, e.Err)
	case e.Column == "":
		return fmt.Sprintf("row %d: %v", e.Row, e.Err)
	default:
		return fmt.Sprintf("row %d, column %.100q: %v", e.Row, e.Column, e.Err)
	}
}

func (e *Error) Unwrap() error { return e.Err }

// wrong is an error that no single row or column is to blame for.
func wrong(format string, args ...any) error {
	return &Error{Row: -1, Err: fmt.Errorf(format, args...)}
}

func inColumn(column, format string, args ...any) error {
	return &Error{Row: -1, Column: column, Err: fmt.Errorf(format, args...)}
}

// noRoom is an error of a Room on its way out.
type noRoom struct{ error }

func (e noRoom) Unwrap() error { return e.error }

func (r Room) take(n int) error {
	if err := r(n); err != nil {
		return noRoom{err}
	}
	return nil
}

// at says where an error occurred, unless it has nothing to do with the place.
func at(row int, column string, err error) error {
	var none noRoom
	if errors.As(err, &none) {
		return none.error
	}
	return &Error{Row: row, Column: column, Err: err}
}
