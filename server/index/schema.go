package index

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"freshet/server/text"
)

// Type is what values an index holds.
type Type string

// The types.
const (
	Keyword  Type = "keyword"
	Integer  Type = "integer"
	Float    Type = "float"
	Geo      Type = "geo"
	Text     Type = "text"
	Bool     Type = "bool"
	Datetime Type = "datetime"
	UUID     Type = "uuid"
)

// flags are the parameters that are true or false.
var flags = map[Type][]string{
	Keyword:  {"is_tenant", "on_disk", "enable_hnsw", "prefix"},
	Integer:  {"lookup", "range", "is_principal", "on_disk", "enable_hnsw"},
	Float:    {"is_principal", "on_disk", "enable_hnsw"},
	Datetime: {"is_principal", "on_disk", "enable_hnsw"},
	UUID:     {"is_tenant", "on_disk", "enable_hnsw"},
	Bool:     {"on_disk", "enable_hnsw"},
	Geo:      {"on_disk", "enable_hnsw"},
	Text:     {"lowercase", "ascii_folding", "phrase_matching", "on_disk", "enable_hnsw"},
}

// textParameters are those of a text index that the analyzer reads.
var textParameters = []string{"tokenizer", "min_token_len", "max_token_len", "stopwords", "stemmer"}

// Schema is the declaration of an index.
type Schema struct {
	Type     Type
	Params   json.RawMessage // as declared, nil if only the type was
	lookup   bool            // of an integer index: single values can be asked for
	ranges   bool            // and ranges
	analyzer *text.Analyzer  // of a text index
}

// UnknownTypeError reports a schema that is of no known type.
type UnknownTypeError struct{}

func (UnknownTypeError) Error() string {
	return "data did not match any variant of untagged enum PayloadFieldSchema"
}

// ParseSchema reads the name of a type, or an object with a type and its
// parameters. What is wrong with a parameter is told with its name.
func ParseSchema(raw json.RawMessage) (Schema, error) {
	s := Schema{lookup: true, ranges: true}
	if json.Unmarshal(raw, &s.Type) == nil {
		if flags[s.Type] == nil {
			return s, UnknownTypeError{}
		}
		if s.Type == Text {
			s.analyzer = &text.Analyzer{}
		}
		return s, nil
	}
	var params map[string]json.RawMessage
	if json.Unmarshal(raw, &params) != nil || json.Unmarshal(params["type"], &s.Type) != nil || flags[s.Type] == nil {
		return s, UnknownTypeError{}
	}
	s.Params = raw
	set := map[string]bool{"lookup": true, "range": true}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		switch {
		case name == "type" || s.Type == Text && slices.Contains(textParameters, name):
			continue
		case !slices.Contains(flags[s.Type], name):
			return s, fmt.Errorf("%.100s: an index of type %s has no such parameter", name, s.Type)
		case string(params[name]) == "null":
			continue
		}
		var on bool
		if json.Unmarshal(params[name], &on) != nil {
			return s, fmt.Errorf("%s: invalid type: expected a boolean", name)
		}
		set[name] = on
	}
	s.lookup, s.ranges = set["lookup"], set["range"]
	if s.Type == Integer && !s.lookup && !s.ranges {
		return s, fmt.Errorf("lookup: an integer index needs `lookup` or `range`")
	}
	if s.Type == Text {
		s.analyzer = &text.Analyzer{}
		return s, s.analyzer.UnmarshalJSON(raw)
	}
	return s, nil
}
