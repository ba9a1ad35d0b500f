package table

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/go-json-experiment/json/jsontext"
)

// encoder writes cells as JSON.
type encoder struct {
	room Room
	text []byte
	paid int // bytes of text that there was room for
}

func (e *encoder) begin() { e.text, e.paid = e.text[:0], 0 }

// pay takes room for what was written since.
func (e *encoder) pay() error {
	n := len(e.text) - e.paid
	e.paid = len(e.text)
	return e.room.take(max(n, 0))
}

// payEvery bounds what is written before there is room for it.
const payEvery = 4096

// value writes a cell that plain returned.
func (e *encoder) value(column arrow.Array, i int) error {
	if len(e.text)-e.paid > payEvery {
		if err := e.pay(); err != nil {
			return err
		}
	}
	if text, ok := textOf(column, i); ok {
		return e.quote(text)
	}
	if n, negative, ok := integerOf(column, i); ok {
		if negative {
			e.text = strconv.AppendInt(e.text, int64(n), 10)
		} else {
			e.text = strconv.AppendUint(e.text, n, 10)
		}
		return nil
	}
	switch c := column.(type) {
	case *array.Boolean:
		e.text = strconv.AppendBool(e.text, c.Value(i))
	case *array.Float16:
		return e.number(float64(c.Value(i).Float32()), 32)
	case *array.Float32:
		return e.number(float64(c.Value(i)), 32)
	case *array.Float64:
		return e.number(c.Value(i), 64)
	case *array.Date32:
		return e.time(c.Value(i).ToTime(), time.DateOnly)
	case *array.Date64:
		return e.time(c.Value(i).ToTime(), time.DateOnly)
	case *array.Timestamp:
		unit := c.DataType().(*arrow.TimestampType).Unit
		return e.time(c.Value(i).ToTime(unit), time.RFC3339Nano)
	case *array.Struct:
		return e.object(c, i)
	case array.ListLike:
		return e.list(c, i)
	default:
		return fmt.Errorf("type %s has no form in JSON", column.DataType())
	}
	return nil
}

func (e *encoder) list(column array.ListLike, i int) error {
	begin, end, err := span(column, i)
	if err != nil {
		return err
	}
	e.text = append(e.text, '[')
	for j := begin; j < end; j++ {
		if j > begin {
			e.text = append(e.text, ',')
		}
		if err := e.nested(column.ListValues(), j); err != nil {
			return err
		}
	}
	e.text = append(e.text, ']')
	return nil
}

func (e *encoder) object(column *array.Struct, i int) error {
	e.text = append(e.text, '{')
	for k, f := range column.DataType().(*arrow.StructType).Fields() {
		if k > 0 {
			e.text = append(e.text, ',')
		}
		if err := e.quote(f.Name); err != nil {
			return err
		}
		e.text = append(e.text, ':')
		if err := e.nested(column.Field(k), i); err != nil {
			return err
		}
	}
	e.text = append(e.text, '}')
	return nil
}

// nested writes a value that may be null.
func (e *encoder) nested(column arrow.Array, i int) error {
	column, i, err := plain(column, i)
	switch {
	case err != nil:
		return err
	case column == nil:
		e.text = append(e.text, "null"...)
		if len(e.text)-e.paid > payEvery {
			return e.pay()
		}
		return nil
	default:
		return e.value(column, i)
	}
}

func (e *encoder) number(x float64, bits int) error {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return fmt.Errorf("%v is no number in JSON; write null for what is missing", x)
	}
	begin := len(e.text)
	e.text = strconv.AppendFloat(e.text, x, 'g', -1, bits)
	if !bytes.ContainsAny(e.text[begin:], ".e") {
		e.text = append(e.text, ".0"...) // filters tell floats from integers
	}
	return nil
}

func (e *encoder) time(t time.Time, layout string) error {
	if y := t.Year(); y < 0 || y > 9999 {
		return errors.New("a time out of the years 0 to 9999")
	}
	e.text = t.UTC().AppendFormat(append(e.text, '"'), layout)
	e.text = append(e.text, '"')
	return nil
}

func (e *encoder) quote(s string) error {
	longer := 0
	for _, c := range []byte(s) {
		if c < ' ' {
			longer += len(`\u0000`) - 1
		}
	}
	if n := len(s) + longer; n > payEvery {
		if err := e.room.take(n); err != nil {
			return err
		}
	}
	var err error
	if e.text, err = jsontext.AppendQuote(e.text, s); err != nil {
		return errors.New("the text is not UTF-8")
	}
	return nil
}

// plain returns where a value is that is an element of a dictionary or of an extended
// type; no column for null.
func plain(column arrow.Array, i int) (arrow.Array, int, error) {
	for {
		if column.IsNull(i) {
			return nil, 0, nil
		}
		switch c := column.(type) {
		case *array.Null:
			return nil, 0, nil
		case array.ExtensionArray:
			column = c.Storage()
		case *array.Dictionary:
			k := c.GetValueIndex(i)
			if n := c.Dictionary().Len(); k < 0 || k >= n {
				return nil, 0, fmt.Errorf("element %d of a dictionary of %d", k, n)
			}
			column, i = c.Dictionary(), k
		default:
			return column, i, nil
		}
	}
}

// textOf returns a string.
func textOf(column arrow.Array, i int) (string, bool) {
	switch c := column.(type) {
	case *array.String:
		return c.Value(i), true
	case *array.LargeString:
		return c.Value(i), true
	case *array.StringView:
		return c.Value(i), true
	default:
		return "", false
	}
}

// integerOf returns an integer; a negative one in two's complement.
func integerOf(column arrow.Array, i int) (n uint64, negative, ok bool) {
	switch c := column.(type) {
	case *array.Uint8:
		return uint64(c.Value(i)), false, true
	case *array.Uint16:
		return uint64(c.Value(i)), false, true
	case *array.Uint32:
		return uint64(c.Value(i)), false, true
	case *array.Uint64:
		return c.Value(i), false, true
	case *array.Int8:
		return uint64(int64(c.Value(i))), c.Value(i) < 0, true
	case *array.Int16:
		return uint64(int64(c.Value(i))), c.Value(i) < 0, true
	case *array.Int32:
		return uint64(int64(c.Value(i))), c.Value(i) < 0, true
	case *array.Int64:
		return uint64(c.Value(i)), c.Value(i) < 0, true
	default:
		return 0, false, false
	}
}
