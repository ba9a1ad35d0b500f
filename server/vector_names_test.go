package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/server/point"
	"freshet/storage"
)

func namesOf(t *testing.T, c *Collection) string {
	t.Helper()
	page, err := c.Scroll(context.Background(), ScrollRequest{Limit: 1 << 20, WithVector: VectorSelector{All: true}})
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	vectors := 0
	for _, r := range page.Records {
		for name := range r.Vectors {
			counts[name]++
			vectors++
		}
	}
	info, err := c.Info()
	if err != nil || info.IndexedVectors != vectors {
		t.Errorf("%d vectors instead of %d, %v", info.IndexedVectors, vectors, err)
	}
	for name, n := range info.Vectors {
		if n != counts[name] {
			t.Errorf("%d vectors %q instead of %d", n, name, counts[name])
		}
	}
	return fmt.Sprint(len(page.Records), counts)
}

// TestVectorNames adds and drops vectors with restarts between.
func TestVectorNames(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	db := openDB(t, fs)
	c := newCollection(t, db, "c", configOf(t, `{"vectors":{"size":2,"distance":"Dot"}}`))
	reopen := func() {
		t.Helper()
		closeDB(t, db)
		db = openDB(t, fs)
		var err error
		if c, err = db.Collection("c"); err != nil {
			t.Fatal(err)
		}
		if c.searched != 0 {
			t.Errorf("the neighbours of %d points were searched anew", c.searched)
		}
	}
	const points = 2100 // more than a slice
	write := func(kind OpKind, v func(i int) Vectors) {
		t.Helper()
		var ops []Op
		for i := range points {
			ops = append(ops, Op{Kind: kind, Points: []Point{{ID: point.Number(uint64(i)), Vectors: v(i)}}})
		}
		apply(t, c, Batch{Ops: ops})
	}
	is := func(want string) {
		t.Helper()
		if got := namesOf(t, c); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	nearest := func(using string, v Vector, want uint64) {
		t.Helper()
		hits, err := c.Search(ctx, SearchRequest{Vector: v, Using: using, Limit: 1})
		if err != nil || len(hits) != 1 || hits[0].ID != point.Number(want) {
			t.Fatalf("%s: %v, %v", using, hits, err)
		}
	}
	write(Upsert, func(i int) Vectors { return Vectors{"": Dense{float32(i), 1}} })
	params := VectorParams{Size: 3, Distance: Euclid}
	must(db.CreateVector(ctx, "c", "n", params))
	must(db.CreateVector(ctx, "c", "n", params))
	must(db.CreateSparseVector(ctx, "c", "s", SparseParams{Modifier: IDF}))
	must(db.CreateSparseVector(ctx, "c", "s", SparseParams{Modifier: IDF}))
	for _, err := range []error{
		db.CreateVector(ctx, "c", "n", VectorParams{Size: 4, Distance: Euclid}), db.CreateVector(ctx, "c", "s", params),
		db.CreateSparseVector(ctx, "c", "n", SparseParams{}), db.CreateSparseVector(ctx, "c", "s", SparseParams{}),
	} {
		if KindOf(err) != Exists {
			t.Errorf("a vector was replaced: %v", err)
		}
	}
	if err := db.CreateVector(ctx, "c", "x", VectorParams{Size: 1 << 20, Distance: Dot}); KindOf(err) != Invalid {
		t.Errorf("too many dimensions: %v", err)
	}
	if err := db.DropVector(ctx, "none", "n"); KindOf(err) != NotFound {
		t.Errorf("no collection: %v", err)
	}
	must(db.DropVector(ctx, "c", "none"))
	is("2100 map[:2100]")
	reopen()
	both := func(i int) Vectors {
		return Vectors{"n": Dense{float32(i), 0, 0}, "s": Sparse{Indices: []uint32{uint32(i)}, Values: []float32{1}}}
	}
	write(UpdateVectors, both)
	is("2100 map[:2100 n:2100 s:2100]")
	nearest("n", Dense{7.2, 0, 0}, 7)
	nearest("s", Sparse{[]uint32{9}, []float32{1}}, 9)
	reopen()
	is("2100 map[:2100 n:2100 s:2100]")
	must(db.DropVector(ctx, "c", "n"))
	must(db.DropVector(ctx, "c", "s"))
	is("2100 map[:2100]")
	if _, err := c.Search(ctx, SearchRequest{Vector: Dense{1, 2, 3}, Using: "n", Limit: 1}); err == nil || err.Error() != noVector("n").Error() {
		t.Errorf("a dropped vector: %v", err)
	}
	must(db.CreateVector(ctx, "c", "n", params)) // what there was does not come back
	must(db.CreateSparseVector(ctx, "c", "s", SparseParams{}))
	is("2100 map[:2100]")
	reopen()
	is("2100 map[:2100]")
	apply(t, c, Batch{Ops: []Op{{Kind: UpdateVectors, Points: []Point{{ID: point.Number(5), Vectors: both(5)}}}}})
	nearest("n", Dense{1, 1, 1}, 5)
	reopen()
	is("2100 map[:2100 n:1 s:1]")
	nearest("n", Dense{1, 1, 1}, 5)
	nearest("", Dense{1, 0}, points-1)
	if len(c.Config().DroppedVectors) > 0 {
		t.Errorf("%v is still to be dropped", c.Config().DroppedVectors)
	}
	closeDB(t, db)
}

// TestDropIsFinished ends the process between the two halves of a drop.
func TestDropIsFinished(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	db := openDB(t, fs)
	c := newCollection(t, db, "c", configOf(t, `{"vectors":{"a":{"size":1,"distance":"Dot"},"b":{"size":1,"distance":"Dot"}}}`))
	for i := range uint64(50) {
		apply(t, c, Batch{Ops: []Op{{Kind: Upsert, Points: []Point{{ID: point.Number(i), Vectors: Vectors{"a": Dense{1}, "b": Dense{2}}}}}}})
	}
	err := db.changeVectors(ctx, c, func(cfg *Config) error {
		delete(cfg.Vectors.Named, "b")
		cfg.DroppedVectors = []string{"b"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, c, Batch{Ops: []Op{{Kind: UpdateVectors, Points: []Point{{ID: point.Number(3), Vectors: Vectors{"a": Dense{7}}}}}}})
	closeDB(t, db)
	db = openDB(t, fs)
	defer func() { closeDB(t, db) }()
	if c, err = db.Collection("c"); err != nil {
		t.Fatal(err)
	}
	var entry catalogEntry
	value, err := db.store.Get(nil, storage.GlobalKey(storage.Catalog, "c"))
	if err := errors.Join(err, json.Unmarshal(value, &entry)); err != nil {
		t.Fatal(err)
	}
	if len(c.Config().DroppedVectors) > 0 || len(entry.Config.DroppedVectors) > 0 {
		t.Error("the drop was not finished")
	}
	if err := db.CreateVector(ctx, "c", "b", VectorParams{Size: 2, Distance: Dot}); err != nil {
		t.Fatal(err)
	}
	if got := namesOf(t, c); got != "50 map[a:50]" {
		t.Error(got)
	}
}

// TestVectorNamesBesideReadsAndWrites is for the race detector.
func TestVectorNamesBesideReadsAndWrites(t *testing.T) {
	ctx := context.Background()
	db := openDB(t, vfs.NewMem())
	defer closeDB(t, db)
	c := newCollection(t, db, "c", configOf(t, `{"vectors":{"a":{"size":1,"distance":"Dot"}}}`))
	done := make(chan struct{})
	var others sync.WaitGroup
	work := func(do func(n int) error) {
		others.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				var known *Error
				if err := do(n); err != nil && (!errors.As(err, &known) || known.Kind != WrongInput && known.Kind != NotFound) {
					t.Error(err)
					return
				}
			}
		})
	}
	work(func(n int) error {
		id := point.Number(uint64(n % 200))
		_, err := c.Apply(ctx, Batch{Ops: []Op{{Kind: Upsert, Points: []Point{{ID: id, Vectors: Vectors{"a": Dense{1}, "b": Dense{2, 3}}}}}}})
		return err
	})
	work(func(n int) error {
		id := point.Number(uint64(n % 200))
		_, err := c.Apply(ctx, Batch{Ops: []Op{{Kind: Upsert, Points: []Point{{ID: id, Vectors: Vectors{"a": Dense{1}}}}}}})
		return err
	})
	for _, using := range []string{"a", "b"} {
		work(func(n int) error {
			_, err := c.Search(ctx, SearchRequest{
				Vector: Dense(slices.Repeat([]float32{1}, len(using)*(1+int(using[0]-'a')))), Using: using, Limit: 300, WithVector: VectorSelector{All: true},
			})
			return err
		})
		work(func(n int) error {
			_, err := c.Search(ctx, SearchRequest{Filter: mustFilter(t, `{"must":{"has_vector":"b"}}`), Using: using, Limit: 300, List: true})
			return err
		})
	}
	for range 15 {
		if err := db.CreateVector(ctx, "c", "b", VectorParams{Size: 2, Distance: Euclid}); err != nil {
			t.Fatal(err)
		}
		id := point.Number(1000)
		apply(t, c, Batch{Ops: []Op{{Kind: Upsert, Points: []Point{{ID: id, Vectors: Vectors{"b": Dense{1, 1}}}}}}})
		if err := db.DropVector(ctx, "c", "b"); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	others.Wait()
	apply(t, c, Batch{Ops: []Op{remove(Version{}, point.Number(1000))}})
	if err := c.do(ctx, func() error { c.oldest(); c.closeDropped(); return nil }); err != nil || len(c.dropped) > 0 {
		t.Errorf("%d graphs are not closed, %v", len(c.dropped), err)
	}
}
