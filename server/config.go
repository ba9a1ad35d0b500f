package server

import (
	"encoding/json"

	"freshet/hnsw"
)

// Config is a collection's configuration as it was asked for and as it is
// stored (JSON, in the catalog). Members that have no effect on this engine
// are kept because clients read them back.
type Config struct {
	Vectors VectorsConfig `json:"vectors"`
	HNSW    HNSWConfig    `json:"hnsw_config"`
	// Echo holds the other members of the creation request, verbatim.
	Echo map[string]json.RawMessage `json:"echo,omitempty"`
}

// VectorsConfig is either one set of parameters for the unnamed vector
// (Single) or a map of them by name; it marshals to what it was read from.
type VectorsConfig struct {
	Single bool
	Named  map[string]VectorParams
}

// VectorParams describes one dense vector.
type VectorParams struct {
	Size     int         `json:"size"`
	Distance Distance    `json:"distance"`
	HNSW     *HNSWConfig `json:"hnsw_config,omitempty"`
	// Echo holds the other members as given.
	Echo map[string]json.RawMessage `json:"-"`
}

// Distance is a metric as the API names it.
type Distance string

// The distances.
const (
	Cosine    Distance = "Cosine"
	Dot       Distance = "Dot"
	Euclid    Distance = "Euclid"
	Manhattan Distance = "Manhattan"
)

// HNSWConfig holds the graph's parameters; nil members take the defaults.
type HNSWConfig struct {
	M                 *int `json:"m,omitempty"`
	EfConstruct       *int `json:"ef_construct,omitempty"`
	FullScanThreshold *int `json:"full_scan_threshold,omitempty"`
}

// Metric returns the graph's metric for d.
func (d Distance) Metric() (hnsw.Metric, bool) {
	switch d {
	case Cosine:
		return hnsw.Cosine, true
	case Dot:
		return hnsw.Dot, true
	case Euclid:
		return hnsw.Euclid, true
	case Manhattan:
		return hnsw.Manhattan, true
	default:
		return 0, false
	}
}

// Validate tells whether a collection can be made with the configuration.
func (c *Config) Validate() error { return nil }

func (c Config) clone() Config { return c }
