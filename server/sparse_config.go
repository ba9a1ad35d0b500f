package server

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// SparseParams describes one sparse vector.
type SparseParams struct {
	Index    *SparseIndexParams `json:"index,omitempty"`
	Modifier Modifier           `json:"modifier,omitempty"`
}

// SparseIndexParams are settings that clients read back. The index is in memory, and
// holds float32, whatever they say.
type SparseIndexParams struct {
	FullScanThreshold *uint64        `json:"full_scan_threshold,omitempty"`
	OnDisk            *bool          `json:"on_disk,omitempty"`
	Datatype          SparseDatatype `json:"datatype,omitempty"`
}

// Merge returns p with the members that diff sets.
func (p SparseParams) Merge(diff SparseParams) SparseParams {
	p.Modifier = cmp.Or(diff.Modifier, p.Modifier)
	if diff.Index == nil {
		return p
	}
	var merged SparseIndexParams
	if p.Index != nil {
		merged = *p.Index
	}
	merged.FullScanThreshold = cmp.Or(diff.Index.FullScanThreshold, merged.FullScanThreshold)
	merged.OnDisk = cmp.Or(diff.Index.OnDisk, merged.OnDisk)
	merged.Datatype = cmp.Or(diff.Index.Datatype, merged.Datatype)
	p.Index = &merged
	return p
}

// Modifier says how the values of a query are weighted.
type Modifier string

// The modifiers; none is NoModifier.
const (
	NoModifier Modifier = "none"
	IDF        Modifier = "idf" // by how few points have the index
)

// UnmarshalJSON reads the name of a modifier.
func (m *Modifier) UnmarshalJSON(raw []byte) error {
	return readVariant(raw, m, NoModifier, IDF)
}

// SparseDatatype is the name of a type of numbers.
type SparseDatatype string

// UnmarshalJSON reads the name.
func (d *SparseDatatype) UnmarshalJSON(raw []byte) error {
	return readVariant(raw, d, "float32", "uint8", "float16")
}

func readVariant[T ~string](raw []byte, dst *T, known ...T) error {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	if !isSet(raw) || slices.Contains(known, T(s)) {
		*dst = T(s)
		return nil
	}
	names := ""
	for i, k := range known {
		if i > 0 {
			names += ", "
		}
		names += "`" + string(k) + "`"
	}
	return fmt.Errorf("unknown variant `%.40s`, expected one of %s", s, names)
}

func (c *Config) validateSparse() error {
	for _, name := range slices.Sorted(maps.Keys(c.SparseVectors)) {
		if err := checkVectorName(name, "sparse_vectors."+name); err != nil {
			return err
		}
		if _, ok := c.Vectors.Named[name]; ok {
			return errorf(BadRequest, "Dense and sparse vectors cannot have the same name `%s`", name)
		}
	}
	return nil
}
