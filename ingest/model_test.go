package ingest_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/ingest"
	"freshet/ingest/decode"
	"freshet/server"
	"freshet/server/payload"
	"freshet/storage/crashfs"
)

var modelSeed = flag.Uint64("model.seed", 0, "seed of the first run of TestModel; 0 draws one")

// TestModel has a source read random logs, with crashes and restarts on the way, and
// compares what it has made of them with a model that reads one record after the other.
func TestModel(t *testing.T) {
	for i, version := range []string{"timestamp", "offset", "value.v"} {
		seed := *modelSeed + uint64(i)
		if *modelSeed == 0 {
			seed = rand.Uint64()
		}
		t.Run(fmt.Sprintf("%s-%d", version, seed), func(t *testing.T) {
			runModel(t, version, rand.New(rand.NewPCG(seed, 7)))
		})
	}
}

// modelPartitions are the logs of a run. The ids that are a multiple of 3 are written to one
// partition each, by producers whose clocks jump. The others are written to all; in each
// partition their versions do not go back, which makes the order of their writes one that
// does not depend on who reads them when.
const (
	modelPartitions = 3
	modelIDs        = 24
)

// written is a write of a point.
type written struct {
	time      int64 // what orders writes of different partitions
	partition int32
	offset    int64
	n         int // of the record
	deletes   bool
}

// before says whether the other write comes after this one.
func (w written) before(other written) bool {
	switch {
	case w.partition == other.partition:
		return w.offset < other.offset
	case w.time != other.time:
		return w.time < other.time
	default:
		return w.partition < other.partition
	}
}

// model is what a collection has to hold after the logs.
type model struct {
	version string
	rng     *rand.Rand
	next    [modelPartitions]int64
	clock   [modelIDs][modelPartitions]int64
	newest  map[string]written
	good    int // records that are operations
	bad     int
}

// record makes the next record of a log and has the model read it.
func (m *model) record(n int) *kgo.Record {
	i := m.rng.IntN(modelIDs)
	p, at := m.rng.IntN(modelPartitions), m.rng.Int64N(1000)
	if i%3 == 0 {
		p = i / 3 % modelPartitions
	} else {
		m.clock[i][p] += m.rng.Int64N(3)
		at = m.clock[i][p]
	}
	id := fmt.Sprintf("k%d", i)
	at += 1_700_000_000_000
	w := written{time: at, partition: int32(p), offset: m.next[p], n: n}
	m.next[p]++
	r := &kgo.Record{Partition: w.partition, Key: []byte(id), Timestamp: time.UnixMilli(at)}
	if m.version == "offset" {
		w.time = w.offset
	}
	kind := m.rng.IntN(10)
	switch kind {
	case 0:
		r.Value = fmt.Appendf(nil, `{"id":%q,"embedding":[1,2,3],"v":%d}`, id, at)
	case 1:
		r.Value = fmt.Appendf(nil, `{"id":%q,"embedding":[1,2],"v":%d,"op":"x"}`, id, at)
	case 2: // a tombstone, which has no version but its timestamp
	case 3:
		r.Value = fmt.Appendf(nil, `{"id":%q,"op":"d","v":%d}`, id, at)
	case 4:
		r.Value = fmt.Appendf(nil, `{"before":{"id":%q,"v":%d},"after":null,"op":"d"}`, id, at)
	default:
		r.Value = fmt.Appendf(nil, `{"id":%q,"embedding":[1,%d],"n":%d,"v":%d}`, id, n, n, at)
		r.Key = nil
	}
	if kind > 2 && m.version != "timestamp" { // it decides nothing
		r.Timestamp = time.UnixMilli(m.rng.Int64N(1000))
	}
	if kind < 2 {
		m.bad++ // and nothing is changed
		return r
	}
	m.good++
	w.deletes = kind < 5
	if last, ok := m.newest[id]; !ok || last.before(w) {
		m.newest[id] = w
	}
	return r
}

// points are those that the collection has to have: id → payload and vector.
func (m *model) points() map[string]string {
	all := map[string]string{}
	for id, w := range m.newest {
		if !w.deletes {
			all[id] = fmt.Sprintf(`{"n":%d} [1 %d]`, w.n, w.n)
		}
	}
	return all
}

func runModel(t *testing.T, version string, rng *rand.Rand) {
	r := newRig(t, modelPartitions, ingest.Source{
		Version: version, Batch: ingest.Batch{Max: 1 + rng.IntN(60)}, Payload: decode.Payload{Include: []string{"n"}},
		Operation: &decode.Operation{From: "value.op", Delete: []string{"d"}, Upsert: []string{""}},
	})
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	fs := crashfs.New()
	r.fs, r.dir = fs, "data"
	r.open()
	err := r.db.CreateCollection(t.Context(), "c", server.Config{Vectors: server.VectorsConfig{
		Single: true, Named: map[string]server.VectorParams{"": {Size: 2, Distance: server.Dot}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	m := &model{version: version, rng: rng, newest: map[string]written{}}
	produced := 0
	for range 8 {
		var records []*kgo.Record
		for range 1 + rng.IntN(150) {
			records = append(records, m.record(produced))
			produced++
		}
		r.run()
		r.produce(records...)
		time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
		if rng.IntN(2) == 0 { // what is not synced yet may be lost
			fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		}
		r.reopen(fs)
	}
	r.run()
	for p, next := range m.next {
		if next > 0 {
			r.applied(int32(p), next-1)
		}
	}
	if diff := cmp.Diff(m.points(), r.contents()); diff != "" {
		t.Errorf("(-model +collection)\n%s", diff)
	}
	if n := len(r.letters()); n != min(m.bad, 100) {
		t.Errorf("%d dead letters, want %d", n, m.bad)
	}
	c, err := r.db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := c.Info(); err != nil || info.Operation != uint64(m.good) {
		t.Errorf("%d operations for %d records, %v", info.Operation, m.good, err)
	}
}

// contents returns all points as id → payload and vector.
func (r *rig) contents() map[string]string {
	r.t.Helper()
	c, err := r.db.Collection("c")
	if err != nil {
		r.t.Fatal(err)
	}
	page, err := c.Scroll(r.t.Context(), server.ScrollRequest{Limit: 1 << 20, WithPayload: payload.All(), WithVector: server.VectorSelector{All: true}})
	if err != nil {
		r.t.Fatal(err)
	}
	all := map[string]string{}
	for _, record := range page.Records {
		all[record.ID.String()] = fmt.Sprintf("%s %v", record.Payload, record.Vectors[""])
	}
	return all
}
