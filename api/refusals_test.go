package api

import (
	"context"
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
	"freshet/server/embed"
	"freshet/server/memory"
	"freshet/server/sources"
)

// openDB opens a database that is closed when the test ends.
func openDB(t *testing.T, o server.Options) *server.DB {
	t.Helper()
	db, err := server.Open(t.Context(), "data", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

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
	db := openDB(t, server.Options{
		FS: fs, Memory: guard, Disk: server.DiskOptions{HighPercent: 95, ReserveBytes: 1 << 20, Interval: time.Millisecond},
	})
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

// patientSources wait for nothing.
type patientSources struct{ Sources }

func (patientSources) CatchUp(context.Context, string, time.Time) error { return nil }

func (patientSources) AsOf(string, []server.Position) (asOf time.Time, known bool) {
	return asOf, false
}

func (patientSources) WaitFor(context.Context, sources.Key, []sources.Offset) error { return nil }

// TestWaitsLeavePlaces asks for what waits for others while as many wait as may: what waits
// for nobody goes on.
func TestWaitsLeavePlaces(t *testing.T) {
	db := openDB(t, server.Options{FS: vfs.NewMem()})
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, err := w.Write([]byte(`{"data":[{"embedding":[1]}]}`)); err != nil {
			t.Error(err)
		}
	}))
	defer endpoint.Close()
	cfg := embed.Config{Models: []embed.ModelConfig{{Name: "m", URL: endpoint.URL, Dimension: 1}}}
	cfg.SetDefaults()
	models, err := embed.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer models.Close()
	s := New(db, Options{Sources: patientSources{}, Models: models})
	ask := func(method, path, body, consistency string, want int) {
		t.Helper()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set(consistencyHeader, consistency)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code != want || want == http.StatusServiceUnavailable && !strings.Contains(w.Body.String(), "too many requests wait") {
			t.Errorf("%s %s %s, %d wait: %d %s, want %d", method, path, body, len(s.waits), w.Code, w.Body, want)
		}
	}
	const points, text = "/collections/c/points", `{"text":"a","model":"m"}`
	ask("PUT", "/collections/c", `{"vectors":{"size":1,"distance":"Dot"}}`, "", 200)
	all := func(waits int) {
		t.Helper()
		ask("PUT", points, `{"points":[{"id":1,"vector":[1]}]}`, "", 200)
		ask("POST", points+"/query", `{"query":[1]}`, "", 200)
		ask("POST", points+"/query", `{"query":[1]}`, "strong", waits)
		ask("POST", points+"/query", `{"query":`+text+`}`, "", waits)
		ask("PUT", points, `{"points":[{"id":1,"vector":`+text+`}]}`, "", waits)
		ask("POST", "/collections/c/sources/s/wait", `{}`, "", waits)
	}
	for range maxWaits {
		s.waits <- struct{}{}
	}
	all(503)
	for range maxWaits {
		<-s.waits
	}
	all(200)
	if n := len(s.waits); n != 0 {
		t.Errorf("%d places of those who wait are still taken", n)
	}
}

// TestPanics has what requests ask for panic, at once and when nobody may wait any more.
func TestPanics(t *testing.T) {
	s := New(openDB(t, server.Options{FS: vfs.NewMem()}), Options{})
	s.echo.POST("/at-once", s.handle(func(*request) (any, error) { panic("at once") }))
	s.echo.POST("/later", s.handle(func(r *request) (any, error) {
		return r.detached(func(context.Context) (any, error) { panic("later") })
	}))
	for _, path := range []string{"/at-once", "/later"} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest("POST", path, nil))
		if w.Code != 500 || !strings.Contains(w.Body.String(), "the request could not be handled") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
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
