package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/ingest"
	"freshet/server"
)

const (
	backlogTopic = "bench-backlog"
	idleTime     = 5 * time.Second // of searches beside which those during the catch-up are held
)

// benchBacklog fills a topic, starts a source on it and measures how fast it
// catches up, once alone and once while another client searches.
func benchBacklog(ctx context.Context, d *dataset) (s *section, err error) {
	broker, stop, err := startBroker(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	progress("%s: filling a topic", d.name)
	size, err := fillTopic(ctx, broker, d.base)
	if err != nil {
		return nil, err
	}
	x, err := newIndex(variants[freshetName], d.base.dim)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, x.close()) }()
	watched := watch()
	if err := x.addRange(ctx, d.base, 0, d.base.rows, batch, 2); err != nil {
		return nil, err
	}
	building := watched()
	rows := float64(d.base.rows)
	t := table{Head: []string{"", "records/s", "share of the graph", "CPU µs a record", "search P50", "P99", "P99 × idle"}}
	t.Rows = append(t.Rows, []string{"graph alone", count(rows / building.wall.Seconds()), "1.00", micros(building.cpu.Seconds() / rows), "", "", ""})
	for _, searching := range []bool{false, true} {
		progress("%s: catching up, searches beside it: %v", d.name, searching)
		c, err := catchUp(ctx, broker, d, ingest.Batch{}, searching)
		if err != nil {
			return nil, err
		}
		row := []string{
			"from Kafka", count(rows / c.took.wall.Seconds()), fmt.Sprintf("%.2f", building.wall.Seconds()/c.took.wall.Seconds()),
			micros(c.took.cpu.Seconds() / rows), "", "", "",
		}
		if searching {
			busy, idle := quantile(c.busy, 0.99), quantile(c.idle, 0.99)
			row[0], row[3], row[4], row[5], row[6] = "the same beside searches", "", micros(quantile(c.busy, 0.5)), micros(busy), fmt.Sprintf("%.2f", busy/idle)
		}
		t.Rows = append(t.Rows, row)
	}
	return &section{
		Title: "A backlog from Kafka: " + d.name,
		Lead: fmt.Sprintf("%s as JSON records of %d bytes, one partition, all there when the source starts; the graph alone has two threads. Searches are for the top %d at hnsw_ef %d, one after the other; µs on the clock.",
			d.describe(), size, k, httpEf),
		Tables: []table{t},
	}, nil
}

// fillTopic produces the rows as records, and returns the size of the first.
func fillTopic(ctx context.Context, broker string, base *matrix) (size int, err error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(backlogTopic))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, 1, 1, nil, backlogTopic); err != nil {
		return 0, err
	}
	produced := kgo.AbortingFirstErrPromise(client)
	for i := range base.rows {
		value, err := json.Marshal(map[string]any{"id": "doc-" + strconv.Itoa(i), "embedding": base.row(i)})
		if err != nil {
			return 0, err
		}
		if i == 0 {
			size = len(value)
		}
		client.Produce(ctx, &kgo.Record{Value: value}, produced.Promise())
	}
	return size, produced.Err()
}

// caughtUp is what a catch-up took, its batches at last, and the seconds of searches in it
// and after it.
type caughtUp struct {
	took       spent
	batchP99   time.Duration // of the last window
	busy, idle []float64
}

func catchUp(ctx context.Context, broker string, d *dataset, law ingest.Batch, searching bool) (r caughtUp, err error) {
	db, c, closeAll, err := database(ctx, d.base.dim)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	cfg := ingest.Config{
		Kafka:   ingest.Kafka{BootstrapServers: broker},
		Sources: []ingest.Source{{Name: "bench", Topics: []string{backlogTopic}, Batch: law}},
	}
	cfg.SetDefaults()
	sources, err := ingest.New(cfg, db, ingest.Options{})
	if err != nil {
		return r, err
	}
	running, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	watched := watch()
	wg.Go(func() { sources.Run(running) })
	var done atomic.Bool
	searched := make(chan error, 1)
	if searching {
		wg.Go(func() {
			var err error
			r.busy, err = searchCollection(ctx, c, d.queries, func() bool { return !done.Load() })
			searched <- err
		})
	} else {
		searched <- nil
	}
	err = c.WaitOffsets(ctx, []server.MinOffset{{Topic: backlogTopic, Offset: int64(d.base.rows) - 1}})
	r.took, r.batchP99 = watched(), sources.Status()[0].Limit.P99
	done.Store(true)
	if err := errors.Join(err, <-searched); err != nil {
		return r, err
	}
	if n, err := c.Count(ctx, nil); err != nil || n != d.base.rows {
		return r, errors.Join(err, fmt.Errorf("%d points, want %d", n, d.base.rows))
	}
	if searching {
		until := time.Now().Add(idleTime)
		r.idle, err = searchCollection(ctx, c, d.queries, func() bool { return time.Now().Before(until) })
	}
	return r, err
}

// searchCollection searches for one query after the other and returns the seconds
// each search took.
func searchCollection(ctx context.Context, c *server.Collection, queries *matrix, goOn func() bool) (times []float64, err error) {
	for i := 0; goOn(); i++ {
		began := time.Now()
		if _, err := c.Search(ctx, server.SearchRequest{Vector: server.Dense(queries.row(i % queries.rows)), Limit: k, Ef: httpEf}); err != nil {
			return nil, err
		}
		times = append(times, time.Since(began).Seconds())
	}
	return times, nil
}
