//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestQdrantClient runs the quick start of qdrant-client from PyPI.
func TestQdrantClient(t *testing.T) {
	f := startFreshet(t, "")
	out, err := python("clients", "quickstart.py", f.url).CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "ok\n") {
		t.Errorf("%v\n%s", err, out)
	}
	// Its version check is content, and nothing went wrong on this side.
	if strings.Contains(strings.ToLower(string(out)), "warn") {
		t.Errorf("the client warns:\n%s", out)
	}
	if strings.Contains(f.log.String(), "level=ERROR") {
		t.Error("an error was logged")
	}
}

// TestStartUpErrors checks that what prevents a start is told in one line.
func TestStartUpErrors(t *testing.T) {
	f := startFreshet(t, "")
	data := f.args[4]
	for _, x := range []struct {
		name, want string
		args       []string
	}{
		{"occupied port", "is in use by another process; --listen takes another address", []string{"--data", t.TempDir(), "--listen", strings.TrimPrefix(f.url, "http://")}},
		{"data folder in use", data + ": the data folder is in use by another process", []string{"--data", data, "--listen", "127.0.0.1:0"}},
		{"data folder is a file", "", []string{"--data", filepath.Join(root, "README.md"), "--listen", "127.0.0.1:0"}},
		{"no configuration", "read the configuration: open /nonexistent", []string{"--config", "/nonexistent"}},
	} {
		out, err := exec.Command(binary, append([]string{"serve"}, x.args...)...).CombinedOutput()
		if err == nil || !strings.HasPrefix(string(out), "freshet: ") || !strings.Contains(string(out), x.want) || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%s: %v\n%s", x.name, err, out)
		}
	}
}

// TestBrokerUnreachableAtStart checks that what is there is served, and that
// the log has one line about the broker, not one for each attempt.
func TestBrokerUnreachableAtStart(t *testing.T) {
	f := startFreshet(t, `
kafka: {bootstrap.servers: "127.0.0.1:1"}
sources: [{name: docs, topics: [t], on_create: {auto: true}}]
`)
	eventually(t, timeoutOfTests, func() error {
		if !strings.Contains(f.log.String(), "it keeps trying") {
			return os.ErrNotExist
		}
		return f.call("PUT", "/collections/c", nil, map[string]any{"vectors": map[string]any{"size": 2, "distance": "Dot"}}, nil)
	})
	f.end()
	if n := strings.Count(f.log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings", n)
	}
	if strings.Contains(f.log.String(), "level=ERROR") {
		t.Error("an error was logged")
	}
}
