package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"freshet/cmd/freshet/internal/pipeline"
)

// TestReportIsOpenedFirst gives paths that cannot be written: no broker is asked.
func TestReportIsOpenedFirst(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "none", "report.html"), dir} {
		_, err := run(t, "bench", "--brokers", "127.0.0.1:1", "--dim", "2", "--generate", "10", "--report", path)
		if err == nil || exitCode(err) != 2 || !strings.HasPrefix(err.Error(), "--report: ") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v was left (%v)", left, err)
	}
}

// TestReportTakesItsPlace writes what there is, and leaves an older report if there is nothing.
func TestReportTakesItsPlace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "report.html")
	if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		report pipeline.Report
		want   string
	}{
		{pipeline.Report{Error: "unreachable"}, "before"},
		{pipeline.Report{Error: "interrupted", Backlog: &pipeline.Reading{Records: 5}}, "interrupted"},
	} {
		file, err := openReport(path)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := new(benchOptions).write(&out, file, &x.report); err != nil {
			t.Error(err)
		}
		if got, err := os.ReadFile(path); err != nil || !strings.Contains(string(got), x.want) {
			t.Errorf("%q (%v)", got, err)
		}
		if out.Len() == 0 != x.report.Empty() {
			t.Errorf("printed %q", out.String())
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Errorf("%v is there (%v)", left, err)
		}
	}
}
