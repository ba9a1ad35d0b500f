package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/ingest"
	"freshet/ingest/decode"
	"freshet/server"
	"freshet/server/payload"
)

// Records of the test below: offset o of partition p writes, or each seventh time
// deletes, the point p·10 + o mod 10.
const (
	fedPartitions   = 3
	fedPoints       = 10 // of a partition
	fedDeletesEvery = 7
)

type fedPositions [fedPartitions]int64

func fedID(partition int, offset int64) string {
	return strconv.FormatInt(int64(partition)*fedPoints+offset%fedPoints, 10)
}

func fedRecord(partition int, offset int64) *kgo.Record {
	rec := &kgo.Record{Topic: "t", Partition: int32(partition), Key: []byte(fedID(partition, offset))}
	if offset%fedDeletesEvery > 0 {
		rec.Value = fmt.Appendf(nil, `{"embedding":[1],"n":%d}`, offset)
	}
	return rec
}

// points returns what the records before the positions make.
func (next fedPositions) points() map[string]string {
	points := map[string]string{}
	for p, end := range next {
		for o := max(0, end-fedPoints); o < end; o++ {
			if o%fedDeletesEvery > 0 {
				points[fedID(p, o)] = fmt.Sprintf(`{"n":%d}`, o)
			}
		}
	}
	return points
}

func (next fedPositions) sum() (n uint64) {
	for _, end := range next {
		n += uint64(end)
	}
	return n
}

// feed produces records until it is told to stop, and returns how many there are in
// each partition.
func feed(client *kgo.Client, stop <-chan struct{}) (next fedPositions, err error) {
	for {
		select {
		case <-stop:
			return next, nil
		default:
		}
		var records []*kgo.Record
		for p := range next {
			for range 1 + p {
				records = append(records, fedRecord(p, next[p]))
				next[p]++
			}
		}
		if err := client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
			return next, err
		}
	}
}

// fedPositions returns the positions of a collection.
func (r *rig) fedPositions(c *server.Collection) (next fedPositions) {
	r.t.Helper()
	for p := range next {
		at, _, err := c.Position(server.Stream{Source: "src", Topic: "t", Partition: int32(p)})
		if err != nil {
			r.t.Fatal(err)
		}
		next[p] = at.Next
	}
	return next
}

// expectFed checks that a collection has what the records before the positions make, and
// that each of them was one operation.
func (r *rig) expectFed(c *server.Collection, next fedPositions) {
	r.t.Helper()
	page, err := c.Scroll(context.Background(), server.ScrollRequest{Limit: 1 << 20, WithPayload: payload.All()})
	if err != nil {
		r.t.Fatal(err)
	}
	got := map[string]string{}
	for _, record := range page.Records {
		got[record.ID.String()] = string(record.Payload)
	}
	if want := next.points(); !maps.Equal(got, want) {
		r.t.Errorf("at %v there is %v, want %v", next, got, want)
	}
	if info, err := c.Info(); err != nil || info.Operation != next.sum() {
		r.t.Errorf("at %v there were %d operations, %v", next, info.Operation, err)
	}
}

// TestRecoveredBesideRecords recovers the collection again and again while records come.
// A snapshot holds what its positions say, and after each recovery the source goes on from
// there: in the end no record is missing, and none was applied twice.
func TestRecoveredBesideRecords(t *testing.T) {
	r := newRig(t, fedPartitions, ingest.Source{Format: decode.UpsertKafka, ID: "key"})
	r.create(1)
	r.run()
	client := r.client()
	defer client.Close()
	stop, fed := make(chan struct{}), make(chan fedPositions, 1)
	go func() {
		next, err := feed(client, stop)
		if err != nil {
			t.Error(err)
		}
		fed <- next
	}()
	end := sync.OnceValue(func() fedPositions {
		close(stop)
		return <-fed
	})
	defer end()
	ctx := context.Background()
	recover := func(name, snapshot string) *server.Collection {
		f, info, err := r.db.OpenSnapshot(ctx, "c", snapshot)
		if err == nil {
			err = errors.Join(r.db.Recover(ctx, name, f, info.Checksum), f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		c, err := r.db.Collection(name)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	var last fedPositions
	for round := range 4 {
		r.applied(0, last[0]+int64(round)) // something new
		info, err := r.db.CreateSnapshot(ctx, "c")
		if err != nil {
			t.Fatal(err)
		}
		aside := recover("aside", info.Name) // which no source feeds
		last = r.fedPositions(aside)
		r.expectFed(aside, last)
		r.applied(0, last[0]) // what the recovery takes back
		recover("c", info.Name)
	}
	all := end()
	for p, next := range all {
		r.applied(int32(p), next-1)
	}
	c, err := r.db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	r.expectFed(c, all)
}
