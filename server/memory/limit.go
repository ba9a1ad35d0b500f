package memory

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Limit is how much memory the process may take.
type Limit struct {
	Bytes  int64
	Source string // who says so
}

// FindLimit returns the lowest of the limits of the process's control groups, of version 1
// and 2, and the memory of the machine. system is the root of the file system.
func FindLimit(system fs.FS) (Limit, error) {
	machine, err := machineMemory(system)
	if err != nil {
		return Limit{}, err
	}
	lowest := Limit{machine, "the memory of the machine"}
	files, err := groupFiles(system)
	if err != nil {
		return lowest, fmt.Errorf("limits of control groups: %w", err)
	}
	for _, file := range files {
		raw, err := fs.ReadFile(system, file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the root of version 2 has none
		}
		if err != nil {
			return lowest, err
		}
		text := strings.TrimSpace(string(raw))
		if text == "max" {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			return lowest, fmt.Errorf("/%s: %w", file, err)
		}
		if int64(n) < lowest.Bytes {
			lowest = Limit{int64(n), "/" + file}
		}
	}
	return lowest, nil
}

// machineMemory reads the first field of /proc/meminfo.
func machineMemory(system fs.FS) (int64, error) {
	const file = "proc/meminfo"
	raw, err := fs.ReadFile(system, file)
	if err != nil {
		return 0, err
	}
	n, err := Field(raw, "MemTotal")
	if err != nil {
		return 0, fmt.Errorf("/%s: %w", file, err)
	}
	return n, nil
}

// Field returns a field of a file in the form of /proc/meminfo, in bytes.
func Field(raw []byte, name string) (int64, error) {
	for line := range bytes.Lines(raw) {
		rest, ok := bytes.CutPrefix(line, []byte(name+":"))
		if !ok {
			continue
		}
		value, _ := bytes.CutSuffix(bytes.TrimSpace(rest), []byte(" kB"))
		n, err := strconv.ParseInt(string(value), 10, 53)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		return n << 10, nil
	}
	return 0, fmt.Errorf("it has no %s", name)
}

// groupFiles lists the files that may limit the process: those of its group and of all
// above it that are to be seen.
func groupFiles(system fs.FS) ([]string, error) {
	raw, err := fs.ReadFile(system, "proc/self/cgroup")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no Linux, or without control groups
	}
	if err != nil {
		return nil, err
	}
	var one, two string // the group in each version
	for line := range bytes.Lines(raw) {
		// hierarchy:controllers:path
		parts := strings.SplitN(strings.TrimSuffix(string(line), "\n"), ":", 3)
		switch {
		case len(parts) < 3:
		case parts[1] == "" && parts[0] == "0":
			two = parts[2]
		case has(parts[1], "memory"):
			one = parts[2]
		}
	}
	mounts, err := fs.ReadFile(system, "proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var files []string
	lines := bufio.NewScanner(bytes.NewReader(mounts))
	for lines.Scan() {
		// id parent device root mountpoint options … - type source superoptions
		before, after, _ := strings.Cut(lines.Text(), " - ")
		place, kind := strings.Fields(before), strings.Fields(after)
		if len(place) < 5 || len(kind) < 3 {
			continue
		}
		switch {
		case kind[0] == "cgroup2" && two != "":
			files = appendUpwards(files, place[3], place[4], two, "memory.max", "memory.high")
		case kind[0] == "cgroup" && one != "" && has(kind[2], "memory"):
			files = appendUpwards(files, place[3], place[4], one, "memory.limit_in_bytes")
		}
	}
	return files, lines.Err()
}

func has(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// appendUpwards adds files of a group and of those above it, up to the one that is mounted.
// In a container the group's path can be one of the host, of which less is mounted.
func appendUpwards(files []string, root, mount, group string, names ...string) []string {
	inside, ok := strings.CutPrefix(group, strings.TrimSuffix(root, "/"))
	if !ok || inside != "" && inside[0] != '/' {
		inside = "/"
	}
	for at := path.Clean("/" + inside); ; at = path.Dir(at) {
		for _, name := range names {
			files = append(files, strings.TrimPrefix(path.Join(mount, at, name), "/"))
		}
		if at == "/" {
			return files
		}
	}
}
