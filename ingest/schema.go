package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"

	"freshet/ingest/settings"
	"freshet/server"
	"freshet/server/sources"
)

// A source in JSON is read as the YAML that it is, so that both forms have one
// schema. It has to be JSON first: YAML alone has anchors, which a request could use
// to fill the memory.

// maxSourceBytes bounds the JSON of a source.
const maxSourceBytes = 256 << 10

// parseSource reads the source that a request describes, with defaults, and checks it.
func (m *Manager) parseSource(key sources.Key, raw []byte) (Source, error) {
	var s Source
	if len(raw) > maxSourceBytes {
		return s, invalid("", "the description of a source has at most %d bytes, this one %d", maxSourceBytes, len(raw))
	}
	if !json.Valid(raw) {
		return s, invalid("", "the description of the source is not JSON")
	}
	if m.kafka.BootstrapServers == "" {
		return s, &server.Error{Kind: server.BadRequest, Text: "kafka.bootstrap.servers is not configured: there are no brokers to consume from"}
	}
	if err := readSettings(raw, &s); err != nil {
		return s, err
	}
	switch {
	case key.Name != "" && s.Name != "" && s.Name != key.Name:
		return s, invalid("name", "%.200q is not the name in the path, %.200q", s.Name, key.Name)
	case s.Collection != "" && s.Collection != key.Collection:
		return s, invalid("collection", "%.200q is not the collection in the path, %.200q", s.Collection, key.Collection)
	}
	if s.Name == "" {
		s.Name = key.Name
	}
	s.Collection = key.Collection
	return m.complete(s)
}

// complete fills in the defaults and checks a source.
func (m *Manager) complete(s Source) (Source, error) {
	cfg := Config{Kafka: m.kafka, Sources: []Source{s}}
	cfg.SetDefaults()
	s = cfg.Sources[0]
	var first string
	var texts []string
	s.validate(func(field, format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		if first == "" {
			first = field
		} else {
			text = field + ": " + text
		}
		texts = append(texts, text)
	})
	if strings.ContainsAny(s.Name, "/\x00") {
		return s, invalid("name", "cannot contain a slash or a zero byte")
	}
	if len(texts) > 0 {
		return s, invalid(first, "%s", strings.Join(texts, ", "))
	}
	return s, nil
}

func invalid(path, format string, args ...any) error {
	return &server.Error{Kind: server.Invalid, Path: path, Text: fmt.Sprintf(format, args...)}
}

// readSettings reads the JSON of a source.
func readSettings(raw []byte, s *Source) error {
	var wrong *settings.Error
	if err := settings.Read(raw, s); errors.As(err, &wrong) {
		return invalid(wrong.Path, "%s", wrong.Text+settings.Nearest(wrong.Unknown, wrong.Known))
	}
	return nil
}

// describe returns a source as JSON, without secrets.
func describe(s *Source) (json.RawMessage, error) {
	raw, err := yaml.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("describe source %q: %w", s.Name, err)
	}
	var members map[string]any
	if err := yaml.Unmarshal(raw, &members); err != nil {
		return nil, fmt.Errorf("describe source %q: %w", s.Name, err)
	}
	return json.Marshal(members)
}

// patched returns a source's description with changes as RFC 7396 has them: members
// of objects replace those there are, null removes them.
func patched(given, change json.RawMessage) (json.RawMessage, error) {
	var before, after map[string]any
	if err := json.Unmarshal(change, &after); err != nil || after == nil {
		return nil, invalid("", "the change is not a JSON object")
	}
	if err := json.Unmarshal(given, &before); err != nil {
		return nil, fmt.Errorf("read the stored source: %w", err)
	}
	merge(before, after)
	return json.Marshal(before)
}

func merge(dst, src map[string]any) {
	for name, value := range src {
		object, isObject := value.(map[string]any)
		switch into, both := dst[name].(map[string]any); {
		case value == nil:
			delete(dst, name)
		case isObject && both:
			merge(into, object)
		case isObject:
			into = map[string]any{}
			merge(into, object)
			dst[name] = into
		default:
			dst[name] = value
		}
	}
}
