//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// doctor runs it with the configuration of a server, and returns what it said and whether
// there is a problem.
func doctor(f *freshet, what ...string) (said string, err error) {
	cmd := exec.Command(binary, slices.Concat([]string{"doctor"}, what, f.args[1:])...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// examineFolder has the doctor look at the folder that a killed server has left, at its
// brokers, and at the folder again with one byte changed.
func examineFolder(t *testing.T, f *freshet) {
	t.Helper()
	if said, err := doctor(f); err != nil {
		t.Errorf("the doctor has found a problem: %v\n%s", err, said)
	}
	table := largestTable(t, f.args[slices.Index(f.args, "--data")+1])
	raw, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(table, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := doctor(f, "folder")
	if err == nil || !strings.Contains(said, filepath.Base(table)) {
		t.Errorf("%s is damaged, and the doctor says: %v\n%s", table, err, said)
	}
}

// largestTable returns the path of the largest of the store's tables.
func largestTable(t *testing.T, data string) string {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(data, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	largest, size := "", int64(0)
	for _, name := range tables {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > size {
			largest, size = name, info.Size()
		}
	}
	if largest == "" {
		t.Fatalf("there are no tables in %s", data)
	}
	return largest
}
