package filter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"freshet/server/object"
	"freshet/server/payload"
	"freshet/server/point"
)

// UnmarshalJSON reads a filter. Values outside their limits are reported as a
// *ValidationError, everything else wrong is a format error.
func (f *Filter) UnmarshalJSON(raw []byte) error {
	if err := object.CheckUnique(raw); err != nil {
		return err
	}
	p := parser{}
	parsed, err := p.filter(raw, "", 0)
	if err != nil {
		return err
	}
	if p.invalid != nil {
		return p.invalid
	}
	*f = *parsed
	return nil
}

// parser reads one filter; invalid keeps the first value outside its limits, so
// that format errors further on are reported first.
type parser struct {
	conditions int
	values     int
	scanned    int // bytes, those of nested values several times
	invalid    *ValidationError
}

var clauses = []string{"should", "min_should", "must", "must_not"}

func missing(name string) error { return fmt.Errorf("missing field `%s`", name) }

func noVariant(enum string) error {
	return fmt.Errorf("data did not match any variant of untagged enum %s", enum)
}

func isNullJSON(raw []byte) bool { return len(raw) == 0 || string(raw) == "null" }

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// maxScanned bounds the work for one filter: a value is scanned again at each level
// that it is nested in.
const maxScanned = 128 << 20 // bytes

// scan counts that raw is scanned.
func (p *parser) scan(raw []byte) error {
	if p.scanned += len(raw); p.scanned > maxScanned {
		return fmt.Errorf("recursion limit exceeded: a filter of so many bytes may not be nested so deep")
	}
	return nil
}

func (p *parser) filter(raw []byte, path string, depth int) (*Filter, error) {
	if err := p.scan(raw); err != nil {
		return nil, err
	}
	if depth > MaxDepth {
		return nil, fmt.Errorf("recursion limit exceeded: a filter may be nested %d deep", MaxDepth)
	}
	m, err := object.Split(raw)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(clauses, name) {
			return nil, fmt.Errorf("unknown field `%.100s`, expected one of `%s`", name, strings.Join(clauses, "`, `"))
		}
	}
	f := &Filter{}
	for _, c := range []struct {
		name string
		dst  *[]condition
	}{{"must", &f.must}, {"should", &f.should}, {"must_not", &f.mustNot}} {
		if *c.dst, err = p.list(m[c.name], join(path, c.name), depth); err != nil {
			return nil, err
		}
	}
	if err := p.minShould(f, m["min_should"], join(path, "min_should"), depth); err != nil {
		return nil, err
	}
	return f, nil
}

func (p *parser) minShould(f *Filter, raw []byte, path string, depth int) error {
	if isNullJSON(raw) {
		return nil
	}
	m, err := object.Split(raw)
	if err != nil {
		return err
	}
	for _, name := range []string{"conditions", "min_count"} {
		if m[name] == nil {
			return missing(name)
		}
	}
	if f.minShould, err = p.list(m["conditions"], join(path, "conditions"), depth); err != nil {
		return err
	}
	count, err := strconv.ParseUint(string(m["min_count"]), 10, 31)
	if err != nil {
		return fmt.Errorf("invalid type: min_count is not an unsigned integer")
	}
	if count == 0 {
		p.reject(join(path, "min_count"), "min_count must be greater than 0")
	}
	f.minCount = int(count)
	return nil
}

func (p *parser) reject(path, text string) {
	if p.invalid == nil {
		p.invalid = &ValidationError{Path: path, Text: text}
	}
}

// list reads a clause: null, one condition, or a list of them.
func (p *parser) list(raw json.RawMessage, path string, depth int) ([]condition, error) {
	if isNullJSON(raw) {
		return nil, nil
	}
	items := []json.RawMessage{raw}
	if raw[0] == '[' {
		err := p.scan(raw)
		if err == nil {
			items, err = object.SplitArray(raw)
		}
		if err != nil {
			return nil, err
		}
	}
	list := make([]condition, 0, len(items))
	for i, item := range items {
		if p.conditions++; p.conditions > MaxConditions {
			return nil, fmt.Errorf("a filter may have at most %d conditions", MaxConditions)
		}
		c, err := p.condition(item, fmt.Sprintf("%s[%d]", path, i), depth)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

func (p *parser) condition(raw []byte, path string, depth int) (condition, error) {
	if err := p.scan(raw); err != nil {
		return nil, err
	}
	m, err := object.Split(raw)
	if err != nil {
		return nil, noVariant("Condition")
	}
	switch {
	case m["key"] != nil:
		return p.field(m, path)
	case m["is_empty"] != nil:
		return keyed(m["is_empty"], Empty{})
	case m["is_null"] != nil:
		return keyed(m["is_null"], Null{})
	case m["has_id"] != nil:
		return p.hasID(m["has_id"])
	case m["has_vector"] != nil:
		var name string
		if err := json.Unmarshal(m["has_vector"], &name); err != nil {
			return nil, noVariant("Condition")
		}
		return hasVector(name), nil
	case m["slice"] != nil:
		return p.slice(m["slice"], join(path, "slice"))
	case m["nested"] != nil:
		return p.nested(m["nested"], join(path, "nested"), depth)
	default:
		return p.filter(raw, path, depth+1)
	}
}

func (p *parser) hasID(raw []byte) (condition, error) {
	o := object.NewReader(raw)
	if o.Kind() != '[' {
		return nil, noVariant("Condition")
	}
	c := &hasID{list: []point.ID{}, set: map[point.ID]struct{}{}}
	err := o.Elements(func(int) error {
		raw, err := o.Value()
		if err != nil {
			return err
		}
		var id point.ID
		if err := id.UnmarshalJSON(raw); err != nil {
			return err
		}
		if _, twice := c.set[id]; twice {
			return nil
		}
		c.set[id] = struct{}{}
		c.list = append(c.list, id)
		return p.value()
	})
	return c, err
}

// value counts a value or an id that is kept.
func (p *parser) value() error {
	if p.values++; p.values > MaxValues {
		return fmt.Errorf("a filter may list at most %d values and ids", MaxValues)
	}
	return nil
}

func parsePath(raw []byte) (payload.Path, error) {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return payload.Path{}, fmt.Errorf("invalid type: expected a string as key")
	}
	return payload.ParsePath(text)
}

// keyed reads {"key": path} for a test of raw values.
func keyed(raw []byte, test RawTest) (condition, error) {
	m, err := object.Split(raw)
	if err != nil || m["key"] == nil {
		return nil, noVariant("Condition")
	}
	path, err := parsePath(m["key"])
	if err != nil {
		return nil, err
	}
	return &field{path: path, raws: []RawTest{test}}, nil
}

func (p *parser) nested(raw []byte, path string, depth int) (condition, error) {
	m, err := object.Split(raw)
	if err != nil {
		return nil, noVariant("Condition")
	}
	for _, name := range []string{"key", "filter"} {
		if m[name] == nil {
			return nil, missing(name)
		}
	}
	key, err := parsePath(bytes.Replace(m["key"], []byte(`[]"`), []byte(`"`), 1)) // P and P[] are the same
	if err != nil {
		return nil, err
	}
	f, err := p.filter(m["filter"], join(path, "filter"), depth+1)
	if err != nil {
		return nil, err
	}
	return &nested{path: key, filter: f}, nil
}
