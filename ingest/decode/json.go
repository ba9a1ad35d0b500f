package decode

import (
	"errors"

	"freshet/server/object"
)

// members calls visit for each member of a JSON object, the value of a record or a
// part of it. What visit is given is part of raw.
func members(raw []byte, visit func(field string, value []byte) error) error {
	o := object.NewLenientReader(raw)
	if o.Kind() != '{' {
		return Bad(Undecodable, "the value is not a JSON object")
	}
	err := o.Members(func(field string) error {
		value, err := o.Value()
		if err != nil {
			return err
		}
		end := int(o.Offset())
		return visit(field, raw[end-len(value):end:end])
	})
	if err == nil {
		err = o.End()
	}
	var own *Error
	if err != nil && !errors.As(err, &own) {
		err = Bad(Undecodable, "the value is not JSON: %v", err)
	}
	return err
}
