package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"freshet/server"
	"freshet/server/point"
)

// snapshotsTaken is how many snapshots are taken one after the other in a round.
const snapshotsTaken = 5

// benchSnapshots replaces points one by one, each upsert as soon as the one before it is on
// the disk, and measures how long they take: alone, and while snapshots are taken. The
// longest of them is the longest time that writes stood still.
func benchSnapshots(ctx context.Context, d *dataset, rounds int) (s *section, err error) {
	db, c, closeAll, err := database(ctx, d.base.dim)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	progress("%s: filling", d.name)
	if err := fill(ctx, c, d.base); err != nil {
		return nil, err
	}
	w := &replacer{c: c, base: d.base}
	var alone, beside []float64 // ms
	var size int64
	var took time.Duration
	for range rounds {
		progress("%s: snapshots", d.name)
		began := time.Now()
		times, err := w.until(ctx, func(ctx context.Context) error {
			size, err = takeSnapshots(ctx, db)
			return err
		})
		if err != nil {
			return nil, err
		}
		lasted := time.Since(began)
		took += lasted
		beside = append(beside, times...)
		times, err = w.until(ctx, func(ctx context.Context) error {
			select {
			case <-time.After(lasted):
			case <-ctx.Done():
			}
			return ctx.Err()
		})
		if err != nil {
			return nil, err
		}
		alone = append(alone, times...)
	}
	t := table{Head: []string{"upserts of one point", "upserts/s", "median ms", "99 % ms", "longest ms"}}
	for _, x := range []struct {
		name  string
		times []float64
	}{{"alone", alone}, {"beside snapshots", beside}} {
		t.Rows = append(t.Rows, []string{
			x.name, count(float64(len(x.times)) / took.Seconds()), fmt.Sprintf("%.2f", quantile(x.times, 0.5)),
			fmt.Sprintf("%.2f", quantile(x.times, 0.99)), fmt.Sprintf("%.2f", quantile(x.times, 1)),
		})
	}
	return &section{
		Title: "Snapshots: " + d.name,
		Lead: fmt.Sprintf("%s. %d snapshots of %d MB, one after the other, each in %.2f s. One client replaces points; each upsert is on the disk before the next.",
			d.describe(), rounds*snapshotsTaken, size/1e6, took.Seconds()/float64(rounds*snapshotsTaken)),
		Tables: []table{t},
	}, nil
}

// takeSnapshots returns the size of the last one.
func takeSnapshots(ctx context.Context, db *server.DB) (size int64, err error) {
	for range snapshotsTaken {
		info, err := db.CreateSnapshot(ctx, benchCollection)
		if err != nil {
			return 0, err
		}
		size = info.Size
		if err := db.DeleteSnapshot(ctx, benchCollection, info.Name); err != nil {
			return 0, err
		}
	}
	return size, nil
}

// replacer upserts the points of a collection again and again.
type replacer struct {
	c    *server.Collection
	base *matrix
	next int
}

// until upserts while do runs, and returns the milliseconds that each upsert took.
func (r *replacer) until(ctx context.Context, do func(ctx context.Context) error) (times []float64, err error) {
	working, ctx := errgroup.WithContext(ctx)
	done := make(chan struct{})
	working.Go(func() error {
		defer close(done)
		return do(ctx)
	})
	working.Go(func() error {
		for {
			select {
			case <-done:
				return nil
			default:
			}
			began := time.Now()
			if err := r.upsert(ctx); err != nil {
				return err
			}
			times = append(times, time.Since(began).Seconds()*1e3)
		}
	})
	return times, working.Wait()
}

// upsert gives a point the vector of the row after its own.
func (r *replacer) upsert(ctx context.Context) error {
	id, row := r.next%r.base.rows, (r.next+1)%r.base.rows
	r.next++
	_, err := r.c.Apply(ctx, server.Batch{Sync: true, Ops: []server.Op{{Kind: server.Upsert, Points: []server.Point{
		{ID: point.Number(uint64(id)), Vectors: server.Vectors{"": server.Dense(slices.Clone(r.base.row(row)))}},
	}}}})
	return err
}
