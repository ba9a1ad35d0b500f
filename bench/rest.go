package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"freshet/api"
	"freshet/hnsw"
)

const (
	restBatch   = 100 // points in an upsert
	restWriters = 2   // connections that upsert
	restReaders = 8   // connections that search
	restPause   = 4 * time.Second
)

var restEfs = []int{16, 32, 64, 128}

// benchREST fills a collection with upserts in JSON and searches it, on several
// connections of a client that shares the machine with the server. Beside it, the
// same vectors put into a graph, and searched there, by two threads.
func benchREST(ctx context.Context, d *dataset) (s *section, err error) {
	kth, err := d.truth(ctx)
	if err != nil {
		return nil, err
	}
	db, _, closeAll, err := database(ctx, d.base.dim)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	url, closeAPI, err := serve(ctx, api.New(db, api.Options{}).HTTPServer())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeAPI()) }()
	points := url + "/collections/bench/points"
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: restReaders}}
	defer client.CloseIdleConnections()

	bodies, size, err := upserts(d.base)
	if err != nil {
		return nil, err
	}
	progress("%s: %d upserts of %d points", d.name, len(bodies), restBatch)
	stop := watch()
	err = share(len(bodies), restWriters, func(i int) error {
		_, err := send(ctx, client, http.MethodPut, points+"?wait=true", bodies[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	upserting := stop()
	bodies = nil
	if err := settle(ctx); err != nil {
		return nil, err
	}
	x, err := newIndex(variants[freshetName], d.base.dim)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, x.close()) }()
	stop = watch()
	if err := x.addRange(ctx, d.base, 0, d.base.rows, restBatch, 2); err != nil {
		return nil, err
	}
	building := stop()

	writes := table{Caption: "Upserts", Head: []string{"", "points/s", "share of the graph", "CPU µs a point"}}
	rows := float64(d.base.rows)
	for _, row := range []struct {
		name string
		spent
	}{{"REST", upserting}, {"graph", building}} {
		writes.Rows = append(writes.Rows, []string{
			row.name, count(rows / row.wall.Seconds()),
			fmt.Sprintf("%.2f", building.wall.Seconds()/row.wall.Seconds()), micros(row.cpu.Seconds() / rows),
		})
	}

	reads := table{Caption: "Searches", Head: []string{"hnsw_ef", "recall@10", "REST queries/s", "P50", "P99", "graph queries/s", "REST of it"}}
	for _, ef := range restEfs {
		progress("%s: searches at hnsw_ef %d", d.name, ef)
		hits, times, rate, err := searchREST(ctx, client, points+"/query", d, ef)
		if err != nil {
			return nil, err
		}
		graphRate, err := x.rate(ctx, d.queries, ef)
		if err != nil {
			return nil, err
		}
		n := 0
		for i, rows := range hits {
			n += found(d.queries.row(i), d.base, kth[i], rows)
		}
		reads.Rows = append(reads.Rows, []string{
			strconv.Itoa(ef), fmt.Sprintf("%.4f", float64(n)/float64(k*d.queries.rows)), count(rate),
			micros(quantile(times, 0.5)), micros(quantile(times, 0.99)), count(graphRate), fmt.Sprintf("%.2f", rate/graphRate),
		})
	}
	return &section{
		Title: "REST: " + d.name,
		Lead: fmt.Sprintf("%s; client and server share the machine. Upserts of %d points with wait=true, %d bytes each, on %d connections; searches for the top %d without payload on %d; µs on the clock. The graph alone has two threads.",
			d.describe(), restBatch, size, restWriters, k, restReaders),
		Tables: []table{writes, reads},
	}, nil
}

// upserts are the rows as bodies of restBatch points; size is that of the first.
func upserts(base *matrix) (bodies [][]byte, size int, err error) {
	type point struct {
		ID     int       `json:"id"`
		Vector []float32 `json:"vector"`
	}
	for from := 0; from < base.rows; from += restBatch {
		var points []point
		for i := from; i < min(from+restBatch, base.rows); i++ {
			points = append(points, point{i, base.row(i)})
		}
		body, err := json.Marshal(map[string]any{"points": points})
		if err != nil {
			return nil, 0, err
		}
		bodies = append(bodies, body)
	}
	return bodies, len(bodies[0]), nil
}

// share does the jobs 0 to n-1 on some goroutines, until one fails.
func share(n, workers int, do func(i int) error) error {
	var next atomic.Int64
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(i); err != nil {
					errs[worker] = err
					next.Store(int64(n))
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// searchREST looks for all queries, again and again for restPause, and returns the
// rows found for each, the seconds each search took, and searches per second.
func searchREST(ctx context.Context, client *http.Client, url string, d *dataset, ef int) (rows [][]int, times []float64, rate float64, err error) {
	bodies := make([][]byte, d.queries.rows)
	for i := range bodies {
		bodies[i], err = json.Marshal(map[string]any{"query": d.queries.row(i), "limit": k, "params": map[string]any{"hnsw_ef": ef}})
		if err != nil {
			return nil, nil, 0, err
		}
	}
	rows = make([][]int, d.queries.rows)
	var mu sync.Mutex
	began := time.Now()
	rounds := 0
	for ; rounds == 0 || time.Since(began) < restPause; rounds++ {
		err = share(len(bodies), restReaders, func(i int) error {
			sent := time.Now()
			text, err := send(ctx, client, http.MethodPost, url, bodies[i])
			took := time.Since(sent).Seconds()
			if err != nil {
				return err
			}
			mu.Lock()
			times = append(times, took)
			mu.Unlock()
			if rounds > 0 {
				return nil
			}
			var answer struct {
				Result struct {
					Points []struct {
						ID int `json:"id"`
					} `json:"points"`
				} `json:"result"`
			}
			err = json.Unmarshal(text, &answer)
			for _, p := range answer.Result.Points {
				rows[i] = append(rows[i], p.ID)
			}
			return err
		})
		if err != nil {
			return nil, nil, 0, err
		}
		if rounds == 0 { // the one whose answers are read does not count
			began, times = time.Now(), nil
		}
	}
	return rows, times, float64(len(times)) / time.Since(began).Seconds(), nil
}

// rate is queries per second of the graph alone on two threads.
func (x *index) rate(ctx context.Context, queries *matrix, ef int) (float64, error) {
	_, took, err := x.repeat(ctx, queries, hnsw.Query{Ef: ef}, 2, restPause)
	if err != nil {
		return 0, err
	}
	return float64(queries.rows) / took.wall.Seconds(), nil
}

// send sends a request and returns the body of its answer.
func send(ctx context.Context, client *http.Client, method, url string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", res.Status, text)
	}
	return text, nil
}
