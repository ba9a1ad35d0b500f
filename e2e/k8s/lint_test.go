package k8s

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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

// TestDockerfilesCopyWhatIsSent checks that no file a Dockerfile names is kept from the builder.
func TestDockerfilesCopyWhatIsSent(t *testing.T) {
	raw, err := os.ReadFile("../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	ignored := strings.Fields(string(raw)) // folders, and what of them is sent nevertheless
	checked := 0
	for _, path := range glob(t, "../Dockerfile", "flink/Dockerfile") {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			words := strings.Fields(line)
			if len(words) < 3 || words[0] != "COPY" || strings.HasPrefix(words[1], "--from") {
				continue
			}
			for _, source := range words[1 : len(words)-1] {
				checked++
				folder, _, _ := strings.Cut(source, "/")
				if slices.Contains(ignored, folder) && !slices.Contains(ignored, "!"+source) {
					t.Errorf("%s: .dockerignore has %s", path, source)
				}
			}
		}
	}
	if checked < 5 {
		t.Errorf("%d files", checked)
	}
}

// TestActionsArePinned demands of each action the hash of a commit: what a tag is of can change.
func TestActionsArePinned(t *testing.T) {
	uses := regexp.MustCompile(`uses: (.*)`)
	pinned := regexp.MustCompile(`@[0-9a-f]{40} # v[0-9.]+$`)
	for _, path := range glob(t, "../.github/workflows/*.yml") {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, use := range uses.FindAllStringSubmatch(string(raw), -1) {
			if !pinned.MatchString(use[1]) {
				t.Errorf("%s: %s", path, use[1])
			}
		}
	}
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
