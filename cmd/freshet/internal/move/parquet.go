package move

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"freshet/api/table"
)

// expiryColumn is when the point ends, in Unix milliseconds; the other columns are those of
// the package table. The prefix keeps it apart from members of payloads: a point that ends
// by mistake is lost.
const expiryColumn = "freshet.expires_at"

// parquetRows is how many rows are decoded, or written as one group, at a time.
const (
	parquetRows  = 512
	parquetGroup = 8192
)

type parquetFile struct {
	file  string
	count int64
}

func openParquet(path string) (*parquetFile, error) {
	s := &parquetFile{file: path}
	err := s.open(func(r *file.Reader) error {
		s.count = r.NumRows()
		names := map[string]bool{}
		hasVector := false
		root := r.MetaData().Schema.Root()
		for i := range root.NumFields() {
			name := root.Field(i).Name()
			if names[name] {
				return fmt.Errorf("two columns are called %s", name)
			}
			names[name] = true
			_, isVector := table.VectorName(name)
			hasVector = hasVector || isVector
		}
		if !names[table.IDColumn] || !hasVector {
			return errors.New("want a column id and a column vector, or vector.NAME for each named vector")
		}
		return nil
	})
	return s, err
}

// open calls use with the file. The decoder panics on some damaged files.
func (s *parquetFile) open(use func(*file.Reader) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = wrong("%s: damaged: %v", s.file, p)
		}
	}()
	r, err := file.OpenParquetFile(s.file, false)
	if err != nil {
		return wrong("%s: %w", s.file, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	err = use(r)
	var known *InputError
	if err != nil && !errors.As(err, &known) && !errors.Is(err, context.Canceled) {
		err = wrong("%s: %w", s.file, err)
	}
	return err
}

func (s *parquetFile) name() string { return s.file }
func (s *parquetFile) total() int64 { return s.count }

func (s *parquetFile) rows(ctx context.Context, after position) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		if err := s.read(ctx, after.Rows, func(r row) bool { return yield(r, nil) }); err != nil {
			yield(row{}, err)
		}
	}
}

func (s *parquetFile) read(ctx context.Context, from int64, yield func(row) bool) error {
	return s.open(func(r *file.Reader) error {
		reader, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{BatchSize: parquetRows}, memory.DefaultAllocator)
		if err != nil {
			return err
		}
		records, err := reader.GetRecordReader(ctx, nil, nil)
		if err != nil {
			return err
		}
		defer records.Release()
		number := int64(0)
		for records.Next() {
			record := records.RecordBatch()
			for i := range int(record.NumRows()) {
				number++
				if number <= from {
					continue
				}
				point, err := s.point(record, i, number)
				if err != nil || !yield(point) {
					return err
				}
			}
		}
		if err := records.Err(); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		return nil
	})
}

// point makes a point of one row.
func (s *parquetFile) point(record arrow.RecordBatch, i int, number int64) (row, error) {
	var id, expires, whole json.RawMessage // whole: a payload with the order of its members
	vectors, payload := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	others := false // members of the payload with a column of their own
	for c, field := range record.Schema().Fields() {
		column := record.Column(c)
		name, isVector := table.VectorName(field.Name)
		var err error
		switch {
		case field.Name == table.IDColumn:
			id, err = idOf(column, i)
		case column.IsNull(i):
		case isVector:
			vectors[name], err = vectorOf(column, i)
		case field.Name == table.PayloadColumn:
			var members map[string]json.RawMessage
			whole = json.RawMessage(column.ValueStr(i))
			if err = json.Unmarshal(whole, &members); err != nil {
				err = errors.New("not a JSON object")
			}
			maps.Copy(payload, members)
		case field.Name == expiryColumn:
			if expires = json.RawMessage(column.ValueStr(i)); !arrow.IsInteger(column.DataType().ID()) {
				err = fmt.Errorf("type %s: want milliseconds since 1970, an integer", column.DataType())
			}
		default:
			others = true
			payload[field.Name], err = marshal(column.GetOneForMarshal(i))
		}
		if err != nil {
			return row{}, wrongRow(s.file, number, field.Name, err)
		}
	}
	point := map[string]any{"id": id, "vector": vectors, "payload": payload}
	if whole != nil && !others {
		point["payload"] = whole
	}
	if unnamed, ok := vectors[""]; ok && len(vectors) == 1 {
		point["vector"] = unnamed
	}
	if expires != nil {
		point["expires_at"] = expires
	}
	raw, err := marshal(point)
	if err != nil {
		return row{}, wrongRow(s.file, number, "", err)
	}
	return row{number: number, id: id, point: raw}, nil
}

// marshal writes JSON in which texts are as they are, also HTML.
func marshal(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// idOf reads an id: an integer, or a string, which is a number if it is written as one.
func idOf(column arrow.Array, i int) (json.RawMessage, error) {
	if column.IsNull(i) {
		return nil, errors.New("null is no id")
	}
	if d, ok := column.(*array.Dictionary); ok {
		return idOf(d.Dictionary(), d.GetValueIndex(i))
	}
	text := column.ValueStr(i)
	switch column.(type) {
	case *array.String, *array.LargeString, *extensions.UUIDArray:
		if !isNumber(text) {
			return marshal(text)
		}
		return json.RawMessage(text), nil
	}
	// A float would be an id as long as it has few digits.
	if id := column.DataType().ID(); (arrow.IsInteger(id) || arrow.IsDecimal(id)) && isNumber(text) {
		return json.RawMessage(text), nil
	}
	return nil, fmt.Errorf("%.60q of type %s is no id: want an unsigned integer or a string", text, column.DataType())
}

// isNumber says whether a string is an id that is a number, as it is written.
func isNumber(id string) bool {
	n, err := strconv.ParseUint(id, 10, 64)
	return err == nil && strconv.FormatUint(n, 10) == id
}

// vectorOf reads a list of numbers, or a string that is the vector as JSON.
func vectorOf(column arrow.Array, i int) (json.RawMessage, error) {
	switch column.(type) {
	case *array.String, *array.LargeString:
		if raw := []byte(column.ValueStr(i)); json.Valid(raw) {
			return raw, nil
		}
		return nil, errors.New("not JSON")
	}
	list, ok := column.(array.ListLike)
	if !ok {
		return nil, fmt.Errorf("type %s: want a list of floats, or JSON as a string", column.DataType())
	}
	begin, end := list.ValueOffsets(i)
	var at func(int) float64
	switch values := list.ListValues().(type) {
	case *array.Float16:
		at = func(j int) float64 { return float64(values.Value(j).Float32()) }
	case *array.Float32:
		at = func(j int) float64 { return float64(values.Value(j)) }
	case *array.Float64:
		at = values.Value
	default:
		return nil, fmt.Errorf("type %s: want a list of floats", column.DataType())
	}
	raw := []byte{'['}
	for j := int(begin); j < int(end); j++ {
		if j > int(begin) {
			raw = append(raw, ',')
		}
		if list.ListValues().IsNull(j) {
			return nil, fmt.Errorf("element %d is null", j-int(begin)+1)
		}
		var err error
		if raw, err = appendNumber(raw, at(j)); err != nil {
			return nil, fmt.Errorf("element %d: %w", j-int(begin)+1, err)
		}
	}
	return append(raw, ']'), nil
}

// parquetSink writes a column id, one for each vector, the payload as JSON and when the
// point ends.
// Dense vectors are lists of floats, others JSON.
type parquetSink struct {
	w       *pqarrow.FileWriter
	builder *array.RecordBuilder
	fields  []arrow.Field
	rows    int
}

func newParquetSink(w io.Writer, dense, others []string) (*parquetSink, error) {
	fields := []arrow.Field{{Name: table.IDColumn, Type: arrow.BinaryTypes.String}}
	for _, name := range dense {
		fields = append(fields, arrow.Field{Name: table.ColumnOf(name), Type: arrow.ListOf(arrow.PrimitiveTypes.Float32), Nullable: true})
	}
	for _, name := range others {
		fields = append(fields, arrow.Field{Name: table.ColumnOf(name), Type: arrow.BinaryTypes.String, Nullable: true})
	}
	fields = append(fields, arrow.Field{Name: table.PayloadColumn, Type: arrow.BinaryTypes.String, Nullable: true},
		arrow.Field{Name: expiryColumn, Type: arrow.PrimitiveTypes.Int64, Nullable: true})
	schema := arrow.NewSchema(fields, nil)
	props := parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Zstd), parquet.WithDictionaryDefault(false))
	file, err := pqarrow.NewFileWriter(schema, w, props, pqarrow.DefaultWriterProps())
	if err != nil {
		return nil, err
	}
	return &parquetSink{w: file, builder: array.NewRecordBuilder(memory.DefaultAllocator, schema), fields: fields}, nil
}

func (s *parquetSink) write(r row) error {
	var point struct {
		Vector, Payload json.RawMessage
		Expires         *int64 `json:"expires_at"`
	}
	if err := json.Unmarshal(r.point, &point); err != nil {
		return err
	}
	id := string(r.id)
	if id[0] == '"' {
		if err := json.Unmarshal(r.id, &id); err != nil {
			return err
		}
		if isNumber(id) {
			return wrong("the id %q is a string, which in a Parquet file is a number; export to .jsonl", id)
		}
	}
	vectors := map[string]json.RawMessage{}
	if len(point.Vector) > 0 && point.Vector[0] == '{' {
		if err := json.Unmarshal(point.Vector, &vectors); err != nil {
			return err
		}
	} else {
		vectors[""] = point.Vector
	}
	for i, field := range s.fields {
		var err error
		name, _ := table.VectorName(field.Name)
		switch b := s.builder.Field(i).(type) {
		case *array.ListBuilder:
			err = appendVector(b, vectors[name])
		case *array.Int64Builder:
			if point.Expires != nil {
				b.Append(*point.Expires)
			} else {
				b.AppendNull()
			}
		case *array.StringBuilder:
			switch field.Name {
			case table.IDColumn:
				b.Append(id)
			case table.PayloadColumn:
				b.Append(string(point.Payload))
			default:
				if raw := vectors[name]; raw != nil {
					b.Append(string(raw))
				} else {
					b.AppendNull()
				}
			}
		}
		if err != nil {
			return fmt.Errorf("point %s, %s: %w", r.id, field.Name, err)
		}
	}
	s.rows++
	if s.rows == parquetGroup {
		return s.flush()
	}
	return nil
}

func appendVector(b *array.ListBuilder, raw json.RawMessage) error {
	if raw == nil {
		b.AppendNull()
		return nil
	}
	var values []float32
	if err := json.Unmarshal(raw, &values); err != nil {
		return err
	}
	b.Append(true)
	b.ValueBuilder().(*array.Float32Builder).AppendValues(values, nil)
	return nil
}

// flush writes the rows so far as a group.
func (s *parquetSink) flush() error {
	record := s.builder.NewRecordBatch()
	defer record.Release()
	s.rows = 0
	return s.w.Write(record)
}

func (s *parquetSink) close() error {
	var err error
	if s.rows > 0 {
		err = s.flush()
	}
	return errors.Join(err, s.w.Close())
}
