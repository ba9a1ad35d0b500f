package sources

import (
	"encoding/json"
	"time"
	"unicode/utf8"
)

// Bytes are shown as text where they are UTF-8, else as {"base64": …}.
type Bytes []byte

// MarshalJSON writes them; nil is null.
func (b Bytes) MarshalJSON() ([]byte, error) {
	switch {
	case b == nil:
		return []byte("null"), nil
	case utf8.Valid(b):
		return json.Marshal(string(b))
	default:
		return json.Marshal(map[string][]byte{"base64": b})
	}
}

// Letter is a record that could not become a point.
type Letter struct {
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Time      time.Time `json:"timestamp"`
	Reason    string    `json:"reason"`
	Detail    string    `json:"detail"`
	Key       Bytes     `json:"key"`
	Value     Bytes     `json:"value"`
	Truncated bool      `json:"truncated,omitempty"`
}

// LetterFilter selects dead letters; members left out allow any.
type LetterFilter struct {
	Reason    string `json:"reason"`
	Topic     string `json:"topic"`
	Partition *int32 `json:"partition"`
	Offset    *int64 `json:"offset"`
}

// Redrive says which dead letters are to be tried again.
type Redrive struct {
	Filter LetterFilter `json:"filter"`
	DryRun bool         `json:"dry_run"` // nothing is changed
}

// Redriven says what became of dead letters that were tried again. Those that
// failed again stay.
type Redriven struct {
	DryRun  bool      `json:"dry_run"`
	Matched int       `json:"matched"`
	Applied int       `json:"applied"` // of a dry run: what could be
	Stale   int       `json:"stale"`   // newer records have written their points since
	Failed  int       `json:"failed"`
	Errors  []Failure `json:"errors"` // the first of those that failed
}

// Failure says why a record makes no point.
type Failure struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Reason    string `json:"reason"`
	Detail    string `json:"detail"`
}
