package decode

import (
	"strconv"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/server/object"
	"freshet/server/point"
)

// idsBesideValue finds the id where the value has none: in the key or in a header.
// There is more than one where it is not clear which id is meant, the likeliest
// first.
func (m *Mapping) idsBesideValue(r *message) ([]point.ID, error) {
	switch {
	case m.id.place == inHeader:
		id, err := m.headerID(r.Record)
		return []point.ID{id}, err
	case m.id.place == inValue && r.Value != nil:
		return nil, Bad(NoID, "the value has no field %q", m.id.field)
	}
	if r.typedKey && len(r.key) > 0 && r.key[0] != '{' {
		id, err := parseID(r.key)
		return []point.ID{id}, err
	}
	id, err := m.keyID(r.format, r.key, m.keyField())
	if err != nil {
		return nil, err
	}
	ids := []point.ID{id}
	// A bare 42 does not tell whether the values of its topic say 42 or "42".
	if n, err := strconv.ParseUint(string(r.key), 10, 64); err == nil {
		ids = append(ids, point.Number(n))
	}
	return ids, nil
}

func (m *Mapping) keyField() string {
	if m.id.place == inKey && m.id.field != "" || m.id.place == inValue {
		return m.id.field
	}
	return defaultIDField
}

// keyID reads the id from a key: a field of a JSON object (its only one,
// whatever its name), a JSON string, or text as it is.
func (m *Mapping) keyID(format Format, key []byte, field string) (point.ID, error) {
	if len(key) == 0 {
		return point.ID{}, Bad(NoID, "the record has no key")
	}
	if !utf8.Valid(key) {
		return point.ID{}, Bad(BadID, "the key is not text in UTF-8")
	}
	switch key[0] {
	case '{':
		fields, err := object.Split(key)
		if err != nil {
			break // text that begins with a brace
		}
		if inner, ok := fields["payload"]; ok && len(fields) == 2 && fields["schema"] != nil && (format == Debezium || format == Auto) {
			return m.keyID(JSON, inner, field)
		}
		if name := fields["collection_name"]; name != nil && (format == Qdrant || format == Auto) {
			if err := m.inCollection(name); err != nil {
				return point.ID{}, err
			}
		}
		raw, ok := fields[field]
		if !ok && len(fields) == 1 {
			for _, raw = range fields {
				ok = true
			}
		}
		if !ok {
			return point.ID{}, Bad(NoID, "the key has no field %q", field)
		}
		return parseID(raw)
	case '"':
		if id, err := parseID(key); err == nil {
			return id, nil
		}
	}
	id, err := point.Parse(string(key))
	if err != nil {
		return id, Bad(BadID, "the key: %v", err)
	}
	return id, nil
}

func parseID(raw []byte) (point.ID, error) {
	var id point.ID
	if err := id.UnmarshalJSON(raw); err != nil {
		return id, Bad(BadID, "%.60s is not an id: %v", raw, point.ErrInvalid)
	}
	return id, nil
}

func (m *Mapping) headerID(r *kgo.Record) (point.ID, error) {
	value, ok := header(r, m.id.field)
	if !ok {
		return point.ID{}, Bad(NoID, "the record has no header %q", m.id.field)
	}
	id, err := point.Parse(string(value))
	if err != nil {
		return id, Bad(BadID, "the header %q: %v", m.id.field, err)
	}
	return id, nil
}

// header returns the first header of the name.
func header(r *kgo.Record, name string) ([]byte, bool) {
	for i := range r.Headers {
		if r.Headers[i].Key == name {
			return r.Headers[i].Value, true
		}
	}
	return nil, false
}
