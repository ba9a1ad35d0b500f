package api

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"

	"freshet/server"
	"freshet/server/filter"
	"freshet/server/object"
	"freshet/server/payload"
	"freshet/server/point"
)

// parse reads a body in one pass by read, which has to consume one value.
func parse(raw []byte, read func(o *object.Reader) error) error {
	o := object.NewReader(raw)
	err := read(o)
	if err == nil {
		err = o.End()
	}
	var syntax *object.SyntaxError
	var twice object.DuplicateError
	switch {
	case errors.As(err, &syntax):
		return badFormat("%s at %s", syntax.Text, place(raw, syntax.Offset))
	case errors.As(err, &twice):
		return badFormat("%v", twice)
	default:
		return err
	}
}

// parse reads the body by read.
func (r *request) parse(read func(o *object.Reader) error) error {
	raw, err := r.body()
	if err != nil {
		return err
	}
	return parse(raw, read)
}

// reading reads the body of a request that reads from a collection, which it returns.
func (r *request) reading(read func(o *object.Reader) error) (*server.Collection, error) {
	c, err := r.readable()
	if err != nil {
		return nil, err
	}
	return c, r.parse(read)
}

// fields reads an object whose members known by name are read by their
// function; null is as good as absent, and other members are left out. Those that are
// needed have to be there.
func fields(o *object.Reader, known map[string]func() error, needed ...string) error {
	if o.Kind() != '{' {
		return mismatch(o, "a map")
	}
	missing := slices.Clone(needed)
	err := o.Members(func(name string) error {
		read := known[name]
		if read == nil || o.Kind() == 'n' {
			return o.Skip()
		}
		missing = slices.DeleteFunc(missing, func(n string) bool { return n == name })
		return read()
	})
	if err == nil && len(missing) > 0 {
		err = badFormat("missing field `%s`", missing[0])
	}
	return err
}

// elements reads a list by a function for each of its elements.
func elements(o *object.Reader, read func(i int) error) error {
	if o.Kind() != '[' {
		return mismatch(o, "a sequence")
	}
	return o.Elements(read)
}

// kinds are the words that clients know from Rust's serde.
var kinds = map[byte]string{'{': "map", '[': "sequence", '"': "string", '0': "number", 't': "boolean `true`", 'f': "boolean `false`", 'n': "null"}

// mismatch reports that the next value is not what was expected, or that it is
// not JSON at all.
func mismatch(o *object.Reader, expected string) error {
	kind := kinds[o.Kind()]
	if err := o.Skip(); err != nil {
		return err
	}
	return badFormat("invalid type: %s, expected %s at offset %d", kind, expected, o.Offset())
}

func readUint(o *object.Reader, dst *int) error {
	if o.Kind() != '0' {
		return mismatch(o, "usize")
	}
	raw, err := o.Value()
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(string(raw), 10, 64)
	if err == nil {
		*dst = int(min(n, math.MaxInt64)) // that is more than there can be points
		return nil
	}
	if _, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return badFormat("invalid value: integer `%s`, expected usize", raw)
	}
	return badFormat("invalid type: floating point `%.40s`, expected usize", raw)
}

func readBool(o *object.Reader, dst *bool) error {
	kind := o.Kind()
	if kind != 't' && kind != 'f' {
		return mismatch(o, "a boolean")
	}
	*dst = kind == 't'
	return o.Skip()
}

func readString(o *object.Reader, dst *string) error {
	if o.Kind() != '"' {
		return mismatch(o, "a string")
	}
	raw, err := o.Value()
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, dst)
}

func readFloat(o *object.Reader, dst *float32) error {
	if o.Kind() != '0' {
		return mismatch(o, "f32")
	}
	raw, err := o.Value()
	if err != nil {
		return err
	}
	x, err := strconv.ParseFloat(string(raw), 32)
	if err != nil {
		return badFormat("number out of range")
	}
	*dst = float32(x)
	return nil
}

func readID(o *object.Reader, dst *point.ID) error {
	raw, err := o.Value()
	if err != nil {
		return err
	}
	if err := dst.UnmarshalJSON(raw); err != nil {
		return badFormat("value %.60s is not a valid point ID, %v", raw, point.ErrInvalid)
	}
	return nil
}

// readIDs leaves an empty list, not nil, for one without ids.
func readIDs(o *object.Reader, dst *[]point.ID) error {
	ids := []point.ID{}
	err := elements(o, func(int) error {
		var id point.ID
		if err := readID(o, &id); err != nil {
			return err
		}
		ids = append(ids, id)
		return nil
	})
	*dst = ids
	return err
}

func readStrings(o *object.Reader, dst *[]string) error {
	list := []string{}
	err := elements(o, func(int) error {
		var s string
		if err := readString(o, &s); err != nil {
			return err
		}
		list = append(list, s)
		return nil
	})
	*dst = list
	return err
}

func readPath(o *object.Reader, dst *payload.Path) error {
	var s string
	if err := readString(o, &s); err != nil {
		return err
	}
	path, err := payload.ParsePath(s)
	if err != nil {
		return badFormat("%v", err)
	}
	*dst = path
	return nil
}

// readFilter reads a filter that is a member at path.
func readFilter(o *object.Reader, path string, dst **filter.Filter) error {
	raw, err := o.Value()
	if err != nil {
		return err
	}
	return decodeFilter(raw, path, dst)
}

func decodeFilter(raw []byte, path string, dst **filter.Filter) error {
	f := new(filter.Filter)
	err := f.UnmarshalJSON(raw)
	var invalid *filter.ValidationError
	switch {
	case errors.As(err, &invalid):
		return notValid(path+"."+invalid.Path, "%s", invalid.Text)
	case err != nil:
		return badFormat("%v", err)
	}
	*dst = f
	return nil
}

// readSharding refuses a shard key: collections are not sharded by key here.
func readSharding(o *object.Reader) error {
	raw, err := o.Value()
	if err != nil {
		return err
	}
	return badRequest("Shard key %.60s not found", raw)
}
