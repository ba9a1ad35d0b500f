package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"freshet/server/snapshots"
)

// TestSnapshotsInBucket takes snapshots into a bucket and recovers them on another
// server, whose folder is empty: all records and positions are the same.
func TestSnapshotsInBucket(t *testing.T) {
	backend := s3mem.New()
	if err := backend.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	fake := gofakes3.New(backend).Server()
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/../") {
			t.Errorf("the store was asked for %s", r.URL.Path)
		}
		fake.ServeHTTP(w, r)
	}))
	defer store.Close()
	ctx := context.Background()
	open := func() *DB {
		t.Helper()
		db, err := Open(ctx, "data", Options{FS: vfs.NewMem(), SnapshotsDir: t.TempDir(), SnapshotsBucket: &snapshots.BucketConfig{
			Name: "bucket", Endpoint: store.URL, Keys: func() (string, string, error) { return "id", "hush", nil },
		}})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	source := open()
	defer closeDB(t, source)
	const name = "c 100% ä"
	c := fillWithEverything(t, source, name)
	single, _ := takeSnapshot(t, source, name)
	whole, _ := takeSnapshot(t, source, "")
	want := storedRecords(t, c)

	target := open()
	defer closeDB(t, target)
	if list, err := target.Snapshots(ctx, name); err != nil || len(list) != 1 || list[0] != single {
		t.Fatal(list, err)
	}
	recoveries := map[string]func() error{
		"by name":   func() error { return target.RecoverKept(ctx, name, single.Name, single.Checksum) },
		"by object": func() error { return target.RecoverObject(ctx, name, "bucket", folderOf(name)+"/"+single.Name, "") },
		"of all":    func() error { return target.RecoverObject(ctx, name, "bucket", whole.Name, "") },
	}
	for how, recover := range recoveries {
		if err := recover(); err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		if d := cmp.Diff(want, storedRecords(t, collection(t, target, name))); d != "" {
			t.Errorf("%s: %s", how, d)
		}
	}
	for _, x := range []struct {
		err  error
		kind Kind
		text string
	}{
		{target.RecoverKept(ctx, name, "none.snapshot", ""), NotFound, "none.snapshot"},
		{target.RecoverKept(ctx, name, single.Name, strings.Repeat("0", 64)), BadRequest, "checksum mismatch"},
		{target.RecoverKept(ctx, name, single.Name, "abc"), BadRequest, "not a SHA-256"},
		{target.RecoverObject(ctx, name, "other", whole.Name, ""), BadRequest, "in the bucket bucket"},
		{target.RecoverObject(ctx, name, "bucket", "../"+whole.Name, ""), NotFound, whole.Name},
		{target.RecoverObject(ctx, name, "bucket", "c/../../"+whole.Name, ""), NotFound, whole.Name},
		{target.RecoverObject(ctx, name, "bucket", "/"+whole.Name, ""), NotFound, whole.Name},
		{target.DeleteSnapshot(ctx, name, "none.snapshot"), NotFound, "none.snapshot"},
		{target.DeleteSnapshot(ctx, name, single.Name), Internal, ""},
	} {
		if x.text == "" && x.err == nil {
			continue
		}
		if x.err == nil || KindOf(x.err) != x.kind || !strings.Contains(x.err.Error(), x.text) {
			t.Errorf("%v, want %d %s", x.err, x.kind, x.text)
		}
	}
	noOrphans(t, target)

	store.Close()
	for what, err := range map[string]error{
		"create":  func() error { _, err := target.CreateSnapshot(ctx, name); return err }(),
		"list":    func() error { _, err := target.Snapshots(ctx, name); return err }(),
		"recover": target.RecoverKept(ctx, name, single.Name, ""),
	} {
		if KindOf(err) != Unavailable || !strings.Contains(err.Error(), "the store of snapshots: ") || !strings.Contains(err.Error(), " in the bucket bucket at "+store.URL) {
			t.Errorf("%s without the store: %v", what, err)
		}
	}
}
