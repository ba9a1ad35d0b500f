package decode

import (
	"errors"
	"slices"

	"freshet/server"
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
		return visit(field, value)
	})
	return end(o, err)
}

// fields gives the row the members of a JSON object. Vectors, by far the largest
// part, are scanned once.
func (w *row) fields(raw []byte) error {
	o := object.NewLenientReader(raw)
	if o.Kind() != '{' {
		return Bad(Undecodable, "the value is not a JSON object")
	}
	err := o.Members(func(field string) error {
		if name, ok := w.m.vectors[field]; ok && !w.deletes && w.takes(field, name) && o.Kind() == '[' && !o.Nested() {
			return w.numbers(o, field, name)
		}
		value, err := o.Value()
		if err != nil {
			return err
		}
		return w.member(field, value)
	})
	return end(o, err)
}

func (w *row) numbers(o *object.Reader, field, name string) error {
	v, err := o.Floats(nil)
	if err == nil && len(v) == 0 {
		err = errEmptyVector
	}
	if err != nil {
		if _, ok := errors.AsType[*object.SyntaxError](err); ok {
			return err
		}
		return Bad(BadVector, "the field %q: %v", field, err)
	}
	w.vectors[name] = server.Dense(slices.Clip(v))
	return nil
}

// end checks that nothing follows the object, and makes any fault a dead letter.
func end(o *object.Reader, err error) error {
	if err == nil {
		err = o.End()
	}
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return Bad(Undecodable, "the value is not JSON: %v", err)
}
