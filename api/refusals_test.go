package api

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/labstack/echo/v4"

	"freshet/server"
	"freshet/server/memory"
)

// TestRefusalsSayWhenToTryAgain fills disk, memory and the places of requests: what is refused
// says so and when to try again, and searches go on as long as there is a place for them.
func TestRefusalsSayWhenToTryAgain(t *testing.T) {
	limit := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(limit) })
	fs := vfs.NewMem()
	used := func(percent uint64) {
		fs.TestingSetDiskUsage(vfs.DiskUsage{TotalBytes: 1e9, UsedBytes: percent * 1e7, AvailBytes: (100 - percent) * 1e7})
	}
	used(10)
	guard := memory.NewGuard(1<<30, slog.New(slog.DiscardHandler))
	db, err := server.Open(t.Context(), "data", server.Options{
		FS: fs, Memory: guard, Disk: server.DiskOptions{HighPercent: 95, ReserveBytes: 1 << 20, Interval: time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	s := New(db, Options{Memory: guard})
	ask := func(method, path, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		return w
	}
	const small = `{"points":[{"id":1,"vector":[1]}]}`
	large := fmt.Sprintf(`{"points":[{"id":1,"vector":[1],"payload":{"x":%q}}]}`, strings.Repeat("x", smallBody))
	for _, x := range []struct{ method, path, body string }{
		{"PUT", "/collections/c", `{"vectors":{"size":1,"distance":"Dot"}}`}, {"PUT", "/collections/c/points", small},
	} {
		if w := ask(x.method, x.path, x.body); w.Code != http.StatusOK {
			t.Fatalf("%s %s: %d %s", x.method, x.path, w.Code, w.Body)
		}
	}
	check := func(what, body string, status int, text, retry string, searches int) {
		t.Helper()
		if w := ask("PUT", "/collections/c/points", body); w.Code != status || !strings.Contains(w.Body.String(), text) || w.Header().Get("Retry-After") != retry {
			t.Errorf("a write, %s: %d %s, Retry-After %q", what, w.Code, w.Body, w.Header().Get("Retry-After"))
		}
		w := ask("POST", "/collections/c/points/query", `{"query":[1]}`)
		if w.Code != searches || searches == http.StatusOK && !strings.Contains(w.Body.String(), `"id":1`) {
			t.Errorf("a search, %s: %d %s", what, w.Code, w.Body)
		}
	}
	check("with room for all", large, 200, "ok", "", 200)

	becomes := func(want bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); (db.Writable() == nil) != want; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("writable is never %t", want)
			}
		}
	}
	used(96)
	becomes(false)
	check("on a full disk", small, 507, "the disk of the data folder is full to 96.0 %", "10", 200)
	used(10)
	becomes(true)

	guard.Look(memory.Use{Live: 1 << 30}, nil)
	check("without memory for data", small, 503, "no data are added", "5", 200)
	check("without memory for a large body", large, 503, "take all the memory", "1", 200)
	guard.Look(memory.Use{}, nil)

	if !s.small.free.TryAcquire(s.small.size) {
		t.Fatal("the room for small bodies is in use")
	}
	s.small.waiting.Add(maxWaiting) // others that wait
	check("without room for small bodies", small, 503, "take all the memory", "1", 503)
	s.small.waiting.Add(-maxWaiting)
	s.small.free.Release(s.small.size)

	for range maxInFlight {
		s.slots <- struct{}{}
	}
	check("with all places taken", small, 503, "too many requests in flight", "1", 503)
	for range maxInFlight {
		<-s.slots
	}
	check("with room again", large, 200, "ok", "", 200)
	if n := len(s.slots); n != 0 {
		t.Errorf("%d places are still taken", n)
	}
	for name, r := range map[string]*room{"large": s.large, "small": s.small, "answers": s.answers} {
		if !r.free.TryAcquire(r.size) {
			t.Errorf("of the room of %s something is still taken", name)
		}
	}
}

// TestTimeouts checks how long requests may take that do not say so.
func TestTimeouts(t *testing.T) {
	for _, x := range []struct {
		route, query string
		want         time.Duration
	}{
		{collectionPath + "/points", "", time.Minute},
		{collectionPath + "/points", "timeout=7", 7 * time.Second},
		{collectionPath + "/points", "timeout=1000000000", time.Hour},
		{collectionPath + "/snapshots", "", time.Hour},
		{sourceWait, "", time.Hour},
		{collectionPath + "/snapshots/upload", "", 24 * time.Hour},
		{collectionPath + "/snapshots/upload", "timeout=7", 7 * time.Second},
	} {
		c := echo.New().NewContext(httptest.NewRequest("POST", "/?"+x.query, nil), httptest.NewRecorder())
		c.SetPath(x.route)
		r := &request{Context: c}
		if err := r.readQuery(); err != nil {
			t.Fatal(err)
		}
		if got, err := r.timeout(); got != x.want || err != nil {
			t.Errorf("%s?%s: %s, %v, want %s", x.route, x.query, got, err, x.want)
		}
	}
}
