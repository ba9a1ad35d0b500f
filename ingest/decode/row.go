package decode

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/server"
	"freshet/server/point"
)

// row gathers what a record says, member by member, as the mapping has it.
type row struct {
	m       *Mapping
	format  Format
	idField string // the member that holds the id, "" for none

	id      point.ID
	vectors server.Vectors
	payload []byte // an object without its closing brace
	version *int64
	ttl     int64 // milliseconds, 0 for none
	mode    server.UpdateMode
	deletes bool              // of the members only the id and the version count
	routing map[string][]byte // the fields that tell the collection
}

// fewMembers is how many bytes the members of most payloads take, for the first allocation.
const fewMembers = 256

func (m *Mapping) newRow(format Format) *row {
	return &row{
		m: m, format: format, idField: m.idField(format),
		vectors: make(server.Vectors, len(m.vectorNames)), payload: append(make([]byte, 0, fewMembers), '{'),
	}
}

// idField returns the member of the value that may hold the id, "" for none.
func (m *Mapping) idField(format Format) string {
	switch {
	case m.id.place == inValue:
		return m.id.field
	case m.id.place != byFormat || format == UpsertKafka:
		return ""
	default:
		return defaultIDField
	}
}

// member takes note of a member of what is to become a point, in JSON.
func (w *row) member(field string, raw []byte) error {
	if name, ok := w.m.vectors[field]; ok {
		return w.vector(field, name, raw)
	}
	if err := w.around(field, raw); err != nil {
		return err
	}
	switch {
	case field == w.idField:
		return nil
	case field == defaultIDField && w.format == UpsertKafka && w.m.id.place == byFormat:
		return nil // repeats the key
	}
	w.addPayload(field, raw)
	return nil
}

// around takes note of a member that is not part of the point, or not only: it
// may be the id or the version.
func (w *row) around(field string, raw []byte) error {
	if w.m.route.wants(field) {
		if w.routing == nil {
			w.routing = map[string][]byte{}
		}
		w.routing[field] = raw
	}
	if field == w.m.versionField && w.m.version == byField {
		n, err := strconv.ParseInt(string(bytes.Trim(raw, `"`)), 10, 64)
		if err != nil {
			return Bad(BadVersion, "the field %q holds %.40s, which is no 64-bit integer", field, raw)
		}
		w.version = &n
	}
	if from := &w.m.ttl.from; from.place == inValue && field == from.field && !w.deletes {
		var err error
		if w.ttl, err = lifeOf(raw); err != nil {
			return err
		}
	}
	if field == w.idField && string(raw) != "null" {
		var err error
		w.id, err = parseID(raw)
		return err
	}
	return nil
}

func (w *row) addPayload(field string, raw []byte) {
	m := w.m
	if w.deletes || m.exclude[field] || m.include != nil && !m.include[field] {
		return
	}
	w.payload = appendMember(w.payload, field, raw)
}

// vector reads the vector in a field. Of the default fields the first that
// holds one counts.
func (w *row) vector(field, name string, raw []byte) error {
	if w.deletes || !w.takes(field, name) || string(raw) == "null" {
		return nil
	}
	v, err := jsonVector(raw)
	if err != nil {
		return Bad(BadVector, "the field %q: %v", field, err)
	}
	w.vectors[name] = v
	return nil
}

// takes says whether the vector in the field counts.
func (w *row) takes(field, name string) bool {
	return !w.m.implicit || w.vectors[name] == nil || field == defaultVectorFields[0]
}

// complete says whether the row has the vectors that it needs.
func (w *row) complete() error {
	if w.format == Qdrant && !w.m.embedded { // whose records name their vectors
		if len(w.vectors) == 0 {
			return Bad(NoVector, "the value has no vector in %q", "vector")
		}
		return nil
	}
	for _, name := range w.m.vectorNames {
		if w.vectors[name] == nil {
			return Bad(NoVector, "the value has no vector in %s", w.m.fieldsOf(name))
		}
	}
	return nil
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

// addAround adds to the payload what the settings take from beside the value.
func (w *row) addAround(r *kgo.Record) {
	if w.m.headers {
		for _, h := range r.Headers {
			w.addPayload(h.Key, headerJSON(h.Value))
		}
	}
	if w.m.kafka {
		w.payload = appendOrigin(w.payload, r)
	}
}

// headerJSON returns the value of a header as JSON, with which it is in many cases
// written (Kafka Connect does so); anything else is text.
func headerJSON(value []byte) []byte {
	if json.Valid(value) {
		return value
	}
	return quote(value)
}

// quote writes text as a JSON string. What is not UTF-8 in it is replaced.
func quote(text []byte) []byte {
	quoted, err := jsontext.AppendQuote(make([]byte, 0, len(text)+2), text)
	if err != nil { // it says where the text is not UTF-8, and has replaced that
		return quoted
	}
	return quoted
}

func appendMember(dst []byte, field string, member []byte) []byte {
	if len(dst) > 1 {
		dst = append(dst, ',')
	}
	if !utf8.ValidString(field) {
		field = string([]rune(field))
	}
	dst, err := jsontext.AppendQuote(dst, field)
	if err != nil { // it is UTF-8 now
		panic(err)
	}
	dst = append(dst, ':')
	return append(dst, member...)
}
