package api

import (
	"encoding/json"

	"freshet/server/payload"
)

// schemaTypes are the types of payload index.
var schemaTypes = map[string]bool{
	"keyword": true, "integer": true, "float": true, "geo": true,
	"text": true, "bool": true, "datetime": true, "uuid": true,
}

// schema is a declared payload index: the type, and whatever parameters came
// with it.
type schema struct {
	Type   string
	Params json.RawMessage // nil when only the type was given
}

// readSchema reads a type or an object with a type.
func readSchema(raw json.RawMessage) (schema, error) {
	var s schema
	var params struct {
		Type   string `json:"type"`
		Lookup *bool  `json:"lookup"`
		Range  *bool  `json:"range"`
	}
	switch {
	case json.Unmarshal(raw, &s.Type) == nil:
	case json.Unmarshal(raw, &params) == nil:
		s.Type, s.Params = params.Type, raw
	}
	if !schemaTypes[s.Type] {
		return s, badFormat("data did not match any variant of untagged enum PayloadFieldSchema")
	}
	if s.Type == "integer" && params.Lookup != nil && params.Range != nil && !*params.Lookup && !*params.Range {
		return s, notValid("field_schema", "an integer index needs `lookup` or `range`")
	}
	return s, nil
}

func checkSchema(field string, raw json.RawMessage) error {
	if _, err := payload.ParsePath(field); err != nil {
		return badFormat("field_name: %v", err)
	}
	_, err := readSchema(raw)
	return err
}
