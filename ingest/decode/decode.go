package decode

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/server"
	"freshet/server/object"
	"freshet/server/payload"
	"freshet/server/point"
)

// defaultIDField holds the id, in the value or in a key that is an object.
const defaultIDField = "id"

// MaxRecord bounds the value of a record, in bytes: a vector of the largest
// dimension in text is below 2 MiB.
const MaxRecord = 16 << 20

// Decode turns a record into an operation. The only errors are *Error.
// The operation shares no memory with the record.
func (m *Mapping) Decode(stream server.Stream, r *kgo.Record) (server.Op, error) {
	if len(r.Value) > MaxRecord || len(r.Key) > MaxRecord {
		return server.Op{}, Bad(TooLarge, "a record of %d bytes is larger than %d", max(len(r.Key), len(r.Value)), MaxRecord)
	}
	version := server.Version{Stream: stream, Offset: r.Offset, Time: r.Timestamp.UnixMilli()}
	if m.version == byOffset {
		version.Time = r.Offset
	}
	if r.Value == nil {
		return m.tombstone(version, r)
	}
	return m.upsert(version, r)
}

// tombstone deletes what the key names.
func (m *Mapping) tombstone(version server.Version, r *kgo.Record) (server.Op, error) {
	if m.format == JSON {
		return server.Op{}, Bad(Undecodable, "the value is null, which is no JSON object; upsert-kafka is the format in which it deletes")
	}
	var ids []point.ID
	switch m.id.place {
	case inHeader:
		id, err := m.headerID(r)
		if err != nil {
			return server.Op{}, err
		}
		ids = []point.ID{id}
	default:
		id, err := keyID(r.Key, m.keyField())
		if err != nil {
			return server.Op{}, err
		}
		ids = []point.ID{id}
		// A bare 42 does not tell whether the values of its topic say 42 or "42".
		if n, err := strconv.ParseUint(string(r.Key), 10, 64); err == nil {
			ids = append(ids, point.Number(n))
		}
	}
	return server.Op{Kind: server.Delete, Select: server.Select{IDs: ids}, Version: version}, nil
}

func (m *Mapping) keyField() string {
	if m.id.place == inKey && m.id.field != "" || m.id.place == inValue {
		return m.id.field
	}
	return defaultIDField
}

// keyID reads the id from a key: a field of a JSON object (its only one,
// whatever its name), a JSON string, or text as it is.
func keyID(key []byte, field string) (point.ID, error) {
	if len(key) == 0 {
		return point.ID{}, Bad(NoID, "the record has no key")
	}
	if !utf8.Valid(key) {
		return point.ID{}, Bad(BadID, "the key is not text in UTF-8")
	}
	switch key[0] {
	case '{':
		var members map[string]json.RawMessage
		if err := json.Unmarshal(key, &members); err != nil {
			break
		}
		raw, ok := members[field]
		if !ok && len(members) == 1 {
			for _, raw = range members {
				ok = true
			}
		}
		if !ok {
			return point.ID{}, Bad(NoID, "the key has no field %q", field)
		}
		return parseID(raw)
	case '"':
		if json.Valid(key) {
			return parseID(key)
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
	for _, h := range r.Headers {
		if h.Key == m.id.field {
			id, err := point.Parse(string(h.Value))
			if err != nil {
				return id, Bad(BadID, "the header %q: %v", h.Key, err)
			}
			return id, nil
		}
	}
	return point.ID{}, Bad(NoID, "the record has no header %q", m.id.field)
}

// value is what the members of a JSON value come to.
type value struct {
	id      point.ID
	vectors server.Vectors
	payload []byte // an object without its closing brace
	version *int64
}

func (m *Mapping) upsert(version server.Version, r *kgo.Record) (server.Op, error) {
	v, err := m.value(r.Value)
	if err != nil {
		return server.Op{}, err
	}
	if v.id.IsZero() {
		if v.id, err = m.idBesideValue(r); err != nil {
			return server.Op{}, err
		}
	}
	for _, name := range m.vectorNames {
		if v.vectors[name] == nil {
			return server.Op{}, Bad(NoVector, "the value has no vector in %s", m.fieldsOf(name))
		}
	}
	if m.version == byField {
		if v.version == nil {
			return server.Op{}, Bad(BadVersion, "the value has no field %q", m.versionField)
		}
		version.Time = *v.version
	}
	if m.kafka {
		v.payload = appendOrigin(v.payload, r)
	}
	compact, err := payload.Compact(append(v.payload, '}'))
	if err != nil {
		return server.Op{}, Bad(Undecodable, "the payload: %v", err)
	}
	if len(compact) == len("{}") {
		compact = nil
	}
	return server.Op{
		Kind: server.Upsert, Version: version,
		Points: []server.Point{{ID: v.id, Vectors: v.vectors, Payload: compact}},
	}, nil
}

// idBesideValue finds the id that the value does not have.
func (m *Mapping) idBesideValue(r *kgo.Record) (point.ID, error) {
	switch m.id.place {
	case inHeader:
		return m.headerID(r)
	case inValue:
		return point.ID{}, Bad(NoID, "the value has no field %q", m.id.field)
	default:
		return keyID(r.Key, m.keyField())
	}
}

// fieldsOf names the fields in which a vector may be.
func (m *Mapping) fieldsOf(name string) string {
	if m.implicit {
		return fmt.Sprintf("%q", defaultVectorFields)
	}
	for field, n := range m.vectors {
		if n == name {
			return strconv.Quote(field)
		}
	}
	return "any field"
}

// value reads a JSON object member by member.
func (m *Mapping) value(raw []byte) (value, error) {
	v := value{vectors: make(server.Vectors, len(m.vectorNames)), payload: []byte{'{'}}
	idField := m.idField()
	o := object.NewLenientReader(raw)
	if o.Kind() != '{' {
		return v, Bad(Undecodable, "the value is not a JSON object")
	}
	err := o.Members(func(field string) error {
		if name, ok := m.vectors[field]; ok {
			return m.vector(o, &v, field, name)
		}
		member, err := o.Value()
		if err != nil {
			return err
		}
		if field == m.versionField && m.version == byField {
			n, err := strconv.ParseInt(string(member), 10, 64)
			if err != nil {
				return Bad(BadVersion, "the field %q holds %.40s, which is no 64-bit integer", field, member)
			}
			v.version = &n
		}
		if field == idField {
			if string(member) == "null" {
				return nil
			}
			v.id, err = parseID(member)
			return err
		}
		if field == defaultIDField && m.format == UpsertKafka && m.id.place == byFormat {
			return nil // repeats the key
		}
		if m.exclude[field] || m.include != nil && !m.include[field] {
			return nil
		}
		v.payload = appendMember(v.payload, field, member)
		return nil
	})
	if err == nil {
		err = o.End()
	}
	var own *Error
	if err != nil && !errors.As(err, &own) {
		err = Bad(Undecodable, "the value is not JSON: %v", err)
	}
	return v, err
}

// vector reads the vector in a field. Of the default fields the first that
// holds one counts.
func (m *Mapping) vector(o *object.Reader, v *value, field, name string) error {
	if m.implicit && v.vectors[name] != nil && field == defaultVectorFields[1] || o.Kind() == 'n' {
		return o.Skip()
	}
	vector, err := o.Floats(nil)
	var syntax *object.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return err
	case err != nil:
		return Bad(BadVector, "the field %q: %v", field, err)
	case len(vector) == 0:
		return Bad(BadVector, "the field %q holds an empty array", field)
	}
	v.vectors[name] = server.Dense(slices.Clip(vector))
	return nil
}

func appendMember(dst []byte, field string, member []byte) []byte {
	if len(dst) > 1 {
		dst = append(dst, ',')
	}
	name, err := json.Marshal(field)
	if err != nil { // a string always has a JSON form
		panic(err)
	}
	dst = append(dst, name...)
	dst = append(dst, ':')
	return append(dst, member...)
}

// appendOrigin adds which record made the point.
func appendOrigin(dst []byte, r *kgo.Record) []byte {
	origin, err := json.Marshal(struct {
		Topic     string `json:"topic"`
		Partition int32  `json:"partition"`
		Offset    int64  `json:"offset"`
		Timestamp int64  `json:"timestamp"`
	}{r.Topic, r.Partition, r.Offset, r.Timestamp.UnixMilli()})
	if err != nil { // so has this
		panic(err)
	}
	return appendMember(dst, "_kafka", origin)
}
