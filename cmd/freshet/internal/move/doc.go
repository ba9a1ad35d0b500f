// Package move copies points between files, running servers and Freshet. It
// knows servers by Qdrant's REST API only, so either side can be any that
// speaks it. On its way a point is the JSON object that an upsert takes.
package move

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
)

// row is one point on its way.
type row struct {
	number int64           // from 1, in the source
	id     json.RawMessage // as JSON
	point  []byte          // a JSON object with id, vector and payload
}

// position says how far a source was read.
type position struct {
	Rows int64           `json:"rows"`              // so many rows are written
	Last json.RawMessage `json:"last_id,omitempty"` // the id of the last of them
}

// source gives the rows after a position, in the same order each time. The
// sequence ends after an error.
type source interface {
	rows(ctx context.Context, after position) iter.Seq2[row, error]
	total() int64 // rows altogether, −1 if not known
	name() string
}

// InputError is an error that trying again does not help: wrong data or a
// request that the server refuses.
type InputError struct{ err error }

func (e *InputError) Error() string { return e.err.Error() }
func (e *InputError) Unwrap() error { return e.err }

// ExitCode is the code that the process ends with.
func (e *InputError) ExitCode() int { return 2 }

func wrong(format string, args ...any) error { return &InputError{fmt.Errorf(format, args...)} }

// wrongRow names the place in a file: the row from 1 and the column, if known.
func wrongRow(file string, number int64, column string, err error) error {
	if column == "" {
		return wrong("%s: row %d: %w", file, number, err)
	}
	return wrong("%s: row %d, column %s: %w", file, number, column, err)
}
