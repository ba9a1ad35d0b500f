package api_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
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
		"http://[::]/":                     "unspecified",
		"file:///etc/shadow":               "Bad request: location: the file is not in the folder",
		"file://" + s.snapshots + "/../x":  "not in the folder",
		"file://host" + s.snapshots + "/c": "not a URL of the form",
		"ftp://a/b":                        "not a URL of the form",
		"c.snapshot":                       "not a URL of the form",
	} {
		code, text := s.errorOf("PUT", "/collections/c/snapshots/recover", fmt.Sprintf(`{"location":%q}`, location))
		if code != 400 || !strings.Contains(text, want) || strings.Contains(text, "secret") {
			t.Errorf("%s: %d %s", location, code, text)
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
	s.expect("DELETE", "/collections/c/snapshots/"+name, "", `true`)
	s.expect("GET", "/collections/c/snapshots", "", `[]`)
	if w := s.do("POST", "/snapshots?wait=false", ""); w.Code != http.StatusAccepted {
		t.Errorf("without waiting: %d %s", w.Code, w.Body)
	}
}
