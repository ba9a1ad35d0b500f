package decode

import (
	"errors"
	"strings"
	"testing"

	"freshet/server"
)

func TestRoute(t *testing.T) {
	const unknown = string(UnknownCollection)
	for _, test := range []struct {
		route      string
		format     Format
		key, value string
		want       string // the collection, or the reason of a dead letter
	}{
		{"${topic}", Auto, none, `{"id":1,"embedding":[1]}`, "t"},
		{"a-${topic}-${field:n}-z", Auto, none, `{"id":1,"embedding":[1],"n":7}`, "a-t-7-z"},
		{"${field:tenant}", JSON, none, `{"id":1,"embedding":[1],"tenant":"acme"}`, "acme"},
		{"${field:tenant}", JSON, none, `{"tenant":"a\u0062","id":1,"embedding":[1]}`, "ab"},
		{"${field:tenant}", Auto, `{"id":1,"tenant":"k"}`, none, "k"}, // a delete
		{"${field:tenant}", Auto, `{"id":1,"tenant":"k"}`, `{"embedding":[1],"tenant":"v"}`, "v"},
		{"${field:tenant}", Auto, "1", none, unknown},
		{"${field:tenant}", Debezium, none, `{"op":"d","before":{"id":1,"tenant":"acme"},"after":null}`, "acme"},
		{"${field:db}", Debezium, none, `{"op":"c","db":"x","before":null,"after":{"id":1,"embedding":[1]}}`, "x"},
		{"${field:collection_name}", Qdrant, none, `{"collection_name":"q","id":1,"vector":[1]}`, "q"},
		{"${field:tenant}", OpenSearch, none, `{"_id":"1","_source":{"embedding":[1],"tenant":"acme"}}`, "acme"},
		{"${topic}", Float32, "1", "\x00\x00\x80\x3f", "t"},
		{"${field:tenant}", Float32, "1", "\x00\x00\x80\x3f", unknown},
		{"${field:tenant}", JSON, none, `{"id":1,"embedding":[1]}`, unknown},
		{"${field:tenant}", JSON, none, `{"id":1,"embedding":[1],"tenant":null}`, unknown},
		{"${field:tenant}", JSON, none, `{"id":1,"embedding":[1],"tenant":""}`, unknown},
		{"${field:tenant}", JSON, none, `{"id":1,"embedding":[1],"tenant":1.5}`, unknown},
		{"${field:tenant}", JSON, none, `{"id":1,"embedding":[1],"tenant":true}`, unknown},
		{"${field:tenant}", JSON, none, `{"id":1,"embedding":[1],"tenant":["a"]}`, unknown},
		{"${field:tenant}", JSON, none, `{"id":1,"embedding":[1],"tenant":"../../etc/passwd"}`, unknown},
		{"${field:tenant}", JSON, none, `{"id":1,"embedding":[1],"tenant":".."}`, unknown},
		{"${field:tenant}", JSON, none, `{"id":1,"embedding":[1],"tenant":"a\u0000b"}`, unknown},
		{"${field:tenant}", JSON, none, `{"id":1,"embedding":[1],"tenant":"a\nb"}`, unknown},
		{"${field:tenant}", JSON, none, `{"id":1,"embedding":[1],"tenant":"a\u202eb"}`, unknown},
		{"${field:tenant}", JSON, none, `{"id":1,"embedding":[1],"tenant":"` + strings.Repeat("x", 256) + `"}`, unknown},
		{"${field:tenant}", JSON, none, `{"id":1,"embedding":[1],"tenant":"` + strings.Repeat("x", 255) + `"}`, strings.Repeat("x", 255)},
	} {
		m := mappingOf(t, Settings{Format: test.format, Route: test.route, Payload: Payload{Exclude: []string{"tenant"}}})
		d, err := m.Decode(t.Context(), server.Stream{}, record(test.key, test.value))
		got := d.Collection
		var bad *Error
		if errors.As(err, &bad) {
			got = string(bad.Reason)
		}
		if got != test.want {
			t.Errorf("%s of %s %s: %s, %v", test.route, test.key, test.value, got, err)
		}
		if err == nil && len(d.Op.Points) > 0 && strings.Contains(string(d.Op.Points[0].Payload), "tenant") {
			t.Errorf("the payload is %s", d.Op.Points[0].Payload)
		}
	}
}

// FuzzRoute makes names of anything: none that a collection cannot have.
func FuzzRoute(f *testing.F) {
	f.Add("${field:a}", `{"id":1,"embedding":[1],"a":"../b"}`)
	f.Add("x${topic}${field:a}", `{"id":1,"embedding":[1],"a":-5}`)
	f.Fuzz(func(t *testing.T, route, value string) {
		m, err := New(Settings{Format: JSON, Route: route, Version: "timestamp"})
		if err != nil || route == "" {
			return
		}
		d, err := m.Decode(t.Context(), server.Stream{}, record("k", value))
		if err == nil && (d.Collection == "" || len(d.Collection) > 255 || strings.ContainsAny(d.Collection, "/\\\x00\n") || d.Collection == "..") {
			t.Errorf("%q of %q is %q", route, value, d.Collection)
		}
	})
}
