package pipeline

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
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

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// options are those of a short run against a broker of its own.
func options(t *testing.T, seed ...kfake.Opt) Options {
	t.Helper()
	cluster, err := kfake.NewCluster(append(seed, kfake.NumBrokers(1))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	vectors, err := Generate(8, 300, 1)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Kafka: ingest.Kafka{BootstrapServers: strings.Join(cluster.ListenAddrs(), ",")}, Topic: "b", Partitions: 2, Replicas: 1,
		Vectors: vectors, Distance: server.Cosine, Rates: []int{200}, Duration: time.Second, Backlog: 600,
		Dir: t.TempDir(), Progress: func(string) {}, Settling: time.Minute,
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
	for _, want := range []string{"200 records/s: 200 produced", "transit", "A backlog of 600 records", "recall@10 of 30 queries"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
	if !strings.Contains(page.String(), "<svg") || strings.Contains(page.String(), "NaN") || strings.Contains(page.String(), "http") {
		t.Errorf("page\n%s", page.String())
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
