package ingest_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"freshet/ingest"
	"freshet/server"
)

// recreate deletes the topic and makes it anew.
func (r *rig) recreate(partitions int32) {
	r.t.Helper()
	r.admin(func(a *kadm.Client) error {
		if _, err := a.DeleteTopic(context.Background(), "t"); err != nil {
			return err
		}
		_, err := a.CreateTopic(context.Background(), partitions, -1, nil, "t")
		return err
	})
}

// partition waits until one partition is as check wants it.
func (r *rig) partition(number int, check func(p ingest.PartitionStatus) bool) {
	r.t.Helper()
	r.eventually(func() string {
		list := r.manager.Status()[0].Partitions
		if number >= len(list) || !check(list[number]) {
			return fmt.Sprintf("partitions %+v", list)
		}
		return ""
	})
}

// TestRecreatedTopic deletes the topic and makes it anew, while the source runs and
// while it does not. The new log is longer than the position in the old one: only
// the topic's id tells that it is another.
func TestRecreatedTopic(t *testing.T) {
	for _, running := range []bool{true, false} {
		for _, policy := range []string{"fail", "skip", "replay"} {
			t.Run(fmt.Sprintf("%s, running %t", policy, running), func(t *testing.T) {
				r := newRig(t, 2, ingest.Source{OnGap: policy})
				r.create(1)
				r.run()
				old := time.Now().Add(-time.Hour)
				for i := range 3 {
					r.produce(&kgo.Record{Timestamp: old, Value: fmt.Appendf(nil, `{"id":%d,"embedding":[1],"log":"old"}`, i)})
				}
				r.applied(0, 2)
				if !running {
					r.halt()
				}
				r.recreate(1)
				for i := range 9 {
					r.produce(value(fmt.Sprintf(`{"id":%d,"embedding":[1],"log":"new"}`, i+2)))
				}
				if !running {
					r.run()
				}
				if policy == "fail" {
					r.partition(0, func(p ingest.PartitionStatus) bool {
						return p.State == ingest.Gap && p.Next == 3 && strings.Contains(p.Error, "made anew: of the old log everything from offset 3 on is gone") &&
							strings.Contains(p.Error, "the offsets from 0 to 8")
					})
					r.partition(1, func(p ingest.PartitionStatus) bool {
						return p.State == ingest.Gap && strings.Contains(p.Error, "without this partition")
					})
					r.expect(map[string]string{"0": `{"log":"old"}`, "1": `{"log":"old"}`, "2": `{"log":"old"}`})
					return
				}
				want := map[string]string{"0": `{"log":"old"}`, "1": `{"log":"old"}`}
				for i := range 9 {
					want[fmt.Sprint(i+2)] = `{"log":"new"}`
				}
				r.eventually(func() string {
					if got := r.points(); fmt.Sprint(got) != fmt.Sprint(want) {
						return fmt.Sprintf("points %v, want %v", got, want)
					}
					return ""
				})
				// What the new log wrote is ordered by its own offsets after a restart too.
				r.halt()
				r.run()
				r.produce(&kgo.Record{Timestamp: old, Value: []byte(`{"id":9,"embedding":[1],"log":"newest"}`)})
				r.applied(0, 9)
				want["9"] = `{"log":"newest"}`
				r.expect(want)
			})
		}
	}
}

// TestLagBehindAGap counts what waits in a log that was made anew, though its offsets are below
// the position, and takes none of it for records that the old log has lost.
func TestLagBehindAGap(t *testing.T) {
	r := newRig(t, 1, ingest.Source{})
	r.create(1)
	r.run()
	put := func(from, to int) {
		for i := from; i < to; i++ {
			r.produce(value(fmt.Sprintf(`{"id":%d,"embedding":[1]}`, i)))
		}
	}
	put(0, 5)
	r.applied(0, 4)
	r.recreate(1)
	written := 0
	for _, records := range []int{2, 9, 10} {
		put(written, records)
		written = records
		r.partition(0, func(p ingest.PartitionStatus) bool {
			return p.State == ingest.Gap && p.Next == 5 && p.End == int64(records) && p.Lag == int64(records) && p.Missing == 0
		})
	}
}

// TestCutLog makes the log end before the position, as an unclean election of a
// leader does: a position beyond the end is stored.
func TestCutLog(t *testing.T) {
	for policy, want := range map[string]string{
		"fail":   `map[]`,
		"skip":   `map[4:{}]`,
		"replay": `map[0:{} 1:{} 2:{} 3:{} 4:{}]`,
	} {
		t.Run(policy, func(t *testing.T) {
			r := newRig(t, 1, ingest.Source{OnGap: policy})
			r.create(1)
			c, err := r.db.Collection("c")
			if err != nil {
				t.Fatal(err)
			}
			s := server.Stream{Source: "src", Topic: "t"}
			if _, err := c.Apply(context.Background(), server.Batch{Positions: []server.Position{{Stream: s, Next: 6}}}); err != nil {
				t.Fatal(err)
			}
			put := func(i int) { r.produce(value(fmt.Sprintf(`{"id":%d,"embedding":[1]}`, i))) }
			for i := range 4 {
				put(i)
			}
			r.run()
			if policy == "fail" {
				isCut := func(p ingest.PartitionStatus) bool {
					return p.State == ingest.Gap && p.Missing == 2 && strings.Contains(p.Error, "ends at offset 4, 2 records before the position 6")
				}
				r.partition(0, isCut)
				// The log grows over the position: with other records than were there.
				for i := 4; i < 9; i++ {
					put(i)
				}
				r.partition(0, func(p ingest.PartitionStatus) bool { return p.End == 9 && p.Lag == 5 })
				r.partition(0, isCut)
			} else {
				r.partition(0, func(p ingest.PartitionStatus) bool { return p.State == ingest.Running })
				put(4)
				r.eventually(func() string {
					if p, _, err := c.Position(s); err != nil || p.Next != 5 {
						return fmt.Sprintf("position %+v, %v", p, err)
					}
					return ""
				})
			}
			if got := fmt.Sprint(r.points()); got != want {
				t.Errorf("points %s, want %s", got, want)
			}
		})
	}
}

// TestOutOfRange has the broker deny a position that its log has. The partition is
// asked for ever more seldom, the other one goes on, and so does this one when the
// broker comes to its senses.
func TestOutOfRange(t *testing.T) {
	r := newRig(t, 2, ingest.Source{})
	r.create(1)
	var asked atomic.Int64
	var wrong atomic.Bool
	wrong.Store(true)
	r.cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		fetch := req.(*kmsg.FetchRequest)
		for _, topic := range fetch.Topics {
			for _, p := range topic.Partitions {
				if p.Partition != 0 || !wrong.Load() {
					continue
				}
				asked.Add(1)
				resp := fetch.ResponseKind().(*kmsg.FetchResponse)
				rt := kmsg.NewFetchResponseTopic()
				rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
				rp := kmsg.NewFetchResponseTopicPartition()
				rp.ErrorCode = kerr.OffsetOutOfRange.Code
				rt.Partitions = append(rt.Partitions, rp)
				resp.Topics = append(resp.Topics, rt)
				return resp, nil, true
			}
		}
		return nil, nil, false
	})
	r.run()
	r.produce(value(`{"id":1,"embedding":[1]}`), &kgo.Record{Partition: 1, Value: []byte(`{"id":2,"embedding":[1]}`)})
	r.partition(0, func(p ingest.PartitionStatus) bool {
		return p.State == ingest.Retrying && strings.Contains(p.Error, "asked 4 times")
	})
	r.applied(1, 0)
	if n := asked.Load(); n > 20 {
		t.Errorf("the broker was asked %d times", n)
	}
	wrong.Store(false)
	r.applied(0, 0)
	r.partition(0, func(p ingest.PartitionStatus) bool { return p.State == ingest.Running && p.Error == "" })
}
