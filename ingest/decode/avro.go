package decode

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"

	"github.com/hamba/avro/v2"
)

// avroSchema reads values that were written with a schema, in Avro's binary encoding.
// Fields are found by their names, so records of several versions of a schema can be
// mixed: a field that a version does not have is a member that its records do not have.
type avroSchema struct{ schema avro.Schema }

func parseAvro(text string, parents []parent) (transcoder, error) {
	var cache avro.SchemaCache // of its own: the names of one version mean nothing in another
	for _, p := range parents {
		if _, err := avro.ParseWithCache(p.text, "", &cache); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	schema, err := avro.ParseWithCache(text, "", &cache)
	return avroSchema{schema}, err
}

var avroConfig = avro.Config{MaxByteSliceSize: MaxRecord}.Freeze()

// Bounds of what a record may unfold to.
const (
	maxAvroDepth = 64
	// emptyElements is how many elements without any bytes a record may have.
	emptyElements = 10_000
)

func (s avroSchema) transcode(data []byte) ([]byte, error) {
	a := avroReader{r: avro.NewReader(nil, 0, avro.WithReaderConfig(avroConfig)).Reset(data), elements: len(data) + emptyElements}
	out, err := a.append(make([]byte, 0, 4*len(data)), s.schema, 0)
	if err == nil {
		// Only the end of the data tells whether something is left of it.
		if a.r.Peek(); a.r.Error == nil {
			err = errors.New("bytes follow the value")
		}
	}
	return out, err
}

// avroReader writes one value as JSON.
type avroReader struct {
	r        *avro.Reader
	elements int // that may still come: a count alone is no reason to go on
}

var errAvroDepth = fmt.Errorf("nested deeper than %d", maxAvroDepth)

func (a *avroReader) append(dst []byte, schema avro.Schema, depth int) ([]byte, error) {
	if depth > maxAvroDepth {
		return dst, errAvroDepth
	}
	var err error
	switch s := schema.(type) {
	case *avro.RefSchema:
		return a.append(dst, s.Schema(), depth)
	case *avro.RecordSchema:
		dst = append(dst, '{')
		for _, field := range s.Fields() {
			dst = appendName(dst, field.Name())
			if dst, err = a.append(dst, field.Type(), depth+1); err != nil {
				return dst, fmt.Errorf("%s: %w", field.Name(), err)
			}
		}
		return append(dst, '}'), nil
	case *avro.UnionSchema:
		n := a.r.ReadLong()
		if err := a.err(); err != nil {
			return dst, err
		}
		if n < 0 || n >= int64(len(s.Types())) {
			return dst, fmt.Errorf("there is no member %d of the union", n)
		}
		return a.append(dst, s.Types()[n], depth+1)
	case *avro.ArraySchema:
		dst = append(dst, '[')
		dst, err = a.blocks(dst, func(dst []byte) ([]byte, error) {
			return a.append(separate(dst, '['), s.Items(), depth+1)
		})
		return append(dst, ']'), err
	case *avro.MapSchema:
		dst = append(dst, '{')
		dst, err = a.blocks(dst, func(dst []byte) ([]byte, error) {
			name := a.r.ReadString()
			if err := a.err(); err != nil {
				return dst, err
			}
			return a.append(appendName(dst, name), s.Values(), depth+1)
		})
		return append(dst, '}'), err
	case *avro.EnumSchema:
		n := a.r.ReadInt()
		if err := a.err(); err != nil {
			return dst, err
		}
		if n < 0 || int(n) >= len(s.Symbols()) {
			return dst, fmt.Errorf("there is no symbol %d of the enum", n)
		}
		return append(dst, quote([]byte(s.Symbols()[n]))...), nil
	case *avro.FixedSchema:
		if s.Size() > MaxRecord {
			return dst, fmt.Errorf("fixed of %d bytes", s.Size())
		}
		raw := make([]byte, s.Size())
		a.r.Read(raw)
		return appendAvroBytes(dst, raw, s.Logical()), a.err()
	case *avro.NullSchema:
		return append(dst, "null"...), nil
	case *avro.PrimitiveSchema:
		return a.primitive(dst, s)
	default:
		return dst, fmt.Errorf("the type %s is not known", schema.Type())
	}
}

// blocks reads the blocks of an array or a map.
func (a *avroReader) blocks(dst []byte, element func(dst []byte) ([]byte, error)) ([]byte, error) {
	for {
		n, _ := a.r.ReadBlockHeader()
		if err := a.err(); err != nil || n == 0 {
			return dst, err
		}
		if n < 0 || n > int64(a.elements) {
			return dst, fmt.Errorf("%d elements are more than there can be", n)
		}
		a.elements -= int(n)
		for range n {
			var err error
			if dst, err = element(dst); err != nil {
				return dst, err
			}
		}
	}
}

func (a *avroReader) primitive(dst []byte, s *avro.PrimitiveSchema) ([]byte, error) {
	switch s.Type() {
	case avro.String:
		text := a.r.ReadString()
		return append(dst, quote([]byte(text))...), a.err()
	case avro.Bytes:
		raw := a.r.ReadBytes()
		return appendAvroBytes(dst, raw, s.Logical()), a.err()
	case avro.Int:
		return appendAvroInt(dst, int64(a.r.ReadInt()), s.Logical()), a.err()
	case avro.Long:
		return appendAvroInt(dst, a.r.ReadLong(), s.Logical()), a.err()
	case avro.Float:
		x := a.r.ReadFloat()
		if err := a.err(); err != nil {
			return dst, err
		}
		return appendFloat(dst, float64(x), 32)
	case avro.Double:
		x := a.r.ReadDouble()
		if err := a.err(); err != nil {
			return dst, err
		}
		return appendFloat(dst, x, 64)
	case avro.Boolean:
		return strconv.AppendBool(dst, a.r.ReadBool()), a.err()
	default:
		return dst, fmt.Errorf("the type %s is not known", s.Type())
	}
}

func (a *avroReader) err() error { return a.r.Error }

// appendAvroInt writes an integer, and what stands for a day or a moment as text that
// payload indexes of dates know.
func appendAvroInt(dst []byte, n int64, logical avro.LogicalSchema) []byte {
	var text string
	if logical != nil {
		switch logical.Type() {
		case avro.Date:
			text = time.Unix(0, 0).UTC().AddDate(0, 0, int(n)).Format(time.DateOnly)
		case avro.TimestampMillis, avro.LocalTimestampMillis:
			text = time.UnixMilli(n).UTC().Format(time.RFC3339Nano)
		case avro.TimestampMicros, avro.LocalTimestampMicros:
			text = time.UnixMicro(n).UTC().Format(time.RFC3339Nano)
		default: // others stay numbers
		}
	}
	if text == "" {
		return strconv.AppendInt(dst, n, 10)
	}
	return append(dst, quote([]byte(text))...)
}

// maxScale bounds the digits behind the point of a decimal.
const maxScale = 1000

// appendAvroBytes writes a decimal as a number, other bytes in base64.
func appendAvroBytes(dst, raw []byte, logical avro.LogicalSchema) []byte {
	if d, ok := logical.(*avro.DecimalLogicalSchema); ok && d.Scale() >= 0 && d.Scale() <= maxScale && len(raw) <= maxScale {
		n := new(big.Int).SetBytes(raw)
		if len(raw) > 0 && raw[0]&0x80 != 0 { // two's complement
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(raw))))
		}
		scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.Scale())), nil)
		return append(dst, new(big.Rat).SetFrac(n, scale).FloatString(d.Scale())...)
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, raw)
	return append(dst, '"')
}

// notFinite is a number that JSON does not have, and no vector may hold.
type notFinite float64

func (x notFinite) Error() string { return fmt.Sprintf("a number is %v", float64(x)) }

// appendFloat writes a number with as few digits as give it back.
func appendFloat(dst []byte, x float64, bits int) ([]byte, error) {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return dst, notFinite(x)
	}
	return strconv.AppendFloat(dst, x, 'g', -1, bits), nil
}

// appendName begins a member of the object that dst ends with.
func appendName(dst []byte, name string) []byte {
	dst = separate(dst, '{')
	dst = append(dst, quote([]byte(name))...)
	return append(dst, ':')
}

// separate writes the comma before all elements but the first.
func separate(dst []byte, open byte) []byte {
	if dst[len(dst)-1] == open {
		return dst
	}
	return append(dst, ',')
}
