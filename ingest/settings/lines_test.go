package settings_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"freshet/ingest/settings"
)

func TestLines(t *testing.T) {
	for raw, want := range map[string]map[string]int{
		"":                 nil,
		"# nothing\n---\n": nil,
		"a: 1\nb:\n  c.d: 2\n  e: {f: 3,\n    g: 4}\n": {"a": 1, "b": 2, "b.c.d": 3, "b.e": 4, "b.e.f": 4, "b.e.g": 5},
		"a:\n- 1\n-\n  b: 2\n":                         {"a": 1, "a[0]": 2, "a[1]": 4, "a[1].b": 4},
		"a: &x\n  b: 1\nc: *x\nd:\n  <<: *x\n  e: 2\n": {"a": 1, "a.b": 2, "c": 3, "c.b": 2, "d": 4, "d.b": 2, "d.e": 6},
		"{\"a\":\n[\"x\"]}":                            {"a": 1, "a[0]": 2},
	} {
		got, err := settings.Lines([]byte(raw))
		if err != nil {
			t.Errorf("%q: %v", raw, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got)\n%s", raw, diff)
		}
	}
}

func TestUnknownNamesComeWithTheKnown(t *testing.T) {
	for raw, want := range map[string][]string{
		"inner: {itn: 1}":    {"int", "small", "unsig", "float"},
		"map: {x: {itn: 1}}": {"int", "small", "unsig", "float"},
		"boool: true":        {"a.b", "bool", "text", "list", "inner", "pointer", "many", "map", "wait", "size"},
	} {
		var into outer
		var wrong *settings.Error
		if err := settings.Read([]byte(raw), &into); !errors.As(err, &wrong) || !cmp.Equal(want, wrong.Known) {
			t.Errorf("%q: %v, known %v", raw, err, wrong)
		}
	}
}
