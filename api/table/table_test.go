package table

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"freshet/server"
	"freshet/server/point"
)

// column is one of a table in a test: its rows as JSON.
type column struct {
	name string
	kind arrow.DataType
	rows string
}

// stream writes a table.
func stream(t testing.TB, columns ...column) []byte {
	t.Helper()
	var fields []arrow.Field
	var arrays []arrow.Array
	rows := int64(0)
	for _, c := range columns {
		a, _, err := array.FromJSON(memory.DefaultAllocator, c.kind, strings.NewReader(c.rows))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		rows = int64(a.Len())
		fields = append(fields, arrow.Field{Name: c.name, Type: a.DataType(), Nullable: true})
		arrays = append(arrays, a)
	}
	schema := arrow.NewSchema(fields, nil)
	return write(t, schema, array.NewRecordBatch(schema, arrays, rows))
}

func write(t testing.TB, schema *arrow.Schema, batches ...arrow.RecordBatch) []byte {
	t.Helper()
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	for _, b := range batches {
		if err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// roomFor has room for so many bytes.
func roomFor(n int) Room {
	return func(k int) error {
		if n -= k; n < 0 || k < 0 {
			return errNoRoom
		}
		return nil
	}
}

var (
	errNoRoom = errors.New("no room")
	plenty    = func() Room { return roomFor(1 << 20) }
	exact     = cmp.Options{
		cmp.Comparer(func(a, b point.ID) bool { return a == b }), cmpopts.EquateEmpty(),
		cmp.Transformer("payload", func(raw json.RawMessage) string { return string(raw) }),
	}

	float32s = arrow.ListOf(arrow.PrimitiveTypes.Float32)
	pairs    = arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Float32)
	sparse   = arrow.StructOf(
		arrow.Field{Name: "indices", Type: arrow.ListOf(arrow.PrimitiveTypes.Uint32), Nullable: true},
		arrow.Field{Name: "values", Type: float32s, Nullable: true})
	words = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}
)

func mustID(t testing.TB, s string) point.ID {
	id, err := point.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestPoints(t *testing.T) {
	got, err := Points(stream(t,
		column{"id", arrow.PrimitiveTypes.Uint64, `[1, 18446744073709551615]`},
		column{"vector", pairs, `[[1,2], null]`},
		column{"vector.half", arrow.ListOf(arrow.FixedWidthTypes.Float16), `[[0.5], [2]]`},
		column{"vector.wide", arrow.LargeListOf(arrow.PrimitiveTypes.Float64), `[[0.1,-0.0], [3.5]]`},
		column{"vector.bytes", arrow.ListOf(arrow.PrimitiveTypes.Uint8), `[[255,0], null]`},
		column{"vector.rows", arrow.ListOf(pairs), `[[[1,2],[3,4]], null]`},
		column{"vector.sparse", sparse, `[{"indices":[7,3],"values":[0.7,0.3]}, {"indices":[],"values":[]}]`},
		column{"vector.none", arrow.Null, `[null, null]`},
		column{"payload", arrow.BinaryTypes.String, `["{ \"p\": {\"q\": 1} }", null]`},
		column{"n", arrow.PrimitiveTypes.Int64, `[-9223372036854775808, null]`},
		column{"f", arrow.PrimitiveTypes.Float64, `[3, 0.1]`},
		column{"g", arrow.PrimitiveTypes.Float32, `[0.1, 1e30]`},
		column{"b", arrow.FixedWidthTypes.Boolean, `[true, false]`},
		column{"word", words, `["a\"b", "ü"]`},
		column{"view", arrow.BinaryTypes.StringView, `["more than twelve bytes", "few"]`},
		column{"large", arrow.BinaryTypes.LargeString, `["", null]`},
		column{"day", arrow.FixedWidthTypes.Date32, `["2024-02-29", null]`},
		column{"time", &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "Europe/Berlin"}, `["2024-05-01T10:00:00.25Z", null]`},
		column{"list", arrow.ListOf(words), `[["x", null], []]`},
		column{"o", arrow.StructOf(arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int8, Nullable: true}, arrow.Field{Name: "b", Type: arrow.ListOf(arrow.Null)}), `[{"a":null,"b":[null]}, null]`},
	), plenty())
	if err != nil {
		t.Fatal(err)
	}
	want := []server.Point{{
		ID: point.Number(1),
		Vectors: server.Vectors{
			"": server.Dense{1, 2}, "half": server.Dense{0.5}, "wide": server.Dense{0.1, 0}, "bytes": server.Dense{255, 0},
			"rows": server.Multi{Values: []float32{1, 2, 3, 4}, Dim: 2}, "sparse": server.Sparse{Indices: []uint32{3, 7}, Values: []float32{0.3, 0.7}},
		},
		Payload: json.RawMessage(`{"p":{"q":1},"n":-9223372036854775808,"f":3.0,"g":0.1,"b":true,"word":"a\"b","view":"more than twelve bytes","large":"","day":"2024-02-29","time":"2024-05-01T10:00:00.25Z","list":["x",null],"o":{"a":null,"b":[null]}}`),
	}, {
		ID:      point.Number(18446744073709551615),
		Vectors: server.Vectors{"half": server.Dense{2}, "wide": server.Dense{3.5}, "sparse": server.Sparse{}},
		Payload: json.RawMessage(`{"f":0.1,"g":1e+30,"b":false,"word":"ü","view":"few","list":[]}`),
	}}
	if diff := cmp.Diff(want, got, exact); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestIDs(t *testing.T) {
	const u = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
	for _, x := range []struct {
		kind arrow.DataType
		rows string
		want point.ID
	}{
		{arrow.PrimitiveTypes.Int64, `[7]`, point.Number(7)},
		{arrow.PrimitiveTypes.Uint8, `[7]`, point.Number(7)},
		{arrow.BinaryTypes.String, `["7"]`, mustID(t, "7")},
		{arrow.BinaryTypes.LargeString, `["F47AC10B58CC4372A5670E02B2C3D479"]`, mustID(t, u)},
		{words, `["any string"]`, mustID(t, "any string")},
		{&arrow.FixedSizeBinaryType{ByteWidth: 16}, `["9HrBC1jMQ3KlZw4CssPUeQ=="]`, mustID(t, u)},
	} {
		got, err := Points(stream(t, column{"id", x.kind, x.rows}), plenty())
		if err != nil || len(got) != 1 || got[0].ID != x.want || len(got[0].Vectors) != 0 || got[0].Payload != nil {
			t.Errorf("%s %s: got %v, %v", x.kind, x.rows, got, err)
		}
	}
}

// TestSeveralBatches checks that rows of all batches are read, also with dictionaries
// that grow, and that they are counted on.
func TestSeveralBatches(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "word", Type: words}}, nil)
	batch := func(ids, word string) arrow.RecordBatch {
		a, _, err := array.FromJSON(memory.DefaultAllocator, arrow.BinaryTypes.String, strings.NewReader(ids))
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := array.FromJSON(memory.DefaultAllocator, words, strings.NewReader(word))
		if err != nil {
			t.Fatal(err)
		}
		return array.NewRecordBatch(schema, []arrow.Array{a, b}, int64(a.Len()))
	}
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema), ipc.WithDictionaryDeltas(true))
	for _, b := range []arrow.RecordBatch{batch(`["a","b"]`, `["x","y"]`), batch(`["c"]`, `["x"]`), batch(`["d", null]`, `["x","x"]`)} {
		if err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Points(out.Bytes(), plenty())
	if err == nil || err.Error() != `row 4, column "id": null is no id` {
		t.Errorf("got %v", err)
	}
	points, err := Points(write(t, schema, batch(`["a","b"]`, `["x","y"]`), batch(`["c"]`, `["x"]`)), plenty())
	if err != nil || len(points) != 3 || string(points[1].Payload) != `{"word":"y"}` || string(points[2].Payload) != `{"word":"x"}` {
		t.Errorf("got %v, %v", points, err)
	}
}

func TestWrongTables(t *testing.T) {
	id := column{"id", arrow.PrimitiveTypes.Int64, `[1, 2]`}
	good := stream(t, id, column{"vector", pairs, `[[1,2],[3,4]]`})
	for _, x := range []struct {
		name   string
		stream []byte
		want   string
	}{
		{"nothing", nil, "the stream ends too early"},
		{"JSON", []byte(`{"points":[]}`), "the metadata of a message may have"},
		{"no end", good[:len(good)-8], "the stream ends too early; was its writer closed?"},
		{"more", append(bytes.Clone(good), 0), "1 bytes follow the end"},
		{"no id", stream(t, column{"vector", pairs, `[[1,2]]`}), "there is no column `id`"},
		{"null id", stream(t, column{"id", arrow.PrimitiveTypes.Int64, `[1, null]`}), `row 1, column "id": null is no id`},
		{"negative id", stream(t, column{"id", arrow.PrimitiveTypes.Int8, `[1, -1]`}), `row 1, column "id": -1 is not a valid point ID`},
		{"float id", stream(t, column{"id", arrow.PrimitiveTypes.Float64, `[1]`}), `row 0, column "id": type float64: want unsigned integers`},
		{"empty id", stream(t, column{"id", arrow.BinaryTypes.String, `[""]`}), `row 0, column "id": an empty string is not a valid point ID`},
		{"twice", stream(t, id, id), `two columns are called "id"`},
		{"scalar vector", stream(t, id, column{"vector.x", arrow.PrimitiveTypes.Float32, `[1,2]`}), `column "vector.x": type float32: want lists of numbers`},
		{"vector of strings", stream(t, id, column{"vector", arrow.ListOf(arrow.BinaryTypes.String), `[["1"],["2"]]`}), `column "vector": elements of type utf8: want numbers`},
		{"null in a vector", stream(t, id, column{"vector", float32s, `[[1,2],[1,null]]`}), `row 1, column "vector": element 1 is null`},
		{"empty vector", stream(t, id, column{"vector", float32s, `[[1],[]]`}), `row 1, column "vector": a vector must not be empty`},
		{"empty multivector", stream(t, id, column{"vector", arrow.ListOf(float32s), `[[[1]],[]]`}), `row 1, column "vector": a multivector has at least one row`},
		{"ragged multivector", stream(t, id, column{"vector", arrow.ListOf(float32s), `[[[1]],[[1],[1,2]]]`}), `row 1, column "vector": row 1 of the multivector has 2 numbers, the first one 1`},
		{"sparse without values", stream(t, id, column{"vector", arrow.StructOf(arrow.Field{Name: "indices", Type: float32s}), `[{"indices":[1]},{"indices":[1]}]`}), `column "vector": a sparse vector is a struct of two lists`},
		{"sparse of unequal lengths", stream(t, id, column{"vector", sparse, `[{"indices":[1],"values":[1]},{"indices":[1],"values":[1,2]}]`}), `row 1, column "vector": values: Validation error: must be the same length`},
		{"sparse twice", stream(t, id, column{"vector", sparse, `[{"indices":[1,1],"values":[1,2]},null]`}), `row 0, column "vector": indices: Validation error: must be unique`},
		{"payload of no object", stream(t, id, column{"payload", arrow.BinaryTypes.String, `["{}","[]"]`}), `row 1, column "payload": `},
		{"payload of numbers", stream(t, id, column{"payload", arrow.PrimitiveTypes.Int64, `[1, 2]`}), `row 0, column "payload": type int64: want a struct`},
		{"NaN", stream(t, id, column{"f", arrow.PrimitiveTypes.Float64, `[0, "NaN"]`}), `row 1, column "f": NaN is no number in JSON`},
		{"binary", stream(t, id, column{"raw", arrow.BinaryTypes.Binary, `["", ""]`}), `column "raw": Arrow type Binary is not taken`},
		{"nested binary", stream(t, id, column{"raw", arrow.ListOf(arrow.ListOf(arrow.BinaryTypes.Binary)), `[[], []]`}), `column "raw": Arrow type Binary is not taken`},
		{"fixed binary", stream(t, id, column{"raw", &arrow.FixedSizeBinaryType{ByteWidth: 1}, `["AA==", "AA=="]`}), `row 0, column "raw": type fixed_size_binary[1] has no form in JSON`},
		{"deep", stream(t, id, column{"deep", nested(17), `[null, null]`}), `column "deep": types may be nested 16 deep`},
	} {
		points, err := Points(x.stream, plenty())
		var known *Error
		if !errors.As(err, &known) || !strings.HasPrefix(err.Error(), x.want) {
			t.Errorf("%s:\n got %v, %v\nwant %s", x.name, points, err, x.want)
		}
	}
}

func nested(depth int) arrow.DataType {
	kind := arrow.PrimitiveTypes.Int8
	for range depth {
		kind = arrow.ListOf(kind)
	}
	return kind
}

func TestCompressedBuffers(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil)
	a, _, err := array.FromJSON(memory.DefaultAllocator, arrow.PrimitiveTypes.Int64, strings.NewReader(`[1]`))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema), ipc.WithZstd())
	if err := errors.Join(w.Write(array.NewRecordBatch(schema, []arrow.Array{a}, 1)), w.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Points(out.Bytes(), plenty()); err == nil || !strings.HasPrefix(err.Error(), "buffers are compressed") {
		t.Errorf("got %v", err)
	}
}

// TestNoRoom checks that a table is given up as soon as there is no room, and that the
// error is the room's.
func TestNoRoom(t *testing.T) {
	s := small(t)
	need := 0
	if _, err := Points(s, func(n int) error { need += n; return nil }); err != nil {
		t.Fatal(err)
	}
	for n := range need {
		if _, err := Points(s, roomFor(n)); err != errNoRoom { //nolint:errorlint // as it is
			t.Fatalf("room for %d of %d bytes: got %v", n, need, err)
		}
	}
	// A few bytes that stand for many in every row.
	word := `"` + strings.Repeat("w", 10_000) + `"`
	rows := "[" + strings.Repeat(word+",", 999) + word + "]"
	ids := "[1" + strings.Repeat(",1", 999) + "]"
	many := stream(t, column{"id", arrow.PrimitiveTypes.Int8, ids}, column{"word", words, rows})
	if len(many) > 20_000 {
		t.Fatalf("the dictionary has %d bytes", len(many))
	}
	if _, err := Points(many, roomFor(1<<20)); err != errNoRoom { //nolint:errorlint // as it is
		t.Errorf("got %v", err)
	}
}

// small has a column of each kind that is read in its own way.
func small(t testing.TB) []byte {
	return stream(t,
		column{"id", arrow.PrimitiveTypes.Uint16, `[1, 2]`},
		column{"vector", pairs, `[[1,2], null]`},
		column{"vector.m", arrow.ListOf(float32s), `[[[1,2],[3,4]], [[5,6]]]`},
		column{"vector.s", sparse, `[{"indices":[7],"values":[0.5]}, null]`},
		column{"word", words, `["a", "b"]`},
		column{"view", arrow.BinaryTypes.StringView, `["more than twelve bytes", "few"]`},
		column{"list", arrow.ListOf(arrow.BinaryTypes.String), `[["x"], []]`},
		column{"none", arrow.Null, `[null, null]`},
	)
}

// TestDamagedStreams cuts a stream at every byte and changes every bit: each is read, or
// refused by an error of the stream, in little memory.
func TestDamagedStreams(t *testing.T) {
	s := small(t)
	points, err := Points(s, plenty())
	if err != nil || len(points) != 2 {
		t.Fatalf("got %v, %v", points, err)
	}
	for n := range s {
		if points, err := Points(s[:n], plenty()); err == nil {
			t.Errorf("the first %d bytes of %d are %v", n, len(s), points)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range s {
		for bit := range 8 {
			damaged := bytes.Clone(s)
			damaged[i] ^= 1 << bit
			check(t, damaged, fmt.Sprintf("bit %d of byte %d", bit, i))
		}
		// Lengths and counts as large as they can be.
		for _, ones := range []int{4, 8} {
			damaged := bytes.Clone(s)
			for j := i; j < min(i+ones, len(s)); j++ {
				damaged[j] = 0x7F
			}
			check(t, damaged, fmt.Sprintf("%d bytes at %d", ones, i))
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / uint64(10*len(s)); each > 1<<20 {
		t.Errorf("a damaged stream of %d bytes takes %d", len(s), each)
	}
}

// check reads what may be no table in all ways.
func check(t testing.TB, raw []byte, what string) {
	_, err := Points(raw, plenty())
	_, _, errQueries := Queries(raw, 10, plenty())
	_, errArray := Vectors(raw, 10, plenty())
	for _, err := range []error{err, errQueries, errArray} {
		var known *Error
		if err != nil && !errors.As(err, &known) && !errors.Is(err, errNoRoom) {
			t.Errorf("%s: got %T: %v", what, err, err)
		}
	}
}

// FuzzTable begins with what pyarrow and NumPy write, in testdata: each form once.
func FuzzTable(f *testing.F) {
	f.Add(small(f))
	f.Fuzz(func(t *testing.T, raw []byte) { check(t, raw, "fuzz") })
}

// TestFormsOfOtherWriters checks that fuzzing begins with tables that are read, but for
// those that say by their names that they are not.
func TestFormsOfOtherWriters(t *testing.T) {
	const folder = "testdata/fuzz/FuzzTable/"
	files, err := os.ReadDir(folder)
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(folder + file.Name())
		if err != nil {
			t.Fatal(err)
		}
		quoted, ok := strings.CutPrefix(string(text), "go test fuzz v1\n[]byte(")
		raw, err := strconv.Unquote(strings.TrimSuffix(quoted, ")\n"))
		if !ok || err != nil {
			t.Fatalf("%s: %v", file.Name(), err)
		}
		points, errPoints := Points([]byte(raw), plenty())
		vectors, errVectors := Vectors([]byte(raw), 10, plenty())
		read := errPoints == nil && (len(points) > 0 || file.Name() == "no-rows") || errVectors == nil && len(vectors) > 0
		if read == strings.HasPrefix(file.Name(), "refused-") {
			t.Errorf("%s: %d points, %v; %d vectors, %v", file.Name(), len(points), errPoints, len(vectors), errVectors)
		}
	}
}

func TestQueries(t *testing.T) {
	many := column{"vector", pairs, `[[1,2],[3,4],[5,6]]`}
	name, vectors, err := Queries(stream(t, column{"note", arrow.BinaryTypes.String, `["a",null,"c"]`}, many), 3, plenty())
	if want := []server.Vector{server.Dense{1, 2}, server.Dense{3, 4}, server.Dense{5, 6}}; err != nil || name != "" || !cmp.Equal(want, vectors) {
		t.Errorf("got %q %v, %v", name, vectors, err)
	}
	name, vectors, err = Queries(stream(t, column{"vector.s", sparse, `[{"indices":[2],"values":[1]}]`}), 3, plenty())
	if want := []server.Vector{server.Sparse{Indices: []uint32{2}, Values: []float32{1}}}; err != nil || name != "s" || !cmp.Equal(want, vectors) {
		t.Errorf("got %q %v, %v", name, vectors, err)
	}
	for _, x := range []struct {
		columns []column
		want    string
	}{
		{[]column{{"id", arrow.PrimitiveTypes.Int8, `[1]`}}, "there is no column `vector`"},
		{[]column{many, {"vector.s", sparse, `[null,null,null]`}}, `both "vector" and "vector.s" are columns of vectors`},
		{[]column{{"vector", pairs, `[[1,2],null]`}}, `row 1, column "vector": null is no vector`},
		{[]column{{"vector", pairs, `[[1,2],[1,2],[1,2],[1,2]]`}}, "there are more than 3 rows"},
	} {
		if _, _, err := Queries(stream(t, x.columns...), 3, plenty()); err == nil || !strings.HasPrefix(err.Error(), x.want) {
			t.Errorf("got %v, want %s", err, x.want)
		}
	}
}

// npy writes an array.
func npy(descr, shape string, data []byte) []byte {
	header := "{'descr': " + descr + ", 'fortran_order': False, 'shape': " + shape + ", }"
	header += strings.Repeat(" ", 117-len(header)) + "\n"
	return append([]byte("\x93NUMPY\x01\x00"+string([]byte{byte(len(header)), 0})+header), data...)
}

func TestVectors(t *testing.T) {
	ones := []byte{0, 0, 128, 63, 0, 0, 128, 63, 0, 0, 128, 63, 0, 0, 128, 63}
	for _, x := range []struct {
		descr, shape string
		data         []byte
		want         []server.Vector
	}{
		{"'<f4'", "(2, 2)", ones, []server.Vector{server.Dense{1, 1}, server.Dense{1, 1}}},
		{"'<f4'", "(4,)", ones, []server.Vector{server.Dense{1, 1, 1, 1}}},
		{"'<f2'", "(1, 2)", []byte{0, 60, 0, 192}, []server.Vector{server.Dense{1, -2}}},
		{"'<i4'", "(1, 2)", []byte{7, 0, 0, 0, 255, 255, 255, 255}, []server.Vector{server.Dense{7, -1}}},
		{"'<f8'", "(1, 1)", []byte{0, 0, 0, 0, 0, 0, 240, 63}, []server.Vector{server.Dense{1}}},
		{"'<f4'", "(0, 2)", nil, []server.Vector{}},
	} {
		got, err := Vectors(npy(x.descr, x.shape, x.data), 2, plenty())
		if err != nil || !cmp.Equal(got, x.want) {
			t.Errorf("%s %s: got %v, %v", x.descr, x.shape, got, err)
		}
	}
	for _, x := range []struct{ descr, shape, want string }{
		{"'>f4'", "(2, 2)", "type >f4: want int32, float16, float32 or float64, little-endian"},
		{"'<f4'", "(2, 3)", "144 bytes, the header says 152"},
		{"'<f4'", "(4, 1)", "there are more than 2 rows"},
		{"'<f4'", "(2, 2, 1)", "header "},
		{"'<f4'", "()", "header "},
		{"'<f4'", "(2, 0)", "shape (2, 0): want rows of 1 to 65536 numbers"},
		{"'<f4'", "(9999999999999, 2)", "shape (9999999999999, 2): "},
	} {
		if _, err := Vectors(npy(x.descr, x.shape, ones), 2, plenty()); err == nil || !strings.HasPrefix(err.Error(), x.want) {
			t.Errorf("%s %s: got %v", x.descr, x.shape, err)
		}
	}
	if _, err := Vectors(npy("'<f4'", "(2, 2)", ones), 2, roomFor(100)); !errors.Is(err, errNoRoom) {
		t.Errorf("got %v", err)
	}
}
