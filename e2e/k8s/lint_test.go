package k8s

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// run a linter on files of the repository.
func lint(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if _, err := output(cmd); err != nil {
		t.Error(err)
	}
}

// TestWorkflows needs shellcheck, by which actionlint judges the scripts of steps.
func TestWorkflows(t *testing.T) {
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Fatal(err)
	}
	workflows := glob(t, "../.github/workflows/*.yml")
	lint(t, tool("actionlint", workflows...))
	wrong := filepath.Join(t.TempDir(), "wrong.yml")
	if err := os.WriteFile(wrong, []byte("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'rm $HOME/$x'}]}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := output(tool("actionlint", wrong)); err == nil || !strings.Contains(err.Error(), "shellcheck") {
		t.Errorf("an unquoted variable in a step: %v", err)
	}
}

func TestDockerfiles(t *testing.T) {
	lint(t, exec.Command(python("hadolint"), append([]string{"--failure-threshold", "style"}, glob(t, "../Dockerfile", "flink/Dockerfile")...)...))
}

func TestScripts(t *testing.T) {
	lint(t, exec.Command("shellcheck", glob(t, "*.sh", "../e2e/*.sh", "../.ci/run", "../bench/*.sh", "../hnsw/*.sh", "../examples/*/*.sh", "../e2e/*/*.sh", "../e2e/k8s/*/*.sh")...))
}

func glob(t *testing.T, patterns ...string) []string {
	t.Helper()
	var list []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		list = append(list, found...)
	}
	return list
}
