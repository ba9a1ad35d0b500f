package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"freshet/api"
	"freshet/server"
)

// TestSnapshotCommand takes a snapshot through everything that can be done with it, at a
// real server.
func TestSnapshotCommand(t *testing.T) {
	t.Chdir(t.TempDir())
	db, err := server.Open(t.Context(), "data", server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	s := httptest.NewServer(api.New(db, api.Options{APIKeys: []string{"k"}}).Handler())
	defer s.Close()
	at := &remote{url: s.URL, key: "k"}
	ask := func(method, path, body string) string {
		t.Helper()
		req, err := at.request(t.Context(), method, path, nil, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		result, err := at.result(req)
		if err != nil {
			t.Fatal(err)
		}
		return string(result)
	}
	command := func(args ...string) string {
		t.Helper()
		out, err := run(t, append([]string{"snapshot"}, append(args, "--url", s.URL, "--api-key", "k")...)...)
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		return out
	}
	points := func(want string) {
		t.Helper()
		if got := ask(http.MethodPost, "/collections/c/points/count", "{}"); got != `{"count":`+want+`}` {
			t.Fatalf("%s, want %s points", got, want)
		}
	}
	fill := func() {
		ask(http.MethodPut, "/collections/c", `{"vectors":{"size":2,"distance":"Dot"}}`)
		ask(http.MethodPut, "/collections/c/points?wait=true", `{"points":[{"id":1,"vector":[1,2]},{"id":2,"vector":[1,2],"payload":{"a":"`+strings.Repeat("b", 5000)+`"}}]}`)
	}
	fill()
	var info snapshotInfo
	if err := json.Unmarshal([]byte(command("create", "--collection", "c", "--json")), &info); err != nil || info.Size == 0 || len(info.Checksum) != 64 {
		t.Fatalf("%+v, %v", info, err)
	}
	if out := command("list", "--collection", "c"); !strings.HasPrefix(out, info.Name+"  ") || strings.Count(out, "\n") != 1 {
		t.Errorf("the list: %s", out)
	}
	if out := command("list", "--json"); out != "[]\n" {
		t.Errorf("of the whole storage: %s", out)
	}

	// A download that was interrupted goes on; the rest of another file is found out.
	command("download", info.Name, "whole", "--collection", "c")
	whole, err := os.ReadFile("whole")
	if err != nil || int64(len(whole)) != info.Size {
		t.Fatalf("%d bytes of %d, %v", len(whole), info.Size, err)
	}
	if err := os.WriteFile("again.part", whole[:1000], 0o600); err != nil {
		t.Fatal(err)
	}
	command("download", info.Name, "again", "--collection", "c", "--json")
	if again, err := os.ReadFile("again"); err != nil || !bytes.Equal(again, whole) {
		t.Errorf("%d bytes of %d, %v", len(again), len(whole), err)
	}
	if err := os.WriteFile("wrong.part", make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = run(t, "snapshot", "download", info.Name, "wrong", "--collection", "c", "--url", s.URL, "--api-key", "k")
	if err == nil || !strings.Contains(err.Error(), "the file is not the snapshot") {
		t.Errorf("a part of another file: %v", err)
	}
	if err := os.WriteFile("long.part", make([]byte, len(whole)+1), 0o600); err != nil {
		t.Fatal(err)
	}
	command("download", info.Name, "long", "--collection", "c")
	if long, err := os.ReadFile("long"); err != nil || !bytes.Equal(long, whole) {
		t.Errorf("%d bytes of %d, %v", len(long), len(whole), err)
	}
	if left, err := filepath.Glob("*.part"); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}

	// It is restored in each way.
	location := "file://" + filepath.Join(must(filepath.Abs("data")), "snapshots", "c", info.Name)
	for _, args := range [][]string{{"restore", info.Name}, {"restore", location}, {"upload", "whole"}} {
		ask(http.MethodPost, "/collections/c/points/delete?wait=true", `{"points":[1]}`)
		points("1")
		if out := command(append(args, "--collection", "c", "--checksum", info.Checksum)...); !strings.HasPrefix(out, "the collection c is as in ") {
			t.Errorf("%q: %s", args, out)
		}
		points("2")
	}
	ask(http.MethodDelete, "/collections/c", "")
	command("upload", "whole", "--collection", "c", "--json")
	points("2")

	for _, x := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"restore", "docs.snapshot", "--collection", "c"}, 2, "Snapshot docs.snapshot not found"},
		{[]string{"restore", info.Name}, 2, "restore needs --collection"},
		{[]string{"upload", "whole"}, 2, "upload needs --collection"},
		{[]string{"upload", "nothing", "--collection", "c"}, 2, "open nothing"},
		{[]string{"upload", "whole", "--collection", "c", "--checksum", strings.Repeat("0", 64)}, 2, "checksum mismatch"},
		{[]string{"restore", "ftp://x/y", "--collection", "c"}, 2, "location: it is neither"},
		{[]string{"delete", "none", "--collection", "c"}, 2, "not found"},
		{[]string{"download", "none", "--collection", "c"}, 2, "has no snapshot"},
		{[]string{"list", "--collection", "none"}, 2, "doesn't exist"},
		{[]string{"list", "--api-key", "wrong"}, 2, "FRESHET_API_KEY or --api-key"},
		{[]string{"create", "now"}, 2, "unknown command"},
	} {
		args := append([]string{"snapshot", "--url", s.URL, "--api-key", "k"}, x.args...)
		if _, err := run(t, args...); err == nil || exitCode(err) != x.code || !strings.Contains(err.Error(), x.text) {
			t.Errorf("%q: %v, want %d and %s", x.args, err, x.code, x.text)
		}
	}
	command("delete", info.Name, "--collection", "c")
	if out := command("list", "--collection", "c", "--json"); out != "[]\n" {
		t.Errorf("after it was removed: %s", out)
	}
}

func must(path string, err error) string {
	if err != nil {
		panic(err)
	}
	return path
}
