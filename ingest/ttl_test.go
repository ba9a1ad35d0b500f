package ingest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/ingest"
)

// TestTTL checks that points end, that older records do not bring them back when the
// log is read again, and that a newer one without a time to live stays.
func TestTTL(t *testing.T) {
	r := newRig(t, 1, ingest.Source{OnCreate: ingest.OnCreate{Auto: true}, TTL: "header.ttl"})
	record := func(id, n int, ttl string) *kgo.Record {
		return &kgo.Record{
			Value: fmt.Appendf(nil, `{"id":%d,"vector":[1],"n":%d}`, id, n), Timestamp: time.Now(),
			Headers: []kgo.RecordHeader{{Key: "ttl", Value: []byte(ttl)}},
		}
	}
	r.produce(record(1, 1, ""), record(1, 2, "100ms"), record(2, 3, "100ms"), record(2, 4, ""), record(3, 5, "1h"))
	want := map[string]string{"2": `{"n":4}`, "3": `{"n":5}`}
	check := func() string {
		if _, err := r.db.Collection("c"); err != nil {
			return err.Error()
		}
		if got := r.points(); fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Sprintf("points %v, want %v", got, want)
		}
		return ""
	}
	r.run()
	r.applied(0, 4)
	r.eventually(check)
	// Once more from the beginning, by another source.
	r.halt()
	r.cfg.Sources[0].Name = "again"
	r.run()
	if err := r.catchUp(longWait); err != nil {
		t.Fatal(err)
	}
	r.eventually(check)
}
