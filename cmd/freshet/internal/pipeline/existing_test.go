package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"freshet/ingest"
	"freshet/server"
	"freshet/server/embed"
)

// reads are the requests that change nothing at a broker.
var reads = []kmsg.Key{
	kmsg.ApiVersions, kmsg.Metadata, kmsg.ListOffsets, kmsg.Fetch, kmsg.OffsetForLeaderEpoch,
	kmsg.GetTelemetrySubscriptions, kmsg.PushTelemetry, // of a client's figures, if the broker asks for them
}

// readOptions are those of a run that reads the topic mine of a broker.
func readOptions(t *testing.T, cluster *kfake.Cluster) Options {
	t.Helper()
	o := optionsAt(t, cluster)
	o.Topic, o.Vectors, o.Rates = "mine", Vectors{}, nil
	o.Read = &ingest.Source{Topics: []string{"mine"}, Format: "json"}
	return o
}

// put produces values into the topic mine, one partition after the other.
func put(t *testing.T, o *Options, values ...string) {
	t.Helper()
	client, err := kgo.NewClient(append(o.Kafka.ClientOptions(), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	records := make([]*kgo.Record, len(values))
	for i, v := range values {
		records[i] = &kgo.Record{Topic: "mine", Value: []byte(v)}
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func points(from, to int) (values []string) {
	for i := from; i < to; i++ {
		values = append(values, fmt.Sprintf(`{"id":"p%d","embedding":[%d,%d,1]}`, i, i%17, i%23))
	}
	return values
}

// TestReadsAnExistingTopic reads what is there, some of it no points, and asks the broker
// for nothing that would change it.
func TestReadsAnExistingTopic(t *testing.T) {
	cluster := broker(t, kfake.SeedTopics(3, "mine"))
	o := readOptions(t, cluster)
	put(t, &o, slices.Concat(points(0, 300), []string{"no point", "nor this"}, points(300, 400))...)
	var mu sync.Mutex
	asked := map[kmsg.Key]bool{}
	cluster.Control(func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		asked[kmsg.Key(request.Key())] = true
		return nil, nil, false
	})
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	for key := range asked {
		if !slices.Contains(reads, key) {
			t.Errorf("the broker was asked for %s", key.Name())
		}
	}
	mu.Unlock()
	if b := report.Backlog; b == nil || b.Records != 402 || b.Letters != 2 || b.PerSecond <= 0 || b.Compared() || len(b.Stages) != len(ingest.AllStages) {
		t.Errorf("backlog %+v", b)
	}
	if r := report.Recall; r == nil || r.Points != 400 || r.Queries != 200 || r.Recall < 0.95 || r.Recall > 1 {
		t.Errorf("recall %+v", r)
	}
	if report.Live != nil || len(report.Steps) != 0 || report.Highest != nil || report.Dim != 3 || report.Partitions != 3 {
		t.Errorf("report %+v", report)
	}
	var text, page strings.Builder
	if err := errors.Join(report.Text(&text), report.HTML(&page)); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{text.String(), page.String()} {
		if !strings.Contains(out, "400 points of topic mine, 3 dimensions") || !strings.Contains(out, "2 of them were no points, but dead letters") ||
			strings.Contains(out, "the pipeline this replaces") {
			t.Error(out)
		}
	}
	if list := topics(t, &o); fmt.Sprint(list) != "[mine]" {
		t.Errorf("topics %v", list)
	}
}

// TestReadsASource takes a source as a configuration may have it: its vectors are made of texts,
// its records say which collection they are for, and its dead letters have a topic.
func TestReadsASource(t *testing.T) {
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Input []string `json:"input"`
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		var list []string
		for i, text := range asked.Input {
			n, err := strconv.Atoi(strings.TrimPrefix(text, "text "))
			if err != nil {
				t.Error(err)
			}
			list = append(list, fmt.Sprintf(`{"index":%d,"embedding":[%d,%d,1]}`, i, n%17, n%23))
		}
		_, _ = fmt.Fprintf(w, `{"data":[%s]}`, strings.Join(list, ","))
	}))
	defer endpoint.Close()
	config := embed.Config{Models: []embed.ModelConfig{{Name: "small", URL: endpoint.URL, Dimension: 3}}}
	config.SetDefaults()
	models, err := embed.New(config)
	if err != nil {
		t.Fatal(err)
	}
	defer models.Close()
	cluster := broker(t, kfake.SeedTopics(1, "mine", "letters"))
	o := readOptions(t, cluster)
	o.Models, o.Distance = models, server.Euclid
	o.Read = &ingest.Source{
		Name: "articles", Collection: "texts", Topics: []string{"mine"}, Format: "json", Start: "latest", Route: "of-${field:of}",
		OnCreate: ingest.OnCreate{Distance: server.Euclid, M: 8, MaxCollections: 3}, OnGap: "fail", ErrorsTolerance: "none", DeadLetterTopic: "letters",
		Embed: map[string]ingest.Embedding{"": {Model: "small", Text: "text ${value.n}"}},
	}
	var values []string
	for i := range 100 {
		values = append(values, fmt.Sprintf(`{"id":"p%d","n":%d,"of":"c%d"}`, i, i, i%5))
	}
	put(t, &o, append(values, "no point")...)
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if b := report.Backlog; b == nil || b.Records != 101 || b.Letters != 1 {
		t.Errorf("backlog %+v", b)
	}
	if r := report.Recall; r == nil || r.Points != 100 || r.Recall < 0.95 {
		t.Errorf("recall %+v", r)
	}
	if scope := report.Scope(); !strings.Contains(scope, "To make the embeddings is in them") {
		t.Error(scope)
	}
	letters, err := kgo.NewClient(o.Kafka.ClientOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	defer letters.Close()
	ends, err := kadm.NewClient(letters).ListEndOffsets(t.Context(), "letters")
	if end, ok := ends.Lookup("letters", 0); err != nil || !ok || end.Offset != 0 {
		t.Errorf("letters were produced: %v, %v", ends, err)
	}
}

// TestFollowsAnExistingTopic has records come while it is followed.
func TestFollowsAnExistingTopic(t *testing.T) {
	o := readOptions(t, broker(t, kfake.SeedTopics(2, "mine")))
	o.Duration = 5 * time.Second // for a slow machine to fetch some
	put(t, &o, points(0, 50)...)
	o.Progress = func(doing string, done, _ int64) {
		if doing == "following mine" && done == 0 {
			put(t, &o, points(50, 60)...)
		}
	}
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if l := report.Live; l == nil || l.Records < 1 || l.Records > 10 || !l.Compared() || l.Stages[0].P99 > float64(time.Minute.Milliseconds()) {
		t.Errorf("live %+v", l)
	}
}

// TestReadsPartOfAnExistingTopic asks for fewer records than there are.
func TestReadsPartOfAnExistingTopic(t *testing.T) {
	o := readOptions(t, broker(t, kfake.SeedTopics(2, "mine")))
	o.Records = 100
	put(t, &o, points(0, 400)...)
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	// The last batch may have more than what is asked for.
	if n := report.Backlog.Records; n < 100 || report.Live != nil || report.Recall == nil {
		t.Errorf("%d records, live %+v, recall %+v", n, report.Live, report.Recall)
	}
}

func TestUnreadableTopics(t *testing.T) {
	for want, x := range map[string]struct {
		values []string
		wrong  func(o *Options)
	}{
		"topic none, which is to be read, does not exist":                 {nil, func(o *Options) { o.Topic = "none" }},
		"topic mine has no records":                                       {nil, func(*Options) {}},
		"none of the first 3 records of topic mine is a point in the for": {[]string{"a", "b", "c"}, func(*Options) {}},
		"--records -1 is not from 0 to":                                   {nil, func(o *Options) { o.Records = -1 }},
		`--source-format: "yaml" is not one of`:                           {nil, func(o *Options) { o.Read.Format = "yaml" }},
		`--source-id: "x"`:                                                {nil, func(o *Options) { o.Read.ID = "x" }},
		"--source-format: avro needs":                                     {nil, func(o *Options) { o.Read.Format = "avro" }},
	} {
		t.Run(want, func(t *testing.T) {
			o := readOptions(t, broker(t, kfake.SeedTopics(1, "mine")))
			x.wrong(&o)
			if len(x.values) > 0 {
				put(t, &o, x.values...)
			}
			report, err := Run(t.Context(), o)
			var code interface{ ExitCode() int }
			if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &code) || code.ExitCode() != 2 {
				t.Errorf("%v", err)
			}
			if !report.Empty() {
				t.Errorf("report %+v", report)
			}
		})
	}
}
