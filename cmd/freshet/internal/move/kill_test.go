package move

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// killed returns the import that is killed, by what is in the environment.
func killed(to Server, file, state string) *Import {
	return &Import{File: file, To: to, Collection: "rich", State: state, Batch: 2, Parallel: 3}
}

// TestImportProcess is no test but the process that TestAKilledImportGoesOn kills.
func TestImportProcess(t *testing.T) {
	url := os.Getenv("FRESHET_TEST_IMPORT_TO")
	if url == "" {
		return
	}
	_, err := killed(Server{URL: url}, os.Getenv("FRESHET_TEST_IMPORT_FILE"), os.Getenv("FRESHET_TEST_IMPORT_STATE")).Run(t.Context())
	t.Fatalf("the import has ended: %v", err)
}

// TestAKilledImportGoesOn kills a process while requests of its are not answered.
func TestAKilledImportGoesOn(t *testing.T) {
	from := start(t, nil)
	rich(t, from)
	dir := t.TempDir()
	file, stateFile := filepath.Join(dir, "rich.jsonl"), filepath.Join(dir, "state")
	if _, err := (&Export{From: from, Collection: "rich", File: file, Batch: 5}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	const late, last = 7, 12 // requests: one that is answered after the state is due, and the last one answered
	var upserts atomic.Int64
	var free atomic.Bool
	to := start(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/points") && !free.Load() {
				switch n := upserts.Add(1); {
				case n > last:
					// Nothing is answered. The end of the connection is seen behind the body.
					if _, err := io.Copy(io.Discard, r.Body); err == nil {
						<-r.Context().Done()
					}
					return
				case n == late:
					time.Sleep(saveEvery + saveEvery/10)
				}
			}
			h.ServeHTTP(w, r)
		})
	})
	to.must(t, http.MethodPut, "/collections/rich", richVectors)

	process := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestImportProcess$")
	process.Env = append(os.Environ(), "FRESHET_TEST_IMPORT_TO="+to.URL, "FRESHET_TEST_IMPORT_FILE="+file, "FRESHET_TEST_IMPORT_STATE="+stateFile)
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- process.Wait() }()
	for saved := (state{}); saved.Rows == 0 || upserts.Load() <= last; time.Sleep(5 * time.Millisecond) {
		select {
		case err := <-exited:
			t.Fatalf("the import has ended: %v", err)
		default:
		}
		if raw, err := os.ReadFile(stateFile); err == nil {
			if err := json.Unmarshal(raw, &saved); err != nil {
				t.Fatalf("the state is half written: %q", raw)
			}
		}
	}
	if err := process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-exited; err == nil {
		t.Fatal("the killed process ended well")
	}
	if n := len(to.all(t, "rich")); n == 0 || n >= richPoints {
		t.Fatalf("%d points are there after the kill", n)
	}
	free.Store(true)
	result, err := killed(to, file, stateFile).Run(t.Context())
	if err != nil || !result.Resumed || result.Before == 0 || result.Before+result.Points != richPoints {
		t.Errorf("the second run: %+v, %v", result, err)
	}
	if diff := cmp.Diff(from.all(t, "rich"), to.all(t, "rich")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
