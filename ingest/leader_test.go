package ingest_test

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/ingest"
)

// TestLeadersMove has the leaders of all partitions move from broker to broker while records
// are produced and consumed, and a restart on the way: each record takes effect once, the last
// of a point stays, and nothing is taken for a gap.
func TestLeadersMove(t *testing.T) {
	const partitions, brokers, rounds, perRound, ids = 3, 3, 12, 30, 20
	r := newRig(t, partitions, ingest.Source{Batch: ingest.Batch{Max: 7}, OnCreate: ingest.OnCreate{Auto: true}})
	for range brokers - 1 {
		if _, _, err := r.cluster.AddNode(-1, 0); err != nil {
			t.Fatal(err)
		}
	}
	r.run()
	want, next := map[string]string{}, [partitions]int64{}
	for round := range rounds {
		for p := range int32(partitions) {
			if err := r.cluster.MoveTopicPartition("t", p, (p+int32(round))%brokers); err != nil {
				t.Fatal(err)
			}
		}
		var records []*kgo.Record
		for i := range perRound {
			id, n := i%ids, round*perRound+i
			p := int32(id % partitions)
			records = append(records, &kgo.Record{Partition: p, Value: fmt.Appendf(nil, `{"id":%d,"embedding":[1,%d],"n":%d}`, id, n, n)})
			want[fmt.Sprint(id)] = fmt.Sprintf(`{"n":%d}`, n)
			next[p]++
		}
		r.produce(records...)
		if round%3 == 0 {
			r.applied(int32(round%partitions), next[round%partitions]-1) // others are on their way
		}
		if round == rounds/2 {
			r.restart()
			r.idle(partitions) // a leader that has written nothing yet knows no earlier epoch here, as it would in Kafka
		}
	}
	for p, n := range next {
		r.applied(int32(p), n-1)
	}
	r.expect(want)
	if l := r.letters(); len(l) > 0 {
		t.Errorf("dead letters %+v", l)
	}
	for p := range next {
		r.partition(p, func(p ingest.PartitionStatus) bool { return p.State == ingest.Running && p.Lag == 0 })
	}
	c, err := r.db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := c.Info(); err != nil || info.Operation != rounds*perRound {
		t.Errorf("%d operations, %d records were produced (%v)", info.Operation, rounds*perRound, err)
	}
	for p := range int32(partitions) {
		if leader := r.cluster.LeaderFor("t", p); leader != (p+rounds-1)%brokers {
			t.Errorf("the leader of partition %d is broker %d: it did not move", p, leader)
		}
	}
}
