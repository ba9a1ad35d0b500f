package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"freshet/hnsw"
)

const (
	latencyEf   = 64
	heldShare   = 5 // 1/heldShare of the rows are inserted during the measurement
	heldMost    = 20_000
	busyPhases  = 3
	maxRatePart = 4 // 1/maxRatePart of them to find the maximum rate
)

// benchLatency measures searches on one thread while another inserts points one
// by one at half the rate it can, beside searches while nothing happens.
func benchLatency(ctx context.Context, d *dataset) (s *section, err error) {
	x, err := newIndex(variants[freshetName], d.base.dim)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, x.close()) }()
	held := min(heldMost, d.base.rows/heldShare)
	next := d.base.rows - held
	progress("%s: building for latencies", d.name)
	if err := x.addRange(ctx, d.base, 0, next, batch, 2); err != nil {
		return nil, err
	}
	fast := held / maxRatePart
	stop := watch()
	if err := x.addRange(ctx, d.base, next, next+fast, 1, 1); err != nil {
		return nil, err
	}
	most := float64(fast) / stop().wall.Seconds()
	next += fast

	progress("%s: searching beside %.0f inserts per second", d.name, most/2)
	var idle, busy []float64
	var inserting time.Duration
	perPhase := (held - fast) / busyPhases
	query := 0
	for range busyPhases {
		var done atomic.Bool
		failed := make(chan error, 1)
		began := time.Now()
		go func(first int) {
			defer done.Store(true)
			failed <- x.insertPaced(ctx, d.base, first, perPhase, most/2)
		}(next)
		times, errSearch := x.searchWhile(ctx, d.queries, &query, func() bool { return !done.Load() })
		if err := errors.Join(<-failed, errSearch); err != nil {
			return nil, err
		}
		took := time.Since(began)
		inserting += took
		busy = append(busy, times...)
		next += perPhase
		until := time.Now().Add(took)
		if times, err = x.searchWhile(ctx, d.queries, &query, func() bool { return time.Now().Before(until) }); err != nil {
			return nil, err
		}
		idle = append(idle, times...)
	}
	t := table{Head: []string{"", "searches", "P50", "P99", "P99.9", "P99 × idle"}}
	for _, row := range []struct {
		name  string
		times []float64
	}{{"idle", idle}, {"inserting", busy}} {
		t.Rows = append(t.Rows, []string{
			row.name, grouped(len(row.times)),
			micros(quantile(row.times, 0.5)), micros(quantile(row.times, 0.99)), micros(quantile(row.times, 0.999)),
			fmt.Sprintf("%.2f", quantile(row.times, 0.99)/quantile(idle, 0.99)),
		})
	}
	return &section{
		Title: "Searches beside inserts: " + d.name,
		Lead: fmt.Sprintf("%s. One thread searches at ef %d, another inserts points one by one: %s per second, of %s that it can. Phases with and without inserts take turns; µs on the clock.",
			d.describe(), latencyEf, count(float64(perPhase*busyPhases)/inserting.Seconds()), count(most)),
		Tables: []table{t},
	}, nil
}

// insertPaced inserts rows one by one at a rate.
func (x *index) insertPaced(ctx context.Context, base *matrix, first, n int, rate float64) error {
	began := time.Now()
	for i := range n {
		time.Sleep(time.Duration(float64(i)/rate*float64(time.Second)) - time.Since(began))
		if err := x.addRange(ctx, base, first+i, first+i+1, 1, 1); err != nil {
			return err
		}
	}
	return nil
}

// searchWhile searches for one query after the other, from the one at *query on,
// and returns the seconds each search took.
func (x *index) searchWhile(ctx context.Context, queries *matrix, query *int, goOn func() bool) ([]float64, error) {
	var times []float64
	var hits []hnsw.Hit
	for goOn() {
		var err error
		q := hnsw.Query{Vector: queries.row(*query % queries.rows), K: k, Ef: latencyEf}
		*query++
		began := time.Now()
		q.View = x.slots.View()
		if hits, err = x.g.Search(ctx, q, hits[:0]); err != nil {
			return nil, err
		}
		times = append(times, time.Since(began).Seconds())
	}
	return times, nil
}
