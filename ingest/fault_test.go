package ingest_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"freshet/ingest"
)

// TestFaultIsLoggedOnce has an endpoint away while the brokers answer: the source goes
// from one attempt to the next and says so once, and once that it is over.
func TestFaultIsLoggedOnce(t *testing.T) {
	var log text
	r := newRig(t, 1, ingest.Source{Embed: ofText("value.text"), OnCreate: ingest.OnCreate{Auto: true}})
	r.log = slog.New(slog.NewTextHandler(&log, nil))
	e := r.embedding()
	e.answer(http.StatusUnauthorized)
	r.run()
	e.mu.Lock()
	e.state = func() ingest.State { return r.manager.Status()[0].State }
	e.mu.Unlock()
	old := value(`{"id":1,"text":"a"}`)
	old.Timestamp = time.Now().Add(-time.Hour)
	r.produce(old)
	r.eventually(func() string {
		s := r.manager.Status()[0]
		if len(s.Partitions) > 0 && s.Partitions[0].Lag > 0 && s.State == ingest.Retrying && s.Partitions[0].LagTime > 2*time.Hour {
			return fmt.Sprintf("the record that waits is %s old", s.Partitions[0].LagTime)
		}
		if attempts := e.attempts(); len(attempts) < 3 {
			return fmt.Sprintf("%d attempts", len(attempts))
		}
		return ""
	})
	// That the brokers answer at the beginning of each attempt is no sign that it succeeds.
	for i, state := range e.attempts() {
		if i > 0 && state != ingest.Retrying {
			t.Errorf("at attempt %d the source is %s", i, state)
		}
	}
	e.answer(0)
	r.applied(0, 0)
	r.eventually(func() string {
		if s := r.manager.Status()[0]; s.State != ingest.Running || s.Error != "" {
			return "the source does not say that it consumes"
		} else if s.Partitions[0].LagTime != 0 {
			return fmt.Sprintf("lag %s", s.Partitions[0].LagTime)
		}
		return ""
	})
	for said, want := range map[string]int{"cannot consume for now": 1, "consumes again": 1} {
		if n := strings.Count(log.String(), said); n != want {
			t.Errorf("%q is said %d times:\n%s", said, n, log.String())
		}
	}
}
