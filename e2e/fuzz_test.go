//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

// TestDocument sends requests made up from the API's document. More of them, with
// another seed: make fuzz-api.
func TestDocument(t *testing.T) {
	t.Parallel()
	f := startFreshet(t, "")
	runClient(t, f.url, []string{"fuzz/run.sh", f.url, "5", "1"})
	if strings.Contains(f.log.String(), "level=ERROR") {
		t.Errorf("an error was logged:\n%s", f.log)
	}
}
