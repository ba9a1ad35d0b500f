package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"

	"freshet/server/object"
)

// Selector says which part of a payload a read returns; the zero Selector says
// none.
type Selector struct {
	mode  mode
	paths []Path
}

type mode uint8

const (
	nothing mode = iota
	all
	include
	exclude
)

// All selects the whole payload.
func All() Selector { return Selector{mode: all} }

// None says whether no payload is wanted at all.
func (s Selector) None() bool { return s.mode == nothing }

var errSelector = errors.New("data did not match any variant of untagged enum WithPayloadInterface")

// UnmarshalJSON reads true, false, a list of paths to include, or an object
// with the member include or exclude.
func (s *Selector) UnmarshalJSON(raw []byte) error {
	*s = Selector{}
	if err := object.CheckUnique(raw); err != nil {
		return err
	}
	switch raw = bytes.TrimSpace(raw); {
	case string(raw) == "true":
		s.mode = all
		return nil
	case string(raw) == "false", string(raw) == "null":
		return nil
	case len(raw) > 0 && raw[0] == '[':
		s.mode = include
		return s.read(raw)
	}
	var selected struct {
		Include json.RawMessage `json:"include"`
		Exclude json.RawMessage `json:"exclude"`
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&selected); err != nil {
		return errSelector
	}
	switch {
	case selected.Include != nil && selected.Exclude == nil:
		s.mode = include
		return s.read(selected.Include)
	case selected.Exclude != nil && selected.Include == nil:
		s.mode = exclude
		return s.read(selected.Exclude)
	}
	return errSelector
}

func (s *Selector) read(raw []byte) error {
	var texts []string
	if err := json.Unmarshal(raw, &texts); err != nil || texts == nil {
		return errSelector
	}
	for _, text := range texts {
		p, err := ParsePath(text)
		if err != nil {
			return err
		}
		s.paths = append(s.paths, p)
	}
	return nil
}

// Apply returns the selected part of a payload, {} if nothing of it is. The
// whole payload is returned as it is.
func (s Selector) Apply(raw json.RawMessage) (json.RawMessage, error) {
	if s.mode == nothing {
		return nil, nil
	}
	if s.mode == all {
		return raw, nil
	}
	doc, err := decodeVerbatim(raw)
	if err != nil {
		return nil, err
	}
	return encode(s.prune(doc, nil))
}

// prune returns what of v, found at the path at, is selected. at holds no
// indexes: a list stands for all its elements.
func (s Selector) prune(v any, at []step) any {
	switch v := v.(type) {
	case map[string]any:
		kept := map[string]any{}
		for k, e := range v {
			below := append(slices.Clone(at), step{kind: byKey, key: k})
			if s.keeps(below) {
				kept[k] = s.prune(e, below)
			}
		}
		return kept
	case []any:
		below := append(slices.Clone(at), step{kind: everyElement})
		kept := []any{}
		for _, e := range v {
			if s.keeps(below) {
				kept = append(kept, s.prune(e, below))
			}
		}
		return kept
	}
	return v
}

// keeps says whether the value at a place stays: for include if it lies on the
// way to a selected place or inside one, for exclude unless it is a place to
// leave out.
func (s Selector) keeps(at []step) bool {
	for _, p := range s.paths {
		n := min(len(p.steps), len(at))
		if !slices.EqualFunc(p.steps[:n], at[:n], sameStep) {
			continue
		}
		if s.mode == include || len(p.steps) <= len(at) {
			return s.mode == include
		}
	}
	return s.mode == exclude
}

// sameStep compares a selector's step with a place; [n] stands for [] there.
func sameStep(selected, place step) bool {
	if selected.kind == byKey || place.kind == byKey {
		return selected == place
	}
	return true
}
