// Package decode turns Kafka records into operations: it knows the formats and
// what a source's settings say of where things are in a record.
package decode

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// place is where in a record something is found.
type place uint8

const (
	byFormat place = iota // as the format has it
	inKey                 // the key, or its field
	inValue               // a field of the value
	inHeader              // a header
)

// ref is a parsed reference such as key, key.id, value.id, header.h. What
// follows the first dot is the name, dots included.
type ref struct {
	place place
	field string // "" only for the whole key
}

func parseRef(s string) (ref, error) {
	where, field, dotted := strings.Cut(s, ".")
	switch {
	case s == "key":
		return ref{place: inKey}, nil
	case !dotted || field == "":
	case where == "key":
		return ref{inKey, field}, nil
	case where == "value":
		return ref{inValue, field}, nil
	case where == "header":
		return ref{inHeader, field}, nil
	}
	return ref{}, fmt.Errorf("%q is not key, key.<field>, value.<field> or header.<name>", s)
}

// versionRule says which number orders the writes of a point between streams.
type versionRule uint8

const (
	byTimestamp versionRule = iota
	byOffset
	byField
)

// Mapping reads records as a source's settings say.
type Mapping struct {
	format       Format
	id           ref
	vectors      map[string]string // field of the value → vector name
	vectorNames  []string          // sorted
	implicit     bool              // the vector is in the default fields
	embedded     bool              // other vectors are made of texts
	include      map[string]bool   // nil: all
	exclude      map[string]bool
	kafka        bool
	headers      bool
	collection   string
	route        route      // nil: all records are for collection
	registry     *Registry  // nil: none
	schema       transcoder // of values that do not name theirs; nil: they do
	keySchema    transcoder
	version      versionRule
	versionField string
	ttl          ttl
	operation    operation
}

// defaultIDField holds the id, in the value or in a key that is an object.
const defaultIDField = "id"

// defaultVectorFields hold the vector where the configuration does not say.
var defaultVectorFields = []string{"embedding", "vector"}

// FieldError names the setting that is wrong.
type FieldError struct{ Field, Text string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Text }

// New returns the mapping that the settings ask for. The only errors are
// *FieldError.
func New(s Settings) (*Mapping, error) {
	m := &Mapping{
		format: s.Format, collection: s.Collection, registry: s.Registry, kafka: s.Payload.Kafka, headers: s.Payload.Headers,
		vectors: map[string]string{}, exclude: map[string]bool{},
	}
	if s.ID != "" {
		id, err := parseRef(s.ID)
		if err != nil {
			return nil, &FieldError{"id", err.Error()}
		}
		m.id = id
	}
	if s.Route != "" {
		var err error
		if m.route, err = parseRoute(s.Route); err != nil {
			return nil, &FieldError{"route", err.Error()}
		}
	}
	m.embedded = s.Embedded
	if err := m.mapVectors(s.Vectors); err != nil {
		return nil, err
	}
	if err := m.parseSchemas(s.Schema, s.KeySchema); err != nil {
		return nil, err
	}
	if len(s.Payload.Include) > 0 {
		m.include = map[string]bool{}
		for _, field := range s.Payload.Include {
			m.include[field] = true
		}
	}
	for _, field := range s.Payload.Exclude {
		m.exclude[field] = true
	}
	var err error
	if m.ttl, err = parseTTL(s.TTL); err != nil {
		return nil, err
	}
	if m.operation, err = parseOperation(s.Operation, s.Format); err != nil {
		return nil, err
	}
	switch field, isField := strings.CutPrefix(s.Version, "value."); {
	case s.Version == "timestamp":
	case s.Version == "offset":
		m.version = byOffset
	case isField && field != "":
		m.version, m.versionField = byField, field
	default:
		return nil, &FieldError{"version", fmt.Sprintf("%q is not timestamp, offset or value.<field>", s.Version)}
	}
	return m, nil
}

// mapVectors takes note of which field holds which vector.
func (m *Mapping) mapVectors(fields map[string]string) error {
	switch {
	case len(fields) == 0 && m.embedded:
		return nil
	case len(fields) == 0:
		m.implicit = true
		m.vectorNames = []string{""}
		for _, field := range defaultVectorFields {
			m.vectors[field] = ""
		}
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		wrong := func(format string, args ...any) error {
			return &FieldError{fmt.Sprintf("vectors[%q]", name), fmt.Sprintf(format, args...)}
		}
		m.vectorNames = append(m.vectorNames, name)
		r, err := parseRef(fields[name])
		switch {
		case m.format == Qdrant:
			return wrong("records in the format %s name their vectors themselves", Qdrant)
		case m.format == Float32 && (fields[name] != "value" || len(fields) > 1):
			return wrong("in the format %s one vector is the whole value: value", Float32)
		case m.format == Float32:
			return nil
		case err != nil || r.place != inValue:
			return wrong("%q is not value.<field>", fields[name])
		}
		if other, taken := m.vectors[r.field]; taken {
			return wrong("%q is the vector %q already", fields[name], other)
		}
		m.vectors[r.field] = name
	}
	return nil
}

// parseSchemas takes the schemas of plain Avro.
func (m *Mapping) parseSchemas(value, key string) error {
	for _, x := range []struct {
		field, text string
		dst         *transcoder
	}{{"schema", value, &m.schema}, {"key_schema", key, &m.keySchema}} {
		if x.text == "" {
			continue
		}
		if m.format != Avro {
			return &FieldError{x.field, fmt.Sprintf("is for the format %s", Avro)}
		}
		var err error
		if *x.dst, err = parseAvro(x.text, nil); err != nil {
			return &FieldError{x.field, err.Error()}
		}
	}
	return nil
}
