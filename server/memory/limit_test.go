package memory

import (
	"strings"
	"testing"
	"testing/fstest"
)

// Files as systems have them, shortened.
const (
	meminfo = "MemTotal:        8000000 kB\nMemFree:          100 kB\n"
	mounts2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
	mounts1 = "33 32 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n34 32 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
	ofV1    = "9:name=systemd:/\n4:cpu,memory:/docker/abc\n3:cpuset:/\n0::/\n"
	none    = "9223372036854771712\n"
)

func TestFindLimit(t *testing.T) {
	const machine = "the memory of the machine"
	for _, x := range []struct {
		name          string
		group, mounts string
		files         map[string]string
		want          int64
		source        string
	}{
		{"no control groups", "", "", nil, 8000000 << 10, machine},
		{
			"version 2 in its own namespace", "0::/\n", mounts2,
			map[string]string{"sys/fs/cgroup/memory.max": "536870912\n"},
			512 << 20, "/sys/fs/cgroup/memory.max",
		},
		{
			"version 2, a limit of a group above", "0::/kube.slice/pod/box\n", mounts2,
			map[string]string{
				"sys/fs/cgroup/kube.slice/pod/box/memory.max": "max\n",
				"sys/fs/cgroup/kube.slice/pod/memory.max":     "1073741824\n",
				"sys/fs/cgroup/kube.slice/memory.max":         "2147483648\n",
			},
			1 << 30, "/sys/fs/cgroup/kube.slice/pod/memory.max",
		},
		{
			"version 2, throttled before the limit", "0::/a\n", mounts2,
			map[string]string{"sys/fs/cgroup/a/memory.max": "1073741824\n", "sys/fs/cgroup/a/memory.high": "536870912\n"},
			512 << 20, "/sys/fs/cgroup/a/memory.high",
		},
		{
			"version 2, more than there is", "0::/a\n", mounts2,
			map[string]string{"sys/fs/cgroup/a/memory.max": "99999999999999\n"},
			8000000 << 10, machine,
		},
		{
			"version 1", ofV1, mounts1,
			map[string]string{"sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "268435456\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": none},
			256 << 20, "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes",
		},
		{
			"version 1 without a limit", ofV1, mounts1,
			map[string]string{"sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": none},
			8000000 << 10, machine,
		},
		{
			"version 1, the container's group is mounted as the root", ofV1,
			strings.ReplaceAll(mounts1, "0:29 / ", "0:29 /docker/abc "),
			map[string]string{"sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456\n"},
			256 << 20, "/sys/fs/cgroup/memory/memory.limit_in_bytes",
		},
		{
			"version 1, another group of a like name is mounted", ofV1,
			strings.ReplaceAll(mounts1, "0:29 / ", "0:29 /docker/ab "),
			map[string]string{"sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456\n"},
			256 << 20, "/sys/fs/cgroup/memory/memory.limit_in_bytes",
		},
		{
			"both, as systemd mixes them", strings.ReplaceAll(ofV1, "0::/\n", "0::/a\n"), mounts1 + mounts2,
			map[string]string{"sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "268435456\n", "sys/fs/cgroup/a/memory.max": "134217728\n"},
			128 << 20, "/sys/fs/cgroup/a/memory.max",
		},
	} {
		t.Run(x.name, func(t *testing.T) {
			system := fstest.MapFS{"proc/meminfo": {Data: []byte(meminfo)}}
			if x.group != "" {
				system["proc/self/cgroup"] = &fstest.MapFile{Data: []byte(x.group)}
				system["proc/self/mountinfo"] = &fstest.MapFile{Data: []byte(x.mounts)}
			}
			for name, text := range x.files {
				system[name] = &fstest.MapFile{Data: []byte(text)}
			}
			got, err := FindLimit(system)
			if err != nil || got != (Limit{x.want, x.source}) {
				t.Errorf("got %v, %v; want %d by %s", got, err, x.want, x.source)
			}
		})
	}
}

// What cannot be read is told, and what is known by then counts.
func TestLimitThatCannotBeRead(t *testing.T) {
	system := fstest.MapFS{
		"proc/meminfo":             {Data: []byte(meminfo)},
		"proc/self/cgroup":         {Data: []byte("0::/\n")},
		"proc/self/mountinfo":      {Data: []byte(mounts2)},
		"sys/fs/cgroup/memory.max": {Data: []byte("much\n")},
	}
	got, err := FindLimit(system)
	if err == nil || !strings.Contains(err.Error(), "/sys/fs/cgroup/memory.max") || got.Bytes != 8000000<<10 {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := FindLimit(fstest.MapFS{"proc/meminfo": {Data: []byte("MemFree: 1 kB\n")}}); err == nil || got.Bytes != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}
