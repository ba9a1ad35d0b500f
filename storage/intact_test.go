package storage

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FuzzIntact puts anything in the place of the manifest, the log and the mark of a folder: it
// is refused, or what of the log can be read is within it, and nothing is read without end.
func FuzzIntact(f *testing.F) {
	dir := writtenFolder(f)
	files := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		f.Fatal(err)
	}
	var manifest, log string
	for _, e := range entries {
		name := e.Name()
		if files[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			f.Fatal(err)
		}
		switch {
		case strings.HasPrefix(name, "MANIFEST"):
			manifest = max(manifest, name)
		case strings.HasSuffix(name, ".log"):
			log = max(log, name)
		case strings.HasPrefix(name, "marker.log."):
			delete(files, name)
		}
	}
	good := files[log]
	f.Add(files[manifest], good, "000005-1")
	f.Add(files[manifest][:20], good[:len(good)-3], "000005-115")
	f.Add([]byte{1, 0xff, 0xff}, bytes.Repeat([]byte{9}, logBlock+5), "x-y")
	f.Add([]byte{}, append(bytes.Clone(good), good...), "18446744073709551615-9223372036854775807")
	f.Fuzz(func(t *testing.T, changedManifest, changedLog []byte, changedMark string) {
		fs := vfs.NewMem()
		if err := fs.MkdirAll("data", 0o700); err != nil {
			t.Fatal(err)
		}
		put := func(name string, content []byte) {
			file, err := fs.Create("data/"+name, vfs.WriteCategoryUnspecified)
			if err == nil {
				_, err = file.Write(bytes.Clone(content))
			}
			if err := errors.Join(err, file.Close()); err != nil {
				t.Fatal(err)
			}
		}
		for name, content := range files {
			put(name, content)
		}
		put(manifest, changedManifest)
		put(log, changedLog)
		if !strings.Contains(changedMark, "/") && changedMark != "" {
			put("marker.log.000001."+changedMark, nil)
		}
		if err := intact(fs, "data"); err == nil {
			end, err := readableLog(bytes.NewReader(changedLog), 5)
			if err != nil || end > int64(len(changedLog)) {
				t.Errorf("a log of %d bytes can be read up to %d: %v", len(changedLog), end, err)
			}
		}
	})
}
