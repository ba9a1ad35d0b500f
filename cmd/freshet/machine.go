package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"freshet/api"
	"freshet/hnsw/kernels"
	"freshet/server"
	"freshet/server/memory"
)

// What a machine should have.
const (
	leastMemory = 512 << 20 // bytes: what the store takes by itself, and some
	leastFiles  = 4096      // tables that are kept open, and connections
)

const (
	memoryFile    = "/proc/meminfo"
	hugePagesFile = "/sys/kernel/mm/transparent_hugepage/enabled"
)

func examineMachine(c *config, report server.Report) {
	examineProcessor(report, kernels.Best)
	examineMemory(report, memoryFile)
	limit, err := c.Memory.limit(os.DirFS("/"))
	examineLimit(report, limit, err)
	examineHugePages(report, hugePagesFile)
	examineFiles(report)
	examineDisk(c, report)
}

func examineProcessor(report server.Report, level kernels.Level) {
	const what = "processor"
	if level == kernels.Plain {
		report.Warn(what, "a processor with AVX2, better AVX-512 VNNI, makes searches several times faster; a virtual machine has to be told to show it", "%s, %d cores: distances are computed in plain Go", runtime.GOARCH, runtime.GOMAXPROCS(0))
		return
	}
	report.Fine(what, "%s, %d cores: distances are computed with %s", runtime.GOARCH, runtime.GOMAXPROCS(0), level)
}

// examineMemory reads what the system has, of a file in the form of /proc/meminfo.
func examineMemory(report server.Report, file string) {
	const what = "memory"
	var total, available int64
	raw, err := os.ReadFile(file)
	if err == nil {
		total, err = memory.Field(raw, "MemTotal")
	}
	if err == nil {
		available, err = memory.Field(raw, "MemAvailable")
	}
	switch {
	case err != nil:
		report.Warn(what, "look yourself: docs/operations.md has what collections take", "how much there is cannot be found out: %v", err)
	case available < leastMemory:
		report.Warn(what, "end what else runs there, or take a larger machine: docs/operations.md has what collections take", "%s of %s are available, less than %s", bytesText(uint64(available)), bytesText(uint64(total)), bytesText(leastMemory))
	default:
		report.Fine(what, "%s of %s are available", bytesText(uint64(available)), bytesText(uint64(total)))
	}
}

// examineHugePages reads a file that has the setting in force in brackets.
func examineHugePages(report server.Report, file string) {
	const what = "transparent huge pages"
	raw, err := os.ReadFile(file)
	switch text := strings.TrimSpace(string(raw)); {
	case errors.Is(err, fs.ErrNotExist):
		report.Warn(what, "a kernel with them makes searches of large graphs faster", "the kernel has none")
	case err != nil:
		report.Warn(what, "look yourself", "the setting cannot be read: %v", err)
	case strings.Contains(text, "[never]"):
		report.Warn(what, "echo madvise > "+hugePagesFile+" makes searches of large graphs faster", "they are off")
	default:
		report.Fine(what, "%s", text)
	}
}

func examineFiles(report server.Report) {
	const what = "open files"
	switch limit, err := openFiles(); {
	case err != nil:
		report.Warn(what, "look yourself: ulimit -n", "the limit cannot be found out: %v", err)
	case limit < leastFiles:
		report.Warn(what, fmt.Sprintf("raise it to %d or more: ulimit -n, LimitNOFILE= of systemd", leastFiles), "a process may have %d; tables and connections share them", limit)
	default:
		report.Fine(what, "a process may have %d", limit)
	}
}

// openFiles is how many files the process may have open.
func openFiles() (uint64, error) {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return limit.Cur, err
}

// mostConnections is how many connections fit: into an eighth of the memory, if all of
// them send the largest headers, and into half of the files. What is 0 is not known.
func mostConnections(memory int64, files uint64) int {
	const usual, least = 4096, 16
	most := uint64(usual)
	if memory > 0 {
		most = uint64(memory) / 8 / api.MaxHeaders
	}
	if files > 0 {
		most = min(most, files/2)
	}
	return int(max(most, least))
}

// examineDisk looks at the disk of the data folder, or of where that will be made.
func examineDisk(c *config, report server.Report) {
	dir, err := filepath.Abs(c.Data)
	for err == nil && dir != filepath.Dir(dir) {
		if _, missing := os.Stat(dir); missing == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	var disk unix.Statfs_t
	if err == nil {
		err = unix.Statfs(dir, &disk)
	}
	if err != nil {
		report.Warn("disk", "look yourself: df", "how full it is cannot be found out: %v", err)
		return
	}
	block := uint64(disk.Bsize)
	judgeDisk(&c.Storage, report, (disk.Blocks-disk.Bfree)*block, disk.Bavail*block)
}

func judgeDisk(c *storageConfig, report server.Report, used, available uint64) {
	const what, advice = "disk", "remove other files or snapshots, or take a larger disk; storage.high_watermark and storage.reserve say how much is left free"
	percent := server.DiskUsage{Available: available}.Used(used)
	state := fmt.Sprintf("%.1f %% are in use, %s are left, and nothing is written from %g %% on", percent, bytesText(available), c.HighWatermark)
	switch {
	case percent >= c.HighWatermark:
		report.Wrong(what, advice, "%s: a server refuses writes", state)
	case available < uint64(c.Reserve):
		report.Wrong(what, advice, "%s: that is less than the reserve of %s", state, bytesText(uint64(c.Reserve)))
	case percent >= c.HighWatermark-5:
		report.Warn(what, advice, "%s", state)
	default:
		report.Fine(what, "%s", state)
	}
}

// bytesText is a number of bytes for people.
func bytesText(n uint64) string {
	const units = "KMGTPE"
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/(1<<10), 0
	for value >= 1<<10 {
		value /= 1 << 10
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, units[unit])
}
