package main

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"freshet/hnsw/kernels"
	"freshet/server"
	"freshet/server/memory"
)

// TestDoctor checks status and output for a folder before and after it is damaged.
func TestDoctor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(dir, os.DirFS("../../server/testdata/folders/5")); err != nil {
		t.Fatal(err)
	}
	type answer struct {
		Healthy  bool
		Findings []diagnosis
	}
	ask := func(code int) answer {
		t.Helper()
		out, err := run(t, "doctor", "--data", dir, "--json")
		var a answer
		if errJSON := json.Unmarshal([]byte(out), &a); errJSON != nil || err == nil != (code == 0) || err != nil && exitCode(err) != code {
			t.Fatalf("%v, %v\n%s", err, errJSON, out)
		}
		return a
	}
	a := ask(0)
	parts := map[string]bool{}
	for _, f := range a.Findings {
		parts[f.Part] = true
	}
	if !a.Healthy || len(parts) != len(doctorParts) {
		t.Errorf("a healthy folder: %+v", a)
	}
	if out, err := run(t, "doctor", "machine", "--data", dir); err != nil || !strings.Contains(out, "processor: ") || strings.Contains(out, "tables") {
		t.Errorf("only the machine: %v\n%s", err, out)
	}

	table := filepath.Join(dir, "000005.sst")
	raw, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(table, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	a = ask(1)
	if f := a.Findings[0]; a.Healthy || f.Level != server.Problem || f.What != "000005.sst" || f.Advice == "" {
		t.Errorf("a damaged folder: %+v", a)
	}
	out, err := run(t, "doctor", "folder", "--data", dir)
	if err == nil || !strings.HasPrefix(out, "problem  000005.sst: the table is damaged") || !strings.Contains(out, "\n         → ") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := run(t, "doctor", "machin", "--data", dir); err == nil || exitCode(err) != 2 || !strings.Contains(err.Error(), "did you mean machine?") {
		t.Errorf("an unknown part: %v", err)
	}
}

// TestExamineMachine checks what is said of machines other than this.
func TestExamineMachine(t *testing.T) {
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	storage := &storageConfig{HighWatermark: 95, Reserve: 64 << 20}
	for _, x := range []struct {
		name    string
		examine func(server.Report)
		level   string
		text    string
	}{
		{"plain kernels", func(r server.Report) { examineProcessor(r, kernels.Plain) }, "warning", "plain Go"},
		{"AVX2", func(r server.Report) { examineProcessor(r, kernels.AVX2) }, "ok", "avx2"},
		{"memory", func(r server.Report) { examineMemory(r, file("MemTotal: 4194304 kB\nMemAvailable:  2097152 kB\n")) }, "ok", "2.0 GiB of 4.0 GiB"},
		{"little memory", func(r server.Report) { examineMemory(r, file("MemTotal: 4194304 kB\nMemAvailable: 102400 kB\n")) }, "warning", "100.0 MiB of 4.0 GiB are available"},
		{"unknown memory", func(r server.Report) { examineMemory(r, file("MemTotal: 4194304 kB\n")) }, "warning", "has no MemAvailable"},
		{"limit", func(r server.Report) { examineLimit(r, memory.Limit{Bytes: 4 << 30, Source: "the file"}, nil) }, "ok", "4.0 GiB by the file"},
		{"low limit", func(r server.Report) { examineLimit(r, memory.Limit{Bytes: 300 << 20, Source: "the file"}, nil) }, "warning", "300.0 MiB by the file, less than 512.0 MiB"},
		{"unknown limit", func(r server.Report) { examineLimit(r, memory.Limit{}, errors.New("the file is odd")) }, "warning", "the file is odd"},
		{"odd memory", func(r server.Report) { examineMemory(r, file("MemTotal: much\nMemAvailable: 1 kB\n")) }, "warning", "MemTotal"},
		{"huge pages", func(r server.Report) { examineHugePages(r, file("always [madvise] never\n")) }, "ok", "[madvise]"},
		{"no huge pages", func(r server.Report) { examineHugePages(r, file("always madvise [never]\n")) }, "warning", "they are off"},
		{"a kernel without", func(r server.Report) { examineHugePages(r, file("")+"x") }, "warning", "the kernel has none"},
		{"disk", func(r server.Report) { judgeDisk(storage, r, 80<<30, 20<<30) }, "ok", "80.0 % are in use, 20.0 GiB are left"},
		{"nearly full", func(r server.Report) { judgeDisk(storage, r, 90<<30, 10<<30) }, "warning", "90.0 %"},
		{"full", func(r server.Report) { judgeDisk(storage, r, 95<<30, 5<<30) }, "problem", "a server refuses writes"},
		{"no room for the reserve", func(r server.Report) { judgeDisk(storage, r, 100<<20, 10<<20) }, "problem", "less than the reserve"},
	} {
		var found []server.Finding
		x.examine(func(f server.Finding) { found = append(found, f) })
		if len(found) != 1 || string(found[0].Level) != x.level || !strings.Contains(found[0].Text, x.text) {
			t.Errorf("%s: %+v", x.name, found)
		}
	}
}

func TestMostConnections(t *testing.T) {
	for _, x := range []struct {
		memory int64
		files  uint64
		want   int
	}{
		{0, 0, 4096},
		{0, 1024, 512},
		{512 << 20, 1 << 20, 1024},
		{64 << 30, 1 << 20, 131072},
		{64 << 30, 1024, 512},
		{64 << 30, math.MaxUint64, 131072},
		{1 << 20, 1 << 20, 16},
		{64 << 30, 8, 16},
	} {
		if got := mostConnections(x.memory, x.files); got != x.want {
			t.Errorf("%d bytes, %d files: %d, want %d", x.memory, x.files, got, x.want)
		}
	}
}
