package move

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// writeParquet writes a file of one row, which is given as JSON.
func writeParquet(t *testing.T, row string, columns ...arrow.Field) string {
	t.Helper()
	schema := arrow.NewSchema(columns, nil)
	record, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader("["+row+"]"))
	if err != nil {
		t.Fatal(err)
	}
	defer record.Release()
	path := filepath.Join(t.TempDir(), "f.parquet")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	// With the schema of Arrow, as writers of data frames have it.
	w, err := pqarrow.NewFileWriter(schema, f, parquet.NewWriterProperties(), pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err == nil {
		err = w.Write(record)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestColumnsOfParquet checks what points columns of many types make.
func TestColumnsOfParquet(t *testing.T) {
	names := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	vector := arrow.Field{Name: "vector", Type: arrow.ListOf(arrow.PrimitiveTypes.Float32)}
	for _, x := range []struct {
		id   string
		kind arrow.DataType
		more string
		with []arrow.Field
		want string // the point, or part of an error
	}{
		{`18446744073709551615`, arrow.PrimitiveTypes.Uint64, ``, nil, `{"id":18446744073709551615,"payload":{},"vector":[1]}`},
		{`"7"`, arrow.BinaryTypes.String, ``, nil, `{"id":7,"payload":{},"vector":[1]}`},
		{`"007"`, arrow.BinaryTypes.String, ``, nil, `{"id":"007","payload":{},"vector":[1]}`},
		{`"a<b"`, names, ``, nil, `{"id":"a<b","payload":{},"vector":[1]}`},
		{`"550e8400-e29b-41d4-a716-446655440000"`, extensions.NewUUIDType(), ``, nil, `{"id":"550e8400-e29b-41d4-a716-446655440000","payload":{},"vector":[1]}`},
		{`1`, arrow.PrimitiveTypes.Float64, ``, nil, `f.parquet: row 1, column id: "1" of type float64 is no id`},
		{`-1`, arrow.PrimitiveTypes.Int64, ``, nil, `"-1" of type int64 is no id`},
		{`null`, names, ``, nil, `null is no id`},
		{
			`1`, arrow.PrimitiveTypes.Int64, `,"payload":"{\"b\":\"<p>\",\"a\":1e2}"`,
			[]arrow.Field{{Name: "payload", Type: arrow.BinaryTypes.String}},
			`{"id":1,"payload":{"b":"<p>","a":1e2},"vector":[1]}`,
		},
		{
			`1`, arrow.PrimitiveTypes.Int64, `,"payload":"{\"b\":2,\"a\":1}","c":"<p>"`,
			[]arrow.Field{{Name: "payload", Type: arrow.BinaryTypes.String}, {Name: "c", Type: arrow.BinaryTypes.String}},
			`{"id":1,"payload":{"a":1,"b":2,"c":"<p>"},"vector":[1]}`,
		},
		{
			`1`, arrow.PrimitiveTypes.Int64, `,"payload":"null"`,
			[]arrow.Field{{Name: "payload", Type: arrow.BinaryTypes.String}},
			`{"id":1,"payload":null,"vector":[1]}`,
		},
		{
			`1`, arrow.PrimitiveTypes.Int64, `,"freshet.expires_at":4102444800000`,
			[]arrow.Field{{Name: "freshet.expires_at", Type: arrow.PrimitiveTypes.Int64}},
			`{"expires_at":4102444800000,"id":1,"payload":{},"vector":[1]}`,
		},
		{
			`1`, arrow.PrimitiveTypes.Int64, `,"freshet.expires_at":4102444800000`,
			[]arrow.Field{{Name: "freshet.expires_at", Type: arrow.FixedWidthTypes.Timestamp_ms}},
			`column freshet.expires_at: type timestamp[ms, tz=UTC]: want milliseconds since 1970`,
		},
	} {
		columns := append([]arrow.Field{{Name: "id", Type: x.kind, Nullable: true}, vector}, x.with...)
		file := writeParquet(t, `{"id":`+x.id+`,"vector":[1]`+x.more+`}`, columns...)
		src, err := openParquet(file)
		if err != nil {
			t.Fatal(err)
		}
		for r, err := range src.rows(t.Context(), position{}) {
			if err != nil && strings.Contains(err.Error(), x.want) || string(r.point) == x.want {
				continue
			}
			t.Errorf("id %s of type %s%s: %s, %v", x.id, x.kind, x.more, r.point, err)
		}
	}
}
