package table

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"freshet/server"
	"freshet/server/payload"
	"freshet/server/point"
)

// The columns of a table, also of a Parquet file of import and export. A column vector.NAME
// is a named vector; columns of any other name are members of the payload.
const (
	IDColumn      = "id"
	PayloadColumn = "payload"
	vectorColumn  = "vector"
	namedPrefix   = vectorColumn + "."
)

// VectorName returns the name of the vector in a column; false for a column of another kind.
func VectorName(column string) (name string, ok bool) {
	if column == vectorColumn {
		return "", true
	}
	return strings.CutPrefix(column, namedPrefix)
}

// ColumnOf returns the column of a vector.
func ColumnOf(vector string) string {
	if vector == "" {
		return vectorColumn
	}
	return namedPrefix + vector
}

// Points reads the points of an Arrow IPC stream.
func Points(stream []byte, room Room) ([]server.Point, error) {
	var points []server.Point
	var l layout
	err := batches(stream, room, func(s *arrow.Schema) (err error) {
		l, err = layoutOf(s)
		return err
	}, func(batch arrow.RecordBatch, before int) error {
		return l.read(batch, before, room, &points)
	})
	return points, err
}

// layout tells the columns of points apart.
type layout struct {
	names       []string
	id, payload int // −1: there is none
	vectors     []int
	members     []int
}

func layoutOf(s *arrow.Schema) (layout, error) {
	l := layout{id: -1, payload: -1}
	seen := map[string]bool{}
	for i, f := range s.Fields() {
		if seen[f.Name] {
			return l, wrong("two columns are called %.100q", f.Name)
		}
		seen[f.Name] = true
		l.names = append(l.names, f.Name)
		_, isVector := VectorName(f.Name)
		switch {
		case f.Name == IDColumn:
			l.id = i
		case f.Name == PayloadColumn:
			l.payload = i
		case isVector:
			l.vectors = append(l.vectors, i)
		default:
			l.members = append(l.members, i)
		}
	}
	if l.id < 0 {
		return l, wrong("there is no column `id`")
	}
	return l, nil
}

// read appends the points of one batch.
func (l *layout) read(batch arrow.RecordBatch, before int, room Room, points *[]server.Point) error {
	vectors := make([]vectorReader, len(l.vectors))
	for k, i := range l.vectors {
		var err error
		if vectors[k], err = readerOf(batch.Column(i), room); err != nil {
			return inColumn(l.names[i], "%w", err)
		}
	}
	e := encoder{room: room}
	for i := range int(batch.NumRows()) {
		row := before + i
		if err := room.take(rowBytes); err != nil {
			return at(row, "", err)
		}
		var p server.Point
		var err error
		if p.ID, err = idOf(batch.Column(l.id), i); err != nil {
			return at(row, IDColumn, err)
		}
		p.Vectors = make(server.Vectors, len(vectors))
		for k, read := range vectors {
			column := l.names[l.vectors[k]]
			v, err := read(i)
			if err != nil {
				return at(row, column, err)
			}
			if v != nil {
				name, _ := VectorName(column)
				p.Vectors[name] = v
			}
		}
		if p.Payload, err = l.payloadOf(&e, batch, row, i); err != nil {
			return err
		}
		*points = append(*points, p)
	}
	return nil
}

// payloadOf makes the payload of a row: what is null is left out.
func (l *layout) payloadOf(e *encoder, batch arrow.RecordBatch, row, i int) (json.RawMessage, error) {
	if l.payload < 0 && len(l.members) == 0 {
		return nil, nil
	}
	e.begin()
	e.text = append(e.text, '{')
	if l.payload >= 0 {
		if err := e.members(batch.Column(l.payload), i); err != nil {
			return nil, at(row, PayloadColumn, err)
		}
	}
	for _, k := range l.members {
		if err := e.member(l.names[k], batch.Column(k), i); err != nil {
			return nil, at(row, l.names[k], err)
		}
	}
	e.text = append(e.text, '}')
	if err := e.pay(); err != nil {
		return nil, at(row, "", err)
	}
	if len(e.text) == len("{}") {
		return nil, nil
	}
	return append(json.RawMessage(nil), e.text...), nil
}

// members writes the members of the column `payload`: a struct, or JSON as text.
func (e *encoder) members(column arrow.Array, i int) error {
	column, i, err := plain(column, i)
	if err != nil || column == nil {
		return err
	}
	if s, ok := column.(*array.Struct); ok {
		for k, f := range s.DataType().(*arrow.StructType).Fields() {
			if err := e.member(f.Name, s.Field(k), i); err != nil {
				return err
			}
		}
		return nil
	}
	text, ok := textOf(column, i)
	if !ok {
		return fmt.Errorf("type %s: want a struct, or a JSON object as a string", column.DataType())
	}
	if err := e.room.take(len(text)); err != nil {
		return err
	}
	object, err := payload.Compact([]byte(text))
	if err != nil {
		return err
	}
	if len(object) > len("{}") {
		e.text = append(e.text, object[1:len(object)-1]...)
	}
	return nil
}

// member writes one member unless it is null.
func (e *encoder) member(name string, column arrow.Array, i int) error {
	column, i, err := plain(column, i)
	if err != nil || column == nil {
		return err
	}
	if len(e.text) > 1 {
		e.text = append(e.text, ',')
	}
	if err := e.quote(name); err != nil {
		return err
	}
	e.text = append(e.text, ':')
	return e.value(column, i)
}

// idOf reads an id: an unsigned integer, a string, or the 16 bytes of a UUID.
func idOf(column arrow.Array, i int) (point.ID, error) {
	column, i, err := plain(column, i)
	switch {
	case err != nil:
		return point.ID{}, err
	case column == nil:
		return point.ID{}, errors.New("null is no id")
	}
	if text, ok := textOf(column, i); ok {
		return point.Parse(text)
	}
	if b, ok := column.(*array.FixedSizeBinary); ok && len(b.Value(i)) == 16 {
		return point.UUID([16]byte(b.Value(i))), nil
	}
	n, negative, ok := integerOf(column, i)
	switch {
	case !ok:
		return point.ID{}, fmt.Errorf("type %s: want unsigned integers, strings, or the 16 bytes of UUIDs", column.DataType())
	case negative:
		return point.ID{}, fmt.Errorf("%d is not a valid point ID, %w", int64(n), point.ErrInvalid)
	default:
		return point.Number(n), nil
	}
}
