package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/server/payload"
	"freshet/storage"
)

// folderFiles are the files of a data folder, by their names.
type folderFiles map[string][]byte

func goldenFiles(t *testing.T) folderFiles {
	t.Helper()
	dir := filepath.Join(foldersOfFormats, strconv.Itoa(storage.Format))
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := folderFiles{}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// with returns the files with another content of one of them; nil: without it.
func (f folderFiles) with(name string, content []byte) folderFiles {
	changed := maps.Clone(f)
	changed[name] = content
	if content == nil {
		delete(changed, name)
	}
	return changed
}

// read opens a folder of the files, and returns what is in it: all points as they are
// stored, and what searches find.
func (f folderFiles) read(ctx context.Context) (seen string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("PANIC: %v\n%s", p, debug.Stack())
		}
	}()
	fs := vfs.NewMem()
	if err := fs.MkdirAll("data", 0o700); err != nil {
		return "", err
	}
	for name, content := range f {
		file, err := fs.Create("data/"+name, vfs.WriteCategoryUnspecified)
		if err == nil {
			_, err = file.Write(slices.Clone(content)) // what is written may be changed by that, with the race detector
		}
		if err := errors.Join(err, file.Close()); err != nil {
			return "", err
		}
	}
	db, err := Open(ctx, "data", Options{FS: fs, fatal: func(reason string) { panic(errors.New(reason)) }})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var all strings.Builder
	for _, name := range db.Collections() {
		c, err := db.Collection(name)
		if err != nil {
			return "", err
		}
		page, err := c.Scroll(ctx, ScrollRequest{Limit: 1000, WithPayload: payload.All(), WithVector: VectorSelector{All: true}})
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&all, "%s %v\n", name, page.Records)
		if name != "c" {
			continue
		}
		for id := range uint64(60) {
			hits, err := c.Search(ctx, SearchRequest{Vector: Dense{float32(id), 1}, Limit: 2})
			if err != nil {
				return "", err
			}
			fmt.Fprintln(&all, hits)
		}
	}
	return all.String(), nil
}

// TestDamagedFiles changes, cuts, removes and replaces each file of a data folder: a start
// says which file is damaged, or all is there. Only a log of which no mark says how long it
// was is as a crash leaves it when it is cut: then what it had is there up to some record.
// FRESHET_ROUNDS says at how many places of each file, always others.
func TestDamagedFiles(t *testing.T) {
	files := goldenFiles(t)
	want, err := files.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stem := strings.TrimSuffix(name, filepath.Ext(name)) // tables go by their numbers
			if strings.HasPrefix(name, "marker.") {
				stem = strings.Join(strings.SplitN(name, ".", 3)[:2], ".")
			}
			damaged := func(what string, changed []byte) {
				t.Helper()
				got, err := files.with(name, changed).read(t.Context())
				switch {
				case err != nil && (!strings.Contains(err.Error(), stem) || strings.Contains(err.Error(), "PANIC")):
					t.Errorf("%s: the error does not name the file: %v", what, err)
				case err == nil && got != want:
					t.Errorf("%s: something else is there", what)
				}
			}
			isLog := filepath.Ext(name) == ".log"
			step := max(1, len(content)/rounds(t, alone(damagePlaces)))
			for at := rand.IntN(step); at < len(content); at += step {
				flipped := slices.Clone(content)
				flipped[at] ^= 1 << (at % 8)
				damaged(fmt.Sprintf("a bit of byte %d is changed", at), flipped)
				if !isLog {
					damaged(fmt.Sprintf("it ends at byte %d", at), content[:at:at])
					continue
				}
				if got, err := files.with(name, content[:at:at]).read(t.Context()); err != nil || len(got) > len(want) {
					t.Errorf("a log that ends at byte %d: %v", at, err)
				}
				mark := fmt.Sprintf("marker.log.000001.%s-%d", stem, len(content))
				_, err := files.with(mark, []byte{}).with(name, content[:at:at]).read(t.Context())
				if err == nil || !strings.Contains(err.Error(), stem) || strings.Contains(err.Error(), "PANIC") {
					t.Errorf("a log that ends at byte %d, and was longer: %v", at, err)
				}
			}
			damaged("it is another file", []byte("<html>502 Bad Gateway</html>"))
			if !isLog {
				damaged("it is missing", nil)
			} else if _, err := files.with(name, nil).read(t.Context()); err == nil || !strings.Contains(err.Error(), "there is no log") {
				t.Errorf("the log is missing: %v", err)
			}
		})
	}
}

// damagePlaces is at about how many places each file is damaged.
const damagePlaces = 120 // fewer with the race detector
