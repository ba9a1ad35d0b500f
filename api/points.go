package api

import (
	"encoding/json"
	"fmt"

	"freshet/server"
	"freshet/server/object"
	"freshet/server/payload"
	"freshet/server/point"
)

// readUpsert reads either form of the body: a list of points, or columns.
func readUpsert(v *vectorReader, o *object.Reader) (server.Op, error) {
	if o.Kind() != '{' {
		if err := o.Skip(); err != nil {
			return server.Op{}, err
		}
		return server.Op{}, badFormat("Invalid PointInsertOperations format")
	}
	op := server.Op{Kind: server.Upsert}
	found := false
	err := fields(o, map[string]func() error{
		"points": func() error {
			found = true
			return v.points(o, true, &op.Points)
		},
		"batch": func() error {
			found = true
			return v.columns(o, &op.Points)
		},
		"shard_key":     func() error { return readSharding(o) },
		"update_filter": func() error { return readFilter(o, "update_filter", &op.Where) },
		"update_mode":   func() error { return readUpdateMode(o, &op.Mode) },
	})
	if err == nil && !found {
		err = badFormat("Invalid PointInsertOperations format")
	}
	return op, err
}

var updateModes = map[string]server.UpdateMode{
	"upsert": server.InsertOrUpdate, "insert_only": server.InsertOnly, "update_only": server.UpdateOnly,
}

func readUpdateMode(o *object.Reader, dst *server.UpdateMode) error {
	var name string
	if err := readString(o, &name); err != nil {
		return err
	}
	mode, ok := updateModes[name]
	if !ok {
		return badFormat("unknown variant `%.40s`, expected one of `upsert`, `insert_only`, `update_only`", name)
	}
	*dst = mode
	return nil
}

func readUpdateVectors(v *vectorReader, o *object.Reader) (server.Op, error) {
	op := server.Op{Kind: server.UpdateVectors}
	err := fields(o, map[string]func() error{
		"points":        func() error { return v.points(o, false, &op.Points) },
		"shard_key":     func() error { return readSharding(o) },
		"update_filter": func() error { return readFilter(o, "update_filter", &op.Where) },
	}, "points")
	return op, err
}

func (v *vectorReader) points(o *object.Reader, withPayload bool, dst *[]server.Point) error {
	points := []server.Point{}
	err := elements(o, func(i int) error {
		p, err := v.point(o, fmt.Sprintf("points[%d]", i), withPayload)
		points = append(points, p)
		return err
	})
	*dst = points
	return err
}

func (v *vectorReader) point(o *object.Reader, path string, withPayload bool) (server.Point, error) {
	var p server.Point
	if o.Kind() != '{' {
		return p, mismatch(o, "struct PointStruct")
	}
	noVector := false
	err := o.Members(func(name string) error {
		isNull := o.Kind() == 'n'
		switch {
		case name == "id":
			return readID(o, &p.ID)
		case name == "vector" && !isNull:
			return v.vectors(o, path+".vector", &p.Vectors)
		case name == "vector":
			noVector = true
			return o.Skip()
		case name == "payload" && withPayload && !isNull:
			return readPayload(o, &p.Payload)
		case name == "expires_at" && withPayload && !isNull:
			return readExpiry(o, path, &p.Expires)
		default:
			return o.Skip()
		}
	})
	switch {
	case err != nil:
		return p, err
	case p.ID.IsZero():
		return p, badFormat("missing field `id`")
	case noVector:
		return p, errNoVariant
	case p.Vectors == nil:
		return p, badFormat("missing field `vector`")
	}
	return p, nil
}

// maxExpiry is the end of the year 9999, in Unix milliseconds.
const maxExpiry = 253_402_300_799_999

// readExpiry reads when a point is to end.
func readExpiry(o *object.Reader, path string, dst *int64) error {
	var ms int
	if err := readUint(o, &ms); err != nil {
		return err
	}
	if ms < 1 || ms > maxExpiry {
		return notValid(path+".expires_at", "value %d invalid, must be milliseconds since 1970, from 1 to %d", ms, maxExpiry)
	}
	*dst = int64(ms)
	return nil
}

var errNoVariant = badFormat("data did not match any variant of untagged enum VectorStruct")

func readPayload(o *object.Reader, dst *json.RawMessage) error {
	if o.Kind() != '{' {
		return mismatch(o, "a map")
	}
	raw, err := o.Value()
	if err != nil {
		return err
	}
	compact, err := payload.Compact(raw)
	if err != nil {
		return badFormat("payload: %v", err)
	}
	*dst = compact
	return nil
}

// columns is the body of an upsert that lists ids, vectors and payloads apart.
type columns struct {
	ids      []point.ID
	vectors  []server.Vectors
	payloads []json.RawMessage
}

func (v *vectorReader) columns(o *object.Reader, dst *[]server.Point) error {
	var c columns
	err := fields(o, map[string]func() error{
		"ids":     func() error { return readIDs(o, &c.ids) },
		"vectors": func() error { return c.readVectors(v, o) },
		"payloads": func() error {
			c.payloads = []json.RawMessage{}
			return elements(o, func(int) error {
				var p json.RawMessage
				if o.Kind() == 'n' {
					c.payloads = append(c.payloads, nil)
					return o.Skip()
				}
				err := readPayload(o, &p)
				c.payloads = append(c.payloads, p)
				return err
			})
		},
		"shard_key": func() error { return readSharding(o) },
	}, "ids", "vectors")
	if err != nil {
		return err
	}
	points, err := c.points()
	*dst = points
	return err
}

func (c *columns) readVectors(r *vectorReader, o *object.Reader) error {
	switch o.Kind() {
	case '[':
		c.vectors = []server.Vectors{}
		return o.Elements(func(i int) error {
			v, err := r.vector(o, fmt.Sprintf("batch.vectors[%d]", i))
			c.vectors = append(c.vectors, server.Vectors{"": v})
			return err
		})
	case '{':
		c.vectors = []server.Vectors{}
		names := 0
		return o.Members(func(name string) error {
			n := 0
			err := elements(o, func(i int) error {
				v, err := r.vector(o, fmt.Sprintf("batch.vectors.%s[%d]", name, i))
				if names == 0 {
					c.vectors = append(c.vectors, server.Vectors{})
				}
				if i < len(c.vectors) {
					c.vectors[i][name] = v
				}
				n++
				return err
			})
			if err == nil && n != len(c.vectors) {
				err = notValid("batch.batch", "number of vectors by name must be equal (%d != %d)", len(c.vectors), n)
			}
			names++
			return err
		})
	default:
		if err := o.Skip(); err != nil {
			return err
		}
		return badFormat("data did not match any variant of untagged enum BatchVectorStruct")
	}
}

func (c *columns) points() ([]server.Point, error) {
	switch {
	case len(c.vectors) != len(c.ids):
		return nil, notValid("batch.batch", "number of ids and vectors must be equal (%d != %d)", len(c.ids), len(c.vectors))
	case c.payloads != nil && len(c.payloads) != len(c.ids):
		return nil, notValid("batch.batch", "number of ids and payloads must be equal (%d != %d)", len(c.ids), len(c.payloads))
	}
	points := make([]server.Point, len(c.ids))
	for i, id := range c.ids {
		points[i] = server.Point{ID: id, Vectors: c.vectors[i]}
		if c.payloads != nil {
			points[i].Payload = c.payloads[i]
		}
	}
	return points, nil
}
