package embed

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"freshet/server/object"
)

// Options are members that a request to the endpoint gets besides those that are
// always there, in one form for the same members. They belong to what a vector is
// the vector of.
type Options string

// maxOptions bounds options, in bytes.
const maxOptions = 4096

// reserved are the members that are ours to say.
var reserved = []string{"input", "model", "encoding_format"}

// ParseOptions reads options from a JSON object or null.
func ParseOptions(raw []byte) (Options, error) {
	if len(raw) > maxOptions {
		return "", fmt.Errorf("options may have %d bytes", maxOptions)
	}
	if string(raw) == "null" {
		return "", nil
	}
	members, err := object.Split(raw)
	if err != nil {
		return "", errors.New("options are a map")
	}
	var out []byte
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if slices.Contains(reserved, name) {
			return "", fmt.Errorf("options may not say `%s`", name)
		}
		value := jsontext.Value(members[name]).Clone()
		if err := value.Canonicalize(); err != nil {
			return "", fmt.Errorf("options: %w", err)
		}
		out = append(out, ',')
		if out, err = jsontext.AppendQuote(out, name); err != nil {
			return "", fmt.Errorf("options: %w", err)
		}
		out = append(append(out, ':'), value...)
	}
	return Options(out), nil
}
