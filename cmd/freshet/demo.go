package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/examples/minilm"
	"freshet/ingest"
)

const (
	demoTopic      = "vector-embeddings"
	demoCollection = "glosses"
	demoPartitions = 3
	// demoID is a gloss to ask with: "Winnipeg, Lake Winnipeg: a lake in …".
	demoID = "wn:n09480428"
)

type demoOptions struct {
	rate   int
	listen string
	kafka  int
	once   bool
	asJSON bool
}

func demoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Let real embeddings flow through a Kafka topic into the database and search them",
		Long: `Runs a broker inside the process, a whole node beside it, a producer and a client that
know no more than their addresses: real embeddings flow through a topic into the
database, are searched and compared with brute force, and where the time went is
printed. What it keeps goes with it.`,
		Example: `  freshet demo
  freshet demo --once --rate 2000 --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return demo(cmd.Context(), cmd.OutOrStdout(), &o) },
	}
	cmd.Flags().IntVar(&o.rate, "rate", 500, "records to produce per second")
	cmd.Flags().StringVar(&o.listen, "listen", "127.0.0.1:0", "host:port to serve on; port 0 takes a free one")
	cmd.Flags().IntVar(&o.kafka, "kafka-port", 0, "port of the broker; 0 takes a free one")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print the figures as JSON, and end: implies --once")
	cmd.Flags().BoolVar(&o.once, "once", false, "end after the last figure instead of serving until interrupted")
	return cmd
}

// demo runs a broker inside the process, a whole node beside it, and a
// producer and a client that know no more than their addresses.
func demo(ctx context.Context, out io.Writer, o *demoOptions) (err error) {
	if o.rate < 1 || o.rate > 10_000 {
		return usageError{fmt.Errorf("--rate %d is not between 1 and 10000", o.rate)}
	}
	base, err := minilm.Base()
	if err != nil {
		return err
	}
	queries, err := minilm.Queries()
	if err != nil {
		return err
	}
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(o.kafka), kfake.SeedTopics(demoPartitions, demoTopic))
	if err != nil {
		return err
	}
	defer broker.Close()
	dir, err := os.MkdirTemp("", "freshet-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	c := defaultConfig()
	c.Storage.HighWatermark = 100 // it leaves nothing behind
	c.Data = filepath.Join(dir, "data")
	c.HTTP.Listen = o.listen
	c.Kafka.BootstrapServers = strings.Join(broker.ListenAddrs(), ",")
	c.Sources = []ingest.Source{{
		Name: demoCollection, Topics: []string{demoTopic}, OnCreate: ingest.OnCreate{Auto: true},
	}}
	c.setDefaults()
	if err := c.validate(); err != nil {
		return err
	}
	n, err := openNode(ctx, &c, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var runErr error
	wg.Go(func() { runErr = n.run(running) })
	defer func() {
		stop()
		wg.Wait()
		err = errors.Join(err, runErr)
	}()

	shown := out
	if o.asJSON {
		shown = io.Discard
	}
	d := &demonstration{
		out: shown, rate: o.rate, brokers: broker.ListenAddrs(), sources: n.sources,
		url: "http://" + n.front.address + "/collections/" + demoCollection,
	}
	d.printf("Kafka     %s, topic %s, %d partitions (a broker inside this process)\n", c.Kafka.BootstrapServers, demoTopic, demoPartitions)
	d.printf("Freshet   %s, data in %s\n\n", n.front.address, dir)
	for _, step := range []func() error{
		func() error { return d.flow(ctx, base) },
		func() error { return d.search(ctx, base, queries) },
		d.latency,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	if o.asJSON {
		return errors.Join(d.failed, printJSON(out, d.figures))
	}
	if !o.once {
		d.whatNext(c.Kafka.BootstrapServers)
		<-ctx.Done()
	}
	return d.failed
}

// demonstration is what the steps of the demo share.
type demonstration struct {
	out     io.Writer
	failed  error // of the first write that failed
	rate    int
	brokers []string
	sources *ingest.Manager
	url     string // of the collection
	offsets string // what the producer was told of its last records
	figures figures
}

// figures are what the demo has found.
type figures struct {
	Records         int           `json:"records"`
	Dimension       int           `json:"dimension"`
	ProducedSeconds float64       `json:"produced_seconds"`
	SearchableMs    float64       `json:"searchable_ms"` // after the last one was acknowledged
	Recall          float64       `json:"recall"`        // of the nearest ten, against brute force
	Stages          []stageFigure `json:"stages"`
	BatchLimit      int           `json:"batch_limit"`
	BatchP99Ms      float64       `json:"batch_p99_ms"`
}

type stageFigure struct {
	Stage string  `json:"stage"`
	P50Ms float64 `json:"p50_ms"`
	P99Ms float64 `json:"p99_ms"`
}

func (d *demonstration) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(d.out, format, args...); err != nil && d.failed == nil {
		d.failed = err
	}
}

// flow produces the rows as a Flink SQL table without a key would, and waits
// until the last one is searchable.
func (d *demonstration) flow(ctx context.Context, rows []minilm.Row) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(d.brokers...), kgo.ProducerLinger(0), kgo.DefaultProduceTopic(demoTopic))
	if err != nil {
		return err
	}
	defer client.Close()
	draw := stages(os.Stderr)
	defer draw("", 0, 0)
	var mu sync.Mutex
	var failed error
	last := map[int32]int64{}
	began := time.Now()
	for i := range rows {
		wait := time.Duration(i) * time.Second / time.Duration(d.rate)
		select {
		case <-time.After(wait - time.Since(began)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		value, err := json.Marshal(map[string]any{
			"id": rows[i].ID, "embedding": rows[i].Vector, "text": rows[i].Text, "section": rows[i].Section,
		})
		if err != nil {
			return err
		}
		client.Produce(ctx, &kgo.Record{Value: value}, func(r *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			last[r.Partition] = max(last[r.Partition], r.Offset)
		})
		draw("producing", int64(i+1), int64(len(rows)))
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	draw("", 0, 0)
	if failed != nil {
		return fmt.Errorf("produce: %w", failed)
	}
	var offsets []string
	for p, o := range last {
		offsets = append(offsets, demoTopic+":"+strconv.Itoa(int(p))+":"+strconv.FormatInt(o, 10))
	}
	d.offsets = strings.Join(offsets, ",")
	took := time.Since(began)
	d.printf("%d records of %d dimensions produced in %.1f s, as JSON without a key: {\"id\":…,\"embedding\":[…],\"text\":…}\n",
		len(rows), minilm.Dim, took.Seconds())
	var count struct {
		Result struct{ Count int }
	}
	asked := time.Now()
	if err := d.post(ctx, "/points/count?timeout="+demoWait, map[string]any{}, &count); err != nil {
		return err
	}
	searchable := time.Since(asked)
	d.printf("%d of them searchable %s after the last one was acknowledged\n", count.Result.Count, searchable.Round(100*time.Microsecond))
	d.figures.Records, d.figures.Dimension = count.Result.Count, minilm.Dim
	d.figures.ProducedSeconds, d.figures.SearchableMs = took.Seconds(), ms(searchable)
	if count.Result.Count != len(rows) {
		return fmt.Errorf("%d points are there, %d were produced", count.Result.Count, len(rows))
	}
	return nil
}

// demoWait is how many seconds a slow machine may take to index what the producer
// is ahead of it.
const demoWait = "120"

// post sends a request that demands all that was produced to be visible.
func (d *demonstration) post(ctx context.Context, path string, body, answer any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Freshet-Min-Offsets", d.offsets)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // it has been read
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", path, res.Status, text)
	}
	return json.Unmarshal(text, answer)
}

// hit is one point of a search's answer.
type hit struct {
	ID      string
	Score   float64
	Payload struct{ Text string }
}

func (d *demonstration) query(ctx context.Context, vector []float32, limit int, exact bool) ([]hit, time.Duration, error) {
	var answer struct {
		Result struct{ Points []hit }
	}
	began := time.Now()
	err := d.post(ctx, "/points/query", map[string]any{
		"query": vector, "limit": limit, "with_payload": true, "params": map[string]any{"exact": exact, "hnsw_ef": 128},
	}, &answer)
	return answer.Result.Points, time.Since(began), err
}

// search prints some answers, and compares all with brute force.
func (d *demonstration) search(ctx context.Context, base, queries []minilm.Row) error {
	d.printf("\nSearches over HTTP, with X-Freshet-Min-Offsets: %s\n", d.offsets)
	const k, shown, hitsShown = 10, 3, 3
	found := 0
	for i, q := range queries {
		hits, took, err := d.query(ctx, q.Vector, k, false)
		if err != nil {
			return err
		}
		exact, _, err := d.query(ctx, q.Vector, k, true)
		if err != nil {
			return err
		}
		inExact := map[string]bool{}
		for _, h := range exact {
			inExact[h.ID] = true
		}
		for _, h := range hits {
			if inExact[h.ID] {
				found++
			}
		}
		if i >= shown {
			continue
		}
		d.printf("\n  %q  (%s)\n", clip(q.Text), took.Round(10*time.Microsecond))
		for _, h := range hits[:min(hitsShown, len(hits))] {
			d.printf("    %.3f  %-14s %s\n", h.Score, h.ID, clip(h.Payload.Text))
		}
	}
	d.figures.Recall = float64(found) / float64(k*len(queries))
	d.printf("\nrecall@%d of %d queries against brute force over %d points: %.3f\n", k, len(queries), len(base), d.figures.Recall)
	return nil
}

func clip(s string) string {
	const length = 78
	r := []rune(s)
	if len(r) <= length {
		return s
	}
	return string(r[:length-1]) + "…"
}

// articleMs are the stages of the design that Freshet replaces (a consumer, a
// network hop, a database), as an article about it gives them.
var articleMs = map[ingest.Stage]string{ingest.Transit: "15", ingest.Index: "20", ingest.Total: "85, of which 50 inference"}

func (d *demonstration) latency() error {
	status := d.sources.Status()[0]
	d.printf("\nFrom the producer's timestamp to searchable, ms       P50      P99    the pipeline this replaces\n")
	for _, s := range status.Stages {
		d.printf("  %-46s %8.2f %8.2f    %s\n", s.Stage, ms(s.P50), ms(s.P99), articleMs[s.Stage])
		d.figures.Stages = append(d.figures.Stages, stageFigure{string(s.Stage), ms(s.P50), ms(s.P99)})
	}
	d.printf("The embeddings were computed beforehand: no inference is in these figures. A record's timestamp has whole milliseconds.\n")
	d.figures.BatchLimit, d.figures.BatchP99Ms = status.Limit.Records, ms(status.Limit.P99)
	d.printf("Batch limit %d (%s), P99 of a batch %.1f ms\n", status.Limit.Records, status.Limit.Why, ms(status.Limit.P99))
	return d.failed
}

// whatNext prints commands to copy. They use nothing but curl and PyPI.
func (d *demonstration) whatNext(brokers string) {
	d.printf("\nServing until interrupted (Ctrl-C). To try next, in another terminal:\n")
	d.printf("\n# what is near to the gloss of Lake Winnipeg\ncurl -s %s/points/query -H 'content-type: application/json' \\\n"+
		"  -d '{\"query\": \"%s\", \"limit\": 3, \"with_payload\": [\"text\"]}'\n", d.url, demoID)
	d.printf("\n# only nouns for places\ncurl -s %s/points/query -H 'content-type: application/json' \\\n"+
		"  -d '{\"query\": \"%s\", \"limit\": 3, \"with_payload\": [\"text\"], \"filter\": {\"must\": [{\"key\": \"section\", \"match\": {\"value\": \"noun.location\"}}]}}'\n", d.url, demoID)
	d.printf("\n# a record of your own, and the point it makes\npip install kafka-python && python3 -c '\n"+
		"import json, kafka\np = kafka.KafkaProducer(bootstrap_servers=\"%s\")\n"+
		"p.send(\"%s\", json.dumps({\"id\": \"mine\", \"embedding\": [0.1] * %d, \"text\": \"hello\"}).encode()).get()'\n"+
		"curl -s %s/points/mine\n", brokers, demoTopic, minilm.Dim, d.url)
	d.printf("\n# in a browser\n%s/dashboard\n", strings.TrimSuffix(d.url, "/collections/"+demoCollection))
	d.printf("\n# metrics\ncurl -s %s/metrics | grep freshet_\n", strings.TrimSuffix(d.url, "/collections/"+demoCollection))
}

func ms(t time.Duration) float64 { return float64(t) / float64(time.Millisecond) }
