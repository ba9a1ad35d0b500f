package server

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"freshet/server/point"
	"freshet/storage/crashfs"
)

// hangingDisk is one whose syncs wait while it hangs.
type hangingDisk struct {
	hangs   chan chan struct{} // holds what is closed when it goes on
	waiting chan struct{}      // has one once a sync waits
}

func newHangingDisk() *hangingDisk {
	d := &hangingDisk{hangs: make(chan chan struct{}, 1), waiting: make(chan struct{}, 1)}
	d.hangs <- nil
	return d
}

func (d *hangingDisk) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
	default:
		return nil
	}
	goesOn := <-d.hangs
	d.hangs <- goesOn
	if goesOn == nil {
		return nil
	}
	select {
	case d.waiting <- struct{}{}:
	default:
	}
	<-goesOn
	return nil
}

func (d *hangingDisk) String() string { return "hanging disk" }

// hang has syncs wait until what it returns is called.
func (d *hangingDisk) hang() (goOn func()) {
	<-d.hangs
	goesOn := make(chan struct{})
	d.hangs <- goesOn
	return func() {
		<-d.hangs
		d.hangs <- nil
		close(goesOn)
	}
}

// TestDiskThatHangs has a disk stop syncing for a while, as an overloaded volume does:
// writes that are to be on it are not acknowledged, searches go on, a crash then loses
// nothing that was acknowledged, and when the disk goes on, the writes are done.
func TestDiskThatHangs(t *testing.T) {
	ctx := t.Context()
	mem, disk := crashfs.New(), newHangingDisk()
	db, err := Open(ctx, "data", Options{FS: errorfs.Wrap(mem, disk)})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.CreateCollection(ctx, "c", vectorConfig(2, Euclid)); err != nil {
		t.Fatal(err)
	}
	c, err := db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	write := func(id uint64) error {
		_, err := c.Apply(context.WithoutCancel(ctx), Batch{Ops: []Op{upsert(point.Number(id), Version{}, float32(id), 0, "")}, Sync: true})
		return err
	}
	want := []string{}
	for id := range uint64(10) {
		if err := write(id); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf("%d: [%d 0] {}", id, id))
	}
	for round := range uint64(3) {
		goOn := disk.hang()
		const writers = 4
		acknowledged := make(chan error, writers)
		for i := range uint64(writers) {
			go func() { acknowledged <- write(10 + round*writers + i) }()
		}
		<-disk.waiting
		for range 100 {
			hits, err := c.Search(ctx, SearchRequest{Vector: Dense{0, 0}, Limit: 3})
			if err != nil || len(hits) != 3 {
				t.Fatalf("while the disk hangs: %d hits, %v", len(hits), err)
			}
		}
		select {
		case err := <-acknowledged:
			t.Errorf("acknowledged while it is not on disk: %v", err)
			acknowledged <- err
		default:
		}
		crashed, err := Open(ctx, "data", Options{FS: mem.CrashClone(vfs.CrashCloneCfg{})})
		if err != nil {
			t.Fatal(err)
		}
		old, err := crashed.Collection("c")
		if err != nil {
			t.Fatal(err)
		}
		found := contents(t, old)
		for _, p := range want {
			if !slices.Contains(found, p) {
				t.Errorf("after a crash while the disk hangs %q is gone, there are %q", p, found)
			}
		}
		closeDB(t, crashed)
		goOn()
		for i := range uint64(writers) {
			if err := <-acknowledged; err != nil {
				t.Error(err)
			}
			id := 10 + round*writers + i
			want = append(want, fmt.Sprintf("%d: [%d 0] {}", id, id))
		}
	}
	if found := contents(t, c); !slices.Equal(found, want) {
		t.Errorf("there are %q, want %q", found, want)
	}
	closeDB(t, db)
}
