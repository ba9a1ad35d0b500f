// Package sources has the words in which sources are managed: the API reads and
// writes them, ingest does what they say. A source is described by JSON of the same
// names as in the configuration file.
package sources

import (
	"encoding/json"
	"time"
)

// Key names a source. A collection's sources have different names.
type Key struct{ Collection, Name string }

// State is what is wanted of a source, by the words of Kafka Connect.
type State string

// The states.
const (
	Running State = "running"
	Paused  State = "paused"  // reads no records, but follows how long the logs are
	Stopped State = "stopped" // has no connection to the brokers
)

// Origin says who declared a source.
type Origin string

// The origins.
const (
	File Origin = "file" // the configuration file; it cannot be changed from elsewhere
	REST Origin = "rest" // a request; it is kept in the store
)

// Info describes a source.
type Info struct {
	Name       string          `json:"name"`
	Collection string          `json:"collection"`
	Origin     Origin          `json:"origin"`
	State      State           `json:"state"`
	Config     json.RawMessage `json:"config"` // with defaults, without secrets
}

// Status describes what a source is doing.
type Status struct {
	Name       string `json:"name"`
	Collection string `json:"collection"`
	State      string `json:"state"`
	// Collections are those that a source with a route feeds beside its own.
	Collections []string `json:"collections,omitempty"`
	Error       string   `json:"error,omitempty"` // of the last failed attempt
	// ErrorSince is when the first of the attempts failed that have failed in a row.
	ErrorSince time.Time   `json:"error_since,omitzero"`
	Batch      Batch       `json:"batch"`
	Buffer     Buffer      `json:"buffer"`
	CatchUp    *CatchUp    `json:"catch_up,omitempty"`
	Stages     []Stage     `json:"stages"`
	Partitions []Partition `json:"partitions"` // by topic and number
	// Formats counts the records applied since the start by the format they were in.
	Formats     map[string]int64 `json:"formats"`
	DeadLetters LetterCounts     `json:"dead_letters"`
	// EarlyDeletes are those of a source with a route.
	EarlyDeletes *EarlyDeletes `json:"early_deletes,omitempty"`
	Keys         Keys          `json:"keys"`
}

// Keys counts, since the start, records whose keys do not keep points in their partitions.
type Keys struct {
	Unkeyed int64 `json:"unkeyed"` // without a key, in topics where several partitions have such
	Crossed int64 `json:"crossed"` // for points that another partition of the topic had written
}

// LetterCounts counts dead letters since the start.
type LetterCounts struct {
	Total int64 `json:"total"`
	Kept  int64 `json:"kept"` // by the collection: all without a topic for them, else those too large for it
}

// EarlyDeletes counts points that were deleted in collections that do not exist yet.
type EarlyDeletes struct {
	Kept    int64 `json:"kept"`    // whose deletes are kept
	Refused int64 `json:"refused"` // deletes since the start that became dead letters, as enough are kept
}

// Batch describes how the size of batches adapts.
type Batch struct {
	Limit      int     `json:"limit"`       // records
	P99Ms      float64 `json:"p99_ms"`      // of the last window's batches
	AgeP99Ms   float64 `json:"age_p99_ms"`  // of the newest records' ages when they became visible
	Why        string  `json:"why"`         // why the limit last moved
	OverBudget bool    `json:"over_budget"` // the target is missed, and smaller batches would not help
}

// Buffer tells what is fetched and not applied.
type Buffer struct {
	Bytes int64 `json:"bytes"`
	Limit int64 `json:"limit"`
	Held  int   `json:"held"` // partitions that are not fetched because that is enough
}

// CatchUp tells how a source catches up with its topics.
type CatchUp struct {
	Since       time.Time `json:"since"`
	Applied     int64     `json:"applied"`            // records since then
	Left        int64     `json:"left"`               // records that wait
	PerSecond   float64   `json:"records_per_second"` // applied lately
	SecondsLeft *float64  `json:"seconds_left"`       // nil while it does not catch up
}

// Stage says how long the newest records took in a part of their way.
type Stage struct {
	Stage string  `json:"stage"`
	P50Ms float64 `json:"p50_ms"`
	P99Ms float64 `json:"p99_ms"`
}

// Partition describes one partition of one topic.
type Partition struct {
	Topic      string  `json:"topic"`
	Partition  int32   `json:"partition"`
	State      string  `json:"state"`
	Error      string  `json:"error,omitempty"`
	Position   int64   `json:"position"` // first offset that is not applied
	End        int64   `json:"end"`      // of the log
	Lag        int64   `json:"lag"`      // records between them; while it has a gap, those behind it and those lost unread
	LagSeconds float64 `json:"lag_seconds"`
}
