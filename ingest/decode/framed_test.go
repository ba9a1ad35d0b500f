package decode

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"freshet/server"
)

// FuzzFramed checks that whatever follows the id of a schema, in a key or a value, becomes
// an operation or a dead letter.
func FuzzFramed(f *testing.F) {
	g, _ := registryWith(f, map[int]sr.Schema{
		1: {Schema: flinkAvro}, 2: {Schema: flinkDebezium}, 3: {Schema: avroV2}, 4: {Schema: flinkAvroKey},
		5: {Schema: `{"type":"object"}`, Type: sr.TypeJSON},
		6: {Schema: `syntax = "proto3"; message Doc { string id = 1; repeated float embedding = 2; map<string, double> m = 3; Doc next = 4; }`, Type: sr.TypeProtobuf},
	})
	mappings := []*Mapping{
		mappingOf(f, Settings{Registry: g}),
		mappingOf(f, Settings{Registry: g, Format: Avro}),
		mappingOf(f, Settings{Registry: g, Format: Protobuf}),
		mappingOf(f, Settings{Registry: g, Format: JSONSchema, ID: "key"}),
	}
	f.Add(uint8(0), uint8(4), []byte("\x02a"), uint8(4), []byte(`{"id":1,"embedding":[1]}`))
	f.Add(uint8(3), uint8(4), []byte(""), uint8(4), []byte(`{"embedding":[1]}`))
	f.Fuzz(func(t *testing.T, which, keySchema uint8, key []byte, valueSchema uint8, value []byte) {
		r := &kgo.Record{Topic: "t", Key: []byte(inFrame(1+keySchema%6, string(key))), Value: []byte(inFrame(1+valueSchema%6, string(value)))}
		d, err := mappings[int(which)%len(mappings)].Decode(context.Background(), server.Stream{}, r)
		verifyDecoded(t, d, err)
	})
}
