package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/klauspost/cpuid/v2"

	"freshet/hnsw/kernels"
)

// machine is what figures depend on.
type machine struct {
	CPU, Flags, Caches, Memory, System, Go string
	Cores                                  int
}

// vectorFlags are the instruction sets that distances are computed with.
var vectorFlags = []cpuid.FeatureID{
	cpuid.AVX2, cpuid.FMA3, cpuid.F16C, cpuid.AVXVNNI, cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512VL,
	cpuid.AVX512VNNI, cpuid.AVX512BF16, cpuid.AVX512VPOPCNTDQ, cpuid.ASIMD, cpuid.ASIMDDP,
}

func thisMachine() machine {
	m := machine{
		CPU: cpuid.CPU.BrandName, Cores: runtime.NumCPU(),
		System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
	}
	if m.CPU == "" {
		m.CPU = "unknown"
	}
	m.CPU += fmt.Sprintf(", family %d model %d", cpuid.CPU.Family, cpuid.CPU.Model)
	var flags []string
	for _, f := range vectorFlags {
		if cpuid.CPU.Has(f) {
			flags = append(flags, f.String())
		}
	}
	m.Flags = strings.Join(flags, " ") + "; Freshet's kernels: " + kernels.Best.String()
	c := cpuid.CPU.Cache
	m.Caches = fmt.Sprintf("L1d %s, L2 %s, L3 %s", kib(c.L1D), kib(c.L2), kib(c.L3))
	m.Memory = "unknown"
	if kib, err := strconv.Atoi(strings.TrimSuffix(field("/proc/meminfo", "MemTotal:"), " kB")); err == nil {
		m.Memory = fmt.Sprintf("%d GiB", (kib+1<<19)>>20)
	}
	if huge, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled"); err == nil {
		_, chosen, _ := strings.Cut(string(huge), "[")
		chosen, _, _ = strings.Cut(chosen, "]")
		m.Memory += "; transparent huge pages: " + chosen
	}
	return m
}

func kib(bytes int) string {
	if bytes < 0 {
		return "unknown"
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}

// field returns what follows a label in a file like those in /proc.
func field(path, label string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), label); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// commit is what the program is built from; the Makefile sets it.
var commit = "unknown"
