package decode

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"freshet/server"
)

// Schemas as Flink makes them: everything may be null.
const (
	flinkAvro = `{"type":"record","name":"record","namespace":"org.apache.flink.avro.generated","fields":[
		{"name":"id","type":["null","string"],"default":null},
		{"name":"embedding","type":["null",{"type":"array","items":["null","float"]}],"default":null}]}`
	flinkAvroRow = `["null",{"type":"record","name":"ROW","namespace":"x","fields":[
		{"name":"id","type":["null","string"],"default":null},
		{"name":"embedding","type":["null",{"type":"array","items":["null","float"]}],"default":null}]}]`
	flinkDebezium = `["null",{"type":"record","name":"record","namespace":"x","fields":[
		{"name":"before","type":` + flinkAvroRow + `,"default":null},{"name":"after","type":["null","ROW"],"default":null},
		{"name":"op","type":["null","string"],"default":null}]}]`
	flinkAvroKeyed   = `{"type":"record","name":"record","fields":[{"name":"id","type":"string"},{"name":"embedding","type":["null",{"type":"array","items":["null","float"]}]}]}`
	flinkAvroNotNull = `{"type":"record","name":"record","fields":[{"name":"id","type":"string"},{"name":"embedding","type":{"type":"array","items":"float"}}]}`
	flinkAvroKey     = `{"type":"record","name":"record","fields":[{"name":"id","type":"string"}]}`
)

// registryWith returns a client of a registry that has the schemas by their ids.
func registryWith(t testing.TB, schemas map[int]sr.Schema) (*Registry, *srfake.Registry) {
	t.Helper()
	fake := srfake.New()
	t.Cleanup(fake.Close)
	for id, s := range schemas {
		fake.SeedSchema("subject-"+string(rune('a'+id)), 1, id, s)
	}
	return clientOf(t, fake.URL()), fake
}

func clientOf(t testing.TB, url string) *Registry {
	t.Helper()
	g, err := NewRegistry(RegistrySettings{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// inFrame puts the id of a schema before data.
func inFrame(id byte, data string) string { return "\x00\x00\x00\x00" + string(id) + data }

func encodeAvro(t testing.TB, schema string, value any) string {
	t.Helper()
	s, err := avro.ParseWithCache(schema, "", &avro.SchemaCache{})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := avro.Marshal(s, value)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestFlinkAvroSamples(t *testing.T) {
	g, _ := registryWith(t, map[int]sr.Schema{1: {Schema: flinkAvro}, 2: {Schema: flinkDebezium}})
	const doc = `{"id":"doc-0","vectors":{"":[36,0.25]}}` + "\n"
	for topic, x := range map[string]struct {
		s    Settings
		want string
	}{
		"f-avro":               {Settings{Format: Avro, Schema: flinkAvro}, `{"id":"doc-0","vectors":{"":[36,0.25,0.0000123,-1,10000000000]}}` + "\n"},
		"f-avro-nn":            {Settings{Format: Avro, Schema: flinkAvroNotNull, KeySchema: flinkAvroKey}, `{"id":"doc-0","vectors":{"":[1.5,2.5]}}` + "\n"},
		"f-avro-confluent":     {Settings{Format: Avro, Registry: g}, doc},
		"f-dbz-avro-confluent": {Settings{Format: Auto, Registry: g}, doc},
		"f-upsert-partial": {Settings{Format: Avro, Schema: flinkAvroKeyed, KeySchema: flinkAvroKey, ID: "key.id", Payload: Payload{Exclude: []string{"id"}}}, `{"id":"a","vectors":{"":[3,0.25]}}
{"id":"b","vectors":{"":[3,0.25]}}
{"id":"a","vectors":{"":[5,0.25]}}
{"delete":["b"]}
{"id":"c","vectors":{"":[5,0.25]}}
`},
	} {
		var records []*kgo.Record
		for _, r := range samples(t, topic) {
			if r.Topic == topic {
				records = append(records, r)
			}
		}
		if got := story(t, mappingOf(t, x.s), records); got != x.want {
			t.Errorf("%s: got\n%swant\n%s", topic, got, x.want)
		}
	}
}

const (
	avroV1 = `{"type":"record","name":"doc","fields":[{"name":"id","type":"long"},{"name":"embedding","type":{"type":"array","items":"double"}},{"name":"old","type":"int"}]}`
	avroV2 = `{"type":"record","name":"doc","fields":[{"name":"id","type":"long"},{"name":"embedding","type":["null",{"type":"array","items":"float"}]},
		{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"day","type":{"type":"int","logicalType":"date"}},
		{"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":6,"scale":2}},
		{"name":"kind","type":{"type":"enum","name":"kind","symbols":["A","B"]}},{"name":"m","type":{"type":"map","values":["null","string","boolean"]}},
		{"name":"raw","type":"bytes"},{"name":"four","type":{"type":"fixed","name":"four","size":4}}]}`
	protoText = `syntax = "proto3";
		package x;
		import "google/protobuf/timestamp.proto";
		import "common.proto";
		message Other { string a = 1; }
		message Doc {
			message Inner { string text = 1; int64 n = 2; }
			int64 id = 1; repeated float embedding = 2; Inner inner = 3; optional string left_out = 4;
			google.protobuf.Timestamp at = 5; Kind kind = 6; map<string, bool> flags = 7; bytes raw = 8; double ratio = 9;
		}`
	common = `syntax = "proto3"; package x; enum Kind { NONE = 0; SOME = 1; }`
)

// protoDoc is a Doc: id 7, embedding [1, 2], inner {text "t", n 5}, at 1 s, kind SOME,
// flags {"f": true}, raw "abc", ratio 0.5.
var protoDoc = "\x08\x07" + "\x12\x08" + packed(1, 2) + "\x1a\x05\x0a\x01t\x10\x05" + "\x2a\x02\x08\x01" + "\x30\x01" +
	"\x3a\x05\x0a\x01f\x10\x01" + "\x42\x03abc" + "\x49\x00\x00\x00\x00\x00\x00\xe0\x3f"

const protoWant = `{"id":7,"payload":{"inner":{"text":"t","n":5},"at":"1970-01-01T00:00:01Z","kind":"SOME","flags":{"f":true},"raw":"YWJj","ratio":0.5},"vectors":{"":[1,2]}}`

func TestRegistryFormats(t *testing.T) {
	g, fake := registryWith(t, map[int]sr.Schema{
		1: {Schema: avroV1}, 2: {Schema: avroV2}, 3: {Schema: `{"type":"object"}`, Type: sr.TypeJSON},
		4: {Schema: common, Type: sr.TypeProtobuf}, 6: {Schema: `"string"`}, 7: {Schema: `"long"`},
		8: {Schema: `{"type":"record"}`}, 9: {Schema: `syntax = "proto3"; message {`, Type: sr.TypeProtobuf},
		10: {Schema: `{"type":"array","items":"null"}`},
		11: {Schema: `{"type":"record","name":"list","fields":[{"name":"next","type":["null","list"]}]}`},
	})
	fake.SeedSchema("docs", 1, 5, sr.Schema{Schema: protoText, Type: sr.TypeProtobuf, References: []sr.SchemaReference{{Name: "common.proto", Subject: "subject-e", Version: 1}}})
	v1 := encodeAvro(t, avroV1, map[string]any{"id": int64(1), "embedding": []any{1.5, 2.0}, "old": 3})
	v2 := "\x04" + "\x02\x04" + packed(1, 2) + "\x00" + "\xd0\x0f" + "\x02" + "\x04\xff\x85" + "\x02" + "\x04\x02a\x02\x02s\x02b\x04\x01\x00" + "\x04hi" + "1234"
	in := func(f Format) Settings { return Settings{Format: f, Registry: g} }
	runDecode(t, []decodeCase{
		{"avro, version 1", in(Avro), none, inFrame(1, v1), `{"id":1,"payload":{"old":3},"vectors":{"":[1.5,2]}}`},
		{
			"avro, version 2", in(Avro), none, inFrame(2, v2),
			`{"id":2,"payload":{"at":"1970-01-01T00:00:01Z","day":"1970-01-02","price":-1.23,"kind":"B","m":{"a":"s","b":true},"raw":"aGk=","four":"MTIzNA=="},"vectors":{"":[1,2]}}`,
		},
		{"auto finds avro", in(Auto), none, inFrame(1, v1), `{"id":1,"payload":{"old":3},"vectors":{"":[1.5,2]}}`},
		{"auto finds JSON beside it", in(Auto), none, `{"id":1,"embedding":[1]}`, `{"id":1,"vectors":{"":[1]}}`},
		{"auto finds floats that begin like a frame", in(Auto), "k", packed(0, -0.5, 1, 1, 1, 1, 1, 0.1), `{"id":"k","vectors":{"":[0,-0.5,1,1,1,1,1,0.1]}}`},
		{"JSON Schema", in(JSONSchema), none, inFrame(3, `{"id":1,"embedding":[1]}`), `{"id":1,"vectors":{"":[1]}}`},
		{"JSON Schema round a change event", in(JSONSchema), none, inFrame(3, `{"before":{"id":1},"after":null,"op":"d"}`), `{"delete":[1]}`},
		{"protobuf", in(Protobuf), none, inFrame(5, "\x02\x02"+protoDoc), protoWant},
		{"auto finds protobuf", in(Auto), none, inFrame(5, "\x02\x02"+protoDoc), protoWant},
		{"protobuf, a nested message", in(Protobuf), "k", inFrame(5, "\x04\x02\x00"+"\x0a\x01t"), `no_vector: `},
		{"key in avro", in(Avro), inFrame(6, "\x02k"), none, `{"delete":["k"]}`},
		{"key that is a number", in(Avro), inFrame(7, "\x54"), none, `{"delete":[42]}`},
		{"raw key", in(Avro), "k", none, `{"delete":["k"]}`},

		{"no frame", in(Avro), none, v1, `undecodable: there is no schema id`},
		{"no frame at all", in(Protobuf), none, ``, `undecodable: there is no schema id`},
		{"another format", in(Avro), none, inFrame(3, `{}`), `undecodable: the value's schema is of the format json_schema`},
		{"unknown schema", in(Avro), none, inFrame(99, v1), `unknown_schema: the registry has no schema 99`},
		{"unknown schema of a key", in(Avro), inFrame(99, "k"), none, `unknown_schema: `},
		{"schema that is none", in(Avro), none, inFrame(8, v1), `bad_schema: schema 8: `},
		{"protobuf schema that is none", in(Protobuf), none, inFrame(9, "\x00"), `bad_schema: schema 9: `},
		{"cut short", in(Avro), none, inFrame(1, v1[:len(v1)-1]), `undecodable: the record is not what schema 1 says: `},
		{"bytes left", in(Avro), none, inFrame(1, v1+"x"), `undecodable: the record is not what schema 1 says: bytes follow the value`},
		{"a count without elements", in(Avro), none, inFrame(10, "\xfe\xff\xff\xff\x0f"), `undecodable: the record is not what schema 10 says: `},
		{"deeper than it may be", in(Avro), none, inFrame(11, strings.Repeat("\x02", 200)), `undecodable: the record is not what schema 11 says: `},
		{"no record", in(Avro), none, inFrame(7, "\x54"), `undecodable: the value is not a JSON object`},
		{"NaN", in(Avro), none, inFrame(2, "\x04\x02\x02\x00\x00\xc0\x7f\x00"), `bad_vector: embedding: a number is NaN`},
		{"protobuf, no such message", in(Protobuf), none, inFrame(5, "\x02\x08"+protoDoc), `undecodable: the record is not what schema 5 says: there is no message [4]`},
		{"protobuf, cut short", in(Protobuf), none, inFrame(5, "\x02\x02"+protoDoc[:8]), `undecodable: the record is not what schema 5 says: `},
		{"protobuf, no index", in(Protobuf), none, inFrame(5, ""), `undecodable: the record is not what schema 5 says: the place of the message`},
	})
}

func TestSchemaInHeaders(t *testing.T) {
	g, fake := registryWith(t, nil)
	id, _, err := fake.RegisterSchema("s", sr.Schema{Schema: avroV1})
	if err != nil {
		t.Fatal(err)
	}
	found, ok := fake.GetSchema("s", 1)
	if !ok {
		t.Fatal("the schema is not there")
	}
	r := record(none, encodeAvro(t, avroV1, map[string]any{"id": int64(1), "embedding": []any{1.5}, "old": 3}))
	m := mappingOf(t, Settings{Format: Avro, Registry: g})
	headers := [][]byte{[]byte("\x00\x00\x00\x00" + string(rune(id)))}
	if guid, err := uuid.Parse(found.GUID); err == nil {
		headers = append(headers, append([]byte{1}, guid[:]...))
	} else {
		t.Errorf("the registry gives no GUID: %q", found.GUID)
	}
	for _, h := range headers {
		r.Headers = []kgo.RecordHeader{{Key: valueSchemaHeader, Value: h}}
		d, err := m.Decode(context.Background(), server.Stream{}, r)
		if want := `{"id":1,"payload":{"old":3},"vectors":{"":[1.5]}}`; err != nil || summary(d.Op) != want {
			t.Errorf("header %s: got %s, %v", hex.EncodeToString(h), summary(d.Op), err)
		}
	}
}

// TestRegistryFaultsPass checks that a registry that cannot tell for now makes no dead
// letters, and is asked again.
func TestRegistryFaultsPass(t *testing.T) {
	var answer atomic.Value // http.HandlerFunc
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer.Load().(http.HandlerFunc)(w, r) }))
	defer s.Close()
	m := mappingOf(t, Settings{Format: Avro, Registry: clientOf(t, s.URL)})
	r := record(none, inFrame(1, encodeAvro(t, avroV1, map[string]any{"id": int64(1), "embedding": []any{1.5}, "old": 3})))
	reply := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for name, a := range map[string]http.HandlerFunc{
		"unavailable":        reply(503, ``),
		"not authorised":     reply(401, `{"error_code":401,"message":"no"}`),
		"another server":     reply(404, `<html>not found</html>`),
		"a page":             reply(200, `<html>sign in</html>`),
		"no schema in it":    reply(200, `{}`),
		"null":               reply(200, `null`),
		"a list":             reply(200, `[1]`),
		"a reference astray": reply(200, `{"schema":"x","references":[{"name":"a","subject":"b","version":1},{"name":"c"}]}`[:40]),
		"cut off": func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		},
	} {
		answer.Store(a)
		_, err := m.Decode(context.Background(), server.Stream{}, r)
		var dead *Error
		if err == nil || errors.As(err, &dead) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	answer.Store(reply(200, `{"schema":`+quoted(avroV1)+`}`))
	if _, err := m.Decode(context.Background(), server.Stream{}, r); err != nil {
		t.Errorf("after the faults: %v", err)
	}
	answer.Store(reply(503, ``))
	if _, err := m.Decode(context.Background(), server.Stream{}, r); err != nil {
		t.Errorf("a schema that is known: %v", err)
	}
}

func quoted(s string) string { return string(quote([]byte(s))) }

func TestRegistryPassword(t *testing.T) {
	fake := srfake.New(srfake.WithAuth("Basic dXNlcjpzZWNyZXQ=")) // user:secret
	defer fake.Close()
	fake.SeedSchema("s", 1, 1, sr.Schema{Schema: `"string"`})
	file := filepath.Join(t.TempDir(), "password")
	g, err := NewRegistry(RegistrySettings{URL: fake.URL(), Username: "user", PasswordFile: file})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		password string
		ok       bool
	}{{"wrong", false}, {"secret\n", true}} {
		if err := os.WriteFile(file, []byte(x.password), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := g.schema(context.Background(), "1"); (err == nil) != x.ok {
			t.Errorf("%q: %v", x.password, err)
		}
	}
}

func TestRegistrySettings(t *testing.T) {
	for _, x := range []struct {
		s    RegistrySettings
		want string
	}{
		{RegistrySettings{}, ""},
		{RegistrySettings{URL: "http://a:8081,https://b"}, ""},
		{RegistrySettings{URL: "a:8081"}, "url: "},
		{RegistrySettings{URL: "http://u:p@a"}, "url: a password"},
		{RegistrySettings{URL: "http://a", Username: "u"}, "username and password_file"},
		{RegistrySettings{Username: "u", PasswordFile: "f"}, "url is needed"},
	} {
		err := x.s.Validate()
		if (err == nil) != (x.want == "") || err != nil && !strings.HasPrefix(err.Error(), x.want) {
			t.Errorf("%+v: %v", x.s, err)
		}
	}
}

func TestSchemaSettings(t *testing.T) {
	for _, x := range []struct {
		s    Settings
		want string
	}{
		{Settings{Format: Avro, Schema: `{"type":"record"}`}, "schema: "},
		{Settings{Format: Avro, KeySchema: `{`}, "key_schema: "},
		{Settings{Format: JSON, Schema: `"string"`}, "schema: is for the format avro"},
	} {
		x.s.Version = "timestamp"
		if _, err := New(x.s); err == nil || !strings.HasPrefix(err.Error(), x.want) {
			t.Errorf("%+v: got %v, want %s", x.s, err, x.want)
		}
	}
}

// FuzzSchemas checks that whatever follows a schema becomes JSON or an error.
func FuzzSchemas(f *testing.F) {
	schemas := []transcoder{}
	for _, text := range []string{flinkAvro, flinkDebezium, avroV2, `{"type":"record","name":"list","fields":[{"name":"next","type":["null","list"]},{"name":"a","type":{"type":"array","items":"null"}}]}`} {
		s, err := parseAvro(text, nil)
		if err != nil {
			f.Fatal(err)
		}
		schemas = append(schemas, s)
	}
	s, err := parseProtobuf(context.Background(), protoText, []parent{{"common.proto", common}})
	if err != nil {
		f.Fatal(err)
	}
	schemas = append(schemas, s)
	for _, r := range samples(f, "f-avro") {
		f.Add(uint8(0), r.Value)
	}
	f.Add(uint8(4), []byte("\x02\x02"+protoDoc))
	f.Add(uint8(3), []byte("\x02\x02\x00\x04\x00\x04\x00"))
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		raw, err := schemas[int(which)%len(schemas)].transcode(data)
		if err != nil {
			return
		}
		if err := members(raw, func(string, []byte) error { return nil }); err != nil {
			t.Fatalf("%q became %s: %v", data, raw, err)
		}
	})
}

func TestErrorOfTheKey(t *testing.T) {
	m := mappingOf(t, Settings{Format: Avro, Schema: flinkAvroKeyed, KeySchema: flinkAvroKey})
	for key, want := range map[string]bool{"\x80": true, "\x02a": false} {
		_, err := m.Decode(t.Context(), server.Stream{}, record(key, "\x80"))
		var own *Error
		if !errors.As(err, &own) || own.Key != want || own.Reason != Undecodable {
			t.Errorf("key %q: %v, of the key: %t", key, err, own != nil && own.Key)
		}
	}
}

// TestKeyOfNothing names a schema in a key behind which nothing comes.
func TestKeyOfNothing(t *testing.T) {
	g, _ := registryWith(t, map[int]sr.Schema{5: {Schema: `{"type":"object"}`, Type: sr.TypeJSON}})
	for _, format := range []Format{Auto, Avro, Protobuf, JSONSchema} {
		_, err := mappingOf(t, Settings{Registry: g, Format: format, ID: "key"}).Decode(t.Context(), server.Stream{}, &kgo.Record{Key: []byte(inFrame(5, ""))})
		if own, ok := errors.AsType[*Error](err); !ok || own.Reason != NoID {
			t.Errorf("%s: %v", format, err)
		}
	}
}
