package table

import (
	"fmt"

	flatbuffers "github.com/google/flatbuffers/go"
)

// Limits of what surrounds the columns.
const (
	maxMetadata = 4 << 20 // bytes of one message's metadata
	maxFields   = 4096    // columns and what is nested in them
	maxDepth    = 16
	maxText     = 1 << 20 // bytes of names and of metadata by key
)

// checker looks at the metadata of messages before arrow-go does, which believes what
// lengths and counts they claim: memory for it would be taken, and a schema whose parts
// are shared could be of any size once it is read.
type checker struct {
	fields, text int
	hasSchema    bool
	// views counts the arrays with a variable number of buffers, in batches of records and
	// in each dictionary.
	views        int
	dictionaries map[int64]*int
}

// The slots of Arrow's metadata in flatbuffers (Message.fbs, Schema.fbs).
const (
	slot0 = flatbuffers.VOffsetT(4 + 2*iota)
	slot1
	slot2
	slot3
	slot4
	slot5
	slot6
)

const (
	headerSchema          = 1
	headerDictionaryBatch = 2
	headerRecordBatch     = 3
)

// The types that are taken, by their numbers in Schema.fbs.
const (
	typeTimestamp = 10
	typeUtf8View  = 24
)

var typesTaken = map[byte]bool{
	1: true, 2: true, 3: true, 5: true, 6: true, 8: true, // Null, Int, FloatingPoint, Utf8, Bool, Date
	typeTimestamp: true, 12: true, 13: true, 15: true, 16: true, // List, Struct, FixedSizeBinary, FixedSizeList
	20: true, 21: true, typeUtf8View: true, // LargeUtf8, LargeList
}

var typeNames = map[byte]string{
	4: "Binary", 7: "Decimal", 9: "Time", 11: "Interval", 14: "Union", 17: "Map", 18: "Duration",
	19: "LargeBinary", 22: "RunEndEncoded", 23: "BinaryView", 25: "ListView", 26: "LargeListView",
}

// message checks the metadata of one message and returns the length of its body.
// Offsets that lead out of it panic.
func (c *checker) message(metadata []byte) (body int64, err error) {
	m := flatbuffers.Table{Bytes: metadata, Pos: flatbuffers.GetUOffsetT(metadata)}
	if err := c.metadata(m, slot4); err != nil {
		return 0, err
	}
	if o := m.Offset(slot3); o != 0 {
		body = m.GetInt64(m.Pos + flatbuffers.UOffsetT(o))
	}
	header, ok := union(m, slot2)
	if !ok {
		return 0, fmt.Errorf("a message has no header")
	}
	switch kind := uint8At(m, slot1); kind {
	case headerSchema:
		if c.hasSchema {
			return 0, fmt.Errorf("there are two schemas")
		}
		c.hasSchema = true
		return body, c.schema(header)
	case headerDictionaryBatch:
		var id int64
		if o := header.Offset(slot0); o != 0 {
			id = header.GetInt64(header.Pos + flatbuffers.UOffsetT(o))
		}
		batch, ok := child(header, slot1)
		views := c.dictionaries[id]
		if !ok || views == nil {
			return 0, fmt.Errorf("dictionary %d is that of no column, or empty", id)
		}
		return body, c.batch(batch, *views)
	case headerRecordBatch:
		return body, c.batch(header, c.views)
	default:
		return 0, fmt.Errorf("message of type %d: want a schema, dictionaries and batches of records", kind)
	}
}

func (c *checker) schema(s flatbuffers.Table) error {
	if o := s.Offset(slot0); o != 0 && s.GetInt16(s.Pos+flatbuffers.UOffsetT(o)) != 0 {
		return fmt.Errorf("the schema is big-endian, want little-endian")
	}
	if err := c.metadata(s, slot2); err != nil {
		return err
	}
	c.dictionaries = map[int64]*int{}
	return c.children(s, slot1, "", 0, &c.views)
}

// children checks the fields of a schema or of a field.
func (c *checker) children(parent flatbuffers.Table, slot flatbuffers.VOffsetT, name string, depth int, views *int) error {
	begin, n, err := vector(parent, slot, 4)
	if err != nil {
		return err
	}
	for i := range n {
		at := begin + 4*flatbuffers.UOffsetT(i)
		if err := c.field(flatbuffers.Table{Bytes: parent.Bytes, Pos: parent.Indirect(at)}, name, depth, views); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) field(f flatbuffers.Table, column string, depth int, views *int) error {
	if c.fields++; c.fields > maxFields {
		return fmt.Errorf("a schema may have %d fields, nested ones too", maxFields)
	}
	if depth == 0 {
		name := f.Offset(slot0)
		if name != 0 {
			column = string(f.ByteVector(f.Pos + flatbuffers.UOffsetT(name)))
		}
	}
	if err := c.addText(f, slot0); err != nil {
		return err
	}
	kind := uint8At(f, slot2)
	switch {
	case depth == maxDepth:
		return inColumn(column, "types may be nested %d deep", maxDepth)
	case !typesTaken[kind]:
		name, ok := typeNames[kind]
		if !ok {
			name = fmt.Sprintf("number %d", kind)
		}
		return inColumn(column, "Arrow type %s is not taken", name)
	case kind == typeTimestamp:
		if t, ok := union(f, slot3); ok {
			if err := c.addText(t, slot1); err != nil {
				return err
			}
		}
	}
	if err := c.metadata(f, slot6); err != nil {
		return err
	}
	if encoding, ok := child(f, slot4); ok {
		var id int64
		if o := encoding.Offset(slot0); o != 0 {
			id = encoding.GetInt64(encoding.Pos + flatbuffers.UOffsetT(o))
		}
		views = new(int)
		c.dictionaries[id] = views
	}
	if kind == typeUtf8View {
		*views++
	}
	return c.children(f, slot5, column, depth+1, views)
}

func (c *checker) batch(b flatbuffers.Table, views int) error {
	if b.Offset(slot3) != 0 {
		return fmt.Errorf("buffers are compressed: write them plain, and compress the whole body (Content-Encoding) if you like")
	}
	if _, _, err := vector(b, slot1, 16); err != nil {
		return err
	}
	_, buffers, err := vector(b, slot2, 16)
	if err != nil {
		return err
	}
	begin, n, err := vector(b, slot4, 8)
	if err != nil {
		return err
	}
	if n < views {
		return fmt.Errorf("a batch counts the buffers of %d columns, want %d", n, views)
	}
	for i := range n {
		if k := b.GetInt64(begin + 8*flatbuffers.UOffsetT(i)); k < 0 || k > int64(buffers) {
			return fmt.Errorf("a column has %d buffers, its batch %d", k, buffers)
		}
	}
	return nil
}

// metadata checks pairs of a key and a value.
func (c *checker) metadata(t flatbuffers.Table, slot flatbuffers.VOffsetT) error {
	begin, n, err := vector(t, slot, 4)
	if err != nil {
		return err
	}
	for i := range n {
		pair := flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(begin + 4*flatbuffers.UOffsetT(i))}
		for _, slot := range []flatbuffers.VOffsetT{slot0, slot1} {
			if err := c.addText(pair, slot); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *checker) addText(t flatbuffers.Table, slot flatbuffers.VOffsetT) error {
	_, n, err := vector(t, slot, 1)
	if err != nil {
		return err
	}
	if c.text += n + 8; c.text > maxText {
		return fmt.Errorf("names and metadata may have %d bytes", maxText)
	}
	return nil
}

func uint8At(t flatbuffers.Table, slot flatbuffers.VOffsetT) byte {
	if o := t.Offset(slot); o != 0 {
		return t.GetUint8(t.Pos + flatbuffers.UOffsetT(o))
	}
	return 0
}

// child returns the table that a slot leads to.
func child(t flatbuffers.Table, slot flatbuffers.VOffsetT) (flatbuffers.Table, bool) {
	o := t.Offset(slot)
	if o == 0 {
		return flatbuffers.Table{}, false
	}
	return flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(t.Pos + flatbuffers.UOffsetT(o))}, true
}

// union returns the table of a union.
func union(t flatbuffers.Table, slot flatbuffers.VOffsetT) (u flatbuffers.Table, ok bool) {
	o := t.Offset(slot)
	if o != 0 {
		t.Union(&u, flatbuffers.UOffsetT(o))
	}
	return u, o != 0
}

// vector returns where the elements of a slot's vector begin, and their number.
func vector(t flatbuffers.Table, slot flatbuffers.VOffsetT, size int64) (begin flatbuffers.UOffsetT, n int, err error) {
	o := flatbuffers.UOffsetT(t.Offset(slot))
	if o == 0 {
		return 0, 0, nil
	}
	begin, n = t.Vector(o), t.VectorLen(o)
	if int64(begin)+int64(n)*size > int64(len(t.Bytes)) {
		return 0, 0, fmt.Errorf("a list has %d elements of %d bytes, its message %d bytes", n, size, len(t.Bytes))
	}
	return begin, n, nil
}
