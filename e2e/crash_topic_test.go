//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// crashTopic is what has been written to the topic: for each partition the records in
// their order, numbered in the order in which they were sent.
type crashTopic struct {
	t      *testing.T
	client *kgo.Client
	rng    *rand.Rand
	began  time.Time
	bad    int // percent of the records that are no points
	n      int
	mu     sync.Mutex
	logs   map[int32][]crashRecord
}

// poison is what records that are no points have in the place of one; their ids are the keys.
var poison = []string{
	"no point", "[]", "\xff\xfe\x00", "{", `{"id":"k1"}`,
	`{"id":"k1","embedding":[1,2,3,4,5,6,7,8]`,
	`{"id":"k1","embedding":[null,2,3,4,5,6,7,8]}`,
	`{"id":"k1","embedding":[1e999,2,3,4,5,6,7,8]}`,
	`{"id":"k1","embedding":[NaN,2,3,4,5,6,7,8]}`,
	`{"id":"k1","embedding":"12345678"}`,
}

type crashRecord struct {
	key       string
	n         int
	tombstone bool
	bad       bool
	offset    int64
}

func newCrashTopic(t *testing.T, brokers string, seed uint64) *crashTopic {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.DefaultProduceTopic("records"),
		kgo.ProducerLinger(time.Millisecond), kgo.MetadataMinAge(time.Second), kgo.MetadataMaxAge(time.Second)) // so that it writes to new partitions soon
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	// A millisecond a record, so that no two are equally old. Long runs need time that has
	// passed, but a broker forgets producers that wrote nothing newer than a day.
	began := time.Now().Add(-20 * time.Hour)
	return &crashTopic{t: t, client: client, rng: rand.New(rand.NewPCG(seed, 100)), began: began, logs: map[int32][]crashRecord{}}
}

// produce sends so many records each 5 ms until the context ends, and waits for them.
func (c *crashTopic) produce(ctx context.Context, load int) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		for range load {
			c.send()
		}
		<-tick.C
	}
	c.flush()
}

// send hands one record to the client.
func (c *crashTopic) send() {
	c.n++
	r := crashRecord{key: fmt.Sprintf("k%d", c.rng.IntN(2000)), n: c.n, tombstone: c.rng.IntN(8) == 0}
	var value []byte
	if c.rng.IntN(100) < c.bad {
		r.tombstone, r.bad, value = false, true, []byte(poison[c.rng.IntN(len(poison))])
	} else if !r.tombstone {
		v, _ := json.Marshal(crashVector(c.n)) // numbers
		value = fmt.Appendf(nil, `{"id":%q,"embedding":%s,"n":%d}`, r.key, v, c.n)
	}
	record := &kgo.Record{Key: []byte(r.key), Value: value, Timestamp: c.began.Add(time.Duration(c.n) * time.Millisecond)}
	c.client.Produce(context.Background(), record, func(sent *kgo.Record, err error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil {
			c.t.Errorf("record %d was not taken: %v", r.n, err)
			return
		}
		r.offset = sent.Offset
		c.logs[sent.Partition] = append(c.logs[sent.Partition], r)
	})
}

// flush waits until the topic has all that was sent.
func (c *crashTopic) flush() {
	if err := c.client.Flush(context.Background()); err != nil {
		c.t.Error(err)
	}
}

// state is what the records before the positions make, of all partitions without positions:
// each key's newest record, also where a key moved because partitions were added.
func (c *crashTopic) state(positions map[int32]int64) map[string]int {
	newest := map[string]crashRecord{}
	for partition, log := range c.logs {
		for _, r := range log {
			if positions != nil && r.offset >= positions[partition] {
				break
			}
			if !r.bad && r.n > newest[r.key].n {
				newest[r.key] = r
			}
		}
	}
	state := map[string]int{}
	for key, r := range newest {
		if !r.tombstone {
			state[key] = r.n
		}
	}
	return state
}

// verify checks that no position is ahead of the data. It may be behind what is found, since
// the source goes on.
func (c *crashTopic) verify(t *testing.T, f *freshet) {
	t.Helper()
	var answer struct {
		Offsets []struct {
			Partition struct {
				N int32 `json:"kafka_partition"`
			}
			Offset struct {
				N int64 `json:"kafka_offset"`
			}
		}
	}
	none := c.none(t, f) // since the source had no time to make its collection
	if err := f.call("GET", "/collections/records/sources/records/offsets", nil, nil, &answer); err != nil && (!none || !strings.Contains(err.Error(), "404")) {
		t.Fatal(err)
	}
	positions := map[int32]int64{}
	for _, o := range answer.Offsets {
		positions[o.Partition.N] = o.Offset.N
	}
	found := map[string]int{}
	if !none || !c.none(t, f) {
		found = c.points(t, f, nil)
	}
	later := map[string][]int{} // what the records from the positions on may have made of a key
	for partition, log := range c.logs {
		for _, r := range log {
			switch {
			case r.offset < positions[partition] || r.bad:
			case r.tombstone:
				later[r.key] = append(later[r.key], 0)
			default:
				later[r.key] = append(later[r.key], r.n)
			}
		}
	}
	state := c.state(positions)
	for _, key := range slices.Sorted(maps.Keys(allKeys(state, found))) {
		if n := found[key]; n != state[key] && !slices.Contains(later[key], n) {
			t.Errorf("%s is of record %d, by the positions of %d or one of %v (0: there is no point)", key, n, state[key], later[key])
		}
	}
}

// verifyAll checks that in the end every record took effect once, but those that are no
// points, and returns of which record each point is.
func (c *crashTopic) verifyAll(t *testing.T, f *freshet, brokers string) map[string]int {
	t.Helper()
	demand, produced := endOffsets(t, brokers, "records")
	acknowledged, bad := 0, 0
	for _, log := range c.logs {
		acknowledged += len(log)
		for _, r := range log {
			if r.bad {
				bad++
			}
		}
	}
	if int64(acknowledged) != produced {
		t.Errorf("the topic has %d records, %d were acknowledged", produced, acknowledged)
	}
	found := c.points(t, f, http.Header{"X-Freshet-Min-Offsets": {demand}})
	if want := c.state(nil); !maps.Equal(found, want) {
		t.Errorf("%d points, want %d or others", len(found), len(want))
	}
	if n := operations(t, f)["records"]; n != produced-int64(bad) {
		t.Errorf("%d operations for %d records, of which %d are no points", n, produced, bad)
	}
	return found
}

func allKeys(a, b map[string]int) map[string]int {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// none tells that no collection has been made yet.
func (c *crashTopic) none(t *testing.T, f *freshet) bool {
	t.Helper()
	var exists struct{ Exists bool }
	if err := f.call("GET", "/collections/records/exists", nil, nil, &exists); err != nil {
		t.Fatal(err)
	}
	return !exists.Exists
}

// points returns of which record each point is.
func (c *crashTopic) points(t *testing.T, f *freshet, header http.Header) map[string]int {
	t.Helper()
	var page struct {
		Points []struct {
			ID      string
			Vector  []float32
			Payload struct{ N int }
		}
	}
	if err := f.call("POST", "/collections/records/points/scroll?timeout=300", header, map[string]any{"limit": 10_000, "with_vector": true}, &page); err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, p := range page.Points {
		found[p.ID] = p.Payload.N
		if !slices.Equal(p.Vector, crashVector(p.Payload.N)) {
			t.Errorf("%s has the payload %d and the vector %v", p.ID, p.Payload.N, p.Vector)
		}
	}
	return found
}
