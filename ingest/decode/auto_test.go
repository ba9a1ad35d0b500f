package decode

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"freshet/server"
)

func TestAuto(t *testing.T) {
	for value, want := range map[string]Format{
		`{"id":"doc-0","embedding":[36.0,0.25]}`:                               JSON,
		`{"id":1,"embedding":[1],"op":"walk"}`:                                 JSON,
		`{"id":1,"embedding":[1],"op":"walk","after":"noon"}`:                  Debezium, // bad_operation: it says so
		`{"id":1,"embedding":[1],"schema":"s","payload":{"op":"c"}}`:           JSON,
		`{"schema":null,"payload":{"op":"x"}}`:                                 JSON,
		`{"id":1,"vector":[1],"text":"\"collection_name\""}`:                   JSON,
		`{"id":1,"vector":[1],"x":{"collection_name":"c"}}`:                    JSON,
		` {"op":"c","after":{"id":1,"embedding":[1]}}`:                         Debezium,
		`{"schema":{},"payload":{"op":"d","before":{"id":1},"after":null}}`:    Debezium,
		`{"schema":{},"payload":{"id":1,"embedding":[1],"__deleted":"false"}}`: Debezium,
		`{"id":1,"embedding":[1],"__deleted":"false"}`:                         Debezium,
		`{"collection_name":"c","id":1,"vector":{"a":[1]}}`:                    Qdrant,
		`{"_id":"1","_op_type":"delete"}`:                                      OpenSearch,
		`{"_id":"1","_source":{"embedding":[1]}}`:                              OpenSearch,
		packed(0.1, -0.2, 0, 0.5, 1e-9, 3, 4, 5):                               Float32,
		packed(0.1, -0.2, 0, 0.5, 1e-9, 3, 4):                                  JSON, // too short to be sure
		packed(0.1, -0.2, 0, 0.5, 1e-9, 3, 4, float32(math.NaN())):             JSON,
		packed(0.1, -0.2, 0, 0.5, 1e-9, 3, 4, 1e30):                            JSON,
		`thirty-two bytes of plain text ..`[:32]:                               JSON,
		``:                                                                     JSON,
		`[1]`:                                                                  JSON,
		`{"op"`:                                                                JSON,
		"\x00\x01\x02":                                                         JSON,
	} {
		d, err := mappingOf(t, Settings{Collection: "c"}).Decode(context.Background(), server.Stream{}, record("k", value))
		if d.Format != want {
			t.Errorf("%q: got %s, want %s (%v)", value, d.Format, want, err)
		}
	}
}

// TestAutoIsAsGoodAsToBeTold checks that what auto detects is read as by the
// format itself.
func TestAutoIsAsGoodAsToBeTold(t *testing.T) {
	for format, value := range map[Format]string{
		Debezium:   `{"schema":{},"payload":{"op":"c","before":null,"after":{"id":1,"embedding":[1]}}}`,
		Qdrant:     `{"collection_name":"c","id":1,"vector":{"a":[1]},"payload":{"x":1}}`,
		OpenSearch: `{"_id":"1","_op_type":"create","_source":{"id":3,"embedding":[1]}}`,
		Float32:    packed(slices.Repeat([]float32{0.125, 2, -3}, 4)...),
	} {
		r := record("k", value)
		told, err := mappingOf(t, Settings{Format: format, Collection: "c"}).Decode(context.Background(), server.Stream{}, r)
		if err != nil {
			t.Fatal(err)
		}
		found, err := mappingOf(t, Settings{Collection: "c"}).Decode(context.Background(), server.Stream{}, r)
		if err != nil || found.Format != format || summary(found.Op) != summary(told.Op) {
			t.Errorf("%s: got %s, want %s (%v)", format, summary(found.Op), summary(told.Op), err)
		}
	}
}

// TestFloatsAmongTexts has a vector where all vectors are made of texts.
func TestFloatsAmongTexts(t *testing.T) {
	for _, format := range []Format{Auto, Float32} {
		m := mappingOf(t, Settings{Format: format, Embedded: true})
		_, err := m.Decode(t.Context(), server.Stream{}, record("k", packed(slices.Repeat([]float32{0.125, 2}, 8)...)))
		if own, ok := errors.AsType[*Error](err); !ok || own.Reason != Undecodable {
			t.Errorf("%s: %v", format, err)
		}
	}
}
