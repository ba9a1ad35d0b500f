package server

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/server/point"
	"freshet/storage"
)

// findings returns what is found in the folder "data" of the present one.
func findings(t *testing.T) (list []Finding) {
	t.Helper()
	if err := Examine(context.Background(), "data", ExamineOptions{Report: func(f Finding) { list = append(list, f) }}); err != nil {
		t.Errorf("the examination ended with %v", err)
	}
	return list
}

func notFine(f Finding) bool { return f.Level != Fine }

// TestExamineFoldersOfEachFormat checks that nothing is wrong with the folders of former
// formats: only those of the first have no neighbours.
func TestExamineFoldersOfEachFormat(t *testing.T) {
	for format := 1; format <= storage.Format; format++ {
		folder, err := filepath.Abs(filepath.Join(foldersOfFormats, strconv.Itoa(format)))
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strconv.Itoa(format), func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.CopyFS("data", os.DirFS(folder)); err != nil {
				t.Fatal(err)
			}
			list := findings(t)
			if !slices.ContainsFunc(list, func(f Finding) bool {
				return f.What == "c" && strings.HasPrefix(f.Text, "58 points, positions of 1 partitions")
			}) {
				t.Errorf("the collection was not examined: %+v", list)
			}
			list = slices.DeleteFunc(list, func(f Finding) bool { return format == 1 && f.Level == Warning && f.What == "c" })
			if slices.ContainsFunc(list, notFine) {
				t.Errorf("%+v", list)
			}
		})
	}
}

func TestExamineContent(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	db := openDB(t, vfs.Default)
	c := fillWithEverything(t, db, "c")
	writeForms(t, db)
	if err := db.UpdateAliases(t.Context(), []AliasAction{{Create: &Alias{Alias: "a", Collection: "c"}}}); err != nil {
		t.Fatal(err)
	}
	space, slot := c.space, uint32(0)
	for c.ids.key(slot) == nil {
		slot++
	}
	closeDB(t, db)
	if list := findings(t); slices.ContainsFunc(list, notFine) || len(list) != 5 {
		t.Fatalf("a healthy folder: %+v", list)
	}

	seven := point.Number(7).AppendKey(nil)
	of := func(ks storage.Keyspace, suffix []byte) []byte { return storage.AppendKey(nil, ks, space, suffix) }
	node := binary.BigEndian.AppendUint32(nil, 1<<20)
	for _, x := range []struct {
		name  string
		key   []byte
		value []byte // nil: the record is removed
		level storage.Level
		what  string
		text  string
	}{
		{"a catalog entry that is no JSON", storage.GlobalKey(storage.Catalog, "c"), []byte("{"), Problem, "c", "the description of the collection is damaged"},
		{"a catalog entry of another name", storage.GlobalKey(storage.Catalog, "d"), []byte(`{"name":"c","id":9}`), Problem, "d", `it is that of "c"`},
		{"a number twice", storage.GlobalKey(storage.Catalog, "d"), []byte(`{"name":"d","id":1}`), Problem, "d", "its number 1 is that of"},
		{"a catalog entry that is missing", storage.GlobalKey(storage.Catalog, "c"), nil, Problem, "catalog", "records of a collection with the number 1"},
		{"an alias of nothing", storage.GlobalKey(storage.Alias, "b"), []byte("gone"), Problem, "b", `stands for the collection "gone"`},
		{"data to be removed of a collection in use", orphanKey(space.Collection), []byte{}, Problem, "catalog", "data are to be removed"},
		{"a damaged point", of(storage.Point, seven), []byte{9}, Problem, "c", "damaged points: 1, the first: the point 7"},
		{"a payload that is no JSON", of(storage.Point, seven), append([]byte{1, 1, 0, 0, 0}, "{]"...), Problem, "c", "its payload is no JSON"},
		{"a point of the future", of(storage.Point, seven), []byte{1, 255, 255, 3, 0, 0, 0}, Problem, "c", "operations that are still to come: 1"},
		{"a point of an unknown stream", of(storage.Point, seven), []byte{1, 1, 99, 0, 0}, Problem, "c", "points of streams without a position: 1"},
		{"a point that is missing", of(storage.Point, seven), nil, Problem, "c", "vectors without a point: 1, the first: the point 7"},
		{"vectors that are missing", of(storage.Vector, seven), nil, Problem, "c", "points without a record of vectors: 1"},
		{"damaged vectors", of(storage.Vector, seven), []byte{1, 1}, Problem, "c", "damaged vectors: 1"},
		{"a vector of another dimension", of(storage.Vector, seven), appendVectors(nil, Vectors{"": Dense{1, 2, 3}}), Problem, "c", "regular one of 3 dimensions"},
		{"a vector of another form", of(storage.Vector, seven), appendVectors(nil, Vectors{"": Sparse{[]uint32{1}, []float32{1}}}), Problem, "c", "sparse one"},
		{"a vector of an unknown name", of(storage.Vector, seven), appendVectors(nil, Vectors{"x": Dense{1, 2}}), Problem, "c", `no vector "x"`},
		{"neighbours that are missing", of(storage.Neighbours, binary.BigEndian.AppendUint32(nil, slot)), nil, Warning, "c", "of 1 points the neighbours are not stored"},
		{"neighbours of nothing", of(storage.Neighbours, node), (&nodeRecord{id: point.Number(1 << 40).AppendKey(nil)}).append(nil), Problem, "c", "neighbours without a point: 1, the first: slot 1048576"},
		{"a point in two slots", of(storage.Neighbours, node), (&nodeRecord{id: seven}).append(nil), Problem, "c", "points in two slots of the graphs: 1"},
		{"neighbours in another graph", of(storage.Neighbours, node), (&nodeRecord{id: seven, neighbours: map[string][][]uint32{"x": {{1}}}}).append(nil), Problem, "c", "neighbours in graphs that there are not: 1"},
		{"damaged neighbours", of(storage.Neighbours, node), []byte{7}, Problem, "c", "damaged neighbours: 1"},
		{"an expiry that no point has", of(storage.Expiry, expiryKey(space, 5, seven)[7:]), []byte{}, Problem, "c", "expiries that no point has: 1"},
		{"a damaged position", appendStream(of(storage.Position, nil), Stream{Source: "s", Topic: "t", Partition: 3}), []byte{0}, Problem, "c", "damaged positions: 1"},
		{"a number of two streams", appendStream(of(storage.Position, nil), Stream{Source: "s", Topic: "u"}), []byte{1, 2}, Problem, "c", "numbers that stand for two streams: 1"},
		{"a damaged tombstone", of(storage.Tombstone, point.Number(5).AppendKey(nil)), []byte{1}, Problem, "c", "damaged tombstones: 1"},
		{"a damaged dead letter", letterKey(space, 0), []byte("x"), Problem, "c", "damaged dead letters: 1"},
		{"a damaged number", of(storage.Meta, []byte(metaOperation)), []byte{1}, Problem, "c", "damaged numbers: 1"},
		{"a damaged time", of(storage.Meta, []byte(metaTime)), []byte{1}, Problem, "c", "damaged numbers: 1"},
		{"a point that would not expire", storage.AppendKey(nil, storage.Expiry, storage.Space{Collection: space.Collection + 1}, expiryKey(space, 1<<45, point.Number(1).AppendKey(nil))[7:]), nil, Problem, "forms", "points that would not expire: 1"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.CopyFS("data", os.DirFS(filepath.Join(folder, "data"))); err != nil {
				t.Fatal(err)
			}
			damage(t, x.key, x.value)
			list := findings(t)
			if !slices.ContainsFunc(list, func(f Finding) bool {
				return f.Level == x.level && f.What == x.what && strings.Contains(f.Text, x.text) && f.Advice != ""
			}) {
				t.Errorf("no such finding: %+v", slices.DeleteFunc(list, func(f Finding) bool { return !notFine(f) }))
			}
		})
	}
}

// damage writes a record, or removes it.
func damage(t *testing.T, key, value []byte) {
	t.Helper()
	s, err := storage.Open("data", storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := s.NewBatch()
	if value == nil {
		if _, err := s.Get(nil, key); err != nil {
			t.Errorf("there is no such record: %v", err)
		}
		err = b.Delete(key)
	} else {
		err = b.Set(key, value)
	}
	if err := errors.Join(err, b.Commit(true), b.Wait(), b.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestExamineUnreadableTable checks that a damaged table does not end the examination, and
// that what cannot be read of it is said of the collection.
func TestExamineUnreadableTable(t *testing.T) {
	folder, err := filepath.Abs(filepath.Join(foldersOfFormats, strconv.Itoa(storage.Format)))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := os.CopyFS("data", os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob("data/*.sst")
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	raw, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	unread := 0
	for i := 0; i < len(raw); i += 50 {
		flipped := slices.Clone(raw)
		flipped[i] ^= 4
		if err := os.WriteFile(tables[0], flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		var about []string
		for _, f := range findings(t) {
			if f.Level == Problem {
				about = append(about, f.What)
			}
		}
		if !slices.Contains(about, filepath.Base(tables[0])) {
			t.Errorf("byte %d of %d: problems with %q", i, len(raw), about)
		}
		if slices.Contains(about, "c") {
			unread++
		}
	}
	if unread == 0 {
		t.Error("it was never said of a collection that it cannot be read")
	}
}
