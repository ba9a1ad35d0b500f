package decode

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestDecodeOperation(t *testing.T) {
	by := func(format Format, from string) Settings {
		return Settings{Format: format, Collection: "c", Operation: &Operation{From: from, Delete: []string{"d", "true", "1"}, Upsert: []string{"c", "false", ""}}}
	}
	inValue, inHeader := by(Auto, "value.op"), by(Auto, "header.op")
	missing := by(Auto, "header.none")
	missing.Operation.Upsert = []string{"c"}
	float := by(Float32, "header.op")
	float.ID = "key"
	runDecode(t, []decodeCase{
		{"upsert", inValue, none, `{"id":1,"op":"c","vector":[1]}`, `{"id":1,"payload":{"op":"c"},"vectors":{"":[1]}}`},
		{"delete", inValue, none, `{"id":1,"op":"d"}`, `{"delete":[1]}`},
		{"a vector that does not count", inValue, none, `{"id":1,"vector":[null],"embedding":[],"op":"d"}`, `{"delete":[1]}`},
		{"a boolean", inValue, none, `{"id":1,"op":true}`, `{"delete":[1]}`},
		{"a number", inValue, none, `{"id":1,"op":1}`, `{"delete":[1]}`},
		{"the other boolean", inValue, none, `{"id":1,"op":false,"vector":[1]}`, `{"id":1,"payload":{"op":false},"vectors":{"":[1]}}`},
		{"left out", inValue, none, `{"id":1,"vector":[1]}`, `{"id":1,"vectors":{"":[1]}}`},
		{"null", inValue, none, `{"id":1,"op":null,"vector":[1]}`, `{"id":1,"payload":{"op":null},"vectors":{"":[1]}}`},
		{"empty", inValue, none, `{"id":1,"op":"","vector":[1]}`, `{"id":1,"payload":{"op":""},"vectors":{"":[1]}}`},
		{"the key has the id", inValue, `k`, `{"op":"d"}`, `{"delete":["k"]}`},
		{"null value", inValue, `k`, none, `{"delete":["k"]}`},
		{"header", inHeader, none, `{"id":1,"vector":[1],"op":"c"}`, `{"delete":[1]}`},
		{"upsert-kafka", by(UpsertKafka, "value.op"), `k`, `{"op":"d"}`, `{"delete":["k"]}`},
		{"qdrant", by(Qdrant, "value.op"), none, `{"collection_name":"c","id":1,"vector":[],"op":"d"}`, `{"delete":[1]}`},
		{"floats", float, `k`, "", `{"delete":["k"]}`},
		{"a change event says it itself", inHeader, none, `{"op":"c","after":{"id":1,"vector":[1]}}`, `{"id":1,"vectors":{"":[1]}}`},
		{"another value", inValue, none, `{"id":1,"op":"x","vector":[1]}`, `bad_operation: the field "op" holds "\"x\"", which is not one of "", "1", "c", "d", "false", "true"`},
		{"an object", inValue, none, `{"id":1,"op":{},"vector":[1]}`, `bad_operation: `},
		{"no header", missing, none, `{"id":1,"vector":[1]}`, `bad_operation: the header "none" holds ""`},
		{"no object", inValue, none, `[1]`, `undecodable: `},
		{"no id", inValue, none, `{"op":"d"}`, `no_id: `},
	}, kgo.RecordHeader{Key: "op", Value: []byte("d")})
}

func TestBadOperationSettings(t *testing.T) {
	d, c := []string{"d"}, []string{"c"}
	for field, s := range map[string]Settings{
		"operation.from":   {Operation: &Operation{From: "key.op", Delete: d, Upsert: c}},
		"operation":        {Operation: &Operation{From: "value.op", Delete: d, Upsert: c}, Format: Debezium},
		"operation.delete": {Operation: &Operation{From: "value.op", Upsert: c}},
		"operation.upsert": {Operation: &Operation{From: "value.op", Delete: d, Upsert: []string{"c", "d"}}},
	} {
		s.Version = "timestamp"
		if s.Format == "" {
			s.Format = Auto
		}
		var wrong *FieldError
		if _, err := New(s); !errors.As(err, &wrong) || wrong.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	var wrong *FieldError
	if _, err := New(Settings{Format: Float32, Version: "timestamp", Operation: &Operation{From: "value.op", Delete: d, Upsert: c}}); !errors.As(err, &wrong) {
		t.Error(err)
	}
}
