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
	"freshet/server/point"
	"freshet/server/sources"
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

// TestUnreadRecordsOfAFormerLog counts what a log had unread when it was made anew, and still
// does in another session.
func TestUnreadRecordsOfAFormerLog(t *testing.T) {
	r := newRig(t, 1, ingest.Source{})
	r.create(1)
	r.run()
	r.produce(value(`{"id":1,"embedding":[1]}`))
	r.applied(0, 0)
	r.turns(sources.Paused)
	for range 4 {
		r.produce(value(`{"id":1,"embedding":[1]}`))
	}
	r.partition(0, func(p ingest.PartitionStatus) bool { return p.End == 5 })
	r.recreate(1)
	r.produce(value(`{"id":1,"embedding":[1]}`), value(`{"id":1,"embedding":[1]}`))
	counts := func(p ingest.PartitionStatus) bool { return p.State == ingest.Gap && p.Missing == 4 && p.Lag == 6 }
	r.partition(0, counts)
	r.turns(sources.Paused) // by another session
	r.partition(0, counts)
}

// TestPositionGetsATopicID where it was stored without one: that the topic was made anew is
// noticed from then on, also if nothing was consumed.
func TestPositionGetsATopicID(t *testing.T) {
	r := newRig(t, 1, ingest.Source{})
	r.create(1)
	c, err := r.db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Apply(t.Context(), server.Batch{Positions: []server.Position{{Stream: server.Stream{Source: "src", Topic: "t"}, Next: 1}}}); err != nil {
		t.Fatal(err)
	}
	r.runsOnAnotherLog()
	r.partition(0, func(p ingest.PartitionStatus) bool {
		return p.State == ingest.Gap && strings.Contains(p.Error, "made anew")
	})
	r.expect(map[string]string{})
}

// TestCutLog makes the log end before the position, as an unclean election of a
// leader does: a position beyond the end is stored, and what a lost record wrote. That is older
// than what is written to the log from then on.
func TestCutLog(t *testing.T) {
	for name, want := range map[string]string{
		"fail":        `map[4:{"old":1}]`,
		"fail, moved": `map[4:{}]`,
		"skip":        `map[4:{}]`,
		"replay":      `map[0:{} 1:{} 2:{} 3:{} 4:{}]`,
	} {
		t.Run(name, func(t *testing.T) {
			policy, _, moved := strings.Cut(name, ",")
			r := newRig(t, 1, ingest.Source{OnGap: policy})
			r.create(1)
			c, err := r.db.Collection("c")
			if err != nil {
				t.Fatal(err)
			}
			s := server.Stream{Source: "src", Topic: "t"}
			lost := server.Op{
				Points:  []server.Point{{ID: point.Number(4), Vectors: server.Vectors{"": server.Dense{1}}, Payload: []byte(`{"old":1}`)}},
				Version: server.Version{Stream: s, Offset: 5, Time: 1},
			}
			if _, err := c.Apply(t.Context(), server.Batch{Ops: []server.Op{lost}, Positions: []server.Position{{Stream: s, Next: 6}}}); err != nil {
				t.Fatal(err)
			}
			put := func(i int) { r.produce(value(fmt.Sprintf(`{"id":%d,"embedding":[1]}`, i))) }
			for i := range 4 {
				put(i)
			}
			r.run()
			isCut := func(p ingest.PartitionStatus) bool {
				return p.State == ingest.Gap && p.Missing == 2 && strings.Contains(p.Error, "ends at offset 4, 2 records before the position 6")
			}
			if policy == "fail" {
				r.partition(0, isCut)
			}
			if moved {
				if _, err := r.manager.MoveOffsets(t.Context(), src, sources.Move{Offsets: []sources.Offset{at(0, 4)}}); err != nil {
					t.Fatal(err)
				}
			}
			if name == "fail" {
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

// deniesOffset says that partition 0 of a topic does not have the offset that is asked for.
func deniesOffset(fetch *kmsg.FetchRequest, topic kmsg.FetchRequestTopic) *kmsg.FetchResponse {
	denied := kmsg.NewFetchResponseTopicPartition()
	denied.ErrorCode = kerr.OffsetOutOfRange.Code
	answer := kmsg.NewFetchResponseTopic()
	answer.Topic, answer.TopicID, answer.Partitions = topic.Topic, topic.TopicID, []kmsg.FetchResponseTopicPartition{denied}
	resp := fetch.ResponseKind().(*kmsg.FetchResponse)
	resp.Topics = append(resp.Topics, answer)
	return resp
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
				return deniesOffset(fetch, topic), nil, true
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

// TestOutOfRangeBehindABatch has the broker deny a position while a batch is being applied for
// a while, and another one is read: neither is read again, and the broker is not asked on and on
// meanwhile.
func TestOutOfRangeBehindABatch(t *testing.T) {
	r := newRig(t, 1, ingest.Source{DeadLetterTopic: "t.dlq"})
	r.create(1)
	var wrong atomic.Bool
	wrong.Store(true)
	var asked, looks atomic.Int64
	r.cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		fetch := req.(*kmsg.FetchRequest)
		for _, topic := range fetch.Topics {
			if topic.Partitions[0].FetchOffset == 3 && wrong.Load() {
				asked.Add(1)
				return deniesOffset(fetch, topic), nil, true
			}
		}
		return nil, nil, false
	})
	r.cluster.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		looks.Add(1)
		return nil, nil, false
	})
	put := func(id int) { r.produce(value(fmt.Sprintf(`{"id":%d,"embedding":[1]}`, id))) }
	put(0)
	r.produce(value("nonsense"))
	stalled, release := r.stallLetters()
	atLeast := func(n *atomic.Int64, want int64) {
		t.Helper()
		r.eventually(func() string {
			if got := n.Load(); got < want {
				return fmt.Sprintf("%d of %d", got, want)
			}
			return ""
		})
	}
	r.run()
	<-stalled
	put(2)
	atLeast(&asked, 1)
	atLeast(&looks, looks.Load()+10) // by now the partition would be read anew
	if n := asked.Load(); n > 10 {
		t.Errorf("the broker was asked %d times", n)
	}
	wrong.Store(false)
	release()
	r.applied(0, 2)
	put(3)
	r.applied(0, 3)
	r.expect(map[string]string{"0": `{}`, "2": `{}`, "3": `{}`})
	c, err := r.db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := c.Info(); err != nil || info.Operation != 3 {
		t.Errorf("%d operations of 3 records, %v", info.Operation, err)
	}
	if n := len(r.inTopic("t.dlq")["1"]); n != 1 {
		t.Errorf("%d letters of one record", n)
	}
}
