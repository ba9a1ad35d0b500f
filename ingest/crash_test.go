package ingest_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	dto "github.com/prometheus/client_model/go"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/ingest"
	"freshet/server"
	"freshet/storage/crashfs"
)

// poison has a record of every kind that cannot become a point, for a collection with two
// dimensions. No collection can be made of the first ones.
var poison = []string{
	`nonsense`,
	`{"embedding":[1,2]}`,
	`{"id":-1,"embedding":[1,2]}`,
	`{"id":1000001}`,
	`{"id":1000002,"embedding":[null,1]}`,
	`{"id":1000003,"embedding":[1e999,0]}`,
	`{"id":1000004,"embedding":[0,0]}`,
	`{"op":"x","before":null,"after":{"id":1000005,"embedding":[1,2]},"source":{}}`,
	`{"collection_name":"other","id":1000006,"vector":[1,2],"payload":{}}`,

	`{"id":1000007,"embedding":[1,2,3]}`,
	`{"collection_name":"c","id":1000008,"vector":{"no such vector":[1,2]},"payload":{}}`,
}

// unmakeable is how many of them say nothing of a collection.
const unmakeable = 9

// TestCrashesAmongDeadLetters crashes at any moment, also while the collection is made
// from the first record. Whatever was lost is read again: each good record has taken
// effect once, each bad one is among the dead letters, once in the collection's own
// store, which is of one commit with the positions, at least once in a topic.
func TestCrashesAmongDeadLetters(t *testing.T) {
	for _, topic := range []string{"", "t.dlq"} {
		for range 3 {
			seed := rand.Uint64()
			t.Run(fmt.Sprintf("%q-%d", topic, seed), func(t *testing.T) { crashAmongLetters(t, topic, rand.New(rand.NewPCG(seed, 1))) })
		}
	}
}

func crashAmongLetters(t *testing.T, topic string, rng *rand.Rand) {
	r := newRig(t, 2, ingest.Source{DeadLetterTopic: topic, Batch: ingest.Batch{Max: 1 + rng.IntN(20)}, OnCreate: ingest.OnCreate{Auto: true}})
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	fs := crashfs.New()
	r.fs, r.dir = fs, "data"
	r.open()

	good := map[string]string{}
	bad := map[int32]map[int64]bool{0: {}, 1: {}}
	var next [2]int64
	write := func(n int, poisoned float64, kinds int) {
		var records []*kgo.Record
		for i := range n {
			p := int32(i % 2)
			record := &kgo.Record{Partition: p}
			if rng.Float64() < poisoned {
				bad[p][next[p]] = true
				record.Value = []byte(poison[rng.IntN(kinds)])
			} else {
				id := strconv.Itoa(int(p) + 2*rng.IntN(40)) // always in the same partition
				good[id] = fmt.Sprintf(`{"n":%d}`, next[p])
				record.Value = fmt.Appendf(nil, `{"id":%s,"embedding":[1,%d],"n":%d}`, id, rng.IntN(9), next[p])
			}
			next[p]++
			records = append(records, record)
		}
		r.produce(records...)
	}
	// Before the first good record nothing says what the collection is to be.
	write(10, 1, unmakeable)
	r.run()
	for round := range 4 {
		if round == 1 {
			write(2, 0, 0) // the first good record of each partition
		}
		if round > 0 {
			write(1+rng.IntN(80), rng.Float64(), len(poison))
		}
		time.Sleep(time.Duration(rng.IntN(15)) * time.Millisecond)
		crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		fs = crashed
		r.reopen(fs)
		if r.db.Exists("c") {
			r.consistent(bad, topic == "")
		}
		r.run()
	}
	write(50, 0.3, len(poison))
	r.halt()
	from := r.positions()
	r.run()
	write(2, 0, 0)
	for p := range int32(2) {
		if next[p] > 0 {
			r.applied(p, next[p]-1)
		}
	}
	r.expect(good)
	r.consistent(bad, topic == "")
	if topic != "" {
		found := map[string]bool{}
		for _, records := range r.inTopic(topic) {
			for _, record := range records {
				found[header(record, "partition")+"/"+header(record, "offset")] = true
			}
		}
		want := 0
		for p, offsets := range bad {
			for offset := range offsets {
				want++
				if !found[fmt.Sprintf("%d/%d", p, offset)] {
					t.Errorf("the bad record at partition %d, offset %d is not among the dead letters", p, offset)
				}
			}
		}
		if len(found) != want {
			t.Errorf("%d records are dead letters, want %d", len(found), want)
		}
	}
	// What the last session counts is what it read; it counts a batch once that is
	// visible.
	r.eventually(func() string {
		if got, want := r.counted(), float64(next[0]+next[1])-from; got != want {
			return fmt.Sprintf("%v records were counted, %v were read", got, want)
		}
		return ""
	})
}

// positions returns the sum of the positions, which is how many records are applied.
func (r *rig) positions() float64 {
	r.t.Helper()
	if !r.db.Exists("c") {
		return 0
	}
	c, err := r.db.Collection("c")
	if err != nil {
		r.t.Fatal(err)
	}
	positions, err := c.Positions()
	if err != nil {
		r.t.Fatal(err)
	}
	sum := int64(0)
	for _, p := range positions {
		sum += p.Next
	}
	return float64(sum)
}

// counted returns how many records the metrics count, whatever became of them.
func (r *rig) counted() float64 { return r.countedAs("") }

// countedAs returns how many of them became something; "" is anything.
func (r *rig) countedAs(outcome string) float64 {
	r.t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == "freshet_source_records_total" {
			for _, m := range f.GetMetric() {
				is := func(l *dto.LabelPair) bool { return l.GetName() == "outcome" && l.GetValue() == outcome }
				if outcome == "" || slices.ContainsFunc(m.GetLabel(), is) {
					sum += m.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}

// consistent checks that the collection's own dead letters are, once each, the bad
// records before its positions.
func (r *rig) consistent(bad map[int32]map[int64]bool, kept bool) {
	r.t.Helper()
	c, err := r.db.Collection("c")
	if err != nil {
		r.t.Fatal(err)
	}
	letters := map[string]int{}
	all, err := c.DeadLetters(r.t.Context(), 10_000)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, l := range all {
		letters[fmt.Sprintf("%d/%d", l.Stream.Partition, l.Offset)]++
	}
	want := 0
	for p, offsets := range bad {
		position, _, err := c.Position(server.Stream{Source: "src", Topic: "t", Partition: p})
		if err != nil {
			r.t.Fatal(err)
		}
		for offset := range offsets {
			if !kept || offset >= position.Next {
				continue
			}
			want++
			if n := letters[fmt.Sprintf("%d/%d", p, offset)]; n != 1 {
				r.t.Errorf("the bad record at partition %d, offset %d is %d times among the dead letters", p, offset, n)
			}
		}
	}
	if len(letters) != want {
		r.t.Errorf("%d dead letters, want %d", len(letters), want)
	}
}
