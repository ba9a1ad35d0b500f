package settings_test

import (
	"testing"

	"freshet/ingest/settings"
)

func TestNearest(t *testing.T) {
	known := []string{"id", "format", "topics", "topics.regex"}
	for name, want := range map[string]string{
		"formt": "; did you mean format?", "Topics": "; did you mean topics?", "topic.regex": "; did you mean topics.regex?",
		"": "", "something else": "",
	} {
		if got := settings.Nearest(name, known); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
