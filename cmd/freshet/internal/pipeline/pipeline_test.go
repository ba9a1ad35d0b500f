package pipeline

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"freshet/ingest"
	"freshet/server"
)

// TestMain finds leaks, but for the goroutine that a closed consumer of franz-go 1.22 now
// and then leaves.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kgo.(*fetchManager).manageFetchConcurrency"))
}

// broker starts a broker that ends with the test.
func broker(t *testing.T, seed ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append(seed, kfake.NumBrokers(1))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

// options are those of a short run against a broker of its own.
func options(t *testing.T, seed ...kfake.Opt) Options {
	t.Helper()
	return optionsAt(t, broker(t, seed...))
}

func optionsAt(t *testing.T, cluster *kfake.Cluster) Options {
	t.Helper()
	vectors, err := Generate(8, 300, 1)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Kafka: ingest.Kafka{BootstrapServers: strings.Join(cluster.ListenAddrs(), ",")}, Topic: "b", Partitions: 2, Replicas: 1,
		Vectors: vectors, Distance: server.Cosine, Rates: []int{200}, Duration: time.Second, Backlog: 600,
		Dir: t.TempDir(), Progress: func(string, int64, int64) {}, Settling: time.Minute,
	}
	cfg := ingest.Config{Kafka: o.Kafka}
	cfg.SetDefaults()
	o.Kafka = cfg.Kafka
	return o
}

// topics are those that the broker has.
func topics(t *testing.T, o *Options) []string {
	t.Helper()
	client, err := kgo.NewClient(o.Kafka.ClientOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	list, err := kadm.NewClient(client).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list.Names()
}

func TestRun(t *testing.T) {
	o := options(t)
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Steps) != 1 || report.Steps[0].Records != 200 || len(report.Steps[0].Stages) != len(ingest.AllStages) || report.Steps[0].Search == nil {
		t.Errorf("steps %+v", report.Steps)
	}
	if report.Backlog == nil || report.Backlog.Records != 600 || report.Backlog.PerSecond <= 0 {
		t.Errorf("backlog %+v", report.Backlog)
	}
	// The vectors are there more than once, so there are ties; all of them count.
	if report.Recall == nil || report.Recall.Recall < 0.95 || report.Recall.Recall > 1 || report.Recall.Queries != 30 {
		t.Errorf("recall %+v", report.Recall)
	}
	if list := topics(t, &o); len(list) != 0 {
		t.Errorf("topics %v were left", list)
	}
	if left, err := os.ReadDir(o.Dir); err != nil || len(left) != 0 {
		t.Errorf("%v was left (%v)", left, err)
	}
	var text, page, object bytes.Buffer
	for _, err := range []error{report.Text(&text), report.HTML(&page), report.JSON(&object)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		"200 records/s: 200 produced", "transit", "A backlog of 600 records", "recall@10 of 30 queries against exact searches of 600 points",
		"embed none none 50", "which were there before; of the other pipeline's 85 ms that is 50",
	} {
		if !strings.Contains(strings.Join(strings.Fields(text.String()), " "), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
	if !strings.Contains(page.String(), "<svg") || strings.Contains(page.String(), "NaN") || strings.Contains(page.String(), "http") {
		t.Errorf("page\n%s", page.String())
	}
	for _, s := range [][]Moment{report.Steps[0].Moments, report.Backlog.Moments} {
		if len(s) == 0 || s[len(s)-1].At <= 0 || s[len(s)-1].BatchLimit < 1 {
			t.Errorf("moments %+v", s)
		}
	}
	var again Report
	if err := json.Unmarshal(object.Bytes(), &again); err != nil || again.Recall == nil || *again.Recall != *report.Recall {
		t.Errorf("%v in\n%s", err, object.String())
	}
}

func TestNothingIsTouched(t *testing.T) {
	t.Run("a topic exists", func(t *testing.T) {
		o := options(t, kfake.SeedTopics(1, "b-backlog"))
		_, err := Run(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), "topic b-backlog exists") {
			t.Errorf("%v", err)
		}
		if list := topics(t, &o); fmt.Sprint(list) != "[b-backlog]" {
			t.Errorf("topics %v", list)
		}
	})
	t.Run("no broker", func(t *testing.T) {
		o := options(t)
		o.Kafka.BootstrapServers = "127.0.0.1:1"
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := Run(ctx, o); err == nil || !strings.Contains(err.Error(), "the brokers 127.0.0.1:1 cannot be reached") {
			t.Errorf("%v", err)
		}
	})
	for name, wrong := range map[string]func(o *Options){
		"--rates: 0 is not from 1":      func(o *Options) { o.Rates = []int{0} },
		"--rates: 5 is there twice":     func(o *Options) { o.Rates = []int{5, 5} },
		"leave nothing to measure":      func(o *Options) { o.Rates, o.Backlog = nil, 0 },
		"--duration 1ms is not between": func(o *Options) { o.Duration = time.Millisecond },
		"are more than 10000000":        func(o *Options) { o.Rates, o.Duration = []int{100_000}, time.Hour },
		"--backlog -1 is not":           func(o *Options) { o.Backlog = -1 },
		"--partitions 0 is not":         func(o *Options) { o.Partitions = 0 },
		"--replicas 0 is neither":       func(o *Options) { o.Replicas = 0 },
		`--topic "a/b" is not`:          func(o *Options) { o.Topic = "a/b" },
		"has to name the brokers":       func(o *Options) { o.Kafka.BootstrapServers = "" },
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			brokers := o.Kafka
			wrong(&o)
			if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%v", err)
			}
			o.Kafka = brokers
			if list := topics(t, &o); len(list) != 0 {
				t.Errorf("topics %v", list)
			}
		})
	}
}

// TestInterrupted ends a run in its middle: its topic and its folder go all the same.
func TestInterrupted(t *testing.T) {
	o := options(t)
	o.Duration = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := Run(ctx, o); err == nil {
		t.Error("no error")
	}
	if list := topics(t, &o); len(list) != 0 {
		t.Errorf("topics %v were left", list)
	}
	if left, err := os.ReadDir(o.Dir); err != nil || len(left) != 0 {
		t.Errorf("%v was left (%v)", left, err)
	}
}

// TestFinishedStepsAreReported ends a run in its second step.
func TestFinishedStepsAreReported(t *testing.T) {
	o := options(t)
	o.Rates = []int{200, 300}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Progress = func(doing string, _, _ int64) {
		if doing == "300 records/s" {
			cancel()
		}
	}
	report, err := Run(ctx, o)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if report.Empty() || len(report.Steps) != 1 || report.Steps[0].Rate != 200 || report.Backlog != nil {
		t.Errorf("report %+v", report)
	}
	var text, page bytes.Buffer
	if err := errors.Join(report.Text(&text), report.HTML(&page)); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{text.String(), page.String()} {
		if !strings.Contains(out, "interrupted: at 300 records/s") || !strings.Contains(out, "200") {
			t.Errorf("the report does not tell:\n%s", out)
		}
	}
}

// TestHighestIsSought ends a run in the second step that it adds, unless the producer does
// not come to a rate, as on a machine that has other things to do: then the search ends there.
func TestHighestIsSought(t *testing.T) {
	o := options(t)
	o.Highest = true
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	begun := map[string]bool{}
	o.Progress = func(doing string, _, _ int64) {
		if strings.HasSuffix(doing, "records/s") {
			if begun[doing] = true; len(begun) == 3 {
				cancel()
			}
		}
	}
	report, err := Run(ctx, o)
	if report.Highest == nil || len(report.Steps) == 0 || report.Steps[0].Rate != 200 {
		t.Fatalf("%+v (%v)", report, err)
	}
	if last := report.Steps[len(report.Steps)-1]; report.Highest.Asked > 0 {
		if err != nil || !last.ProducerShort() || report.Highest.Asked != last.Rate {
			t.Errorf("the search ended after %+v: %v, error %v", last, report.Highest, err)
		}
	} else {
		if !errors.Is(err, context.Canceled) || len(report.Steps) != 2 {
			t.Fatalf("%+v (%v)", report, err)
		}
		first, second := report.Steps[0], report.Steps[1]
		if want := map[bool]int{true: 400, false: 100}[first.KeepsUp]; second.Rate != want {
			t.Errorf("after %d records/s (kept up with: %v) come %d", first.Rate, first.KeepsUp, second.Rate)
		}
	}
	if list := topics(t, &o); len(list) != 0 {
		t.Errorf("topics %v were left", list)
	}
}

// TestRecallWithoutBacklog measures it on the last of the rates.
func TestRecallWithoutBacklog(t *testing.T) {
	o := options(t)
	o.Rates, o.Backlog = []int{100, 300}, 0
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if report.Backlog != nil || report.Recall == nil || report.Recall.Points != 300 || report.Recall.Recall < 0.95 {
		t.Errorf("backlog %+v, recall %+v", report.Backlog, report.Recall)
	}
}

func TestReadNPY(t *testing.T) {
	header := "{'descr': '<f4', 'fortran_order': False, 'shape': (20, 2), }\n"
	file := binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(header)))
	file = append(file, header...)
	for i := range 40 {
		file = binary.LittleEndian.AppendUint32(file, math.Float32bits(float32(i)))
	}
	path := filepath.Join(t.TempDir(), "v.npy")
	write := func(b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(file)
	v, err := ReadNPY(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Rows) != 18 || fmt.Sprint(v.Rows[17]) != "[34 35]" || fmt.Sprint(v.Queries) != "[[36 37] [38 39]]" {
		t.Errorf("%v, queries %v", v.Rows, v.Queries)
	}
	for _, wrong := range [][]byte{nil, file[:20], file[:len(file)-1], []byte("text")} {
		write(wrong)
		if _, err := ReadNPY(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%d bytes: %v", len(wrong), err)
		}
	}
}
