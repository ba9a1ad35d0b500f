package decode

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/server"
)

func TestDecodeTTL(t *testing.T) {
	const at = 1700000000123
	for _, test := range []struct {
		name  string
		s     Settings
		value string
		want  int64  // milliseconds from the timestamp, 0 for never
		bad   string // what the detail of bad_ttl contains
	}{
		{"none", Settings{}, `{"id":1,"vector":[1],"ttl":5}`, 0, ""},
		{"fixed", Settings{TTL: "24h"}, `{"id":1,"vector":[1]}`, 86_400_000, ""},
		{"fixed, milliseconds", Settings{TTL: "5"}, `{"id":1,"vector":[1]}`, 5, ""},
		{"fixed, other version", Settings{TTL: "1s", Version: "offset"}, `{"id":1,"vector":[1]}`, 1000, ""},
		{"a number", Settings{TTL: "value.ttl"}, `{"id":1,"ttl":5,"vector":[1]}`, 5, ""},
		{"text", Settings{TTL: "value.ttl"}, `{"id":1,"vector":[1],"ttl":"1m30s"}`, 90_000, ""},
		{"digits as text", Settings{TTL: "value.ttl"}, `{"id":1,"vector":[1],"ttl":"7"}`, 7, ""},
		{"null", Settings{TTL: "value.ttl"}, `{"id":1,"vector":[1],"ttl":null}`, 0, ""},
		{"left out", Settings{TTL: "value.ttl"}, `{"id":1,"vector":[1]}`, 0, ""},
		{"header", Settings{TTL: "header.ttl"}, `{"id":1,"vector":[1]}`, 2000, ""},
		{"header in JSON", Settings{TTL: "header.json"}, `{"id":1,"vector":[1]}`, 3000, ""},
		{"no header", Settings{TTL: "header.none"}, `{"id":1,"vector":[1]}`, 0, ""},
		{"empty header", Settings{TTL: "header.empty"}, `{"id":1,"vector":[1]}`, 0, ""},
		{"floats", Settings{Format: Float32, ID: "header.empty", TTL: "header.ttl"}, "\x00\x00\x80\x3f", 2000, ""},
		{"debezium, of the row", Settings{Format: Debezium, TTL: "value.ttl"}, `{"op":"c","after":{"id":1,"vector":[1],"ttl":5}}`, 5, ""},
		{"debezium, beside the row", Settings{Format: Debezium, TTL: "value.ttl"}, `{"op":"c","ttl":6,"after":{"id":1,"vector":[1]}}`, 6, ""},
		{"opensearch", Settings{Format: OpenSearch, TTL: "value.ttl"}, `{"_id":"1","_source":{"vector":[1],"ttl":"1s"}}`, 1000, ""},
		{"qdrant", Settings{Format: Qdrant, Collection: "c", TTL: "value.ttl"}, `{"collection_name":"c","id":1,"vector":[1],"ttl":8}`, 8, ""},
		{"zero", Settings{TTL: "value.ttl"}, `{"id":1,"vector":[1],"ttl":0}`, 0, "not between"},
		{"negative", Settings{TTL: "value.ttl"}, `{"id":1,"vector":[1],"ttl":-1}`, 0, "not between"},
		{"too long", Settings{TTL: "value.ttl"}, `{"id":1,"vector":[1],"ttl":9223372036854775807}`, 0, "not between"},
		{"no duration", Settings{TTL: "value.ttl"}, `{"id":1,"vector":[1],"ttl":"soon"}`, 0, "neither"},
		{"an object", Settings{TTL: "value.ttl"}, `{"id":1,"vector":[1],"ttl":{}}`, 0, "neither"},
		{"a fraction", Settings{TTL: "value.ttl"}, `{"id":1,"vector":[1],"ttl":1.5}`, 0, "neither"},
		{"bad header", Settings{TTL: "header.bad"}, `{"id":1,"vector":[1]}`, 0, "neither"},
	} {
		header := func(key, value string) kgo.RecordHeader { return kgo.RecordHeader{Key: key, Value: []byte(value)} }
		r := record(none, test.value)
		r.Headers = []kgo.RecordHeader{header("ttl", "2s"), header("json", `"3s"`), header("bad", "x"), header("empty", "")}
		if test.s.ID != "" {
			test.s.ID = "header.ttl"
		}
		d, err := mappingOf(t, test.s).Decode(context.Background(), server.Stream{}, r)
		var failed *Error
		switch {
		case test.bad != "":
			if !errors.As(err, &failed) || failed.Reason != BadTTL || !strings.Contains(failed.Detail, test.bad) {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		want := test.want
		if want != 0 {
			want += at
		}
		if got := d.Op.Points[0].Expires; got != want {
			t.Errorf("%s: expires at %d, want %d", test.name, got, want)
		}
	}
	r := record(none, `{"id":1,"vector":[1]}`)
	r.Timestamp = time.UnixMilli(-1)
	var failed *Error
	if _, err := mappingOf(t, Settings{TTL: "1h"}).Decode(context.Background(), server.Stream{}, r); !errors.As(err, &failed) || failed.Reason != BadTTL {
		t.Errorf("without a timestamp: %v", err)
	}
	for _, bad := range []string{"soon", "0s", "-1h", "key", "key.f", "value.", "2000000h"} {
		var wrong *FieldError
		if _, err := New(Settings{Format: Auto, Version: "timestamp", TTL: bad}); !errors.As(err, &wrong) || wrong.Field != "ttl" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
