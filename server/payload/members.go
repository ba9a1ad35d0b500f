package payload

import (
	"bytes"
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"

	"freshet/server/object"
)

// DecodeMembers is Decode of a payload's members with some names: the others are
// passed over.
func DecodeMembers(raw []byte, want func(name string) bool) (map[string]any, error) {
	doc := map[string]any{}
	r := object.NewLenientReader(raw)
	if r.Kind() != '{' {
		return nil, errNotObject
	}
	err := r.Members(func(name string) error {
		if !want(name) {
			return r.Skip()
		}
		v, err := r.Value()
		if err == nil {
			doc[name], err = decodeValue(v)
		}
		return err
	})
	if err == nil {
		return doc, nil
	}
	// encoding/json takes what jsontext does not, such as half a surrogate pair.
	if doc, err = Decode(raw); err != nil {
		return nil, err
	}
	for name := range doc {
		if !want(name) {
			delete(doc, name)
		}
	}
	return doc, nil
}

func decodeValue(raw []byte) (any, error) {
	switch raw[0] {
	case '"':
		text, err := jsontext.AppendUnquote(nil, raw)
		return string(text), err
	case 't', 'f':
		return raw[0] == 't', nil
	case 'n':
		return nil, nil
	case '{', '[':
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		var v any
		err := d.Decode(&v)
		return numbers(v), err
	default:
		return number(string(raw)), nil
	}
}
