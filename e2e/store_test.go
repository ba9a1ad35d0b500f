//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// startStore runs a store that speaks S3, checks signatures and keeps its objects as files. It
// has one bucket, "bucket", whose folder is returned.
func startStore(t *testing.T) (address, bucket string) {
	t.Helper()
	buckets := t.TempDir()
	bucket = filepath.Join(buckets, "bucket")
	if err := os.Mkdir(bucket, 0o700); err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	cmd := exec.Command(filepath.Join(root, ".cache", "versitygw"), "--port", at, "posix", buckets)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=id", "ROOT_SECRET_KEY=store-secret")
	runBeside(t, "the store", cmd)
	eventually(t, timeoutOfTests, func() error {
		res, err := http.Get("http://" + at)
		if err != nil {
			return err
		}
		return res.Body.Close()
	})
	return "http://" + at, bucket
}

// storing is the configuration of a server that keeps its snapshots in a store.
func storing(store, secret string) string {
	return fmt.Sprintf(`
storage:
  snapshots_config:
    snapshots_storage: s3
    s3_config: {bucket: bucket, endpoint_url: %q, access_key: id, secret_key: %s}
`, store, secret)
}

// TestSnapshotsInAStore takes snapshots of several parts into a store, of a collection whose
// name has every kind of character, too; kills the server while it uploads one; and restores
// them by another server, which has nothing but the configuration.
func TestSnapshotsInAStore(t *testing.T) {
	t.Parallel()
	store, bucket := startStore(t)
	one := startFreshet(t, storing(store, "store-secret"))
	const odd = "a 100% ä+&="
	oddPath := "/collections/" + url.PathEscape(odd)
	for _, path := range []string{"/collections/c", oddPath} {
		if err := one.call("PUT", path, nil, map[string]any{"vectors": map[string]any{"size": 2, "distance": "Dot"}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	const batches, inBatch = 40, 100
	for b := range batches { // 40 MB, and so three parts
		var points []any
		for i := range inBatch {
			points = append(points, map[string]any{"id": b*inBatch + i, "vector": []int{b, i}, "payload": map[string]string{"text": strings.Repeat(string(rune('a'+b%26)), 10<<10)}})
		}
		if err := one.call("PUT", "/collections/c/points?wait=true", nil, map[string]any{"points": points}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := one.call("PUT", oddPath+"/points?wait=true", nil, map[string]any{"points": []any{map[string]any{"id": 1, "vector": []int{1, 2}}}}, nil); err != nil {
		t.Fatal(err)
	}
	type snapshot struct {
		Name, Checksum string
		Size           int64
	}
	var large, whole, small snapshot
	for path, made := range map[string]*snapshot{"/collections/c/snapshots": &large, "/snapshots": &whole, oddPath + "/snapshots": &small} {
		if err := one.call("POST", path, nil, nil, made); err != nil {
			t.Fatal(err)
		}
		var list []snapshot
		if err := one.call("GET", path, nil, nil, &list); err != nil || len(list) != 1 || list[0] != *made || made.Checksum == "" {
			t.Errorf("%s has %v, %v, want %v", path, list, err, *made)
		}
	}
	if large.Size < 2*16<<20 {
		t.Errorf("the snapshot has %d bytes, which are not three parts", large.Size)
	}

	made := make(chan error, 1)
	go func() { made <- one.call("POST", "/collections/c/snapshots", nil, nil, nil) }()
	eventually(t, timeoutOfTests, func() error { // some part has come
		parts := 0
		err := filepath.WalkDir(bucket, func(path string, e os.DirEntry, err error) error {
			if err == nil && !e.IsDir() && strings.Contains(path, "multipart") {
				parts++
			}
			return nil // files come and go
		})
		if parts == 0 {
			return errors.Join(err, errors.New("no part is there"))
		}
		return err
	})
	one.kill()
	killed := <-made

	two := startFreshet(t, storing(store, "store-secret"))
	var list []snapshot
	if err := two.call("GET", "/collections/c/snapshots", nil, nil, &list); err != nil || len(list) != 1 && killed != nil || list[0] != large {
		t.Errorf("after an upload that was cut short (%v) there are %v, %v", killed, list, err)
	}
	count := func(path string, want int) {
		t.Helper()
		var count struct{ Count int }
		if err := two.call("POST", path+"/points/count", nil, map[string]any{}, &count); err != nil || count.Count != want {
			t.Errorf("%s has %d points, %v, want %d", path, count.Count, err, want)
		}
	}
	for _, x := range []struct {
		path, location string
		points         int
	}{
		{"/collections/c", large.Name, batches * inBatch},
		{oddPath, small.Name, 1},
		{"/collections/c", "s3://bucket/c/" + large.Name, batches * inBatch},
		{oddPath, "s3://bucket/" + whole.Name, 1},
	} {
		if err := two.call("PUT", x.path+"/snapshots/recover", nil, map[string]any{"location": x.location}, nil); err != nil {
			t.Error(err)
		}
		count(x.path, x.points)
	}
	for location, want := range map[string]string{"none.snapshot": ": 404 ", "s3://bucket/../bucket/" + whole.Name: ": 404 ", "s3://other/c/" + large.Name: ": 400 "} {
		if err := two.call("PUT", "/collections/c/snapshots/recover", nil, map[string]any{"location": location}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("from %s: %v", location, err)
		}
	}
	file := filepath.Join(t.TempDir(), "docs.snapshot")
	if out, err := exec.Command(binary, "snapshot", "download", large.Name, file, "--collection", "c", "--url", two.url).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	kept, err := os.ReadFile(filepath.Join(bucket, "c", large.Name))
	got, err2 := os.ReadFile(file)
	if err := errors.Join(err, err2); err != nil || !bytes.Equal(kept, got) {
		t.Errorf("downloaded are %d bytes, %d are kept: %v", len(got), len(kept), err)
	}
	if err := two.call("DELETE", "/collections/c/snapshots/"+large.Name, nil, nil, nil); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(bucket, "c", large.Name)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a snapshot that was removed: %v", err)
	}
	if said, err := doctor(two, "snapshots"); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
	wrong := newFreshet(t, storing(store, "another-secret"))
	if said, err := doctor(wrong, "snapshots"); err == nil || !strings.Contains(said, "signature") || strings.Contains(said, "another-secret") {
		t.Errorf("with a wrong key the doctor says %v\n%s", err, said)
	}
}
