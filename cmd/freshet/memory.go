package main

import (
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"runtime/debug"

	"freshet/ingest"
	"freshet/server"
	"freshet/server/memory"
)

type memoryConfig struct {
	// Limit is how much memory the process may take; 0: what its control groups allow,
	// and the machine has.
	Limit ingest.Bytes `yaml:"limit"`
}

// leastLimit is with less than which the store alone does not get along, in bytes.
const leastLimit = 128 << 20

func (m *memoryConfig) validate() error {
	if m.Limit != 0 && m.Limit < leastLimit {
		return fmt.Errorf("memory.limit: %d is neither 0 nor at least %dMiB", m.Limit, leastLimit>>20)
	}
	return nil
}

// examineLimit tells what the process may take.
func examineLimit(report server.Report, limit memory.Limit, err error) {
	const what = "memory limit"
	switch text := bytesText(uint64(limit.Bytes)); {
	case err != nil:
		report.Warn(what, "set memory.limit", "it cannot be found out: %v", err)
	case limit.Bytes < leastMemory:
		report.Warn(what, "raise it: docs/operations.md has what collections take", "%s by %s, less than %s", text, limit.Source, bytesText(leastMemory))
	default:
		report.Fine(what, "%s by %s", text, limit.Source)
	}
}

// limit returns what the configuration says, else the variable of the Go runtime, else the
// system.
func (m *memoryConfig) limit(system fs.FS) (memory.Limit, error) {
	if m.Limit != 0 {
		return memory.Limit{Bytes: int64(m.Limit), Source: "memory.limit"}, nil
	}
	if n := debug.SetMemoryLimit(-1); os.Getenv("GOMEMLIMIT") != "" && n != math.MaxInt64 {
		return memory.Limit{Bytes: n, Source: "GOMEMLIMIT"}, nil
	}
	return memory.FindLimit(system)
}

// guard returns what keeps the process below its limit; nil if that is not known.
func (m *memoryConfig) guard(log *slog.Logger) *memory.Guard {
	limit, err := m.limit(os.DirFS("/"))
	if err != nil {
		log.Warn("the limit of memory cannot be found out; memory.limit sets one", "err", err)
	}
	if limit.Bytes == 0 {
		return nil
	}
	log.Debug("memory", "limit", bytesText(uint64(limit.Bytes)), "by", limit.Source)
	return memory.NewGuard(limit.Bytes, log)
}
