package server

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"freshet/hnsw"
)

// Config is a collection's configuration, as it was asked for and as it is
// stored in the catalog (JSON of the creation request's shape). Members without
// an effect on this engine are kept because clients read them back.
type Config struct {
	Vectors       VectorsConfig           `json:"vectors"`
	SparseVectors map[string]SparseParams `json:"sparse_vectors,omitzero"`
	HNSW          HNSWConfig              `json:"hnsw_config"`

	ShardNumber            *uint32                    `json:"shard_number,omitempty"`
	ReplicationFactor      *uint32                    `json:"replication_factor,omitempty"`
	WriteConsistencyFactor *uint32                    `json:"write_consistency_factor,omitempty"`
	OnDiskPayload          *bool                      `json:"on_disk_payload,omitempty"`
	ShardingMethod         ShardingMethod             `json:"sharding_method,omitempty"`
	Optimizers             OptimizersConfig           `json:"optimizers_config,omitzero"`
	WAL                    WALConfig                  `json:"wal_config,omitzero"`
	Quantization           *Quantization              `json:"quantization_config,omitempty"`
	StrictMode             *StrictMode                `json:"strict_mode_config,omitempty"`
	Metadata               map[string]json.RawMessage `json:"metadata,omitempty"`

	// DroppedVectors are the names of vectors that records of points may still have.
	DroppedVectors []string `json:"dropped_vectors,omitempty"`
	// Indexes holds the declared payload indexes: field → schema as given.
	Indexes map[string]json.RawMessage `json:"payload_schema,omitempty"`
}

// VectorsConfig is either one set of parameters for the unnamed vector
// (Single) or a map of them by name; it marshals to what it was read from.
type VectorsConfig struct {
	Single bool
	Named  map[string]VectorParams
}

// VectorParams describes one dense vector.
type VectorParams struct {
	Size         int                `json:"size"`
	Distance     Distance           `json:"distance"`
	HNSW         *HNSWConfig        `json:"hnsw_config,omitempty"`
	Quantization *Quantization      `json:"quantization_config,omitempty"`
	OnDisk       *bool              `json:"on_disk,omitempty"`
	Datatype     Datatype           `json:"datatype,omitempty"`
	Multivector  *MultivectorConfig `json:"multivector_config,omitempty"`
}

// ShardingMethod is the name of a way to spread points over shards.
type ShardingMethod string

// autoSharding is the only way without a cluster.
const autoSharding ShardingMethod = "auto"

// UnmarshalJSON reads the name of a way.
func (m *ShardingMethod) UnmarshalJSON(raw []byte) error {
	return readVariant(raw, m, autoSharding, "custom")
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

// HNSWConfig holds the graph's parameters; nil members take the defaults. An M
// of 0, by which other engines are told to build no graph, takes the default
// too: there is always a graph.
type HNSWConfig struct {
	M                  *int  `json:"m,omitempty"`
	EfConstruct        *int  `json:"ef_construct,omitempty"`
	FullScanThreshold  *int  `json:"full_scan_threshold,omitempty"`
	MaxIndexingThreads *int  `json:"max_indexing_threads,omitempty"`
	OnDisk             *bool `json:"on_disk,omitempty"`
	PayloadM           *int  `json:"payload_m,omitempty"`
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

var errVectorsConfig = errors.New("data did not match any variant of untagged enum VectorsConfig")

// UnmarshalJSON reads parameters or a map of them; null is an empty map.
func (v *VectorsConfig) UnmarshalJSON(raw []byte) error {
	*v = VectorsConfig{Named: map[string]VectorParams{}}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return errVectorsConfig
	}
	if size := members["size"]; len(size) > 0 && size[0] != '{' {
		members = map[string]json.RawMessage{"": raw}
		v.Single = true
	}
	for name, raw := range members {
		p, err := ParseVectorParams(raw)
		if err != nil {
			return err
		}
		v.Named[name] = p
	}
	return nil
}

// ParseVectorParams reads the parameters of one vector.
func ParseVectorParams(raw []byte) (VectorParams, error) {
	var p VectorParams
	err := json.Unmarshal(raw, &p)
	var bad *quantizationError
	switch {
	case errors.As(err, &bad):
		return p, fmt.Errorf("%w: quantization_config.%s", errVectorsConfig, bad.text)
	case err != nil, p.Size <= 0, !p.Datatype.known():
		return p, errVectorsConfig
	}
	if _, ok := p.Distance.Metric(); !ok {
		return p, errVectorsConfig
	}
	return p, nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (v VectorsConfig) MarshalJSON() ([]byte, error) {
	if p, ok := v.Named[""]; ok && v.Single {
		return json.Marshal(p)
	}
	if v.Named == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(v.Named)
}

// Merge returns h with the members that diff sets.
func (h HNSWConfig) Merge(diff HNSWConfig) HNSWConfig {
	h.M = cmp.Or(diff.M, h.M)
	h.EfConstruct = cmp.Or(diff.EfConstruct, h.EfConstruct)
	h.FullScanThreshold = cmp.Or(diff.FullScanThreshold, h.FullScanThreshold)
	h.MaxIndexingThreads = cmp.Or(diff.MaxIndexingThreads, h.MaxIndexingThreads)
	h.OnDisk = cmp.Or(diff.OnDisk, h.OnDisk)
	h.PayloadM = cmp.Or(diff.PayloadM, h.PayloadM)
	return h
}

// maxVectorName bounds the name of a vector, in bytes.
const maxVectorName = 200

// checkVectorName tells whether a vector may have the name; path is where it stands.
func checkVectorName(name, path string) error {
	if len(name) > maxVectorName {
		return invalid(path, "a vector name of %d bytes is longer than %d", len(name), maxVectorName)
	}
	if i := strings.IndexAny(name, barred); i >= 0 {
		return invalid(path, "vector name cannot contain %q char", name[i:i+1])
	}
	return nil
}

// Validate tells whether a collection can be made with the configuration.
func (c *Config) Validate() error {
	if err := c.HNSW.validate("hnsw_config"); err != nil {
		return err
	}
	if err := c.Quantization.validate("quantization_config"); err != nil {
		return err
	}
	for _, err := range []error{
		c.StrictMode.validate("strict_mode_config"), c.Optimizers.validate("optimizers_config"), c.WAL.validate("wal_config"),
	} {
		if err != nil {
			return err
		}
	}
	if m := c.ShardingMethod; m != "" && m != autoSharding {
		return errorf(BadRequest, "the sharding method %.40q needs a cluster, `auto` does not", m)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Vectors.Named)) {
		path := "vectors"
		if !c.Vectors.Single {
			path += "." + name
		}
		if err := c.Vectors.Named[name].validate(name, path); err != nil {
			return err
		}
	}
	if err := c.validateSparse(); err != nil {
		return err
	}
	for path, n := range map[string]*uint32{
		"shard_number": c.ShardNumber, "replication_factor": c.ReplicationFactor, "write_consistency_factor": c.WriteConsistencyFactor,
	} {
		if n != nil && *n == 0 {
			return invalid(path, "value 0 invalid, must be 1 or larger")
		}
	}
	return nil
}

func (p VectorParams) validate(name, path string) error {
	if p.Size < 1 || p.Size > hnsw.MaxDim {
		return invalid(path+".size", "value %d invalid, must be from 1 to %d", p.Size, hnsw.MaxDim)
	}
	if err := checkVectorName(name, path); err != nil {
		return err
	}
	if err := p.Quantization.validate(path + ".quantization_config"); err != nil {
		return err
	}
	if p.HNSW != nil {
		return p.HNSW.validate(path + ".hnsw_config")
	}
	return nil
}

func (h HNSWConfig) validate(path string) error {
	for _, x := range []struct {
		name           string
		value          *int
		least, largest int
	}{
		{"m", h.M, 0, hnsw.MaxM},
		{"ef_construct", h.EfConstruct, 4, hnsw.MaxEf},
		{"full_scan_threshold", h.FullScanThreshold, 10, 1 << 40},
		{"max_indexing_threads", h.MaxIndexingThreads, 0, 1 << 20},
		{"payload_m", h.PayloadM, 0, hnsw.MaxM},
	} {
		if x.value == nil {
			continue
		}
		if *x.value < x.least {
			return invalid(path+"."+x.name, "value %d invalid, must be %d or larger", *x.value, x.least)
		}
		if *x.value > x.largest {
			return invalid(path+"."+x.name, "value %d invalid, must be %d or smaller", *x.value, x.largest)
		}
	}
	return nil
}

func invalid(path, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Path: path, Text: fmt.Sprintf(format, args...)}
}

func isSet(raw []byte) bool { return len(raw) > 0 && !bytes.Equal(raw, []byte("null")) }

// clone returns a copy that can be changed without changing c.
func (c Config) clone() Config {
	c.Vectors.Named = maps.Clone(c.Vectors.Named)
	c.SparseVectors = maps.Clone(c.SparseVectors)
	c.Metadata = maps.Clone(c.Metadata)
	c.Indexes = maps.Clone(c.Indexes)
	c.DroppedVectors = slices.Clone(c.DroppedVectors)
	return c
}
