package settings_test

import (
	"errors"
	"testing"

	"freshet/ingest/settings"
)

// TestOneDocument checks that nothing behind the first document is passed over.
func TestOneDocument(t *testing.T) {
	for raw, line := range map[string]int{
		"text: a\n---\ntext: b\n":                 3,
		"---\ntext: a\n---\n---\nbool: true":      5,
		"---\n---\ntext: a\n":                     3,
		"text: a\n...\nbool: true":                3,
		"# one\ntext: a\n# two\n---\n# three\n{}": 6,
		"{\"text\":\"a\"}\n--- {}":                2,
	} {
		var into outer
		var wrong *settings.Error
		if err := settings.Read([]byte(raw), &into); !errors.As(err, &wrong) || wrong.Line != line {
			t.Errorf("%q: %v, line %+v, want line %d", raw, err, wrong, line)
		}
	}
	for _, raw := range []string{"---\ntext: a\n", "text: a\n---\n", "text: a\n...\n", "# begin\n---\ntext: a\n---\n# end", "text: |\n  ---\n  a\n", "text: '---'"} {
		var into outer
		if err := settings.Read([]byte(raw), &into); err != nil || into.Text == "" {
			t.Errorf("%q: %v, %+v", raw, err, into)
		}
	}
}
