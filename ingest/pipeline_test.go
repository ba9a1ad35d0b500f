package ingest_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"freshet/ingest"
	"freshet/server/sources"
)

// stallLetters keeps the broker from taking dead letters, and with them the batches that
// have some, until release is called.
func (r *rig) stallLetters() (release func()) {
	r.t.Helper()
	stalled := make(chan struct{})
	r.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.SleepControl(func() { <-stalled })
		return nil, nil, false
	})
	release = sync.OnceFunc(func() { close(stalled) })
	r.t.Cleanup(release)
	return release
}

// TestNextBatchIsDecodedMeanwhile has batches of one record, of which the first cannot be
// applied for now: the second gets its vector, and neither it nor the third is applied.
func TestNextBatchIsDecodedMeanwhile(t *testing.T) {
	r := newRig(t, 1, ingest.Source{
		DeadLetterTopic: "t.dlq", Batch: ingest.Batch{Max: 1},
		Embed: map[string]ingest.Embedding{"": {Model: "m", Text: "value.text"}}, OnCreate: ingest.OnCreate{Auto: true},
	})
	e := r.embedding()
	r.create(2)
	r.produce(value(`nonsense`), value(`{"id":1,"text":"a"}`), value(`{"id":2,"text":"bc"}`))
	release := r.stallLetters()
	r.run()
	texts := func() []string {
		e.mu.Lock()
		defer e.mu.Unlock()
		return slices.Clone(e.texts)
	}
	r.eventually(func() string {
		if got := texts(); len(got) == 0 {
			return "the second record was not read"
		}
		return ""
	})
	if got := texts(); len(got) != 1 {
		t.Errorf("%q were read ahead", got)
	}
	r.expect(map[string]string{})
	release()
	r.applied(0, 2)
	r.expect(map[string]string{"1": `{"text":"a"}`, "2": `{"text":"bc"}`})
}

// TestBufferIsBounded has more records in the log than a source may hold, and a batch
// that is not applied for a while.
func TestBufferIsBounded(t *testing.T) {
	const size, n, total = 16 << 10, 150, 256 << 10
	r := newRig(t, 2, ingest.Source{
		DeadLetterTopic: "t.dlq", OnCreate: ingest.OnCreate{Auto: true},
		Buffer: ingest.Buffer{PartitionBytes: 64 << 10, TotalBytes: total},
	})
	r.create(1)
	client := r.client()
	defer client.Close()
	random := rand.NewChaCha8([32]byte{})
	bytes := make([]byte, size/2)
	for i := range n {
		if _, err := random.Read(bytes); err != nil {
			t.Fatal(err)
		}
		record := value(fmt.Sprintf(`{"id":%d,"embedding":[1],"x":"%x"}`, i, bytes))
		if i < 2 {
			record = value("nonsense")
		}
		record.Topic, record.Partition = "t", int32(i%2)
		if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	release := r.stallLetters()
	r.run()
	r.eventually(func() string {
		b := r.manager.Status()[0].Buffer
		if b.Bytes > total || b.Limit != total {
			t.Errorf("%+v", b)
		}
		if b.Held == 2 {
			return ""
		}
		return fmt.Sprintf("fetching goes on: %+v", b)
	})
	paused := func() float64 {
		families, err := r.metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					if f.GetName() == "freshet_source_paused" && l.GetName() == "reason" && l.GetValue() == "buffer" {
						return m.GetGauge().GetValue()
					}
				}
			}
		}
		return -1
	}
	if got := paused(); got != 2 {
		t.Errorf("the metric says that %g partitions are paused", got)
	}
	release()
	r.applied(0, n/2-1)
	r.applied(1, n/2-1)
	if got := len(r.points()); got != n-2 {
		t.Errorf("%d points", got)
	}
	r.eventually(func() string {
		if b := r.manager.Status()[0].Buffer; b.Bytes != 0 || b.Held != 0 {
			return fmt.Sprintf("what was applied counts: %+v", b)
		}
		return ""
	})
}

// TestFetchesShareTheBuffer has three brokers: what may be under way from each, all together,
// is the part of the bound that fetches have.
func TestFetchesShareTheBuffer(t *testing.T) {
	const brokers, total, partition = 3, 1 << 20, 64 << 10
	for _, partitionBytes := range []int32{partition, total} {
		r := newRig(t, brokers, ingest.Source{
			OnCreate: ingest.OnCreate{Auto: true}, Buffer: ingest.Buffer{PartitionBytes: ingest.Bytes(partitionBytes), TotalBytes: total},
		})
		for range brokers - 1 {
			if _, _, err := r.cluster.AddNode(-1, 0); err != nil {
				t.Fatal(err)
			}
		}
		for p := range int32(brokers) {
			if err := r.cluster.MoveTopicPartition("t", p, p); err != nil {
				t.Fatal(err)
			}
		}
		const each = int32(total / 4 / brokers)
		var mu sync.Mutex
		asked := map[[2]int32]int{}
		r.cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			r.cluster.KeepControl()
			mu.Lock()
			defer mu.Unlock()
			fetch := req.(*kmsg.FetchRequest)
			for _, topic := range fetch.Topics {
				for _, p := range topic.Partitions {
					asked[[2]int32{fetch.MaxBytes, p.PartitionMaxBytes}]++
				}
			}
			return nil, nil, false
		})
		r.run()
		for p := range int32(brokers) {
			r.produce(&kgo.Record{Partition: p, Value: fmt.Appendf(nil, `{"id":%d,"embedding":[1]}`, p)})
			r.applied(p, 0)
		}
		mu.Lock()
		if want := [2]int32{each, min(partitionBytes, each)}; len(asked) != 1 || asked[want] == 0 {
			t.Errorf("asked for at most %v bytes in all and of a partition, want %v", asked, want)
		}
		mu.Unlock()
	}
}

// TestStatusTellsTheProgress has a backlog that cannot be applied for a while.
func TestStatusTellsTheProgress(t *testing.T) {
	const n = 10_000
	r := newRig(t, 1, ingest.Source{DeadLetterTopic: "t.dlq", OnCreate: ingest.OnCreate{Auto: true}})
	r.create(1)
	records := make([]*kgo.Record, 0, n)
	for range n {
		records = append(records, value(`{"id":1,"embedding":[1]}`))
	}
	records[200] = value("nonsense")
	r.produce(records...)
	release := r.stallLetters()
	r.run()
	src := sources.Key{Collection: "c", Name: "src"}
	r.eventually(func() string {
		status, err := r.manager.SourceStatus(src)
		if err != nil {
			t.Fatal(err)
		}
		c := status.CatchUp
		if c == nil || c.Applied == 0 {
			return "nothing was applied"
		}
		if c.Applied+c.Left != n || c.PerSecond <= 0 || c.SecondsLeft == nil || *c.SecondsLeft <= 0 || c.Since.IsZero() {
			t.Errorf("%+v", c)
		}
		return ""
	})
	release()
	r.applied(0, n-1)
	r.eventually(func() string {
		if status, err := r.manager.SourceStatus(src); err != nil || status.CatchUp != nil {
			return fmt.Sprintf("it goes on: %+v, %v", status.CatchUp, err)
		}
		return ""
	})
}
