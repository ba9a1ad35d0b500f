package payload

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// DecodeMembers agrees with Decode on every payload that can be stored.
func FuzzDecodeMembers(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"a":1,"b":2.0,"ab":[1,{"a":null}],"c":"x\u00e9\n"}`, `{"a":1,"a":"last"}`, `{"a":"\ud800","b":1}`, `{"\u0061":18446744073709551616,"ba":-0.0}`,
		`{"a":true,"b":false,"c":null,"aa":{"b":1e999}}`, "{\"a\":\"\xff\"}",
	} {
		f.Add(s)
	}
	want := func(name string) bool { return strings.HasPrefix(name, "a") }
	f.Fuzz(func(t *testing.T, text string) {
		raw, err := Compact([]byte(text))
		if err != nil || raw == nil {
			return
		}
		all, err := Decode(raw)
		some, someErr := DecodeMembers(raw, want)
		if (err == nil) != (someErr == nil) {
			t.Fatalf("%s: %v, all: %v", raw, someErr, err)
		}
		for name := range all {
			if !want(name) {
				delete(all, name)
			}
		}
		if d := cmp.Diff(all, some); d != "" {
			t.Fatalf("%s: %s", raw, d)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	raw := json.RawMessage(`{"key":"deb:libfoo","text":"a library that reads and writes foo, with more words so that it is as long as texts are","source":"deb","section":"libs","len":92,"bucket":42,"tags":["a","b","c"],"loc":{"lon":13.4,"lat":52.5}}`)
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			if _, err := Decode(raw); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("two", func(b *testing.B) {
		for b.Loop() {
			if _, err := DecodeMembers(raw, func(name string) bool { return name == "section" || name == "len" }); err != nil {
				b.Fatal(err)
			}
		}
	})
}
