package server

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"freshet/server/payload"
	"freshet/server/point"
)

// TestSnapshotsOfAllKindsOfVectors takes a collection of sparse vectors and multivectors
// over, with one that was dropped and one that was added.
func TestSnapshotsOfAllKindsOfVectors(t *testing.T) {
	ctx := context.Background()
	source := openWithSnapshots(t, vfs.NewMem(), t.TempDir())
	defer closeDB(t, source)
	c := newCollection(t, source, "c", configOf(t, `{
		"vectors":{"m":{"size":5,"distance":"Dot","multivector_config":{"comparator":"max_sim"}},"gone":{"size":1,"distance":"Dot"}},
		"sparse_vectors":{"s":{"modifier":"idf"}}}`))
	r := rand.New(rand.NewPCG(1, 2))
	write := func(from, to uint64, vectors func() Vectors) {
		var ops []Op
		for i := from; i < to; i++ {
			ops = append(ops, Op{Kind: Upsert, Points: []Point{{ID: point.Number(i), Vectors: vectors()}}})
		}
		apply(t, c, Batch{Ops: ops})
	}
	write(0, 200, func() Vectors { return Vectors{"m": randomMulti(r), "s": randomSparse(r), "gone": Dense{1}} })
	write(50, 80, func() Vectors { return Vectors{"m": randomMulti(r)} })
	write(80, 110, func() Vectors { return Vectors{"s": randomSparse(r)} })
	if err := source.DropVector(ctx, "c", "gone"); err != nil {
		t.Fatal(err)
	}
	if err := source.CreateSparseVector(ctx, "c", "added", SparseParams{}); err != nil {
		t.Fatal(err)
	}
	write(110, 140, func() Vectors { return Vectors{"m": randomMulti(r), "added": randomSparse(r)} })
	apply(t, c, Batch{Ops: []Op{remove(Version{}, point.Number(3), point.Number(120))}})

	queries := []SearchRequest{
		{Vector: randomMulti(r), Using: "m"}, {Vector: randomSparse(r), Using: "s"}, {Vector: randomSparse(r), Using: "added"},
	}
	seen := func(c *Collection) []any {
		t.Helper()
		page, err := c.Scroll(ctx, ScrollRequest{Limit: 1000, WithVector: VectorSelector{All: true}, WithPayload: payload.All()})
		if err != nil {
			t.Fatal(err)
		}
		all := []any{namesOf(t, c)}
		for _, record := range page.Records {
			all = append(all, record.ID.String(), record.Version, record.Vectors)
		}
		for _, q := range queries {
			q.Limit = 50
			hits, err := c.Search(ctx, q)
			if err != nil || len(hits) == 0 {
				t.Fatalf("%s: %d hits, %v", q.Using, len(hits), err)
			}
			for _, h := range hits {
				all = append(all, q.Using, h.ID.String(), h.Score)
			}
		}
		return all
	}
	_, raw := takeSnapshot(t, source, "c")
	want, records := seen(c), storedRecords(t, c)

	fs := vfs.NewMem()
	target := openWithSnapshots(t, fs, t.TempDir())
	defer func() { closeDB(t, target) }()
	if err := target.Recover(ctx, "new", bytes.NewReader(raw), ""); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		got := collection(t, target, "new")
		if d := cmp.Diff(records, storedRecords(t, got)); d != "" {
			t.Errorf("the records differ (-want +got)\n%s", d)
		}
		if d := cmp.Diff(want, seen(got)); d != "" {
			t.Errorf("what is read differs (-want +got)\n%s", d)
		}
		if d := cmp.Diff(c.Config(), got.Config(), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("the configuration differs (-want +got)\n%s", d)
		}
	}
	check()
	closeDB(t, target)
	target = openWithSnapshots(t, fs, t.TempDir())
	check()
}
