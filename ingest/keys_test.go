package ingest_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/ingest"
	"freshet/server/sources"
)

// in is a record of a partition with a time; "" is no key.
func in(partition int32, key string, id, n int, at time.Time) *kgo.Record {
	r := value(fmt.Sprintf(`{"id":%d,"embedding":[1],"n":%d}`, id, n))
	r.Partition, r.Timestamp = partition, at
	if key != "" {
		r.Key = []byte(key)
	}
	return r
}

// TestUnkeyedTopic writes points from several partitions, with and without keys: what
// the times say counts, and it is said that they had to.
func TestUnkeyedTopic(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	later := now.Add(time.Second)
	for _, test := range []struct {
		name    string
		records []*kgo.Record
		want    string // points
		keys    sources.Keys
		logged  int // of the two warnings
	}{
		{"keyed", []*kgo.Record{in(0, "1", 1, 1, now), in(0, "1", 1, 2, now), in(1, "2", 2, 1, now)}, `map[1:{"n":2} 2:{"n":1}]`, sources.Keys{}, 0},
		{"without keys in one partition", []*kgo.Record{in(0, "", 1, 1, now), in(0, "", 2, 1, now)}, `map[1:{"n":1} 2:{"n":1}]`, sources.Keys{}, 0},
		{"without keys in two", []*kgo.Record{in(0, "", 1, 1, now), in(1, "", 2, 1, now), in(1, "", 3, 1, now)}, `map[1:{"n":1} 2:{"n":1} 3:{"n":1}]`, sources.Keys{Unkeyed: 3}, 1},
		{"a key that goes astray", []*kgo.Record{in(0, "1", 1, 1, now), in(1, "1", 1, 2, later)}, `map[1:{"n":2}]`, sources.Keys{Crossed: 1}, 1},
		{"an older one from elsewhere", []*kgo.Record{in(0, "1", 1, 1, later), in(1, "1", 1, 2, now)}, `map[1:{"n":1}]`, sources.Keys{Crossed: 1}, 1},
		{"all of it", []*kgo.Record{in(0, "", 1, 1, now), in(1, "", 1, 2, later), in(0, "", 1, 3, later)}, `map[1:{"n":2}]`, sources.Keys{Unkeyed: 3, Crossed: 2}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, 2, ingest.Source{})
			r.create(1)
			var logged bytes.Buffer
			r.log = slog.New(slog.NewTextHandler(&logged, nil))
			r.run()
			for _, rec := range test.records { // one after the other, so that their order is known
				r.produce(rec)
				r.waits()
			}
			r.eventually(func() string {
				if status, err := r.manager.SourceStatus(src); err != nil || status.Keys != test.keys {
					return fmt.Sprintf("keys %+v, %v", status.Keys, err)
				}
				return ""
			})
			if got := fmt.Sprint(r.points()); got != test.want {
				t.Errorf("points %s", got)
			}
			want := fmt.Sprintf(`# HELP freshet_source_key_problems_total Records by problem: unkeyed: without a key in topics where several partitions have such; crossed: for points that another partition of the topic had written.
# TYPE freshet_source_key_problems_total counter
freshet_source_key_problems_total{collection="c",problem="crossed",source="src"} %d
freshet_source_key_problems_total{collection="c",problem="unkeyed",source="src"} %d
`, test.keys.Crossed, test.keys.Unkeyed)
			if err := testutil.GatherAndCompare(r.metrics, strings.NewReader(want), "freshet_source_key_problems_total"); err != nil {
				t.Error(err)
			}
			r.halt()
			if n := strings.Count(logged.String(), "several partitions\" "); n != test.logged {
				t.Errorf("%d warnings:\n%s", n, &logged)
			}
		})
	}
}

// TestKeysRequired makes dead letters of records without a key where it matters.
func TestKeysRequired(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	for partitions, want := range map[int32]string{1: "[]", 2: "[no_key]"} {
		r := newRig(t, partitions, ingest.Source{KeyPolicy: "require", OnCreate: ingest.OnCreate{Auto: true}})
		r.run()
		r.produce(in(0, "", 1, 1, now), in(0, "2", 2, 1, now))
		r.applied(0, 1)
		reasons := []string{}
		for _, l := range r.letters() {
			reasons = append(reasons, l.Reason)
		}
		if fmt.Sprint(reasons) != want {
			t.Errorf("%d partitions: dead letters %v, want %s", partitions, reasons, want)
		}
		report, err := r.manager.Redrive(t.Context(), src, sources.Redrive{})
		if err != nil || report.Failed != len(reasons) {
			t.Errorf("%d partitions: %+v, %v", partitions, report, err)
		}
		validation, err := r.manager.Validate(t.Context(), "c", []byte(`{"topics":["t"],"key_policy":"require"}`), 10)
		if err != nil || len(validation.Errors) != len(reasons) || len(validation.Points) != 2-len(reasons) {
			t.Errorf("%d partitions: %+v, %v", partitions, validation, err)
		}
		// A key may be there, though empty.
		empty := in(0, "", 3, 1, now)
		empty.Key = []byte{}
		r.produce(empty)
		r.applied(0, 2)
		if _, ok := r.points()["3"]; !ok {
			t.Errorf("points %v", r.points())
		}
	}
}
