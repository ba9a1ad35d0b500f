package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/ingest"
	"freshet/server"
)

var rates = []int{100, 500, 1000, 2000} // records per second

const (
	perRate  = 10 * time.Second
	warmUp   = 2 * time.Second // not counted
	settling = time.Minute     // bounds the wait for the last records
)

// benchIngest runs a broker and measures, at each rate, when each record
// reaches a plain consumer and when it is searchable.
func benchIngest(ctx context.Context, d *dataset) (s *section, err error) {
	broker, stop, err := startBroker(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	values := make([][]byte, min(d.base.rows, 20_000))
	for i := range values {
		if values[i], err = json.Marshal(map[string]any{"id": "doc-" + strconv.Itoa(i), "embedding": d.base.row(i)}); err != nil {
			return nil, err
		}
	}
	t := table{Head: []string{
		"records/s", "transit P50", "P99", "searchable P50", "P99", "above transit P50", "P99",
	}}
	for _, rate := range rates {
		progress("ingest: %d records per second", rate)
		transit, visible, err := measure(ctx, broker, d.base.dim, rate, values)
		if err != nil {
			return nil, fmt.Errorf("at %d records/s: %w", rate, err)
		}
		row := []string{grouped(rate)}
		t50, t99, v50, v99 := quantile(transit, 0.5), quantile(transit, 0.99), quantile(visible, 0.5), quantile(visible, 0.99)
		for _, x := range []float64{t50, t99, v50, v99, v50 - t50, v99 - t99} {
			row = append(row, fmt.Sprintf("%.2f", 1e3*x))
		}
		t.Rows = append(t.Rows, row)
	}
	return &section{
		Title: "From Kafka: " + d.name,
		Lead: fmt.Sprintf("JSON records of %d dimensions, %d bytes, one partition, acks 1, linger 0; %s at each rate; ms from produce. "+
			"Transit is to a plain consumer of the same topic, in the same run.", d.base.dim, len(values[0]), perRate),
		Tables: []table{t},
	}, nil
}

func freePort(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

func startBroker(ctx context.Context) (address string, stop func() error, err error) {
	dir, err := os.MkdirTemp("", "freshet-bench-")
	if err != nil {
		return "", nil, err
	}
	port, err1 := freePort(ctx)
	controller, err2 := freePort(ctx)
	if err := errors.Join(err1, err2); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	cmd := exec.CommandContext(ctx, "e2e/kafka.sh", dir, port, controller)
	if err := cmd.Start(); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	stop = func() error {
		err := cmd.Process.Kill()
		_ = cmd.Wait() // killed, so never a success
		return errors.Join(err, os.RemoveAll(dir))
	}
	address = "127.0.0.1:" + port
	client, err := kgo.NewClient(kgo.SeedBrokers(address))
	if err != nil {
		return "", nil, errors.Join(err, stop())
	}
	defer client.Close()
	for deadline := time.Now().Add(settling); ; time.Sleep(200 * time.Millisecond) {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		_, err := kadm.NewClient(client).ListTopics(attempt)
		cancel()
		if err == nil {
			return address, stop, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return "", nil, errors.Join(fmt.Errorf("the broker does not answer: %w", err), stop())
		}
	}
}

// clock holds, for each offset, a time.
type clock struct {
	mu    sync.Mutex
	times []time.Time
}

// reach sets the time of all offsets below next that have none.
func (c *clock) reach(next int64, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for int64(len(c.times)) < next {
		c.times = append(c.times, at)
	}
}

func measure(ctx context.Context, broker string, dim, rate int, values [][]byte) (transit, visible []float64, err error) {
	topic := "bench-" + strconv.Itoa(rate)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0),
		kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return nil, nil, err
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, 1, 1, nil, topic); err != nil {
		return nil, nil, err
	}
	db, c, closeAll, err := database(ctx, dim)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	cfg := ingest.Config{
		Kafka:   ingest.Kafka{BootstrapServers: broker},
		Sources: []ingest.Source{{Name: "bench", Topics: []string{topic}}},
	}
	cfg.SetDefaults()
	sources, err := ingest.New(cfg, db, ingest.Options{})
	if err != nil {
		return nil, nil, err
	}
	running, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	total := int64(rate) * int64(perRate/time.Second)
	var arrived, applied clock
	wg.Go(func() { sources.Run(running) })
	errs := make(chan error, 2)
	wg.Go(func() { errs <- watchTransit(running, broker, topic, total, &arrived) })
	wg.Go(func() { errs <- watchVisible(running, c, topic, total, &applied) })
	time.Sleep(time.Second) // both have their first fetch waiting at the broker

	sent := make([]time.Time, total)
	var failed error
	var mu sync.Mutex
	began := time.Now()
	for i := range total {
		time.Sleep(time.Duration(i)*time.Second/time.Duration(rate) - time.Since(began))
		sent[i] = time.Now()
		client.Produce(ctx, &kgo.Record{Value: values[int(i)%len(values)]}, func(_ *kgo.Record, err error) {
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = err
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return nil, nil, err
	}
	mu.Lock()
	defer mu.Unlock()
	if failed != nil {
		return nil, nil, failed
	}
	for range 2 {
		select {
		case err := <-errs:
			if err != nil {
				return nil, nil, err
			}
		case <-time.After(settling):
			return nil, nil, errors.New("the last records did not arrive")
		}
	}
	from := int64(rate) * int64(warmUp/time.Second)
	for i := from; i < total; i++ {
		transit = append(transit, arrived.times[i].Sub(sent[i]).Seconds())
		visible = append(visible, applied.times[i].Sub(sent[i]).Seconds())
	}
	return transit, visible, nil
}

// watchTransit consumes the topic as any consumer would.
func watchTransit(ctx context.Context, broker, topic string, total int64, arrived *clock) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.FetchMinBytes(1),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		return err
	}
	defer client.Close()
	for next := int64(0); next < total; {
		fetches := client.PollFetches(ctx)
		now := time.Now()
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) { next = r.Offset + 1 })
		arrived.reach(next, now)
	}
	return nil
}

// watchVisible waits for one record after the other to be searchable.
func watchVisible(ctx context.Context, c *server.Collection, topic string, total int64, applied *clock) error {
	stream := server.Stream{Source: "bench", Topic: topic}
	for next := int64(0); next < total; {
		if err := c.WaitOffsets(ctx, []server.MinOffset{{Topic: topic, Offset: next}}); err != nil {
			return err
		}
		now := time.Now()
		position, _, err := c.Position(stream)
		if err != nil {
			return err
		}
		next = position.Next
		applied.reach(next, now)
	}
	return nil
}
