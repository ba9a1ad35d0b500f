package ingest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"freshet/ingest"
	"freshet/server"
	"freshet/server/point"
	"freshet/server/sources"
)

// TestRegrownLog has a log as an unclean election of a leader leaves it, once it has grown
// over the position again: offset 2 is not the record that was applied, but one of the
// next leader's.
func TestRegrownLog(t *testing.T) {
	for policy, want := range map[string]string{
		"fail":   `map[2:{"old":1}]`,
		"skip":   `map[2:{"n":2} 3:{"n":3} 4:{"n":4}]`,
		"replay": `map[0:{"n":0} 1:{"n":1} 2:{"n":2} 3:{"n":3} 4:{"n":4}]`,
	} {
		t.Run(policy, func(t *testing.T) {
			r := newRig(t, 1, ingest.Source{OnGap: policy})
			put := func(i int) { r.produce(value(fmt.Sprintf(`{"id":%d,"embedding":[1],"n":%d}`, i, i))) }
			put(0)
			put(1)
			r.cluster.ShufflePartitionLeaders() // the next epoch
			for i := 2; i < 5; i++ {
				put(i)
			}
			r.create(1)
			c, err := r.db.Collection("c")
			if err != nil {
				t.Fatal(err)
			}
			// What the lost record wrote, with its own offset and time.
			s := server.Stream{Source: "src", Topic: "t"}
			old := server.Op{
				Points:  []server.Point{{ID: point.Number(2), Vectors: server.Vectors{"": server.Dense{1}}, Payload: []byte(`{"old":1}`)}},
				Version: server.Version{Stream: s, Offset: 3, Time: 1},
			}
			position := server.Position{Stream: s, Next: 4, Epoch: 1}
			if _, err := c.Apply(t.Context(), server.Batch{Ops: []server.Op{old}, Positions: []server.Position{position}}); err != nil {
				t.Fatal(err)
			}
			r.run()
			if policy == "fail" {
				r.partition(0, func(p ingest.PartitionStatus) bool {
					return p.State == ingest.Gap && p.Missing == 2 && strings.Contains(p.Error, "from offset 2 on was written by another leader than the 2 records up to the position 4")
				})
			} else {
				r.applied(0, 4)
			}
			if got := fmt.Sprint(r.points()); got != want {
				t.Errorf("points %s, want %s", got, want)
			}
			if policy == "fail" { // a person says where to go on
				key := sources.Key{Collection: "c", Name: "src"}
				move := sources.Move{Offsets: []sources.Offset{{Partition: sources.TopicPartition{Topic: "t"}, Offset: &sources.KafkaOffset{Offset: 2}}}}
				if _, err := r.manager.MoveOffsets(t.Context(), key, move); err != nil {
					t.Fatal(err)
				}
				r.applied(0, 4)
				if got := fmt.Sprint(r.points()); got != `map[2:{"n":2} 3:{"n":3} 4:{"n":4}]` {
					t.Errorf("points %s after the move", got)
				}
			}
			// The epoch is kept with what is applied, and a log that went on as it was has no gap.
			if p, _, err := c.Position(s); err != nil || p.Next != 5 || p.Epoch != 2 {
				t.Errorf("position %+v, %v", p, err)
			}
			r.halt()
			r.run()
			put(5)
			r.applied(0, 5)
		})
	}
}

// TestEpochsOfALogThatBeginsLater has a leader that does not know the epoch of a position, or
// knows that it ended before the log that there is begins: all of that is another log.
func TestEpochsOfALogThatBeginsLater(t *testing.T) {
	for name, end := range map[string]int64{"not known": -1, "ended before": 1} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, ingest.Source{OnGap: "skip"})
			put := func(i int) { r.produce(value(fmt.Sprintf(`{"id":%d,"embedding":[1]}`, i))) }
			for i := range 5 {
				put(i)
			}
			r.trim(2)
			r.create(1)
			c, err := r.db.Collection("c")
			if err != nil {
				t.Fatal(err)
			}
			position := server.Position{Stream: server.Stream{Source: "src", Topic: "t"}, Next: 4, Epoch: 3}
			if _, err := c.Apply(t.Context(), server.Batch{Positions: []server.Position{position}}); err != nil {
				t.Fatal(err)
			}
			r.cluster.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(req kmsg.Request) (kmsg.Response, error, bool) {
				answer := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
				answer.LeaderEpoch, answer.EndOffset = int32(end), end
				topic := kmsg.OffsetForLeaderEpochResponseTopic{Topic: "t", Partitions: []kmsg.OffsetForLeaderEpochResponseTopicPartition{answer}}
				resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
				resp.Topics = append(resp.Topics, topic)
				return resp, nil, true
			})
			r.run()
			r.applied(0, 4)
			r.expect(map[string]string{"2": `{}`, "3": `{}`, "4": `{}`})
			if n := r.countedAs("skipped"); n != 2 {
				t.Errorf("%v records count as skipped", n)
			}
		})
	}
}

// TestBrokerWithoutEpochs goes on where it was with a broker that cannot be asked where epochs
// ended, though its records have some.
func TestBrokerWithoutEpochs(t *testing.T) {
	old := kversion.Stable()
	old.SetMaxKeyVersion(int16(kmsg.OffsetForLeaderEpoch), -1)
	r := newRig(t, 1, ingest.Source{}, kfake.MaxVersions(old))
	r.create(1)
	r.run()
	r.produce(value(`{"id":1,"embedding":[1]}`))
	r.applied(0, 0)
	r.restart()
	r.produce(value(`{"id":2,"embedding":[1]}`))
	r.applied(0, 1)
	r.expect(map[string]string{"1": `{}`, "2": `{}`})
}
