package decode

import (
	"context"
	"encoding/binary"
	"math"
	"strings"
	"testing"

	diff "github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/server"
)

func packed(v ...float32) string {
	var raw []byte
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return string(raw)
}

// decodeCase is a record and what is to become of it.
type decodeCase struct {
	name       string
	source     Settings
	key, value string
	want       string // a summary, or the start of an error
}

func runDecode(t *testing.T, cases []decodeCase, headers ...kgo.RecordHeader) {
	t.Helper()
	for _, x := range cases {
		t.Run(x.name, func(t *testing.T) {
			r := record(x.key, x.value)
			r.Headers = headers
			d, err := mappingOf(t, x.source).Decode(context.Background(), server.Stream{}, r)
			if err != nil {
				if !strings.HasPrefix(err.Error(), x.want) {
					t.Errorf("got %v, want %s", err, x.want)
				}
				return
			}
			if got := summary(d.Op); got != x.want {
				t.Errorf("(-want +got)\n%s", diff.Diff(x.want, got))
			}
		})
	}
}

func TestDebezium(t *testing.T) {
	dbz := Settings{Format: Debezium}
	const schema = `{"type":"struct","fields":[{"field":"after"}]}`
	runDecode(t, []decodeCase{
		{"create", dbz, `{"id":1}`, `{"before":null,"after":{"id":1,"embedding":[1.5,2],"title":"a"},"source":{"ts_ms":5},"op":"c","ts_ms":9}`, `{"id":1,"payload":{"title":"a"},"vectors":{"":[1.5,2]}}`},
		{"update", dbz, none, `{"before":{"id":1,"embedding":[9]},"after":{"id":1,"embedding":[1]},"op":"u"}`, `{"id":1,"vectors":{"":[1]}}`},
		{"read, in a snapshot", dbz, none, `{"op":"r","after":{"id":"x","embedding":[1]}}`, `{"id":"x","vectors":{"":[1]}}`},
		{"delete", dbz, none, `{"before":{"id":1,"embedding":[9]},"after":null,"op":"d"}`, `{"delete":[1]}`},
		{"delete, nothing known of the row but its key", dbz, `{"id":1}`, `{"before":null,"after":null,"op":"d"}`, `{"delete":[1]}`},
		{"delete, of the row only its key", dbz, `{"pk":1}`, `{"before":{"pk":1,"embedding":null},"after":null,"op":"d"}`, `{"delete":[1]}`},
		{"tombstone", dbz, `{"id":1}`, none, `{"delete":[1]}`},
		{"with schemas", dbz, none, `{"schema":` + schema + `,"payload":{"before":null,"after":{"id":1,"embedding":[1]},"op":"c"}}`, `{"id":1,"vectors":{"":[1]}}`},
		{"delete with schemas", dbz, none, `{"schema":` + schema + `,"payload":{"before":{"id":1},"after":null,"op":"d"}}`, `{"delete":[1]}`},
		{"key with its schema", dbz, `{"schema":{"type":"struct"},"payload":{"id":7}}`, none, `{"delete":[7]}`},
		{"key of another name with its schema", dbz, `{"schema":{"type":"struct"},"payload":{"pk":7}}`, `{"op":"c","after":{"pk":7,"embedding":[1]}}`, `{"id":7,"payload":{"pk":7},"vectors":{"":[1]}}`},
		{"flattened", dbz, none, `{"id":1,"embedding":[1],"a":2,"__deleted":"false"}`, `{"id":1,"payload":{"a":2},"vectors":{"":[1]}}`},
		{"flattened delete", dbz, none, `{"id":1,"embedding":[1],"a":2,"__deleted":"true"}`, `{"delete":[1]}`},
		{"flattened delete, boolean", dbz, none, `{"id":1,"embedding":null,"__deleted":true}`, `{"delete":[1]}`},
		{"flattened with its schema", dbz, none, `{"schema":{},"payload":{"id":1,"embedding":[1],"__deleted":"true"}}`, `{"delete":[1]}`},
		{"flattened without the mark", dbz, none, `{"id":1,"embedding":[1],"op":"walk"}`, `{"id":1,"payload":{"op":"walk"},"vectors":{"":[1]}}`},
		{"truncate", dbz, none, `{"before":null,"after":{},"op":"t"}`, `bad_operation: the operation "t"`},
		{"no operation", dbz, none, `{"before":null,"after":{"id":1},"op":7}`, `bad_operation: the operation 7`},
		{"a mark that is none", dbz, none, `{"id":1,"__deleted":"perhaps"}`, `bad_operation: the field "__deleted" holds "perhaps"`},
		{"create without a row", dbz, none, `{"before":{"id":1},"after":null,"op":"c"}`, `undecodable: the event has no row in "after"`},
		{"null element", dbz, none, `{"after":{"id":1,"embedding":[1,null]},"op":"c"}`, "bad_vector: "},
		{"cut short", dbz, none, `{"after":{"id":1,"embedding":[1`, "undecodable: "},
		{"no id", dbz, none, `{"before":{"x":1},"op":"d"}`, "no_id: "},
	})
}

func TestDebeziumVersion(t *testing.T) {
	d, err := mappingOf(t, Settings{Format: Debezium, Version: "value.ts_ms"}).Decode(context.Background(), server.Stream{},
		record(none, `{"after":{"id":1,"embedding":[1]},"op":"c","ts_ms":17}`))
	if err != nil || d.Op.Version.Time != 17 {
		t.Errorf("got %+v, %v", d.Op.Version, err)
	}
}

func TestQdrant(t *testing.T) {
	q := Settings{Format: Qdrant, Collection: "c"}
	runDecode(t, []decodeCase{
		{"unnamed", q, none, `{"collection_name":"c","id":1,"vector":[1,2],"payload":{"a":{"b":null}}}`, `{"id":1,"payload":{"a":{"b":null}},"vectors":{"":[1,2]}}`},
		{"named", q, none, `{"collection_name":"c","id":"f0e09527-b096-42a8-94e9-ea94d342b925","vector":{"a":[1],"b":[2,3]}}`, `{"id":"f0e09527-b096-42a8-94e9-ea94d342b925","vectors":{"a":[1],"b":[2,3]}}`},
		{"sparse", q, none, `{"id":1,"vector":{"s":{"indices":[7,3],"values":[0.5,1]}}}`, `{"id":1,"vectors":{"s":{"Indices":[3,7],"Values":[1,0.5]}}}`},
		{"multi", q, none, `{"id":1,"vector":{"m":[[1,2],[3,4]]},"payload":null}`, `{"id":1,"vectors":{"m":{"Values":[1,2,3,4],"Dim":2}}}`},
		{"all kinds", q, none, `{"id":1,"vector":{"m":[[1]],"s":{"values":[],"indices":[]},"d":[1]}}`, `{"id":1,"vectors":{"d":[1],"m":{"Values":[1],"Dim":1},"s":{"Indices":[],"Values":[]}}}`},
		{"id in the key", q, `{"id":5,"collection_name":"c"}`, `{"vector":[1]}`, `{"id":5,"vectors":{"":[1]}}`},
		{"tombstone", q, `{"id":5,"collection_name":"c"}`, none, `{"delete":[5]}`},
		{"payload selection", Settings{Format: Qdrant, Payload: Payload{Exclude: []string{"a"}}}, none, `{"id":1,"vector":[1],"payload":{"a":1,"b":2}}`, `{"id":1,"payload":{"b":2},"vectors":{"":[1]}}`},
		{"another collection", q, none, `{"collection_name":"d","id":1,"vector":[1]}`, `unknown_collection: the record is for the collection "d", the source feeds "c"`},
		{"another collection by its key", q, `{"id":5,"collection_name":"d"}`, none, `unknown_collection: `},
		{"a number for a collection", q, none, `{"collection_name":1}`, `undecodable: `},
		{"payload no object", q, none, `{"id":1,"vector":[1],"payload":[1]}`, "undecodable: the payload"},
		{"no vector", q, none, `{"id":1}`, "no_vector: "},
		{"null vectors", q, none, `{"id":1,"vector":{"a":null}}`, "no_vector: "},
		{"ragged", q, none, `{"id":1,"vector":{"m":[[1],[2,3]]}}`, `bad_vector: the vector "m": row 1 has 2 numbers, row 0 has 1`},
		{"empty row", q, none, `{"id":1,"vector":{"m":[[]]}}`, `bad_vector: `},
		{"row no array", q, none, `{"id":1,"vector":{"m":[[1],2]}}`, `bad_vector: `},
		{"sparse, lengths differ", q, none, `{"id":1,"vector":{"s":{"indices":[1],"values":[]}}}`, `bad_vector: the vector "s": 1 indices and 0 values`},
		{"sparse, index twice", q, none, `{"id":1,"vector":{"s":{"indices":[1,1],"values":[1,2]}}}`, `bad_vector: the vector "s": an index is there twice`},
		{"sparse, negative index", q, none, `{"id":1,"vector":{"s":{"indices":[-1],"values":[1]}}}`, `bad_vector: `},
		{"sparse, null value", q, none, `{"id":1,"vector":{"s":{"indices":[1],"values":[null]}}}`, `bad_vector: `},
		{"sparse, no values", q, none, `{"id":1,"vector":{"s":{"indices":[1]}}}`, `bad_vector: `},
		{"text", q, none, `{"id":1,"vector":"[1]"}`, `bad_vector: `},
	})
}

func TestOpenSearch(t *testing.T) {
	os := Settings{Format: OpenSearch}
	runDecode(t, []decodeCase{
		{"index", os, none, `{"_id":"1","_op_type":"index","_version":"3","_source":{"embedding":[1],"id":5,"a":1}}`, `{"id":"1","payload":{"id":5,"a":1},"vectors":{"":[1]}}`},
		{"no operation", os, none, `{"_source":{"embedding":[1]},"_id":2}`, `{"id":2,"vectors":{"":[1]}}`},
		{"create", os, none, `{"_id":"1","_op_type":"create","_source":{"embedding":[1]}}`, `{"id":"1","mode":1,"vectors":{"":[1]}}`},
		{"delete", os, none, `{"_id":"1","_op_type":"delete"}`, `{"delete":["1"]}`},
		{"id in the source", Settings{Format: OpenSearch, ID: "value.k"}, none, `{"_source":{"k":4,"embedding":[1]}}`, `{"id":4,"vectors":{"":[1]}}`},
		{"id in the key", os, `k`, `{"_source":{"embedding":[1]}}`, `{"id":"k","vectors":{"":[1]}}`},
		{"another operation", os, none, `{"_id":"1","_op_type":"update","_source":{}}`, `bad_operation: `},
		{"no source", os, none, `{"_id":"1"}`, `undecodable: the value has no object in "_source"`},
		{"no id", os, none, `{"_source":{"embedding":[1]}}`, `no_id: `},
		{"no vector", os, none, `{"_id":"1","_source":{"a":1}}`, `no_vector: `},
	})
	d, err := mappingOf(t, Settings{Format: OpenSearch, Version: "value._version"}).Decode(context.Background(), server.Stream{},
		record(none, `{"_id":"1","_version":"12","_source":{"embedding":[1]}}`))
	if err != nil || d.Op.Version.Time != 12 {
		t.Errorf("got %+v, %v", d.Op.Version, err)
	}
}

func TestFloat32(t *testing.T) {
	f := Settings{Format: Float32}
	runDecode(t, []decodeCase{
		{"vector", f, `doc-1`, packed(1, -0.5), `{"id":"doc-1","vectors":{"":[1,-0.5]}}`},
		{"named", Settings{Format: Float32, Vectors: map[string]string{"v": "value"}}, `doc-1`, packed(1), `{"id":"doc-1","vectors":{"v":[1]}}`},
		{
			"payload of headers",
			Settings{Format: Float32, Payload: Payload{Headers: true, Exclude: []string{"trace"}}},
			`doc-1`, packed(1),
			`{"id":"doc-1","payload":{"lang":"en","n":42,"o":{"a":[1]},"bytes":"�"},"vectors":{"":[1]}}`,
		},
		{"delete", f, `doc-1`, none, `{"delete":["doc-1"]}`},
		{"no id", f, none, packed(1), `no_id: `},
		{"cut short", f, `k`, packed(1)[:3], `undecodable: a value of 3 bytes`},
		{"empty", f, `k`, ``, `undecodable: `},
		{"NaN", f, `k`, packed(1, float32(math.NaN())), `bad_vector: the field "value": element 1 is NaN`},
		{"infinite", f, `k`, packed(float32(math.Inf(-1))), `bad_vector: the field "value": element 0 is -Inf`},
	}, kgo.RecordHeader{Key: "lang", Value: []byte("en")}, kgo.RecordHeader{Key: "n", Value: []byte("42")},
		kgo.RecordHeader{Key: "o", Value: []byte(`{"a":[1]}`)}, kgo.RecordHeader{Key: "trace", Value: []byte("x")},
		kgo.RecordHeader{Key: "bytes", Value: []byte("\xff")})
}

func TestVectorSettings(t *testing.T) {
	for _, x := range []struct {
		format  Format
		vectors map[string]string
		want    string
	}{
		{Qdrant, map[string]string{"a": "value.a"}, `vectors["a"]: records in the format qdrant`},
		{Float32, map[string]string{"a": "value.a"}, `vectors["a"]: in the format float32`},
		{Float32, map[string]string{"a": "value", "b": "value"}, `vectors["a"]: in the format float32`},
		{JSON, map[string]string{"a": "value"}, `vectors["a"]: "value" is not value.<field>`},
	} {
		_, err := New(Settings{Format: x.format, Vectors: x.vectors, Version: "timestamp"})
		if err == nil || !strings.HasPrefix(err.Error(), x.want) {
			t.Errorf("%s, %v: got %v, want %s", x.format, x.vectors, err, x.want)
		}
	}
}
