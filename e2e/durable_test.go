//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestSnapshotsAreDurable watches what the server asks of the kernel while it makes, recovers and
// removes snapshots, and writes: when it answers, all that it has written to their folder and to
// the log is synced, and so is each folder in which a name has come or gone. What was named
// anew had all its content on the disk before.
func TestSnapshotsAreDurable(t *testing.T) {
	t.Parallel()
	f := startFreshet(t, "")
	calls := "openat,mkdirat,renameat,renameat2,unlinkat,write,pwrite64,fsync,fdatasync"
	end := f.trace("-y", "-s", "16", "-e", "trace="+calls)
	answers := 0
	ask := func(method, path string, body, result any) {
		t.Helper()
		if err := f.call(method, path, nil, body, result); err != nil {
			t.Fatal(err)
		}
		answers++
	}
	var info struct{ Name string }
	ask("PUT", "/collections/c", map[string]any{"vectors": map[string]any{"size": 2, "distance": "Dot"}}, nil)
	ask("PUT", "/collections/c/points", map[string]any{"points": []any{map[string]any{"id": 1, "vector": []int{1, 2}}}}, nil)
	for range 2 { // the folders are made, and are there
		ask("POST", "/collections/c/snapshots", nil, &info)
	}
	// Nothing is replaced, the room of which would come back by itself: that rewrites the log.
	ask("PUT", "/collections/e/snapshots/recover", map[string]any{"location": "file://" + f.data + "/snapshots/c/" + info.Name}, nil)
	if err := f.upload("/collections/d/snapshots/upload", f.url+"/collections/c/snapshots/"+info.Name); err != nil {
		t.Fatal(err)
	}
	answers += 2
	ask("DELETE", "/collections/c/snapshots/"+info.Name, nil, nil)
	ask("POST", "/snapshots", nil, &info)
	ask("DELETE", "/snapshots/"+info.Name, nil, nil)

	calledFor := newKernelCalls(t, f.data, end())
	if calledFor.answers != answers {
		t.Errorf("%d answers were seen, there were %d", calledFor.answers, answers)
	}
	if calledFor.renamed != 3 || calledFor.removed != 4 || calledFor.logged < 4 {
		t.Errorf("%d files were named anew, %d removed, the log was written %d times", calledFor.renamed, calledFor.removed, calledFor.logged)
	}
}

// upload sends a file that a server has as a snapshot.
func (f *freshet) upload(path, from string) error {
	res, err := http.Get(from)
	if err != nil {
		return err
	}
	file, err := io.ReadAll(res.Body)
	if closeErr := res.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("snapshot", "a.snapshot")
	if err == nil {
		_, err = part.Write(file)
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		return err
	}
	res, err = http.Post(f.url+path, form.FormDataContentType(), &body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, res.Status)
	}
	if closeErr := res.Body.Close(); err == nil {
		err = closeErr
	}
	return err
}

// kernelCalls is what strace -y -f has seen of a server, which is checked call by call.
type kernelCalls struct {
	t    *testing.T
	data string // folder
	// unsynced has files whose content is not on the disk, names whether the names of files
	// are, with the number of the call that made it so.
	unsynced, names map[string]int

	answers, renamed, removed, logged int
}

var (
	tracedCall = regexp.MustCompile(`^(\d+) +(\w+)\((.*)\) += (-?\d+)`)
	inProgress = regexp.MustCompile(`^(\d+) +(\w+\(.*) <unfinished \.\.\.>$`)
	goesOn     = regexp.MustCompile(`^(\d+) +<\.\.\. \w+ resumed>(.*)$`)
	descriptor = regexp.MustCompile(`^(?:AT_FDCWD|\d+)<([^>]*)>`)
	quoted     = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"`)
)

func newKernelCalls(t *testing.T, data, seen string) *kernelCalls {
	k := &kernelCalls{t: t, data: data, unsynced: map[string]int{}, names: map[string]int{}}
	open := map[string]string{} // calls in progress by thread
	begun := map[string]int{}
	for n, line := range strings.Split(seen, "\n") {
		if m := inProgress.FindStringSubmatch(line); m != nil {
			open[m[1]], begun[m[1]] = m[2], n
			if strings.HasPrefix(m[2], "write(") {
				k.answer(m[2])
			}
			continue
		}
		began := n
		if m := goesOn.FindStringSubmatch(line); m != nil {
			line, began = m[1]+" "+open[m[1]]+m[2], begun[m[1]]
		} else if strings.Contains(line, " write(") {
			k.answer(line)
		}
		if m := tracedCall.FindStringSubmatch(line); m != nil && !strings.HasPrefix(m[4], "-") {
			k.call(began, n, m[2], m[3])
		}
	}
	return k
}

// answer checks that all is synced if the call begins to send an answer.
func (k *kernelCalls) answer(call string) {
	if !strings.Contains(call, "<socket:") || !strings.Contains(call, `"HTTP/1.1 200`) {
		return
	}
	k.answers++
	for what, list := range map[string]map[string]int{"the content": k.unsynced, "the name": k.names} {
		for name := range list {
			k.t.Errorf("answer %d is sent while %s of %s is not synced", k.answers, what, name)
		}
	}
}

// counts says whether the file is one that answers depend on.
func (k *kernelCalls) counts(name string) bool {
	inside, ok := strings.CutPrefix(name, k.data+"/")
	return ok && (strings.HasPrefix(inside+"/", "snapshots/") || filepath.Ext(inside) == ".log" && !strings.Contains(inside, "/"))
}

// call takes note of one that began and ended at some lines.
func (k *kernelCalls) call(began, ended int, call, arguments string) {
	dir := ""
	if m := descriptor.FindStringSubmatch(arguments); m != nil {
		dir = m[1]
	}
	var paths []string
	for _, m := range quoted.FindAllStringSubmatch(arguments, -1) {
		if name := m[1]; filepath.IsAbs(name) {
			paths = append(paths, name)
		} else {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	note := func(list map[string]int, name string) {
		if k.counts(name) {
			list[name] = ended
		}
	}
	switch call {
	case "write", "pwrite64":
		note(k.unsynced, dir)
		if filepath.Ext(dir) == ".log" {
			k.logged++
		}
	case "openat":
		if strings.Contains(arguments, "O_CREAT") {
			note(k.names, paths[0])
		}
	case "mkdirat":
		note(k.names, paths[0])
	case "unlinkat":
		note(k.names, paths[0])
		delete(k.unsynced, paths[0])
		if k.counts(paths[0]) && filepath.Ext(paths[0]) != ".log" {
			k.removed++
		}
	case "renameat", "renameat2":
		if _, ok := k.unsynced[paths[0]]; ok && k.counts(paths[0]) {
			k.t.Errorf("%s is named anew before its content is synced", paths[0])
		}
		note(k.names, paths[0])
		note(k.names, paths[1])
		if k.counts(paths[1]) && filepath.Ext(paths[1]) != ".log" {
			k.renamed++
		}
	case "fsync", "fdatasync":
		clean := func(list map[string]int, is func(name string) bool) {
			for _, name := range slices.Collect(maps.Keys(list)) {
				if list[name] < began && is(name) {
					delete(list, name)
				}
			}
		}
		clean(k.unsynced, func(name string) bool { return name == dir })
		clean(k.names, func(name string) bool { return filepath.Dir(name) == dir })
	}
}
