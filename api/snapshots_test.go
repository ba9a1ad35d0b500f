package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"freshet/api"
	"freshet/server"
	"freshet/server/point"
)

// upload sends a snapshot as a form.
func (s *service) upload(path string, file []byte) *httptest.ResponseRecorder {
	s.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("snapshot", "any")
	if err == nil {
		_, err = part.Write(file)
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	r := httptest.NewRequest("POST", path, &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	return s.send(r)
}

func TestSnapshotRoutes(t *testing.T) {
	s := start(t)
	s.result("PUT", "/collections/c", `{"vectors":{"size":2,"distance":"Dot"}}`)
	s.result("PUT", "/collections/c/points", `{"points":[{"id":1,"vector":[1,2],"payload":{"a":"`+strings.Repeat("b", 5000)+`"}}]}`)
	info := s.result("POST", "/collections/c/snapshots", "").(map[string]any)
	name, checksum := info["name"].(string), info["checksum"].(string)
	file := s.do("GET", "/collections/c/snapshots/"+name, "")
	if file.Code != 200 || float64(file.Body.Len()) != info["size"] || file.Header().Get("Content-Disposition") != `attachment; filename="`+name+`"` {
		t.Fatalf("%d %v", file.Code, file.Header())
	}

	// A download goes on where it broke off, with any Accept-Encoding.
	r := httptest.NewRequest("GET", "/collections/c/snapshots/"+name, nil)
	r.Header.Set("Range", "bytes=1000-")
	r.Header.Set("If-Range", file.Header().Get("ETag"))
	r.Header.Set("Accept-Encoding", "gzip, zstd")
	if w := s.send(r); w.Code != http.StatusPartialContent || !bytes.Equal(w.Body.Bytes(), file.Body.Bytes()[1000:]) || w.Header().Get("Content-Encoding") != "" {
		t.Errorf("the rest: %d %v", w.Code, w.Header())
	}

	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/secrets":
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
		case r.URL.Path == "/elsewhere":
			http.Redirect(w, r, strings.Replace("http://"+r.Host, "127.0.0.1", "localhost", 1)+"/open", http.StatusFound)
		case r.URL.Path == "/open" && r.Header.Get("api-key") == "", r.Header.Get("api-key") == "k" && r.URL.Path == "/file":
			if _, err := w.Write(file.Body.Bytes()); err != nil {
				t.Error(err)
			}
		default:
			http.Error(w, "secret", http.StatusForbidden)
		}
	}))
	defer peer.Close()
	for i, location := range []string{"file://" + s.snapshots + "/c/" + name, peer.URL + "/file", peer.URL + "/elsewhere"} {
		s.expect("PUT", fmt.Sprintf("/collections/r%d/snapshots/recover", i),
			fmt.Sprintf(`{"location":%q,"priority":"snapshot","checksum":%q,"api_key":"k"}`, location, checksum), `true`)
		s.expect("POST", fmt.Sprintf("/collections/r%d/points/count", i), `{}`, `{"count":1}`)
	}
	for location, want := range map[string]string{
		peer.URL + "/none":                 "Bad request: location: the server answers with the status 403",
		"http://169.254.169.254/latest":    "link-local",
		"http://[::ffff:169.254.169.254]/": "link-local",
		"http://[64:ff9b::a9fe:a9fe]/":     "link-local",
		"http://[fe80::1]/":                "link-local",
		"http://[ff02::1]/":                "multicast",
		"http://[fd00:ec2::254]/latest":    "metadata",
		"http://100.100.100.200/latest":    "metadata",
		peer.URL + "/secrets":              "link-local",
		"http://[::]/":                     "unspecified",
		"file:///etc/shadow":               "Bad request: location: the file is not in the folder",
		"file://" + s.snapshots + "/../x":  "not in the folder",
		"file://host" + s.snapshots + "/c": "a URL of the form",
		"ftp://a/b":                        "a URL of the form",
		"s3://bucket/c/a.snapshot":         "keeps its snapshots in no bucket",
	} {
		code, text := s.errorOf("PUT", "/collections/c/snapshots/recover", fmt.Sprintf(`{"location":%q}`, location))
		if code != 400 || !strings.Contains(text, want) || strings.Contains(text, "secret") {
			t.Errorf("%s: %d %s", location, code, text)
		}
	}
	// By its name, and when the collection has been dropped.
	s.result("DELETE", "/collections/c", "")
	s.expect("PUT", "/collections/c/snapshots/recover", `{"location":"`+name+`"}`, `true`)
	s.expect("POST", "/collections/c/points/count", `{}`, `{"count":1}`)
	for path, want := range map[string]string{"c": "Not found: Snapshot none.snapshot not found", "none": "Not found: Snapshot none.snapshot not found"} {
		if code, text := s.errorOf("PUT", "/collections/"+path+"/snapshots/recover", `{"location":"none.snapshot"}`); code != 404 || text != want {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	if w := s.upload("/collections/up/snapshots/upload?priority=replica&checksum="+checksum, file.Body.Bytes()); w.Code != 200 {
		t.Errorf("upload: %d %s", w.Code, w.Body)
	}
	s.expect("POST", "/collections/up/points/count", `{}`, `{"count":1}`)
	if w := s.upload("/collections/up/snapshots/upload?checksum="+strings.Repeat("0", 64), file.Body.Bytes()); w.Code != 400 || !strings.Contains(w.Body.String(), "checksum mismatch") {
		t.Errorf("upload with another checksum: %d %s", w.Code, w.Body)
	}
	if w := s.upload("/collections/up/snapshots/upload?priority=none", nil); w.Code != 400 {
		t.Errorf("unknown priority: %d", w.Code)
	}
	for _, bad := range []string{"..%2f..%2fx.snapshot", "%2fetc%2fpasswd", "none.snapshot", "a%00.snapshot"} {
		if w := s.do("GET", "/collections/c/snapshots/"+bad, ""); w.Code != 404 {
			t.Errorf("%s: %d %s", bad, w.Code, w.Body)
		}
	}
	if w := s.do("GET", "/collections/"+strings.Repeat("c", 256)+"/snapshots/"+name, ""); w.Code != 422 || !strings.HasPrefix(w.Body.String(), "Validation error in path parameters: ") {
		t.Errorf("a name that is too long: %d %s", w.Code, w.Body)
	}
	s.result("DELETE", "/collections/c", "")
	if list := s.result("GET", "/collections/c/snapshots", "").([]any); len(list) != 1 {
		t.Errorf("of a dropped collection: %v", list)
	}
	s.expect("DELETE", "/collections/c/snapshots/"+name, "", `true`)
	if code, text := s.errorOf("GET", "/collections/c/snapshots", ""); code != 404 || !strings.Contains(text, "`c` doesn't exist") {
		t.Errorf("of no collection: %d %s", code, text)
	}
	if w := s.do("POST", "/snapshots?wait=false", ""); w.Code != http.StatusAccepted {
		t.Errorf("without waiting: %d %s", w.Code, w.Body)
	}
}

// TestRecoveryEndsWithTheDatabase closes the database while the end of a snapshot does not
// come that is fetched from another server.
func TestRecoveryEndsWithTheDatabase(t *testing.T) {
	db, err := server.Open(t.Context(), t.TempDir(), server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if err := db.CreateCollection(ctx, "c", server.Config{}); err != nil {
		t.Fatal(err)
	}
	c, err := db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	// More than the buffers of a connection hold, so that it is being read.
	payload := json.RawMessage(`{"a":"` + strings.Repeat("b", 1<<20) + `"}`)
	for id := range uint64(32) {
		op := server.Op{Kind: server.Upsert, Points: []server.Point{{ID: point.Number(id), Vectors: server.Vectors{}, Payload: payload}}}
		if _, err := c.Apply(ctx, server.Batch{Ops: []server.Op{op}}); err != nil {
			t.Fatal(err)
		}
	}
	info, err := db.CreateSnapshot(ctx, "c")
	if err != nil {
		t.Fatal(err)
	}
	file, _, err := db.OpenSnapshot(ctx, "c", info.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}()
	asked, gone := make(chan struct{}), make(chan struct{})
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.CopyN(w, file, info.Size-1); err != nil {
			t.Error(err)
		}
		close(asked)
		<-r.Context().Done()
		close(gone)
	}))
	defer peer.Close()
	logs := make(chan slog.Record, 10)
	h := api.New(db, api.Options{Logger: slog.New(records(logs))}).Handler()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("PUT", "/collections/c/snapshots/recover?wait=false", strings.NewReader(fmt.Sprintf(`{"location":%q}`, peer.URL+"/a"))))
	if w.Code != http.StatusAccepted {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	<-asked
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	<-gone
	failed := <-logs
	failed.Attrs(func(a slog.Attr) bool {
		if a.Key == "err" && !strings.Contains(a.Value.String(), "the database is closed") {
			t.Errorf("it ended with: %s", a.Value)
		}
		return true
	})
}

// records is a log that can be waited for.
type records chan slog.Record

func (r records) Enabled(context.Context, slog.Level) bool { return true }
func (r records) Handle(_ context.Context, record slog.Record) error {
	r <- record
	return nil
}
func (r records) WithAttrs([]slog.Attr) slog.Handler { return r }
func (r records) WithGroup(string) slog.Handler      { return r }

// TestDeleteThatNobodyWaitsFor checks that the snapshot that was named is removed, whatever
// is asked for before that. On one processor the removal begins after the request behind it.
func TestDeleteThatNobodyWaitsFor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	s := start(t)
	s.result("PUT", "/collections/c", `{"vectors":{"size":2,"distance":"Dot"}}`)
	var names [2]string
	for i := range names {
		names[i] = s.result("POST", "/collections/c/snapshots", "").(map[string]any)["name"].(string)
	}
	const path = "/collections/c/snapshots/"
	removed := s.do("DELETE", path+names[0]+"?wait=false", "")
	if kept := s.do("GET", path+names[1], ""); removed.Code != http.StatusAccepted || kept.Code != http.StatusOK {
		t.Fatalf("%d %s, %d %s", removed.Code, removed.Body, kept.Code, kept.Body)
	}
	for range 10_000 {
		runtime.Gosched()
		if s.do("GET", path+names[0], "").Code == http.StatusNotFound {
			break
		}
	}
	list := s.result("GET", "/collections/c/snapshots", "").([]any)
	if len(list) != 1 || list[0].(map[string]any)["name"] != names[1] {
		t.Errorf("left are %v, want %s", list, names[1])
	}
}

func TestSnapshotThatCannotBeOpenedIsLogged(t *testing.T) {
	s := start(t)
	if err := os.Remove(s.snapshots); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.snapshots, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if w := s.do("GET", "/snapshots/any.snapshot", ""); w.Code != http.StatusInternalServerError || !strings.Contains(s.logs.String(), "request failed") {
		t.Errorf("%d %s; logged: %s", w.Code, w.Body, &s.logs)
	}
}

func TestUploadThatBreaksOff(t *testing.T) {
	s := start(t)
	body := io.MultiReader(strings.NewReader("--b\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\n"), iotest.ErrReader(errors.New("broken off")))
	r := httptest.NewRequest("POST", "/collections/c/snapshots/upload", body)
	r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "the body could not be read") || !strings.Contains(w.Body.String(), "broken off") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
