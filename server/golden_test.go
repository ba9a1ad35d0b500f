package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/server/point"
	"freshet/storage"
)

// A folder of each format that there has been is kept in testdata/folders, as the last
// release of that format wrote it. A new format needs a new one: FRESHET_WRITE_FOLDER=1
// writes that of the present format, once.
const (
	foldersOfFormats = "testdata/folders"
	writeFolder      = "FRESHET_WRITE_FOLDER"
)

var goldenStream = Stream{Source: "src", Topic: "t", Partition: 3}

// writeGolden makes a folder with what every format can hold, most of it in tables, the
// rest in a log.
func writeGolden(t *testing.T) {
	db := openDB(t, vfs.Default)
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	for id := range uint64(60) {
		v := Version{Stream: goldenStream, Offset: int64(id), Time: 1000 + int64(id)}
		apply(t, c, Batch{
			Ops:       []Op{upsert(point.Number(id), v, float32(id), 1, fmt.Sprintf(`{"n":%d}`, id))},
			Positions: []Position{{Stream: goldenStream, Next: int64(id) + 1}},
		})
	}
	apply(t, c, Batch{Ops: []Op{remove(Version{Stream: goldenStream, Offset: 60, Time: 2000}, point.Number(7))}, Positions: []Position{{Stream: goldenStream, Next: 61}}})
	if err := db.UpdateAliases(t.Context(), []AliasAction{{Create: &Alias{Alias: "a", Collection: "c"}}}); err != nil {
		t.Fatal(err)
	}
	closeDB(t, db)

	db = openDB(t, vfs.Default)
	c = openedGolden(t, db, "c")
	apply(t, c, Batch{Ops: []Op{
		upsert(point.Number(8), Version{}, 8, 2, `{"n":"by REST"}`),
		remove(Version{}, point.Number(9)),
	}, DeadLetters: []DeadLetter{{Stream: goldenStream, Offset: 61, Reason: "reason", Value: []byte("value")}}, Sync: true})
	writeForms(t, db)
	closeDB(t, db)
}

// writeForms makes a collection of what formats 3 to 5 brought: vectors of other forms,
// points that expire, and epochs in positions.
func writeForms(t *testing.T, db *DB) {
	cfg := vectorConfig(2, Dot)
	cfg.Vectors.Single = false
	cfg.Vectors.Named["m"] = VectorParams{Size: 2, Distance: Dot, Multivector: &MultivectorConfig{Comparator: "max_sim"}}
	cfg.SparseVectors = map[string]SparseParams{"s": {}}
	forms := newCollection(t, db, "forms", cfg)
	apply(t, forms, Batch{Ops: []Op{{Kind: Upsert, Points: []Point{{
		ID:      point.Number(1),
		Vectors: Vectors{"": Dense{1, 2}, "m": Multi{Dim: 2, Values: []float32{1, 2, 3, 4}}, "s": Sparse{[]uint32{3, 9}, []float32{1, 2}}},
		Expires: 1 << 45,
	}}}}, Positions: []Position{{Stream: goldenStream, Next: 5, Epoch: 7}}, Sync: true})
}

func checkForms(t *testing.T, db *DB) {
	c := openedGolden(t, db, "forms")
	for _, request := range []SearchRequest{
		{Vector: Dense{1, 1}}, {Using: "m", Vector: Multi{Dim: 2, Values: []float32{1, 1}}}, {Using: "s", Vector: Sparse{[]uint32{9}, []float32{1}}},
	} {
		request.Limit = 1
		if hits, err := c.Search(t.Context(), request); err != nil || len(hits) != 1 {
			t.Errorf("a search with %v: %v, %v", request.Vector, hits, err)
		}
	}
	expires := int64(0)
	if err := c.eachExpiry(func(at int64, _, _ []byte) bool { expires = at; return false }); err != nil || expires != 1<<45 {
		t.Errorf("the point expires at %d, %v", expires, err)
	}
	if p, ok, err := c.Position(goldenStream); err != nil || ok && (p.Next != 5 || p.Epoch != 7) { // none in format 4
		t.Errorf("the position is %+v, %v", p, err)
	}
}

func openedGolden(t *testing.T, db *DB, name string) *Collection {
	c, err := db.Collection(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestFoldersOfEachFormat opens a copy of each folder: all is there, and can be written.
func TestFoldersOfEachFormat(t *testing.T) {
	for format := 1; format <= storage.Format; format++ {
		t.Run(strconv.Itoa(format), func(t *testing.T) { openGolden(t, filepath.Join(foldersOfFormats, strconv.Itoa(format))) })
	}
}

func openGolden(t *testing.T, folder string) {
	if _, err := os.Stat(folder); os.IsNotExist(err) && os.Getenv(writeFolder) == "" {
		t.Fatalf("there is no %s: %s=1 writes it", folder, writeFolder)
	} else if os.IsNotExist(err) {
		to, err := filepath.Abs(folder)
		if err != nil {
			t.Fatal(err)
		}
		t.Chdir(t.TempDir())
		writeGolden(t)
		if err := os.CopyFS(to, os.DirFS("data")); err != nil {
			t.Fatal(err)
		}
		return
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "data"), os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for range 2 { // as it was, and as the present format
		db := openDB(t, vfs.Default)
		checkGolden(t, db)
		closeDB(t, db)
	}
	db := openDB(t, vfs.Default)
	defer closeDB(t, db)
	c := openedGolden(t, db, "c")
	apply(t, c, Batch{Ops: []Op{remove(Version{}, point.Number(10))}, Sync: true})
	if n := len(contents(t, c)); n != 57 {
		t.Errorf("%d points after a delete", n)
	}
}

func checkGolden(t *testing.T, db *DB) {
	var want []string
	for id := range 60 {
		switch id {
		case 7, 9:
		case 8:
			want = append(want, `8: [8 2] {"n":"by REST"}`)
		default:
			want = append(want, fmt.Sprintf(`%d: [%d 1] {"n":%d}`, id, id, id))
		}
	}
	if db.Exists("forms") {
		checkForms(t, db)
	}
	c := openedGolden(t, db, "a")
	expect(t, c, want...)
	for id := range uint64(60) {
		if id == 7 || id == 9 {
			continue
		}
		y := float32(1)
		if id == 8 {
			y = 2
		}
		hits, err := c.Search(t.Context(), SearchRequest{Vector: Dense{float32(id), y}, Limit: 1})
		if err != nil || len(hits) != 1 || hits[0].ID != point.Number(id) {
			t.Fatalf("a search for point %d finds %v, %v", id, hits, err)
		}
	}
	if p, ok, err := c.Position(goldenStream); err != nil || !ok || p.Next != 61 {
		t.Errorf("position %v, %t, %v", p, ok, err)
	}
	letters, err := c.DeadLetters(t.Context(), 10)
	if err != nil || len(letters) != 1 || letters[0].Reason != "reason" || string(letters[0].Value) != "value" {
		t.Errorf("dead letters %v, %v", letters, err)
	}
	// A delete is remembered: an older record does not bring the point back.
	old := upsert(point.Number(7), Version{Stream: goldenStream, Offset: 5, Time: 1}, 7, 7, "")
	if applied := apply(t, c, Batch{Ops: []Op{old}}); applied.Stale != 1 {
		t.Errorf("an older record for a deleted point: %+v", applied)
	}
}
