package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"freshet/ingest"
	"freshet/ingest/decode"
	"freshet/server"
	"freshet/server/embed"
	"freshet/server/payload"
	"freshet/server/point"
)

// TestMain finds leaks.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a broker, a database and the means to run sources between them.
type rig struct {
	t       *testing.T
	cluster *kfake.Cluster
	dir     string
	db      *server.DB
	cfg     ingest.Config
	stop    func() // of the running manager
	manager *ingest.Manager
	metrics *prometheus.Registry
	models  *embed.Models
	fs      vfs.FS // of the database; nil for that of the machine
	// syncInterval is the database's; 0 for the usual one.
	syncInterval time.Duration
	log          *slog.Logger
	stalled      atomic.Pointer[kmsg.ProduceRequest] // by stallLetters, the last one
}

func newRig(t *testing.T, partitions int32, s ingest.Source, broker ...kfake.Opt) *rig {
	t.Helper()
	cluster, err := kfake.NewCluster(append(broker, kfake.NumBrokers(1), kfake.SeedTopics(partitions, "t"))...)
	if err != nil {
		t.Fatal(err)
	}
	s.Name, s.Collection, s.Topics = "src", "c", []string{"t"}
	cfg := ingest.Config{
		Kafka:   ingest.Kafka{BootstrapServers: strings.Join(cluster.ListenAddrs(), ",")},
		Sources: []ingest.Source{s},
	}
	cfg.SetDefaults()
	r := &rig{t: t, cluster: cluster, dir: t.TempDir(), cfg: cfg}
	r.open()
	t.Cleanup(func() {
		r.halt()
		if err := r.db.Close(); err != nil {
			t.Error(err)
		}
		cluster.Close()
	})
	return r
}

func (r *rig) open() {
	r.t.Helper()
	db, err := server.Open(context.Background(), r.dir, server.Options{FS: r.fs, SyncInterval: r.syncInterval})
	if err != nil {
		r.t.Fatal(err)
	}
	r.db = db
}

func (r *rig) run() {
	r.t.Helper()
	r.metrics = prometheus.NewRegistry()
	o := ingest.Options{Refresh: 20 * time.Millisecond, Registry: r.metrics, Models: r.models, Logger: r.log}
	if os.Getenv("FRESHET_TEST_LOG") != "" {
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	m, err := ingest.New(r.cfg, r.db, o)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { m.Run(ctx) })
	r.manager = m
	r.stop = func() {
		cancel()
		wg.Wait()
	}
}

func (r *rig) halt() {
	if r.stop != nil {
		r.stop()
		r.stop = nil
	}
}

// reopen ends the sources and goes on with what is in fs.
func (r *rig) reopen(fs vfs.FS) {
	r.t.Helper()
	r.halt()
	if err := r.db.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.fs = fs
	r.open()
}

func (r *rig) client(opts ...kgo.Opt) *kgo.Client {
	r.t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(r.cluster.ListenAddrs()...), kgo.ProducerLinger(0), kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}, opts...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	return client
}

func (r *rig) produce(records ...*kgo.Record) {
	r.t.Helper()
	client := r.client()
	defer client.Close()
	for _, rec := range records {
		if rec.Topic == "" {
			rec.Topic = "t"
		}
	}
	if err := client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		r.t.Fatal(err)
	}
}

func value(v string) *kgo.Record { return &kgo.Record{Value: []byte(v)} }

// eventually waits until check is content; what it says meanwhile is reported
// if it never is.
func (r *rig) eventually(check func() (problem string)) {
	r.t.Helper()
	var problem string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if problem = check(); problem == "" {
			return
		}
	}
	r.t.Fatalf("%s; status %+v", problem, r.manager.Status())
}

// applied waits until the offset of the partition is visible.
func (r *rig) applied(partition int32, offset int64) {
	r.t.Helper()
	r.eventually(func() string {
		c, err := r.db.Collection("c")
		if err != nil {
			return err.Error()
		}
		p, _, err := c.Position(server.Stream{Source: "src", Topic: "t", Partition: partition})
		if err != nil || p.Next <= offset {
			return fmt.Sprintf("position %+v, %v", p, err)
		}
		return ""
	})
}

// points returns all points as id → payload; there are none before the source has
// created their collection.
func (r *rig) points() map[string]string {
	r.t.Helper()
	if !r.db.Exists("c") {
		return nil
	}
	c, err := r.db.Collection("c")
	if err != nil {
		r.t.Fatal(err)
	}
	page, err := c.Scroll(context.Background(), server.ScrollRequest{Limit: 1 << 20, WithPayload: payload.All()})
	if err != nil {
		r.t.Fatal(err)
	}
	points := map[string]string{}
	for _, record := range page.Records {
		points[record.ID.String()] = string(record.Payload)
	}
	return points
}

func (r *rig) expect(want map[string]string) {
	r.t.Helper()
	got := r.points()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.t.Errorf("points %v, want %v", got, want)
	}
}

func (r *rig) letters() []server.DeadLetter {
	r.t.Helper()
	c, err := r.db.Collection("c")
	if err != nil {
		r.t.Fatal(err)
	}
	letters, err := c.DeadLetters(context.Background(), 100)
	if err != nil {
		r.t.Fatal(err)
	}
	return letters
}

func (r *rig) create(dim int) {
	r.t.Helper()
	err := r.db.CreateCollection(context.Background(), "c", server.Config{Vectors: server.VectorsConfig{
		Single: true, Named: map[string]server.VectorParams{"": {Size: dim, Distance: server.Cosine}},
	}})
	if err != nil {
		r.t.Fatal(err)
	}
}

func TestRecordsBecomePoints(t *testing.T) {
	r := newRig(t, 1, ingest.Source{OnCreate: ingest.OnCreate{Auto: true}})
	r.run()
	r.produce(
		value(`{"id":"a","embedding":[1.0,0.25],"n":1}`),
		value(`{"id":"b","embedding":[1.0,0.5],"n":1}`),
		value(`{"id":"a","embedding":[0.25,1.0],"n":2}`),
		&kgo.Record{Key: []byte("b")},
		value(`{"id":"c","embedding":[1,1]}`),
	)
	r.applied(0, 4)
	r.expect(map[string]string{"a": `{"n":2}`, "c": `{}`})

	c, err := r.db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	hits, err := c.Search(context.Background(), server.SearchRequest{Vector: server.Dense{0.25, 1}, Limit: 1})
	if err != nil || len(hits) != 1 || hits[0].ID.String() != "a" || hits[0].Score < 0.9999 {
		t.Errorf("got %+v, %v", hits, err)
	}
	// The consumer group learns the position, for tools that show lag.
	client := r.client()
	defer client.Close()
	r.eventually(func() string {
		offsets, err := kadm.NewClient(client).FetchOffsets(context.Background(), ingest.GroupOf(&r.cfg.Sources[0]))
		if o, ok := offsets.Lookup("t", 0); err != nil || !ok || o.At != 5 {
			return fmt.Sprintf("the group's offset is %+v, %v", o, err)
		}
		return ""
	})
	want := `
		# HELP freshet_source_records_total Records by what became of them: upsert, delete, stale, dead_letter (by reason), skipped.
		# TYPE freshet_source_records_total counter
		freshet_source_records_total{collection="c",outcome="delete",reason="",source="src"} 1
		freshet_source_records_total{collection="c",outcome="upsert",reason="",source="src"} 4
		# HELP freshet_source_lag_records Records of the log that are not applied.
		# TYPE freshet_source_lag_records gauge
		freshet_source_lag_records{collection="c",partition="0",source="src",topic="t"} 0
	`
	r.eventually(func() string {
		if err := testutil.GatherAndCompare(r.metrics, strings.NewReader(want), "freshet_source_records_total", "freshet_source_lag_records"); err != nil {
			return err.Error()
		}
		return ""
	})
}

func TestBadRecordsStopNothing(t *testing.T) {
	r := newRig(t, 1, ingest.Source{})
	r.create(2)
	r.run()
	bad := map[string]string{
		`nonsense`:                        "undecodable",
		`{"embedding":[1,2]}`:             "no_id",
		`{"id":-1,"embedding":[1,2]}`:     "bad_id",
		`{"id":1}`:                        "no_vector",
		`{"id":1,"embedding":[null,1]}`:   "bad_vector",
		`{"id":1,"embedding":[1,2,3]}`:    "wrong_dimension",
		`{"id":1,"embedding":[0,0]}`:      "zero_vector",
		`{"id":1,"embedding":[1e999,0]}`:  "bad_vector",
		`{"id":1,"embedding":[NaN,1]}`:    "undecodable",
		`{"id":1,"embedding":[1,2],"a":}`: "undecodable",
	}
	for v := range bad {
		rec := value(v)
		rec.Headers = []kgo.RecordHeader{{Key: "trace", Value: []byte("x")}}
		r.produce(rec, value(`{"id":7,"embedding":[1,2]}`))
	}
	r.applied(0, int64(2*len(bad)-1))
	r.expect(map[string]string{"7": `{}`})
	letters := r.letters()
	if len(letters) != len(bad) {
		t.Errorf("%d dead letters, want %d", len(letters), len(bad))
	}
	for _, l := range letters {
		if want := bad[string(l.Value)]; l.Reason != want || l.Detail == "" || l.Stream.Topic != "t" || len(l.Headers) != 1 {
			t.Errorf("%s: %+v, want %s", l.Value, l, want)
		}
	}
}

func TestDeadLetterTopic(t *testing.T) {
	r := newRig(t, 1, ingest.Source{DeadLetterTopic: "t.dlq", OnCreate: ingest.OnCreate{Auto: true}})
	r.run()
	r.produce(
		&kgo.Record{Key: []byte("k"), Value: []byte("nonsense"), Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte("x")}}},
		value(`{"id":1,"embedding":[1,2]}`),
	)
	r.applied(0, 1)
	client := r.client(kgo.ConsumeTopics("t.dlq"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer client.Close()
	defer client.PurgeTopicsFromClient("t.dlq") // so that it begins with nothing while it closes
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	records := client.PollFetches(ctx).Records()
	if len(records) != 1 || string(records[0].Key) != "k" || string(records[0].Value) != "nonsense" {
		t.Fatalf("got %+v", records)
	}
	headers := map[string]string{}
	for _, h := range records[0].Headers {
		headers[h.Key] = string(h.Value)
	}
	for name, want := range map[string]string{
		"trace":                                 "x",
		"__connect.errors.topic":                "t",
		"__connect.errors.partition":            "0",
		"__connect.errors.offset":               "0",
		"__connect.errors.connector.name":       "src",
		"__connect.errors.exception.class.name": "undecodable",
		"__connect.errors.exception.message":    "the value is not a JSON object",
		"__connect.errors.exception.stacktrace": "undecodable: the value is not a JSON object",
		"__connect.errors.stage":                "VALUE_CONVERTER",
		"__connect.errors.class.name":           "freshet.ingest",
		"__connect.errors.task.id":              "0",
	} {
		if headers[name] != want {
			t.Errorf("header %s is %q, want %q", name, headers[name], want)
		}
	}
	if n := len(r.letters()); n != 0 {
		t.Errorf("%d dead letters are in the collection too", n)
	}
}

// TestToleranceNone checks that a bad record stops its own partition, at the
// record, and no other.
func TestToleranceNone(t *testing.T) {
	r := newRig(t, 2, ingest.Source{ErrorsTolerance: "none"})
	r.create(1)
	r.run()
	r.produce(
		value(`{"id":1,"embedding":[1]}`), value(`nonsense`), value(`{"id":2,"embedding":[1]}`),
		&kgo.Record{Partition: 1, Value: []byte(`{"id":3,"embedding":[1]}`)},
	)
	r.applied(1, 0)
	r.eventually(func() string {
		p := r.manager.Status()[0].Partitions[0]
		if p.State != ingest.Failed || p.Next != 1 || !strings.Contains(p.Error, "offset 1: undecodable") {
			return fmt.Sprintf("partition 0 is %+v", p)
		}
		return ""
	})
	r.expect(map[string]string{"1": `{}`, "3": `{}`})
	if n := len(r.letters()); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}

// TestRestartsRepeatNothing stops and starts source and database again and
// again while records are produced. Positions and points have to agree each
// time, and every record counts once.
func TestRestartsRepeatNothing(t *testing.T) {
	r := newRig(t, 3, ingest.Source{OnCreate: ingest.OnCreate{Auto: true}, Batch: ingest.Batch{Max: 7}})
	const rounds, perRound = 6, 40
	want := map[string]string{}
	for round := range rounds {
		var records []*kgo.Record
		for i := range perRound {
			id := (round*perRound + i*7) % 60
			records = append(records, &kgo.Record{
				Partition: int32(id % 3), Key: fmt.Append(nil, id),
				Value: fmt.Appendf(nil, `{"id":%d,"embedding":[1,%d],"n":%d}`, id, i, round*perRound+i),
			})
			want[fmt.Sprint(id)] = fmt.Sprintf(`{"n":%d}`, round*perRound+i)
		}
		before := r.positions()
		r.run()
		r.produce(records...)
		if round%2 == 0 { // somewhere in the middle
			r.eventually(func() string {
				if r.positions() == before {
					return "nothing was applied"
				}
				return ""
			})
		}
		if round == rounds-1 {
			r.eventually(func() string {
				if got := r.points(); fmt.Sprint(got) != fmt.Sprint(want) {
					return fmt.Sprintf("points %v, want %v", got, want)
				}
				return ""
			})
		}
		r.halt()
		if err := r.db.Close(); err != nil {
			t.Fatal(err)
		}
		r.open()
	}
	r.expect(want)
	// Each record is one operation.
	c, err := r.db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := c.Info(); err != nil || info.Operation != rounds*perRound {
		t.Errorf("%d operations, %d records were produced (%v)", info.Operation, rounds*perRound, err)
	}
}

func TestNewPartitionsAreConsumedFromTheirBeginning(t *testing.T) {
	r := newRig(t, 1, ingest.Source{Start: "latest"})
	r.create(1)
	r.produce(value(`{"id":1,"embedding":[1]}`)) // before the source: not consumed
	r.run()
	r.eventually(func() string {
		if s := r.manager.Status()[0]; s.State != ingest.Running {
			return fmt.Sprintf("%+v", s)
		}
		return ""
	})
	r.produce(value(`{"id":2,"embedding":[1]}`))
	r.applied(0, 1)
	client := r.client()
	defer client.Close()
	if resp, err := kadm.NewClient(client).UpdatePartitions(context.Background(), 3, "t"); err != nil || resp.Error() != nil {
		t.Fatal(err, resp.Error())
	}
	r.produce(&kgo.Record{Partition: 2, Value: []byte(`{"id":3,"embedding":[1]}`)})
	r.applied(2, 0)
	r.expect(map[string]string{"2": `{}`, "3": `{}`})
}

// TestGap removes records that have not been applied from the log.
func TestGap(t *testing.T) {
	for policy, want := range map[string]ingest.State{"fail": ingest.Gap, "skip": ingest.Running, "replay": ingest.Running} {
		t.Run(policy, func(t *testing.T) {
			r := newRig(t, 1, ingest.Source{OnGap: policy})
			r.create(1)
			r.run()
			r.produce(value(`{"id":0,"embedding":[1]}`))
			r.applied(0, 0)
			r.halt()
			for i := 1; i < 10; i++ {
				r.produce(value(fmt.Sprintf(`{"id":%d,"embedding":[1]}`, i)))
			}
			r.trim(6)
			r.run()
			r.eventually(func() string {
				s := r.manager.Status()[0]
				if len(s.Partitions) != 1 || s.Partitions[0].State != want || s.Partitions[0].Lag != map[ingest.State]int64{ingest.Gap: 9}[want] {
					return fmt.Sprintf("%+v", s.Partitions)
				}
				return ""
			})
			if policy == "fail" {
				if p := r.manager.Status()[0].Partitions[0]; !strings.Contains(p.Error, "5 records are gone from the log: it begins at offset 6, the position is 1") {
					t.Errorf("the error is %q", p.Error)
				}
				r.expect(map[string]string{"0": `{}`})
				if err := r.catchUp(longWait); server.KindOf(err) != server.Unavailable {
					t.Errorf("a read that wants all records: %v", err)
				}
				return
			}
			r.expect(map[string]string{"0": `{}`, "6": `{}`, "7": `{}`, "8": `{}`, "9": `{}`})
			if n := r.countedAs("skipped"); n != 5 {
				t.Errorf("%v records count as skipped", n)
			}
		})
	}
}

// TestTransactions checks that aborted records never appear and that positions
// count the markers at the end of transactions.
func TestTransactions(t *testing.T) {
	r := newRig(t, 1, ingest.Source{OnCreate: ingest.OnCreate{Auto: true}})
	r.run()
	client := r.client(kgo.TransactionalID("tx"))
	defer client.Close()
	ctx := context.Background()
	for i, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		rec := value(fmt.Sprintf(`{"id":%d,"embedding":[1]}`, i))
		rec.Topic = "t"
		if err := client.ProduceSync(ctx, rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := client.EndTransaction(ctx, commit); err != nil {
			t.Fatal(err)
		}
	}
	r.applied(0, 5) // three records, three markers
	r.expect(map[string]string{"0": `{}`, "2": `{}`})
	v, err := r.manager.Validate(ctx, "c", []byte(`{"topics":["t"]}`), 10)
	if err != nil || len(v.Points) != 2 || len(v.Errors) != 0 {
		t.Errorf("a dry run: %+v, %v", v, err)
	}
}

// TestBrokerIsAway starts without a broker and with one that goes.
func TestBrokerIsAway(t *testing.T) {
	r := newRig(t, 1, ingest.Source{OnCreate: ingest.OnCreate{Auto: true}})
	good := r.cfg.Kafka.BootstrapServers
	r.cfg.Kafka.BootstrapServers = "127.0.0.1:1"
	r.run()
	r.eventually(func() string {
		if s := r.manager.Status()[0]; s.State != ingest.Retrying || !strings.Contains(s.Error, "refused") {
			return fmt.Sprintf("%+v", s)
		}
		return ""
	})
	r.halt()
	r.cfg.Kafka.BootstrapServers = good
	r.run()
	r.produce(value(`{"id":1,"embedding":[1]}`))
	r.applied(0, 0)
}

// TestTopicsComeLater starts before the topic and the collection exist.
func TestTopicsComeLater(t *testing.T) {
	r := newRig(t, 1, ingest.Source{})
	r.cfg.Sources[0].Topics = []string{"later"}
	r.run()
	waits := func(want string) {
		t.Helper()
		r.eventually(func() string {
			if s := r.manager.Status()[0]; s.State != ingest.Retrying || !strings.Contains(s.Error, want) {
				return fmt.Sprintf("%+v", s)
			}
			return ""
		})
	}
	waits("Collection `c` doesn't exist!")
	r.create(1)
	waits("none of the topics exists: later")
	client := r.client()
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(context.Background(), 1, -1, nil, "later"); err != nil {
		t.Fatal(err)
	}
	r.produce(&kgo.Record{Topic: "later", Value: []byte(`{"id":1,"embedding":[1]}`)})
	r.eventually(func() string {
		if n := len(r.points()); n != 1 {
			return fmt.Sprintf("%d points", n)
		}
		return ""
	})
}

// TestOrderBetweenPartitions writes one id to several partitions, as a
// producer without keys does: the newest timestamp wins, in whatever order the
// partitions are read.
func TestOrderBetweenPartitions(t *testing.T) {
	r := newRig(t, 4, ingest.Source{})
	r.create(1)
	base := time.Now().Add(-time.Minute)
	var records []*kgo.Record
	for i := range 200 {
		records = append(records, &kgo.Record{
			Partition: int32(i * 7 % 4), Timestamp: base.Add(time.Duration(i) * time.Millisecond),
			Value: fmt.Appendf(nil, `{"id":"one","embedding":[1],"n":%d}`, i),
		})
	}
	r.produce(records...)
	r.run()
	for p := range int32(4) {
		r.applied(p, 49)
	}
	r.expect(map[string]string{"one": `{"n":199}`})
}

// TestDroppedCollection drops the collection while it is fed: the source makes
// it anew and begins anew.
func TestDroppedCollection(t *testing.T) {
	r := newRig(t, 1, ingest.Source{OnCreate: ingest.OnCreate{Auto: true}})
	r.run()
	r.produce(value(`{"id":1,"embedding":[1]}`))
	r.applied(0, 0)
	if _, err := r.db.DropCollection(context.Background(), "c"); err != nil {
		t.Fatal(err)
	}
	r.produce(value(`{"id":2,"embedding":[1]}`))
	r.applied(0, 1)
	r.expect(map[string]string{"1": `{}`, "2": `{}`})
}

// TestRecoveredCollection recovers the collection while it is fed: the source goes on
// from the positions of the snapshot, though no record comes any more.
func TestRecoveredCollection(t *testing.T) {
	r := newRig(t, 1, ingest.Source{})
	r.create(1)
	r.run()
	r.produce(value(`{"id":1,"embedding":[1]}`))
	r.applied(0, 0)
	info, err := r.db.CreateSnapshot(context.Background(), "c")
	if err != nil {
		t.Fatal(err)
	}
	r.produce(value(`{"id":2,"embedding":[1]}`))
	r.applied(0, 1)
	f, _, err := r.db.OpenSnapshot(context.Background(), "c", info.Name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.db.Recover(context.Background(), "c", f, info.Checksum), f.Close()); err != nil {
		t.Fatal(err)
	}
	r.applied(0, 1)
	r.expect(map[string]string{"1": `{}`, "2": `{}`})
}

// TestRESTAndKafkaWriteTheSamePoint checks that the later write wins.
func TestRESTAndKafkaWriteTheSamePoint(t *testing.T) {
	r := newRig(t, 1, ingest.Source{})
	r.create(1)
	r.run()
	c, err := r.db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Apply(context.Background(), server.Batch{Sync: true, Ops: []server.Op{{
		Kind: server.Upsert, Points: []server.Point{{ID: point.Number(1), Vectors: server.Vectors{"": server.Dense{1}}, Payload: json.RawMessage(`{"by":"rest"}`)}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	older, newer := value(`{"id":1,"embedding":[1],"by":"old record"}`), value(`{"id":1,"embedding":[1],"by":"new record"}`)
	older.Timestamp, newer.Timestamp = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	r.produce(older)
	r.applied(0, 0)
	r.expect(map[string]string{"1": `{"by":"rest"}`})
	r.produce(newer)
	r.applied(0, 1)
	r.expect(map[string]string{"1": `{"by":"new record"}`})
}

func TestFormatsAreFoundPerRecord(t *testing.T) {
	r := newRig(t, 1, ingest.Source{OnCreate: ingest.OnCreate{Auto: true}})
	r.produce(
		value(`{"collection_name":"c","id":1,"vector":{"d":[1,2],"m":[[1,2],[3,4]],"s":{"indices":[7],"values":[1]}},"payload":{"n":1}}`),
		value(`{"collection_name":"other","id":2,"vector":{"d":[1,2]}}`),
		value(`{"collection_name":"c","id":3,"vector":{"d":[3,4]}}`),
		&kgo.Record{Key: []byte(`{"schema":{},"payload":{"id":3}}`), Value: []byte(`{"before":{"id":3},"after":null,"op":"d"}`)},
		&kgo.Record{Key: []byte(`{"schema":{},"payload":{"id":3}}`)},
	)
	r.run()
	r.applied(0, 4)
	c, err := r.db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	cfg := c.Config()
	if d, m := cfg.Vectors.Named["d"], cfg.Vectors.Named["m"]; d.Size != 2 || m.Size != 2 || m.Multivector == nil {
		t.Errorf("dense vectors: %+v", cfg.Vectors)
	}
	if _, ok := cfg.SparseVectors["s"]; !ok {
		t.Errorf("sparse vectors: %+v", cfg.SparseVectors)
	}
	r.eventually(func() string {
		formats := r.manager.Status()[0].Formats
		if formats[decode.Qdrant] == 2 && formats[decode.Debezium] == 1 && formats[decode.Auto] == 1 {
			return ""
		}
		return fmt.Sprint(formats)
	})
	if n, err := c.Count(context.Background(), nil); err != nil || n != 1 {
		t.Errorf("%d points, %v", n, err)
	}
}
