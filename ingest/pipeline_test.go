package ingest_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"freshet/ingest"
	"freshet/server/sources"
)

// stallLetters keeps the broker from taking dead letters, and with them the batches that
// have some, until release is called. Nothing else may be produced before letters are stalled.
func (r *rig) stallLetters() (stalled <-chan struct{}, release func()) {
	r.t.Helper()
	begun, ended := make(chan struct{}), make(chan struct{})
	before := r.stalled.Load() // goes on with this function when the one before lets it go
	var others atomic.Bool
	r.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		if letters := req.(*kmsg.ProduceRequest); letters != before && others.CompareAndSwap(false, true) {
			r.stalled.Store(letters)
			r.cluster.SleepControl(func() {
				close(begun)
				<-ended
			})
		}
		return nil, nil, false
	})
	release = sync.OnceFunc(func() { close(ended) })
	r.t.Cleanup(release)
	return begun, release
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
	_, release := r.stallLetters()
	r.run()
	if got := r.embedded(e, 1); len(got) != 1 {
		t.Errorf("%q were read ahead", got)
	}
	r.expect(map[string]string{})
	release()
	r.applied(0, 2)
	r.expect(map[string]string{"1": `{"text":"a"}`, "2": `{"text":"bc"}`})
}

// embedded waits until an endpoint has made vectors of so many texts, and returns all of them.
func (r *rig) embedded(e *endpoint, n int) (texts []string) {
	r.t.Helper()
	r.eventually(func() string {
		e.mu.Lock()
		defer e.mu.Unlock()
		if texts = slices.Clone(e.texts); len(texts) < n {
			return fmt.Sprintf("only %q were read", texts)
		}
		return ""
	})
	return texts
}

// TestBatchKeepsItsLimit has the records of a batch come one after the other while the one before
// is applied: it takes no more of the last ones than the limit leaves.
func TestBatchKeepsItsLimit(t *testing.T) {
	r := newRig(t, 1, ingest.Source{
		DeadLetterTopic: "t.dlq", Batch: ingest.Batch{Max: 4}, Embed: ofText("value.text"), OnCreate: ingest.OnCreate{Auto: true},
	})
	e := r.embedding()
	r.create(2)
	r.produce(value(`nonsense`))
	stalled, release := r.stallLetters()
	r.run()
	<-stalled
	put := func(ids ...int) {
		var records []*kgo.Record
		for _, id := range ids {
			records = append(records, value(fmt.Sprintf(`{"id":%d,"text":"%d"}`, id, id)))
		}
		r.produce(records...)
	}
	put(1, 2, 3)
	r.embedded(e, 3)
	put(4, 5, 6)
	if got := r.embedded(e, 4); len(got) != 4 {
		t.Errorf("%q were read for one batch", got)
	}
	release()
	r.applied(0, 6)
	if n := len(r.points()); n != 6 {
		t.Errorf("%d points", n)
	}
}

// TestBufferIsBounded has more records in the log than a source may hold, and first a small
// batch, then a large one, that is not applied for a while.
func TestBufferIsBounded(t *testing.T) {
	const size, n, total = 480 << 10, 36, 4 << 20 // a fetch takes two, and four fetches all
	r := newRig(t, 2, ingest.Source{
		DeadLetterTopic: "t.dlq", OnCreate: ingest.OnCreate{Auto: true},
		Buffer: ingest.Buffer{PartitionBytes: total / 4, TotalBytes: total},
	})
	r.create(1)
	client := r.client()
	defer client.Close()
	random := rand.NewChaCha8([32]byte{})
	bytes := make([]byte, size/2)
	put := func(i int, large bool) {
		t.Helper()
		record := value("nonsense")
		if large {
			if _, err := random.Read(bytes); err != nil {
				t.Fatal(err)
			}
			record = value(fmt.Sprintf(`{"id":%d,"embedding":[1],"x":"%x"}`, i, bytes))
		}
		record.Topic, record.Partition = "t", int32(i%2)
		if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	put(0, false)
	put(1, false)
	stalled, release := r.stallLetters()
	var looks atomic.Int64
	r.cluster.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		looks.Add(1)
		return nil, nil, false
	})
	var silent atomic.Bool
	r.cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		time.Sleep(10 * time.Millisecond) // so that one is under way when it is found that enough is there
		return req.ResponseKind(), nil, silent.Load()
	})
	r.run()
	<-stalled
	silent.Store(true)
	for i := 2; i < n; i++ {
		put(i, i != 4 && i != 5)
	}
	silent.Store(false)
	bounded := func() {
		t.Helper()
		held := int64(-1) // the looks at the logs when nothing more was fetched
		r.eventually(func() string {
			b := r.manager.Status()[0].Buffer
			if b.Bytes > total || b.Limit != total {
				t.Fatalf("%+v", b)
			}
			if b.Held == 2 && held < 0 {
				held = looks.Load()
			}
			if held < 0 || looks.Load() < held+10 {
				return fmt.Sprintf("fetching goes on: %+v", b)
			}
			return ""
		})
	}
	bounded()
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
	stalledNext, releaseNext := r.stallLetters()
	release()
	<-stalledNext
	bounded()
	releaseNext()
	r.applied(0, n/2-1)
	r.applied(1, n/2-1)
	if got := len(r.points()); got != n-4 {
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
	_, release := r.stallLetters()
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
