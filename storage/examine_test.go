package storage

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// writtenFolder makes a folder with some records in a table and one in a log.
func writtenFolder(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	key := func(i int) []byte {
		return AppendKey(nil, Point, Space{Collection: 1}, fmt.Appendf(nil, "%04d", i))
	}
	commit(t, s, true, func(b *Batch) error {
		for i := range 2000 {
			if err := b.Set(key(i), fmt.Appendf(nil, "value %d", i*i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	commit(t, s, true, func(b *Batch) error { return b.Set(key(0), []byte("another")) })
	commit(t, s, true, func(b *Batch) error { return b.Set(key(1), []byte("another")) })
	closeStore(t, s)
	return dir
}

// state is what must not change of a folder.
func state(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		list = append(list, fmt.Sprintf("%s %s %s %x", path, info.Mode(), info.ModTime(), content))
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return list
}

// examined returns what an examination finds, and how many keys it could read.
func examined(t *testing.T, dir string) (list []Finding, keys int) {
	t.Helper()
	before := state(t, dir)
	err := Examine(context.Background(), dir, ExamineOptions{Report: func(f Finding) { list = append(list, f) }}, func(s *Snapshot) error {
		// What of a damaged table cannot be read is for the reader to say.
		_ = s.Scan(AppendKey(nil, Point, Space{Collection: 1}, nil), nil, func([]byte, []byte) (bool, error) {
			keys++
			return true, nil
		})
		return nil
	})
	if err != nil {
		t.Errorf("the examination ended with %v", err)
	}
	if !slices.Equal(before, state(t, dir)) {
		t.Error("the examination changed the folder")
	}
	for _, f := range list {
		if f.What == "" || f.Text == "" || (f.Advice == "") != (f.Level == Fine) || strings.Contains(f.Text, "\n") {
			t.Errorf("an incomplete finding: %+v", f)
		}
	}
	return list, keys
}

func TestExamineHealthyFolder(t *testing.T) {
	dir := writtenFolder(t)
	list, keys := examined(t, dir)
	if len(list) != 3 || keys != 2000 || slices.ContainsFunc(list, func(f Finding) bool { return f.Level != Fine }) {
		t.Errorf("%d keys, %+v", keys, list)
	}
	// The lock is given back.
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
}

// only returns the one file of an extension, with its content.
func only(t *testing.T, dir, pattern string) (path string, content []byte) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	path = found[len(found)-1]
	if content, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return path, content
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestExamineDamagedFolder(t *testing.T) {
	for _, x := range []struct {
		name   string
		damage func(t *testing.T, dir string) (what string)
		level  Level
		text   string
		keys   int // that can be read all the same
	}{
		{"a table is missing", func(t *testing.T, dir string) string {
			path, _ := only(t, dir, "*.sst")
			return removed(t, dir, path)
		}, Problem, "the store cannot be opened", 0},
		{"a table is cut", func(t *testing.T, dir string) string {
			path, content := only(t, dir, "*.sst")
			write(t, path, content[:len(content)/2])
			return filepath.Base(path)
		}, Problem, "the table is damaged", 0},
		{"the manifest is missing", func(t *testing.T, dir string) string {
			path, _ := only(t, dir, "MANIFEST-*")
			return removed(t, dir, path)
		}, Problem, "the store cannot be opened", 0},
		{"the manifest is another file", func(t *testing.T, dir string) string {
			path, _ := only(t, dir, "MANIFEST-*")
			write(t, path, []byte("<html>not found</html>"))
			return dir
		}, Problem, "the store cannot be opened", 0},
		{"no marker is left", func(t *testing.T, dir string) string {
			path, _ := only(t, dir, "marker.manifest.*")
			return removed(t, dir, path)
		}, Problem, "no marker names a manifest", 0},
		{"the log is missing", func(t *testing.T, dir string) string {
			path, _ := only(t, dir, "*.log")
			return removed(t, dir, path)
		}, Problem, "what was written last is missing", 2000},
		{"the log is cut in a record", func(t *testing.T, dir string) string {
			cutLog(t, dir, logTrailer+3)
			return dir
		}, Problem, "and was durable up to byte", 2000},
		{"the log is cut behind a record", func(t *testing.T, dir string) string {
			cutLog(t, dir, logTrailer)
			return dir
		}, Problem, "and was durable up to byte", 2000},
		{"the last record of the log is changed", func(t *testing.T, dir string) string {
			path, content := only(t, dir, "*.log")
			content[len(content)-logTrailer-1] ^= 1
			write(t, path, content)
			return dir
		}, Problem, "and was durable up to byte", 2000},
		{"the log is cut in a record without a mark", func(t *testing.T, dir string) string {
			removed(t, dir, filepath.Join(dir, "marker.log.*"))
			return cutLog(t, dir, logTrailer+3)
		}, Warning, "ends in the middle of a record", 2000},
		{"the log is cut behind a record without a mark", func(t *testing.T, dir string) string {
			removed(t, dir, filepath.Join(dir, "marker.log.*"))
			return cutLog(t, dir, logTrailer)
		}, Warning, "the log was not closed", 2000},
		{"the log is empty and without a mark", func(t *testing.T, dir string) string {
			removed(t, dir, filepath.Join(dir, "marker.log.*"))
			path, _ := only(t, dir, "*.log")
			write(t, path, nil)
			return filepath.Base(path)
		}, Warning, "the log was not closed: it ends at byte 0", 2000},
		{"the mark of the log is another file's", func(t *testing.T, dir string) string {
			removed(t, dir, filepath.Join(dir, "marker.log.*"))
			write(t, filepath.Join(dir, "marker.log.000007.000005"), nil)
			return dir
		}, Problem, "is not the number of a log and its bytes", 2000},
		{"a bit of the log is changed", func(t *testing.T, dir string) string {
			s, err := Open(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			for range 3 { // the later ones say that the first was durable
				commit(t, s, true, func(b *Batch) error {
					return b.Set([]byte{byte(spaceFormat)}, binary.BigEndian.AppendUint32(nil, Format))
				})
			}
			closeStore(t, s)
			path, content := only(t, dir, "*.log")
			content[20] ^= 1
			write(t, path, content)
			return dir
		}, Problem, "a start refuses the folder: the log ", 2000},
		{"a bit of the manifest is changed", func(t *testing.T, dir string) string {
			path, content := only(t, dir, "MANIFEST-*")
			content[20] ^= 1
			write(t, path, content)
			return dir
		}, Problem, "a start refuses the folder: ", 0},
		{"a foreign file", func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "holiday.jpg"), []byte("x"))
			return "holiday.jpg"
		}, Problem, "none of Freshet's", 2000},
		{"a newer format", func(t *testing.T, dir string) string {
			s, err := Open(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			commit(t, s, true, func(b *Batch) error {
				return b.Set([]byte{byte(spaceFormat)}, binary.BigEndian.AppendUint32(nil, Format+1))
			})
			closeStore(t, s)
			return dir
		}, Problem, fmt.Sprintf("has format %d, and this version reads up to %d", Format+1, Format), 0},
		{"another program's folder", func(t *testing.T, dir string) string {
			s, err := Open(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			commit(t, s, true, func(b *Batch) error { return b.Delete([]byte{byte(spaceFormat)}) })
			closeStore(t, s)
			return dir
		}, Problem, "the number of the format cannot be read", 0},
		{"an empty folder", func(t *testing.T, dir string) string {
			return removed(t, dir, filepath.Join(dir, "*"))
		}, Warning, "the folder is empty", 0},
		{"no folder", func(t *testing.T, dir string) string { return removed(t, dir, dir) }, Warning, "there is no such folder", 0},
		{"a file in place of the folder", func(t *testing.T, dir string) string {
			removed(t, dir, dir)
			write(t, dir, nil)
			return dir
		}, Problem, "the folder cannot be read", 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			dir := writtenFolder(t)
			what := x.damage(t, dir)
			list, keys := examined(t, dir)
			if !slices.ContainsFunc(list, func(f Finding) bool {
				return f.Level == x.level && f.What == what && strings.Contains(f.Text, x.text)
			}) {
				t.Errorf("no finding about %s: %+v", what, list)
			}
			if keys != x.keys {
				t.Errorf("%d keys were read, want %d", keys, x.keys)
			}
		})
	}
}

// cutLog removes so many bytes from the end of the log and returns its name.
func cutLog(t *testing.T, dir string, bytes int) string {
	t.Helper()
	path, content := only(t, dir, "*.log")
	write(t, path, content[:len(content)-bytes])
	return filepath.Base(path)
}

// removed removes files and returns the folder, about which the finding is.
func removed(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	for _, path := range found {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestExamineFolderInUse checks that a folder in use is left alone: another process looks,
// since locks do not exclude their own.
func TestExamineFolderInUse(t *testing.T) {
	if dir := os.Getenv("STORAGE_TEST_EXAMINE"); dir != "" {
		err := Examine(context.Background(), dir, ExamineOptions{Report: func(f Finding) { fmt.Println(f.Level, f.Text) }}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	cmd := exec.Command(os.Args[0], "-test.run=^TestExamineFolderInUse$")
	cmd.Env = append(os.Environ(), "STORAGE_TEST_EXAMINE="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "problem the folder is in use by another process, and was not examined\nPASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestExamineFlippedBytes flips single bits of the table, everywhere in it.
func TestExamineFlippedBytes(t *testing.T) {
	dir := writtenFolder(t)
	path, content := only(t, dir, "*.sst")
	for i := 0; i < len(content); i += max(1, len(content)/60) {
		flipped := slices.Clone(content)
		flipped[i] ^= 1 << (i % 8)
		write(t, path, flipped)
		list, _ := examined(t, dir)
		if !slices.ContainsFunc(list, func(f Finding) bool { return f.Level == Problem && f.What == filepath.Base(path) }) {
			t.Errorf("a bit of byte %d of %d was flipped: %+v", i, len(content), list)
		}
	}
}
