package ingest_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/ingest"
	"freshet/server/sources"
)

// TestStartAtOffsets begins one partition at an offset and the other, which is not named,
// with its log. An offset that the log does not have is not replaced by another one.
func TestStartAtOffsets(t *testing.T) {
	r := newRig(t, 2, ingest.Source{Start: "offsets:{1: 2}"})
	r.create(1)
	in := func(partition int32, v string) {
		record := value(v)
		record.Partition = partition
		r.produce(record)
	}
	in(0, `{"id":1,"embedding":[1]}`)
	in(1, `{"id":2,"embedding":[1]}`)
	r.run()
	r.eventually(func() string {
		if s := r.manager.Status()[0]; s.State != ingest.Retrying || !strings.Contains(s.Error, `topic "t", partition 1: offset 2 is outside of the log, which goes from 0 to 1`) {
			return "the source does not say that its start is not in the log"
		}
		return ""
	})
	if _, err := r.manager.ResetOffsets(t.Context(), sources.Key{Collection: "c", Name: "src"}); err == nil || !strings.Contains(err.Error(), "start: ") {
		t.Errorf("a reset to there: %v", err)
	}
	r.expect(map[string]string{})
	in(1, `{"id":3,"embedding":[1]}`)
	in(1, `{"id":4,"embedding":[1]}`)
	r.applied(0, 0)
	r.applied(1, 2)
	r.expect(map[string]string{"1": `{}`, "4": `{}`})
	r.halt()
	r.run() // the stored position counts from then on
	in(1, `{"id":5,"embedding":[1]}`)
	r.applied(1, 3)
	r.expect(map[string]string{"1": `{}`, "4": `{}`, "5": `{}`})
}

// TestStartOfNoPartition names a partition that the topic does not have: nothing is
// consumed from elsewhere, the source says why, and goes on once the topic has it.
func TestStartOfNoPartition(t *testing.T) {
	r := newRig(t, 1, ingest.Source{Start: "offsets:{0: 1, 1: 0}"})
	r.create(1)
	r.produce(value(`{"id":1,"embedding":[1]}`), value(`{"id":2,"embedding":[1]}`))
	r.run()
	const why = "an offset is given for partition 1, which none of the topics has"
	r.eventually(func() string {
		if s := r.manager.Status()[0]; s.State != ingest.Retrying || !strings.Contains(s.Error, why) {
			return "the source does not say that its start names no partition"
		}
		return ""
	})
	if _, err := r.manager.ResetOffsets(t.Context(), sources.Key{Collection: "c", Name: "src"}); err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("a reset to there: %v", err)
	}
	r.expect(map[string]string{})
	client := r.client()
	defer client.Close()
	if _, err := kadm.NewClient(client).UpdatePartitions(t.Context(), 2, "t"); err != nil {
		t.Fatal(err)
	}
	r.applied(0, 1)
	r.expect(map[string]string{"2": `{}`})
}

// TestAddedWhileDown has a source that begins at the ends of its logs find partitions and
// topics that were added while it did not run: those of topics that it consumed before begin
// with their logs, what its settings have not named before begins at the end.
func TestAddedWhileDown(t *testing.T) {
	for name, test := range map[string]struct {
		topics, later string
		made          bool   // there is a collection, and so positions are stored
		want          string // of the topics t, which grows, late, which is made, and old
		last          string // and what is written at last
	}{
		"named":              {`"topics":["t","late"]`, "", true, "[grown late]", "[after grown late]"},
		"named, first":       {`"topics":["t","late"]`, "", false, "[grown late]", "[after grown late]"},
		"by pattern":         {`"topics.regex":"t|late"`, "", true, "[grown late]", "[after grown late]"},
		"by pattern, first":  {`"topics.regex":"t|late"`, "", false, "[grown late]", "[after grown late]"},
		"named later":        {`"topics":["t"]`, `{"topics":["t","old"]}`, true, "[grown]", "[after grown new]"},
		"pattern made wider": {`"topics.regex":"t|late"`, `{"topics.regex":"t|late|old"}`, true, "[grown late]", "[after grown late new]"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newBare(t, 1)
			if test.made {
				r.create(1)
			}
			r.makeTopic("old")
			r.produce(value(`{"id":"before","embedding":[1]}`), inTopic("old", `{"id":"old","embedding":[1]}`))
			r.run()
			r.add(`{"name":"src","start":"latest","on_create":{"auto":true},` + test.topics + `}`)
			r.lists("t:0 running 1/1")
			r.halt()
			r.admin(func(a *kadm.Client) error {
				_, err := a.UpdatePartitions(t.Context(), 2, "t")
				return err
			})
			r.makeTopic("late")
			grown := value(`{"id":"grown","embedding":[1]}`)
			grown.Partition = 1
			r.produce(grown, inTopic("late", `{"id":"late","embedding":[1]}`))
			r.run()
			if test.later != "" {
				r.patch(test.later)
			}
			has := func(want string) {
				t.Helper()
				r.eventually(func() string {
					if got := slices.Sorted(maps.Keys(r.points())); fmt.Sprint(got) != want {
						return fmt.Sprintf("points %v, want %s", got, want)
					}
					return ""
				})
			}
			has(test.want)
			r.halt()
			r.run()
			r.inState("running")
			r.produce(inTopic("old", `{"id":"new","embedding":[1]}`), value(`{"id":"after","embedding":[1]}`))
			has(test.last)
		})
	}
}

// TestAddedAfterTheStart adds partitions to a topic that is consumed: one begins with its log,
// whatever time the source starts at, also with records from before, and one at its offset if
// that is named. It is the same whether somebody looks when they come or not, and whether all
// partitions that are named are there by then.
func TestAddedAfterTheStart(t *testing.T) {
	began := time.Now().Add(-time.Hour)
	for start, want := range map[string]string{
		fmt.Sprintf("timestamp:%d", began.UnixMilli()): "[1 1/0 1/1 2/0 2/1]",
		"offsets:{0: 1}":             "[1 1/0 1/1 2/0 2/1]",
		"offsets:{0: 1, 1: 1, 7: 5}": "[1 1/1 2/0 2/1]",
	} {
		for name, running := range map[string]bool{"running": true, "down": false} {
			t.Run(start+", "+name, func(t *testing.T) {
				r := newBare(t, 1)
				r.create(1)
				r.produce(
					&kgo.Record{Timestamp: began.Add(-time.Hour), Value: []byte(`{"id":"0","embedding":[1]}`)},
					&kgo.Record{Timestamp: began.Add(time.Minute), Value: []byte(`{"id":"1","embedding":[1]}`)},
				)
				r.run()
				r.add(`{"name":"src","topics":["t"],"start":"` + strings.ReplaceAll(start, ", 1: 1, 7: 5", "") + `"}`)
				r.applied(0, 1)
				r.patch(`{"start":"` + start + `"}`)
				r.idle(1)
				if !running {
					r.halt()
				}
				r.admin(func(a *kadm.Client) error {
					_, err := a.UpdatePartitions(t.Context(), 3, "t")
					return err
				})
				for partition := range int32(2) {
					for i := range 2 {
						r.produce(&kgo.Record{
							Partition: partition + 1, Timestamp: began.Add(-time.Minute), Value: fmt.Appendf(nil, `{"id":"%d/%d","embedding":[1]}`, partition+1, i),
						})
					}
				}
				if !running {
					r.run()
				}
				r.applied(1, 1)
				r.applied(2, 1)
				if got := fmt.Sprint(slices.Sorted(maps.Keys(r.points()))); got != want {
					t.Errorf("points %s, want %s", got, want)
				}
			})
		}
	}
}

// TestLatestAfterTheCollection begins at the ends anew when the collection was dropped.
func TestLatestAfterTheCollection(t *testing.T) {
	r := newRig(t, 1, ingest.Source{Start: "latest", OnCreate: ingest.OnCreate{Auto: true}})
	r.run()
	r.idle(1)
	r.produce(value(`{"id":1,"embedding":[1]}`))
	r.applied(0, 0)
	r.turns(sources.Stopped)
	r.drop("c")
	r.turns(sources.Running)
	r.idle(1)
	r.produce(value(`{"id":2,"embedding":[1]}`))
	r.applied(0, 1)
	r.expect(map[string]string{"2": `{}`})
}
