//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestClients runs the tests of each client of the REST API, which are written
// with the client's own means.
func TestClients(t *testing.T) {
	t.Parallel()
	f := startFreshet(t, "")
	venv := filepath.Join(root, ".cache", "python-clients", "bin", "python")
	for _, x := range []struct {
		name    string
		command []string
	}{
		{"qdrant-client", []string{venv, "-m", "pytest", "clients/test_qdrant_client.py"}},
		{"langchain-qdrant", []string{venv, "-m", "pytest", "clients/test_langchain.py"}},
		{"llama-index-vector-stores-qdrant", []string{venv, "-m", "pytest", "clients/test_llama_index.py"}},
		{"pyarrow", []string{venv, "-m", "pytest", "clients/test_arrow.py"}},
		{"js-client-rest", []string{"node", "--test", "clients/js/client.cjs"}},
	} {
		t.Run(x.name, func(t *testing.T) { runClient(t, f.url, x.command) })
	}
	if strings.Contains(f.log.String(), "level=ERROR") {
		t.Errorf("an error was logged:\n%s", f.log)
	}
}

// runClient runs a program that finds the server in its environment.
func runClient(t *testing.T, url string, command []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "FRESHET_URL="+url, "NODE_PATH="+filepath.Join(root, ".cache", "js", "node_modules"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if lines := strings.Split(strings.TrimSpace(string(out)), "\n"); err == nil {
		t.Log(lines[len(lines)-1])
	}
}
