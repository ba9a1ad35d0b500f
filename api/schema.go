package api

import (
	"encoding/json"
	"errors"

	"freshet/server"
	"freshet/server/index"
	"freshet/server/payload"
)

// checkSchema checks the declaration of a payload index.
func checkSchema(field string, raw json.RawMessage) error {
	if _, err := payload.ParsePath(field); err != nil {
		return badFormat("field_name: %v", err)
	}
	_, err := index.ParseSchema(raw)
	switch {
	case errors.As(err, &index.UnknownTypeError{}):
		return badFormat("%v", err)
	case err != nil:
		return badRequest("field_schema.%v", err)
	}
	return nil
}

// payloadSchema describes the indexes in use.
func payloadSchema(indexes map[string]server.IndexInfo) map[string]any {
	fields := make(map[string]any, len(indexes))
	for field, ix := range indexes {
		entry := map[string]any{"data_type": ix.Schema.Type, "points": ix.Points}
		if ix.Schema.Params != nil {
			entry["params"] = ix.Schema.Params
		}
		fields[field] = entry
	}
	return fields
}
