package main

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"freshet/api"
	"freshet/server"
)

// TestSnapshotsInS3 puts a snapshot into a bucket by one server and restores it by
// another one that has nothing but the configuration.
func TestSnapshotsInS3(t *testing.T) {
	t.Chdir(t.TempDir())
	backend := s3mem.New()
	if err := backend.CreateBucket("docs-backup"); err != nil {
		t.Fatal(err)
	}
	store := httptest.NewServer(gofakes3.New(backend).Server())
	defer store.Close()
	t.Setenv("SECRET", "hush")
	c, err := load(t, `
storage:
  snapshots_config:
    snapshots_storage: s3
    s3_config: {bucket: docs-backup, region: eu-west-1, access_key: id, secret_key: "x${env:SECRET}", endpoint_url: "`+store.URL+`"}
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	if err := c.print(&printed); err != nil || strings.Contains(printed.String(), "SECRET") || !strings.Contains(printed.String(), "bucket: docs-backup") {
		t.Errorf("%v\n%s", err, &printed)
	}
	if access, secret, err := c.Storage.Snapshots.bucket().Keys(); access != "id" || secret != "xhush" || err != nil {
		t.Errorf("the keys are %s and %s, %v", access, secret, err)
	}

	one := newSnapshotServer(t, &c, "one")
	one.ask("PUT", "/collections/c", `{"vectors":{"size":2,"distance":"Dot"}}`)
	one.ask("PUT", "/collections/c/points?wait=true", `{"points":[{"id":1,"vector":[1,2]},{"id":2,"vector":[1,2]}]}`)
	name, _, _ := strings.Cut(one.command("create"), " ")
	one.command("download", name, "whole")
	one.close()
	if _, err := os.Stat("one/snapshots"); !os.IsNotExist(err) {
		t.Errorf("there is a folder of snapshots, too: %v", err)
	}

	two := newSnapshotServer(t, &c, "two")
	defer two.close()
	if list := two.command("list"); !strings.HasPrefix(list, name+" ") {
		t.Errorf("the list: %s", list)
	}
	for _, from := range []string{name, "s3://docs-backup/c/" + name} {
		two.command("restore", from)
		if got := two.ask("POST", "/collections/c/points/count", "{}"); got != `{"count":2}` {
			t.Errorf("from %s: %s", from, got)
		}
		two.ask("DELETE", "/collections/c", "")
	}
	whole, err := os.ReadFile("whole")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("again.part", whole[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	two.command("download", name, "again")
	if again, err := os.ReadFile("again"); err != nil || !bytes.Equal(again, whole) {
		t.Errorf("%d bytes of %d: %v", len(again), len(whole), err)
	}
	if _, err := two.run("restore", "s3://other/c/"+name); err == nil || !strings.Contains(err.Error(), "keeps its snapshots in the bucket docs-backup") {
		t.Errorf("from another bucket: %v", err)
	}
	two.command("delete", name)
	examine := func() (found []server.Finding) {
		t.Helper()
		if err := examineSnapshots(t.Context(), &c.Storage, func(f server.Finding) { found = append(found, f) }); err != nil {
			t.Error(err)
		}
		return found
	}
	if found := examine(); len(found) != 1 || found[0].Level != server.Fine || !strings.HasPrefix(found[0].Text, "s3://docs-backup at "+store.URL+" may be listed") {
		t.Errorf("the doctor says %v", found)
	}
	store.Close()
	if found := examine(); len(found) != 1 || found[0].Level != server.Problem || !strings.Contains(found[0].Text, "list the snapshots in the bucket docs-backup at "+store.URL) {
		t.Errorf("without the store the doctor says %v", found)
	}
	if _, err := two.run("restore", name); err == nil || !strings.Contains(err.Error(), "in the bucket docs-backup at "+store.URL) || strings.Contains(err.Error(), "hush") {
		t.Errorf("without the store: %v", err)
	}
}

// snapshotServer is a server that commands ask for snapshots of the collection c.
type snapshotServer struct {
	t *testing.T
	*httptest.Server
	db *server.DB
}

func newSnapshotServer(t *testing.T, c *config, dir string) *snapshotServer {
	t.Helper()
	db, err := server.Open(t.Context(), dir, server.Options{SnapshotsBucket: c.Storage.Snapshots.bucket()})
	if err != nil {
		t.Fatal(err)
	}
	return &snapshotServer{t, httptest.NewServer(api.New(db, api.Options{}).Handler()), db}
}

func (s *snapshotServer) close() {
	s.Close()
	if err := s.db.Close(); err != nil {
		s.t.Error(err)
	}
}

func (s *snapshotServer) run(args ...string) (string, error) {
	return run(s.t, append([]string{"snapshot", "--collection", "c", "--url", s.URL}, args...)...)
}

func (s *snapshotServer) command(args ...string) string {
	s.t.Helper()
	out, err := s.run(args...)
	if err != nil {
		s.t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return out
}

func (s *snapshotServer) ask(method, path, body string) string {
	s.t.Helper()
	at := &remote{url: s.URL}
	req, err := at.request(s.t.Context(), method, path, nil, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	result, err := at.result(req)
	if err != nil {
		s.t.Fatal(fmt.Errorf("%s %s: %w", method, path, err))
	}
	return string(result)
}
