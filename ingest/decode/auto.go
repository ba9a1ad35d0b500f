package decode

import (
	"bytes"
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// detect tells the format of a value from what it is. What it does not know is
// JSON, whose reader then says what is wrong.
func detect(value []byte) Format {
	text := bytes.TrimLeft(value, space)
	switch {
	case len(text) > 0 && text[0] == '{':
		return detectObject(value)
	case looksLikeFloats(value):
		return Float32
	default:
		return JSON
	}
}

// marks are members of which each format but JSON has one. Most records have none
// of them, which a search for their bytes tells quicker than reading the object.
var marks = [][]byte{[]byte(`"op"`), []byte(`"` + deletedField + `"`), []byte(`"collection_name"`), []byte(`"_source"`), []byte(`"_op_type"`)}

func detectObject(value []byte) Format {
	marked := false
	for _, mark := range marks {
		marked = marked || bytes.Contains(value, mark)
	}
	if !marked {
		return JSON
	}
	// What is not JSON gives what has been seen before the fault.
	shape, _ := shapeOf(value)
	switch {
	case shape.event.isChange(), shape.event.deleted != nil:
		return Debezium
	case shape.event.isEnveloped():
		if inner, _ := shapeOf(shape.event.payload); inner.event.isChange() || inner.event.deleted != nil {
			return Debezium
		}
	case shape.collection && shape.vector:
		return Qdrant
	case shape.id && (shape.source || shape.opType):
		return OpenSearch
	}
	return JSON
}

// shape tells which members an object has.
type shape struct {
	event                                  event
	collection, vector, id, source, opType bool
}

func shapeOf(value []byte) (shape, error) {
	var s shape
	return s, members(value, func(field string, raw []byte) error {
		s.event.member(field, raw)
		switch field {
		case "collection_name":
			s.collection = raw[0] == '"'
		case "vector":
			s.vector = true
		case "_id":
			s.id = true
		case "_source":
			s.source = raw[0] == '{'
		case "_op_type":
			s.opType = raw[0] == '"'
		}
		return nil
	})
}

// Bounds within which bytes pass for a vector.
const (
	fewestFloats = 8
	most         = 1e6 // an embedding's numbers are around 1
	least        = 1e-12
)

// looksLikeFloats says whether a value is a vector of 32-bit floats and hardly
// anything else: of arbitrary bytes one float in four is within the bounds, of
// eight one sequence in a hundred thousand.
func looksLikeFloats(value []byte) bool {
	if len(value) < 4*fewestFloats || len(value)%4 != 0 || utf8.Valid(value) {
		return false
	}
	for i := 0; i < len(value); i += 4 {
		x := math.Abs(float64(math.Float32frombits(binary.LittleEndian.Uint32(value[i:]))))
		if !(x <= most && (x >= least || x == 0)) { // NaN is not
			return false
		}
	}
	return true
}
