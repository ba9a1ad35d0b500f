//go:build e2e

package e2e

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// TestFlinkPipeline runs examples/flink/run.sh: kafka-python, Apache Kafka, Flink
// SQL with a model, Freshet. The script itself fails unless every record can be
// found by what it says; the test looks at the table of latencies.
func TestFlinkPipeline(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, filepath.Join(root, "examples/flink/run.sh"), "80", "8")
	run.Cancel = func() error { return run.Process.Signal(syscall.SIGTERM) } // it ends what it has started
	run.WaitDelay = 10 * time.Second
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, line := range []string{`80 records in .* 81 points`, `inference.* 50`, `transit.* 15.*`, `index.* 20`, `total.* 85`} {
		if !regexp.MustCompile(`(?m)^` + line + `$`).Match(out) {
			t.Errorf("there is no line %s in\n%s", line, out)
		}
	}
	t.Logf("\n%s", out)
}
