package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/ingest"
	"freshet/server"
)

// reachable bounds how long brokers may take to answer the first time.
const reachable = 10 * time.Second

// bench is a run.
type bench struct {
	*Options
	client *kgo.Client
	admin  *kadm.Client
	values [][]byte
	report *Report
}

// Run measures. It makes topics of its own, and removes them in the end unless they are
// to be kept; if one of them is there before, or the brokers cannot be reached, nothing
// is touched.
func Run(ctx context.Context, o Options) (report *Report, err error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	b := &bench{Options: &o, report: newReport(&o)}
	if b.values, err = o.Vectors.values(); err != nil {
		return nil, err
	}
	b.client, err = kgo.NewClient(append(o.Kafka.ClientOptions(), kgo.ProducerLinger(0), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))...)
	if err != nil {
		return nil, err
	}
	defer b.client.Close()
	b.admin = kadm.NewClient(b.client)
	if err := b.free(ctx); err != nil {
		return nil, err
	}
	for _, rate := range o.Rates {
		if err := b.inTopic(ctx, "-"+strconv.Itoa(rate), func(n *node) error { return b.step(ctx, n, rate) }); err != nil {
			return nil, fmt.Errorf("at %d records/s: %w", rate, err)
		}
	}
	if o.Backlog > 0 {
		if err := b.inTopic(ctx, "-backlog", func(n *node) error { return b.backlog(ctx, n) }); err != nil {
			return nil, fmt.Errorf("backlog: %w", err)
		}
	}
	return b.report, nil
}

// topics are those that the run makes.
func (b *bench) topics() []string {
	var names []string
	for _, rate := range b.Rates {
		names = append(names, b.Topic+"-"+strconv.Itoa(rate))
	}
	if b.Backlog > 0 {
		names = append(names, b.Topic+"-backlog")
	}
	return names
}

// free makes sure that the brokers answer and none of the topics is there.
func (b *bench) free(ctx context.Context) error {
	b.Progress("asking the brokers")
	ctx, cancel := context.WithTimeout(ctx, reachable)
	defer cancel()
	there, err := b.admin.ListTopics(ctx, b.topics()...)
	if err != nil {
		return fmt.Errorf("the brokers %s cannot be reached: %w", b.Kafka.BootstrapServers, err)
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		if err := there[name].Err; errors.Is(err, kerr.UnknownTopicOrPartition) {
			continue
		} else if err != nil {
			return fmt.Errorf("topic %s: %w", name, err)
		}
		return fmt.Errorf("topic %s exists; --topic takes a name of which there is none. Nothing was changed", name)
	}
	return nil
}

// node is a database of its own with a source that can be started.
type node struct {
	topic string
	db    *server.DB
	m     *ingest.Manager
	start func()
}

const collection = "bench"

// inTopic does something with a new topic and a new database, and removes both.
func (b *bench) inTopic(ctx context.Context, suffix string, do func(n *node) error) (err error) {
	n := &node{topic: b.Topic + suffix}
	if _, err := b.admin.CreateTopic(ctx, int32(b.Partitions), int16(b.Replicas), nil, n.topic); err != nil {
		return fmt.Errorf("create topic %s: %w", n.topic, err)
	}
	if !b.Keep {
		defer func() {
			// The topic goes also when the run is interrupted.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reachable)
			defer cancel()
			if _, e := b.admin.DeleteTopic(ctx, n.topic); e != nil {
				err = errors.Join(err, fmt.Errorf("delete topic %s: %w", n.topic, e))
			}
		}()
	}
	dir, err := os.MkdirTemp(b.Dir, "freshet-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if n.db, err = server.Open(ctx, dir, server.Options{}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.db.Close()) }()
	cfg := ingest.Config{Kafka: b.Kafka, Sources: []ingest.Source{{
		Name: collection, Collection: collection, Topics: []string{n.topic}, Format: "upsert-kafka",
		OnCreate: ingest.OnCreate{Auto: true, Distance: b.Distance},
	}}}
	cfg.SetDefaults()
	if n.m, err = ingest.New(cfg, n.db, ingest.Options{}); err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	n.start = func() { wg.Go(func() { n.m.Run(running) }) }
	return do(n)
}

// step produces at a rate while the source consumes and searches go on.
func (b *bench) step(ctx context.Context, n *node, rate int) error {
	n.start()
	records := max(1, int(float64(rate)*b.Duration.Seconds()))
	b.Progress(fmt.Sprintf("%d records per second, %v", rate, b.Duration))
	var searches []time.Duration
	searching, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { searches = n.searches(searching, b.Vectors.Queries) })
	defer wg.Wait()
	defer stop()
	began := time.Now()
	if err := b.produce(ctx, n.topic, records, func(i int) error {
		return sleep(ctx, time.Duration(i)*time.Second/time.Duration(rate)-time.Since(began))
	}); err != nil {
		return err
	}
	took := time.Since(began)
	lag := n.lag(int64(records))
	if err := b.settle(ctx, n, records); err != nil {
		return err
	}
	stop()
	wg.Wait()
	b.report.step(rate, records, took, lag, &n.m.Status()[0], searches)
	return nil
}

// backlog produces records before the source starts, measures how fast they are
// consumed, and then what searches find of them.
func (b *bench) backlog(ctx context.Context, n *node) error {
	b.Progress(fmt.Sprintf("producing a backlog of %d records", b.Backlog))
	if err := b.produce(ctx, n.topic, b.Backlog, func(int) error { return nil }); err != nil {
		return err
	}
	b.Progress("consuming the backlog")
	began := time.Now()
	n.start()
	if err := b.settle(ctx, n, b.Backlog); err != nil {
		return err
	}
	b.report.backlog(b.Backlog, time.Since(began))
	b.Progress("comparing searches with exact ones")
	return b.recall(ctx, n)
}

// produce sends records whose ids are their numbers; each waits for its turn.
func (b *bench) produce(ctx context.Context, topic string, records int, turn func(i int) error) error {
	var failed firstError
	for i := range records {
		if err := turn(i); err != nil {
			return err
		}
		record := &kgo.Record{Topic: topic, Key: strconv.AppendInt(nil, int64(i), 10), Value: b.values[i%len(b.values)]}
		b.client.Produce(ctx, record, func(_ *kgo.Record, err error) { failed.note(err) })
	}
	if err := b.client.Flush(ctx); err != nil {
		return err
	}
	return failed.get()
}

// lag is how many of the records that were produced are not applied.
func (n *node) lag(produced int64) int64 {
	for _, p := range n.m.Status()[0].Partitions {
		produced -= p.Next
	}
	return max(0, produced)
}

// settle waits until all records are applied.
func (b *bench) settle(ctx context.Context, n *node, records int) error {
	for deadline := time.Now().Add(b.Settling); n.lag(int64(records)) > 0; {
		s := n.m.Status()[0]
		if s.Letters.Total > 0 {
			return fmt.Errorf("%d records became dead letters", s.Letters.Total)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d records were not applied within %v; the source is %s%s", n.lag(int64(records)), records,
				b.Settling, s.State, strings.TrimSuffix(": "+s.Error, ": "))
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// firstError keeps the first of the errors of several goroutines.
type firstError struct {
	mu  sync.Mutex
	err error
}

func (f *firstError) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *firstError) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
