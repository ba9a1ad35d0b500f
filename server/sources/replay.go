package sources

import (
	"encoding/json"
	"time"
)

// Replay asks for a new collection that is built from the log beside the old one.
type Replay struct {
	Into        string          `json:"into"`
	From        json.RawMessage `json:"from"` // "earliest", by default, or a Move
	Overrides   ReplayOverrides `json:"overrides"`
	Gate        Gate            `json:"gate"`
	SwitchAlias string          `json:"switch_alias"` // "": none is switched
	AllowGap    bool            `json:"allow_gap"`    // go on though the logs have lost records
}

// ReplayOverrides say what differs from the old collection and its sources, by
// RFC 7396.
type ReplayOverrides struct {
	Collection json.RawMessage            `json:"collection"`
	Sources    map[string]json.RawMessage `json:"sources"` // by name
}

// Gate says when the new collection may take the place of the old one.
type Gate struct {
	MaxLag            *int64       `json:"max_lag"`         // records, of all partitions
	MaxLagSeconds     *float64     `json:"max_lag_seconds"` // of the partition that is furthest behind
	MinPoints         int          `json:"min_points"`
	MinPointsFraction *float64     `json:"min_points_fraction"` // of the old collection's points
	Overlap           *OverlapGate `json:"overlap"`
}

// OverlapGate asks that points have the same neighbours in both collections, of which
// each is searched by its own vector of the point.
type OverlapGate struct {
	AtLeast float64 `json:"at_least"` // mean share of the neighbours that are the same
	Using   string  `json:"using"`    // name of the vector
	Queries int     `json:"queries"`  // points that are drawn
	Limit   int     `json:"limit"`    // neighbours of each
}

// ReplayState says how far a replay has come.
type ReplayState string

// The states of a replay.
const (
	CatchingUp ReplayState = "catching_up" // the gate is closed
	Ready      ReplayState = "ready"       // the gate is open
	Switched   ReplayState = "switched"    // the alias names the new collection
)

// ReplayStatus describes a replay.
type ReplayStatus struct {
	Into        string      `json:"into"`
	Collection  string      `json:"collection"` // the old one
	SwitchAlias string      `json:"switch_alias,omitempty"`
	State       ReplayState `json:"state"`
	WaitsFor    []string    `json:"waits_for"` // what keeps the gate closed
	Sources     []string    `json:"sources"`   // their names
	Started     time.Time   `json:"started"`
	Switched    *time.Time  `json:"switched,omitempty"`
	Gap         int64       `json:"gap"` // records that the logs had lost at the start
	Lag         int64       `json:"lag"` // records
	LagSeconds  float64     `json:"lag_seconds"`
	Points      int         `json:"points"`
	OldPoints   int         `json:"old_points"`
	Overlap     *float64    `json:"overlap,omitempty"` // when it was last measured for this answer
	Gate        Gate        `json:"gate"`
}
