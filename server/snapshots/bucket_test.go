package snapshots

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/minio/minio-go/v7"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	minio.DefaultRetryUnit = time.Millisecond // so that failures are told soon
	goleak.VerifyTestMain(m)
}

// fakeStore is a store in memory with the bucket "bucket". Faults are its test's.
type fakeStore struct {
	http.Handler
	url string

	mu    sync.Mutex
	fault fault
}

// fault answers a request itself and returns true, or lets it pass; one request at a
// time, so that it may keep what it has seen. nil: all pass.
type fault func(w http.ResponseWriter, r *http.Request) bool

func (s *fakeStore) setFault(f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// faulty answers whether a fault has answered.
func (s *fakeStore) faulty(w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault != nil && s.fault(w, r)
}

func newFakeStore(t *testing.T) *fakeStore {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	s := &fakeStore{Handler: gofakes3.New(backend).Server()}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.faulty(w, r) {
			s.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *fakeStore) open(t *testing.T) *Bucket {
	t.Helper()
	b, err := OpenBucket(BucketConfig{Name: "bucket", Endpoint: s.url, Keys: func() (string, string, error) { return "id", "hush", nil }})
	if err != nil {
		t.Fatal(err)
	}
	b.partSize = func(int64) int64 { return 1000 }
	t.Cleanup(b.Close)
	return b
}

// writes returns what writes some content in pieces.
func writes(content []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{bytes.NewReader(content)}, make([]byte, 300))
		return err
	}
}

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// unfinished counts the uploads that are left.
func (b *Bucket) unfinished(t *testing.T) int {
	t.Helper()
	list, err := b.store.ListMultipartUploads(context.Background(), "bucket", "", "", "", "", 100)
	if err != nil && minio.ToErrorResponse(err).Code != minio.NoSuchUpload { // what it says when there are none
		t.Fatal(err)
	}
	return len(list.Uploads)
}

var content = bytes.Repeat([]byte("0123456789abcde\n"), 200) // 3200 bytes, 4 parts

func TestBucket(t *testing.T) {
	b := newFakeStore(t).open(t)
	ctx := context.Background()
	if list, err := b.List(ctx, "c"); err != nil || len(list) != 0 {
		t.Fatal(list, err)
	}
	for folder, name := range map[string]string{"c": "1.snapshot", "c%2F ä": "2.snapshot", "": "3.snapshot"} {
		info, err := b.Create(ctx, folder, name, writes(content))
		if err != nil {
			t.Fatal(err)
		}
		if info.Name != name || info.Size != int64(len(content)) || info.Checksum != sumOf(content) || info.Created.IsZero() {
			t.Errorf("made: %+v", info)
		}
		list, err := b.List(ctx, folder)
		if err != nil || !slices.Equal(list, []Info{info}) {
			t.Errorf("list: %v %v", list, err)
		}
		f, opened, err := b.Open(ctx, folder, name)
		if err != nil || opened != info {
			t.Fatal(opened, err)
		}
		if err := iotest.TestReader(f, content); err != nil { // seeks, too
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if err := b.Remove(ctx, folder, name); err != nil {
			t.Error(err)
		}
		if err := b.Remove(ctx, folder, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("removed twice: %v", err)
		}
		if _, _, err := b.Open(ctx, folder, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("opened after it was removed: %v", err)
		}
	}
	if n := b.unfinished(t); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
}

func TestPartsOfLargeFiles(t *testing.T) {
	for _, size := range []int64{0, 1, 16 << 20, 160 << 30, 1 << 40} {
		part := partSize(size)
		if part < 5<<20 || part*maxParts < size {
			t.Errorf("%d bytes in parts of %d", size, part)
		}
	}
}

// Whichever request fails, and however, a snapshot is not listed, no part of it is
// left where the store can be told so, and the error says where it was.
func TestBrokenUploads(t *testing.T) {
	refuse := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusForbidden) }
	fail := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusInternalServerError) }
	hang := func(w http.ResponseWriter, r *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = c.Close() // it is to break
	}
	steps := []string{"begin a snapshot", "write part 1 ", "write part 2 ", "write part 3 ", "write part 4 ", "end a snapshot"}
	for kind, fault := range map[string]http.HandlerFunc{"403": refuse, "500": fail, "no answer": hang} {
		for n, step := range steps {
			s := newFakeStore(t)
			b := s.open(t)
			var begun []string // requests, each once
			s.setFault(func(w http.ResponseWriter, r *http.Request) bool {
				request := r.Method + r.URL.String()
				if r.Method == http.MethodDelete { // of the parts
					return false
				}
				if !slices.Contains(begun, request) {
					begun = append(begun, request)
				}
				if slices.Index(begun, request) < n {
					return false
				}
				fault(w, r)
				return true
			})
			_, err := b.Create(context.Background(), "c", "1.snapshot", writes(content))
			s.setFault(nil)
			var where *BucketError
			if !errors.As(err, &where) || !strings.Contains(err.Error(), step) || !strings.Contains(err.Error(), "in the bucket bucket at "+s.url) || strings.Contains(err.Error(), "hush") {
				t.Errorf("%s at %s: %v", kind, step, err)
			}
			if list, err := b.List(context.Background(), "c"); err != nil || len(list) != 0 {
				t.Errorf("%s at %s: %v %v", kind, step, list, err)
			}
			if left := b.unfinished(t); left != 0 {
				t.Errorf("%s at %s: %d uploads are left", kind, step, left)
			}
		}
	}
}

// A request that fails for a moment is repeated.
func TestUploadGoesOn(t *testing.T) {
	s := newFakeStore(t)
	b := s.open(t)
	seen := map[string]bool{}
	s.setFault(func(w http.ResponseWriter, r *http.Request) bool {
		request := r.Method + r.URL.String()
		if seen[request] {
			return false
		}
		seen[request] = true
		http.Error(w, "", http.StatusServiceUnavailable)
		return true
	})
	info, err := b.Create(context.Background(), "c", "1.snapshot", writes(content))
	if err != nil || info.Checksum != sumOf(content) || len(seen) != 7 {
		t.Fatal(info, err, len(seen))
	}
}

func TestUploadsThatCannotGoOn(t *testing.T) {
	b := newFakeStore(t).open(t)
	ctx, cancel := context.WithCancel(context.Background())
	calls := 0
	for name, c := range map[string]struct {
		write func(io.Writer) error
		want  string
	}{
		"canceled": {func(w io.Writer) error {
			if calls++; calls == 2 {
				defer cancel()
			}
			return errors.Join(writes(content)(w), ctx.Err())
		}, "canceled"},
		"fails": {func(w io.Writer) error { return errors.Join(writes(content[:1500])(w), errors.New("no more")) }, "no more"},
		"changes": {func() func(w io.Writer) error {
			n := 0
			return func(w io.Writer) error { n += 1000; return writes(content[n:])(w) }
		}(), "what is written changes"},
		"nothing, then something": {func() func(w io.Writer) error {
			n := -1
			return func(w io.Writer) error { n++; return writes(content[:n])(w) }
		}(), "what is written changes"},
	} {
		of := context.Background()
		if name == "canceled" {
			of = ctx
		}
		if _, err := b.Create(of, "c", "1.snapshot", c.write); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if list, err := b.List(context.Background(), "c"); err != nil || len(list) != 0 {
			t.Errorf("%s: %v %v", name, list, err)
		}
		if left := b.unfinished(t); left != 0 {
			t.Errorf("%s: %d uploads are left", name, left)
		}
	}
}

// A connection that breaks is followed by another one for the rest.
func TestBrokenDownloads(t *testing.T) {
	s := newFakeStore(t)
	b := s.open(t)
	info, err := b.Create(context.Background(), "c", "1.snapshot", writes(content))
	if err != nil {
		t.Fatal(err)
	}
	var got atomic.Int32
	s.setFault(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			return false
		}
		got.Add(1)
		if r.Header.Get("If-Match") == "" {
			t.Error("another object of the name would be taken for this one")
		}
		s.ServeHTTP(&breaking{w, 700}, r)
		return true
	})
	f, _, err := b.Open(context.Background(), "c", info.Name)
	if err != nil {
		t.Fatal(err)
	}
	read, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(read, content) || got.Load() != 5 {
		t.Errorf("%d bytes by %d requests: %v", len(read), got.Load(), err)
	}
	// One that never brings anything is given up.
	s.setFault(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet {
			s.ServeHTTP(&breaking{w, 0}, r)
		}
		return r.Method == http.MethodGet
	})
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if read, err := io.ReadAll(f); !errors.Is(err, io.ErrUnexpectedEOF) || len(read) > 0 {
		t.Errorf("%d bytes: %v", len(read), err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// breaking is an answer that ends after some bytes of its body.
type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Write(p []byte) (int, error) {
	n, err := b.ResponseWriter.Write(p[:min(b.left, len(p))])
	b.left -= n
	if err == nil && n < len(p) {
		if err := http.NewResponseController(b.ResponseWriter).Flush(); err != nil {
			return n, err
		}
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// What the store has changed is not read to its end.
func TestDamagedObjects(t *testing.T) {
	b := newFakeStore(t).open(t)
	ctx := context.Background()
	o := minio.PutObjectOptions{UserMetadata: map[string]string{checksumKey: sumOf([]byte("what it was"))}}
	if _, err := b.store.Client.PutObject(ctx, "bucket", "c/1.snapshot", bytes.NewReader(content), int64(len(content)), o); err != nil {
		t.Fatal(err)
	}
	f, _, err := b.Open(ctx, "c", "1.snapshot")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		read, err := io.ReadAll(f)
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), sumOf(content)) || len(read) >= len(content) {
			t.Errorf("%d bytes: %v", len(read), err)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestOnlySnapshotsAreSeen(t *testing.T) {
	b := newFakeStore(t).open(t)
	ctx := context.Background()
	for _, key := range []string{"secret", "c/secret", "c/a.snapshot/b", "c/d/e.snapshot", "other/a.snapshot"} {
		if _, err := b.store.Client.PutObject(ctx, "bucket", key, strings.NewReader("x"), 1, minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{"", "c", "oth"} {
		if list, err := b.List(ctx, folder); err != nil || len(list) != 0 {
			t.Errorf("%q: %v %v", folder, list, err)
		}
	}
	for _, name := range []string{"secret", "../secret", "d/e.snapshot", "../other/a.snapshot", "", strings.Repeat("a", 300) + ".snapshot"} {
		if _, _, err := b.Open(ctx, "c", name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open %q: %v", name, err)
		}
		if err := b.Remove(ctx, "c", name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("remove %q: %v", name, err)
		}
	}
}

// Keys are read for each request, and errors of the store and of the keys are told.
func TestKeys(t *testing.T) {
	s := newFakeStore(t)
	var seen string
	s.setFault(func(_ http.ResponseWriter, r *http.Request) bool {
		seen, _, _ = strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential="), "/")
		return false
	})
	n := 0
	b, err := OpenBucket(BucketConfig{Name: "bucket", Endpoint: s.url, Keys: func() (string, string, error) {
		if n++; n == 3 {
			return "", "", errors.New("the file is gone")
		}
		return fmt.Sprint("key", n), "hush", nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for want := 1; want <= 2; want++ {
		if _, err := b.List(context.Background(), "c"); err != nil || seen != fmt.Sprint("key", want) {
			t.Errorf("%q instead of key%d: %v", seen, want, err)
		}
	}
	if _, err := b.List(context.Background(), "c"); err == nil || !strings.Contains(err.Error(), "the file is gone") {
		t.Error(err)
	}
	// Without keys the environment says.
	t.Setenv("AWS_ACCESS_KEY_ID", "fromenv")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hush")
	b, err = OpenBucket(BucketConfig{Name: "none", Endpoint: s.url})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.List(context.Background(), "c"); err == nil || seen != "fromenv" || !strings.Contains(err.Error(), "the bucket none at "+s.url+": The specified bucket does not exist") {
		t.Errorf("%q: %v", seen, err)
	}
}

func TestBucketConfig(t *testing.T) {
	for want, c := range map[string]BucketConfig{
		"bucket: is needed": {},
		"bucket: \"a/b\"":   {Name: "a/b"},
		"bucket: \"ab\"":    {Name: "ab"},
		"endpoint_url: ":    {Name: "abc", Endpoint: "s3.example.com"},
		"endpoint_url: it":  {Name: "abc", Endpoint: "https://a:b@s3.example.com"},
		"endpoint_url: it ": {Name: "abc", Endpoint: "https://s3.example.com/path"},
	} {
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	b, err := OpenBucket(BucketConfig{Name: "abc", Region: "eu-west-1"})
	if err != nil || b.String() != "s3://abc at https://s3.eu-west-1.amazonaws.com" {
		t.Error(b, err)
	}
}

// A connection over which nothing moves ends.
func TestStalledConnection(t *testing.T) {
	here, there := net.Pipe()
	t.Cleanup(func() {
		if err := errors.Join(here.Close(), there.Close()); err != nil {
			t.Error(err)
		}
	})
	c := &stalling{here, time.Millisecond}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %v", err)
	}
}
