package server

import (
	"errors"
	"fmt"
	"time"
)

// Kind classifies an error by what the caller can do about it; the API turns
// it into a status code and a text prefix.
type Kind uint8

// The kinds of error.
const (
	Internal     Kind = iota // a fault of ours
	NotFound                 // collection, point, alias or vector does not exist
	Exists                   // the name is taken
	WrongInput               // the request contradicts the collection (dimension, vector name)
	BadRequest               // the request contradicts itself
	Invalid                  // a value is outside its limits; Path names it
	Timeout                  // the deadline passed first
	Unavailable              // closed, overloaded or read-only for now: worth trying again
	RateLimited              // more than strict mode allows in a minute; RetryAfter says when there will be room
	Unconfigured             // the operation needs something this server was not given
	Conflict                 // the state of what the request is about forbids it
	Full                     // the disk is: worth trying again when there is room
	MemoryFull               // memory is, likewise
)

// Error is every error of this package that a caller may be shown. Text is
// complete without the Kind's prefix.
type Error struct {
	Kind Kind
	Path string // Invalid only: dotted path of the offending value
	Text string
	Err  error // cause, if any

	RetryAfter time.Duration // 0: not known
}

func (e *Error) Error() string {
	text := e.Text
	if e.Path != "" {
		text = e.Path + ": " + text
	}
	if e.Err != nil {
		return text + ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ItemError is an error of one of the operations, searches or reads of a request.
type ItemError struct {
	Index int // in the request
	Err   error
}

func (e *ItemError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *ItemError) Unwrap() error { return e.Err }

// KindOf returns the Kind of the first *Error in err's chain, else Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

func errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

func noCollection(name string) *Error {
	return errorf(NotFound, "Collection `%s` doesn't exist!", name)
}

func noPoint(id fmt.Stringer) *Error {
	return errorf(NotFound, "No point with id %s found", id)
}

func noVector(name string) *Error {
	return errorf(WrongInput, "Not existing vector name error: %s", name)
}

var errClosed = &Error{Kind: Unavailable, Text: "the collection is closed"}
