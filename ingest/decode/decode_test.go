package decode

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/server"
	"freshet/server/point"
)

func mappingOf(t testing.TB, s Settings) *Mapping {
	t.Helper()
	s.Format, s.Version = cmp.Or(s.Format, Auto), cmp.Or(s.Version, "timestamp")
	m, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// none stands for a null key or value in a table.
const none = "<null>"

func record(key, value string) *kgo.Record {
	r := &kgo.Record{Topic: "t", Offset: 7, Timestamp: time.UnixMilli(1700000000123)}
	if key != none {
		r.Key = []byte(key)
	}
	if value != none {
		r.Value = []byte(value)
	}
	return r
}

// summary is an operation in a form that is easy to compare.
func summary(op server.Op) string {
	out := map[string]any{}
	if op.Kind == server.Delete {
		out["delete"] = op.Select.IDs
	} else {
		p := op.Points[0]
		out["id"], out["vectors"] = p.ID, p.Vectors
		if op.Mode != server.InsertOrUpdate {
			out["mode"] = op.Mode
		}
		if p.Payload != nil {
			out["payload"] = p.Payload
		}
	}
	raw, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func TestDecode(t *testing.T) {
	runDecode(t, []decodeCase{
		// As Flink SQL writes them.
		{"json, no key", Settings{}, none, `{"id":"doc-0","embedding":[36.0,0.25,1.23E-5,-1.0,1.0E10]}`, `{"id":"doc-0","vectors":{"":[36,0.25,0.0000123,-1,10000000000]}}`},
		{"key.format=raw", Settings{}, `doc-0`, `{"id":"doc-0","embedding":[36.0,0.25]}`, `{"id":"doc-0","vectors":{"":[36,0.25]}}`},
		{"key.format=json, EXCEPT_KEY", Settings{}, `{"id":"doc-0"}`, `{"embedding":[36.0,0.25]}`, `{"id":"doc-0","vectors":{"":[36,0.25]}}`},
		{"upsert-kafka", Settings{Format: UpsertKafka}, `{"id":"a"}`, `{"id":"a","embedding":[3.0,0.25]}`, `{"id":"a","vectors":{"":[3,0.25]}}`},
		{"upsert-kafka, raw key", Settings{Format: UpsertKafka}, `a`, `{"embedding":[3.0,0.25]}`, `{"id":"a","vectors":{"":[3,0.25]}}`},
		{"upsert-kafka, delete", Settings{Format: UpsertKafka}, `{"id":"b"}`, none, `{"delete":["b"]}`},
		{"upsert-kafka, raw key, delete", Settings{Format: UpsertKafka}, `b`, none, `{"delete":["b"]}`},
		{"auto, delete", Settings{}, `{"id":5}`, none, `{"delete":[5]}`},
		{
			"nested row, map, null",
			Settings{},
			none, `{"id":"doc-0","embedding":[36.0],"payload":{"n":3,"tags":["a","b"]},"attrs":null,"b":"YWJj"}`,
			`{"id":"doc-0","payload":{"payload":{"n":3,"tags":["a","b"]},"attrs":null,"b":"YWJj"},"vectors":{"":[36]}}`,
		},
		{"a key field of another name", Settings{Format: UpsertKafka}, `{"doc_id":9}`, `{"embedding":[1]}`, `{"id":9,"vectors":{"":[1]}}`},

		// As other producers do.
		{"integer id", Settings{}, none, `{"id":18446744073709551615,"vector":[1]}`, `{"id":18446744073709551615,"vectors":{"":[1]}}`},
		{"UUID", Settings{}, none, `{"id":"F0E09527B09642A894E9EA94D342B925","vector":[1]}`, `{"id":"f0e09527-b096-42a8-94e9-ea94d342b925","vectors":{"":[1]}}`},
		{"key in quotes", Settings{Format: UpsertKafka}, `"doc-1"`, `{"vector":[1]}`, `{"id":"doc-1","vectors":{"":[1]}}`},
		{"digits as key", Settings{}, `42`, none, `{"delete":["42",42]}`},
		{"white space", Settings{}, none, "\n { \"id\" : 1 , \"vector\" : [ 1 , 2 ] , \"a\" : { \"b\" : 1 } } \n", `{"id":1,"payload":{"a":{"b":1}},"vectors":{"":[1,2]}}`},
		{"embedding before vector", Settings{}, none, `{"id":1,"vector":[1],"embedding":[2]}`, `{"id":1,"vectors":{"":[2]}}`},
		{"vector where embedding is null", Settings{}, none, `{"id":1,"embedding":null,"vector":[1]}`, `{"id":1,"vectors":{"":[1]}}`},

		// By configuration.
		{"id in a field", Settings{ID: "value.k"}, `x`, `{"k":3,"id":"y","vector":[1]}`, `{"id":3,"payload":{"id":"y"},"vectors":{"":[1]}}`},
		{"id in the key", Settings{ID: "key"}, `x`, `{"id":"y","vector":[1]}`, `{"id":"x","payload":{"id":"y"},"vectors":{"":[1]}}`},
		{"id in a field of the key", Settings{ID: "key.b"}, `{"a":1,"b":2}`, `{"vector":[1]}`, `{"id":2,"vectors":{"":[1]}}`},
		{"id in a header", Settings{ID: "header.h"}, none, `{"vector":[1]}`, `{"id":"from header","vectors":{"":[1]}}`},
		{"delete by header", Settings{ID: "header.h"}, `k`, none, `{"delete":["from header"]}`},
		{
			"named vectors",
			Settings{Vectors: map[string]string{"a": "value.va", "b": "value.vb"}},
			none, `{"id":1,"vb":[2],"va":[1],"vector":"x"}`,
			`{"id":1,"payload":{"vector":"x"},"vectors":{"a":[1],"b":[2]}}`,
		},
		{"payload include", Settings{Payload: Payload{Include: []string{"a"}}}, none, `{"id":1,"vector":[1],"a":1,"b":2}`, `{"id":1,"payload":{"a":1},"vectors":{"":[1]}}`},
		{"payload exclude", Settings{Payload: Payload{Exclude: []string{"a"}}}, none, `{"id":1,"vector":[1],"a":1,"b":2}`, `{"id":1,"payload":{"b":2},"vectors":{"":[1]}}`},
		{
			"origin",
			Settings{Payload: Payload{Kafka: true}},
			none, `{"id":1,"vector":[1]}`,
			`{"id":1,"payload":{"_kafka":{"topic":"t","partition":0,"offset":7,"timestamp":1700000000123}},"vectors":{"":[1]}}`,
		},

		// What becomes a dead letter.
		{"not JSON", Settings{}, none, `hello`, "undecodable: the value is not a JSON object"},
		{"cut short", Settings{}, none, `{"id":1,"vector":[1`, "undecodable: "},
		{"two values", Settings{}, none, `{"id":1,"vector":[1]} {}`, "undecodable: "},
		{"array", Settings{}, none, `[1]`, "undecodable: "},
		{"empty value", Settings{}, `k`, ``, "undecodable: "},
		{"NaN", Settings{}, none, `{"id":1,"vector":[NaN]}`, "undecodable: "},
		{"bytes", Settings{}, none, "\x00\x00\x00\x00\x01\x02a", "undecodable: "},
		{"not UTF-8", Settings{}, none, "{\"id\":1,\"vector\":[1],\"a\":\"\xff\"}", "undecodable: "},
		{"null value in json", Settings{Format: JSON}, `k`, none, "undecodable: the value is null"},
		{"no id", Settings{}, none, `{"vector":[1]}`, "no_id: the record has no key"},
		{"null id", Settings{}, none, `{"id":null,"vector":[1]}`, "no_id: "},
		{"tombstone without key", Settings{}, none, none, "no_id: "},
		{"no header", Settings{ID: "header.x"}, none, `{"vector":[1]}`, `no_id: the record has no header "x"`},
		{"field missing", Settings{ID: "value.k"}, `x`, `{"vector":[1]}`, `no_id: the value has no field "k"`},
		{"negative id", Settings{}, none, `{"id":-1,"vector":[1]}`, "bad_id: -1 is not an id"},
		{"fractional id", Settings{}, none, `{"id":1.5,"vector":[1]}`, "bad_id: "},
		{"empty id", Settings{}, none, `{"id":"","vector":[1]}`, "bad_id: "},
		{"long id", Settings{}, none, `{"id":"` + strings.Repeat("x", point.MaxTextBytes+1) + `","vector":[1]}`, "bad_id: "},
		{"binary key", Settings{Format: UpsertKafka}, "\xff\x00", `{"vector":[1]}`, "bad_id: the key is not text"},
		{"no vector", Settings{}, none, `{"id":1}`, "no_vector: "},
		{"null vector", Settings{}, none, `{"id":1,"embedding":null}`, "no_vector: "},
		{"one of two vectors", Settings{Vectors: map[string]string{"a": "value.va", "b": "value.vb"}}, none, `{"id":1,"va":[1]}`, `no_vector: the value has no vector in "vb"`},
		{"null element", Settings{}, none, `{"id":1,"vector":[null]}`, "bad_vector: "},
		{"text element", Settings{}, none, `{"id":1,"vector":["1"]}`, "bad_vector: "},
		{"too large a number", Settings{}, none, `{"id":1,"vector":[1e39]}`, "bad_vector: "},
		{"empty vector", Settings{}, none, `{"id":1,"vector":[]}`, "bad_vector: "},
		{"version is text", Settings{Version: "value.v"}, none, `{"id":1,"vector":[1],"v":"x"}`, "bad_version: "},
		{"version missing", Settings{Version: "value.v"}, none, `{"id":1,"vector":[1]}`, "bad_version: "},
		{"huge", Settings{}, none, strings.Repeat(" ", MaxRecord+1), "too_large: "},
		{"huge key", Settings{}, strings.Repeat("k", MaxRecord+1), `{"id":1,"vector":[1]}`, "too_large: "},
	}, kgo.RecordHeader{Key: "h", Value: []byte("from header")})
}

func TestDecodeVersion(t *testing.T) {
	stream := server.Stream{Source: "s", Topic: "t", Partition: 3}
	for rule, want := range map[string]int64{"timestamp": 1700000000123, "offset": 7, "value.v": -5} {
		op, err := mappingOf(t, Settings{Version: rule}).Decode(context.Background(), stream, record(none, `{"id":1,"vector":[1],"v":-5}`))
		if err != nil {
			t.Fatal(err)
		}
		version := server.Version{Stream: stream, Offset: 7, Time: want}
		if rule != "timestamp" {
			version.Timestamp = 1700000000123
		}
		if op.Op.Version != version {
			t.Errorf("%s: got %+v, want %+v", rule, op.Op.Version, version)
		}
	}
}

// FuzzDecode checks that any record becomes an operation or a dead letter with
// a reason, and that the operation is one that a collection can read.
func FuzzDecode(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"id":"a"}`, `{"id":"a","embedding":[3.0,1.23E-5],"x":{"y":null}}`},
		{``, `{"id":1,"vector":[1]}`},
		{`42`, ``},
		{`"k"`, `{"vector":[null]}`},
		{"\xff", "\x00"},
	} {
		f.Add(uint8(0), []byte(seed[0]), []byte(seed[1]), false)
	}
	f.Add(uint8(1), []byte(`k`), []byte(nil), true)
	for which, value := range map[uint8]string{
		4: `{"before":null,"after":{"id":1,"embedding":[1.5,2],"title":"a"},"source":{"ts_ms":5},"op":"c","ts_ms":9}`,
		5: `{"collection_name":"c","id":1,"vector":{"m":[[1,2],[3,4]],"s":{"indices":[7,3],"values":[0.5,1]},"d":[1]},"payload":{"a":{"b":null}}}`,
		6: `{"_id":"1","_op_type":"create","_version":"3","_source":{"embedding":[1],"id":5,"a":1}}`,
		7: packed(1, -0.5),
	} {
		f.Add(which, []byte(`{"id":"a"}`), []byte(value), false)
	}
	f.Add(uint8(4), []byte(`{"schema":{},"payload":{"id":1}}`), []byte(`{"schema":{},"payload":{"id":1,"__deleted":"true"}}`), false)
	mappings := []*Mapping{
		mappingOf(f, Settings{}),
		mappingOf(f, Settings{Format: UpsertKafka, Payload: Payload{Kafka: true}}),
		mappingOf(f, Settings{Format: JSON, ID: "key.k", Version: "value.v", TTL: "value.x", Operation: &Operation{From: "value.o", Delete: []string{"d"}, Upsert: []string{""}}}),
		mappingOf(f, Settings{Vectors: map[string]string{"a": "value.a", "b": "value.b"}, Payload: Payload{Exclude: []string{"x"}}}),
		mappingOf(f, Settings{Format: Debezium}),
		mappingOf(f, Settings{Format: Qdrant, Collection: "c"}),
		mappingOf(f, Settings{Format: OpenSearch, Version: "value._version"}),
		mappingOf(f, Settings{Format: Float32, Payload: Payload{Headers: true}}),
	}
	f.Fuzz(func(t *testing.T, which uint8, key, value []byte, null bool) {
		r := &kgo.Record{Topic: "t", Key: key, Value: value, Timestamp: time.UnixMilli(1), Headers: []kgo.RecordHeader{{Key: string(key), Value: value}}}
		if null {
			r.Value = nil
		}
		d, err := mappings[int(which)%len(mappings)].Decode(context.Background(), server.Stream{}, r)
		verifyDecoded(t, d, err)
	})
}

// verifyDecoded checks that a record has become a dead letter with a reason, or an operation
// that a collection can read.
func verifyDecoded(t *testing.T, d Decoded, err error) {
	t.Helper()
	var failed *Error
	switch {
	case errors.As(err, &failed):
		if failed.Reason == "" || failed.Detail == "" {
			t.Fatalf("a dead letter without a reason: %+v", failed)
		}
	case err != nil:
		t.Fatalf("an error that is no dead letter: %v", err)
	case d.Op.Kind == server.Delete:
		if len(d.Op.Select.IDs) == 0 {
			t.Fatal("a delete of nothing")
		}
	default:
		p := d.Op.Points[0]
		if p.ID.IsZero() || len(p.Vectors) == 0 || p.Payload != nil && !json.Valid(p.Payload) {
			t.Fatalf("an upsert of %+v", p)
		}
	}
}
