package api

import (
	"encoding/json"
	"strconv"

	"freshet/server"
	"freshet/server/filter"
	"freshet/server/index"
	"freshet/server/object"
)

// readOrderBy reads a path, or an object with one.
func readOrderBy(o *object.Reader, dst **server.OrderBy) error {
	order := &server.OrderBy{}
	*dst = order
	if o.Kind() != '{' {
		return readPath(o, &order.Field)
	}
	return fields(o, map[string]func() error{
		"key": func() error { return readPath(o, &order.Field) },
		"direction": func() error {
			var direction string
			if err := readString(o, &direction); err != nil {
				return err
			}
			if direction != "asc" && direction != "desc" {
				return badFormat("unknown variant `%.40s`, expected `asc` or `desc`", direction)
			}
			order.Descending = direction == "desc"
			return nil
		},
		"start_from": func() error { return readStart(o, &order.Start) },
	}, "key")
}

var errNoStart = badFormat("data did not match any variant of untagged enum StartFrom")

// readStart reads a number, or a moment.
func readStart(o *object.Reader, dst **index.Value) error {
	kind := o.Kind()
	raw, err := o.Value()
	if err != nil {
		return err
	}
	var v index.Value
	switch kind {
	case '0':
		if v.Int, err = strconv.ParseInt(string(raw), 10, 64); err != nil {
			v.IsFloat = true
			v.Float, err = strconv.ParseFloat(string(raw), 64)
		}
		if err != nil {
			return badFormat("number out of range")
		}
	case '"':
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return err
		}
		moment, ok := filter.Moment(text)
		if !ok {
			return errNoStart
		}
		v.Int = moment
	default:
		return errNoStart
	}
	*dst = &v
	return nil
}
