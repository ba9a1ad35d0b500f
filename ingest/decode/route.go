package decode

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/server"
	"freshet/server/object"
)

// route makes the name of a record's collection.
type route []step

// step is a text as it is, the topic, or a field.
type step struct {
	literal, field string
	topic          bool
}

// parseRoute reads a text with ${topic} or ${field:<name>} in it.
func parseRoute(s string) (route, error) {
	var r route
	n, ok := Placeholders(s, func(text string) { r = append(r, step{literal: text}) }, func(name string) bool {
		field, isField := strings.CutPrefix(name, "field:")
		switch {
		case name == "topic":
			r = append(r, step{topic: true})
		case isField && field != "":
			r = append(r, step{field: field})
		default:
			return false
		}
		return true
	})
	switch {
	case !ok:
		return nil, fmt.Errorf("%.100q has a ${ that is not that of ${topic} or ${field:<name>}", s)
	case n == 0:
		return nil, fmt.Errorf("%.100q has no ${topic} or ${field:<name>} in it", s)
	}
	return r, nil
}

// wants says whether the name depends on a field.
func (r route) wants(field string) bool {
	for _, s := range r {
		if s.field == field && field != "" {
			return true
		}
	}
	return false
}

// OfTopic returns the collection that all records of a topic are for; false if there is
// none, or if it depends on the record.
func (m *Mapping) OfTopic(topic string) (string, bool) {
	if m.route.varies() {
		return "", false
	}
	name, err := m.route.collection(nil, &message{Record: &kgo.Record{Topic: topic}})
	return name, err == nil
}

// Varies says whether records of one topic may be for several collections.
func (m *Mapping) Varies() bool { return m.route.varies() }

func (r route) varies() bool {
	return slices.ContainsFunc(r, func(s step) bool { return s.field != "" })
}

// collection returns the name for a record with those fields in its value. What the
// value does not have may be in a key that is an object.
func (r route) collection(fields map[string][]byte, msg *message) (string, error) {
	var b strings.Builder
	var key map[string]json.RawMessage
	for _, s := range r {
		switch {
		case s.topic:
			b.WriteString(msg.Topic)
		case s.field != "":
			raw := fields[s.field]
			if raw == nil && key == nil && len(msg.key) > 0 && msg.key[0] == '{' {
				key, _ = object.Split(msg.key) // what is no object has no fields
			}
			if raw == nil {
				raw = key[s.field]
			}
			text, err := routeText(s.field, raw)
			if err != nil {
				return "", err
			}
			b.WriteString(text)
		default:
			b.WriteString(s.literal)
		}
	}
	name := b.String()
	if err := server.CheckName(name); err != nil {
		return "", Bad(UnknownCollection, "%.80q cannot be the name of a collection: %v", name, err)
	}
	if name == "." || name == ".." || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", Bad(UnknownCollection, "%.80q cannot be the name of a collection that a source feeds", name)
	}
	return name, nil
}

// routeText returns a field's text or integer as it is in a name.
func routeText(field string, raw []byte) (string, error) {
	var text string
	switch {
	case len(raw) == 0 || raw[0] == 'n':
		return "", Bad(UnknownCollection, "neither value nor key has the field %q, which tells the collection", field)
	case raw[0] == '"':
		if err := json.Unmarshal(raw, &text); err != nil {
			return "", Bad(UnknownCollection, "the field %q, which tells the collection: %v", field, err)
		}
	default:
		text = string(raw)
		if _, err := strconv.ParseInt(text, 10, 64); err != nil {
			return "", Bad(UnknownCollection, "the field %q, which tells the collection, is %.40s: neither text nor a 64-bit integer", field, raw)
		}
	}
	if text == "" {
		return "", Bad(UnknownCollection, "the field %q, which tells the collection, is empty", field)
	}
	return text, nil
}
