package main

import (
	"context"
	"errors"
	"strconv"

	"freshet/hnsw"
)

// tuned are the graphs that are compared: each of those that a collection can be made
// with, once varied beside the defaults.
var tuned = []struct {
	name string
	hnsw.Config
}{
	{"defaults: m 16, ef_construct 128", hnsw.Config{}},
	{"m 8", hnsw.Config{M: 8}},
	{"m 32", hnsw.Config{M: 32}},
	{"ef_construct 32", hnsw.Config{EfConstruct: 32}},
	{"ef_construct 64", hnsw.Config{EfConstruct: 64}},
	{"ef_construct 256", hnsw.Config{EfConstruct: 256}},
	{"codes of 8 bits only", hnsw.Config{Codes: hnsw.ByteCodes}},
	{"no codes", hnsw.Config{Codes: hnsw.NoCodes}},
}

var tunedEfs = []int{16, 64, 128}

// benchTuning compares graphs by what inserts and searches cost, how much memory they take
// and how many of the nearest they find.
func benchTuning(ctx context.Context, d *dataset, rounds int) (*section, error) {
	kth, err := d.truth(ctx)
	if err != nil {
		return nil, err
	}
	t := table{
		Caption: "CPU time on one thread; bytes a point without its vector; recall@10 and µs a search at each `hnsw_ef`",
		Head:    []string{"graph", "µs an insert", "codes, bytes", "links, bytes"},
	}
	for _, ef := range tunedEfs {
		t.Head = append(t.Head, "recall at "+strconv.Itoa(ef), "µs at "+strconv.Itoa(ef))
	}
	for i := range tuned {
		progress("%s: %s", d.name, tuned[i].name)
		row, err := tuneRow(ctx, d, kth, tuned[i].Config, rounds)
		if err != nil {
			return nil, err
		}
		t.Rows = append(t.Rows, append([]string{tuned[i].name}, row...))
	}
	return &section{Title: "Settings of the graph: " + d.name, Lead: d.describe() + ".", Tables: []table{t}}, nil
}

// tuneRow builds a graph and measures it.
func tuneRow(ctx context.Context, d *dataset, kth []float32, cfg hnsw.Config, rounds int) (row []string, err error) {
	x, err := newIndex(cfg, d.base.dim)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, x.close()) }()
	stop := watch()
	if err := x.addRange(ctx, d.base, 0, d.base.rows, batch, 1); err != nil {
		return nil, err
	}
	points := float64(d.base.rows)
	m := x.g.Memory()
	row = []string{count(1e6 * stop().cpu.Seconds() / points), count(float64(m.Codes) / points), count(float64(m.Links) / points)}
	for _, ef := range tunedEfs {
		var micros []float64
		var rows []int
		for range rounds {
			var took spent
			if rows, took, err = x.repeat(ctx, d.queries, hnsw.Query{Ef: ef}, 1, atLeast); err != nil {
				return nil, err
			}
			micros = append(micros, 1e6*took.cpu.Seconds()/float64(d.queries.rows))
		}
		recall := recallOf(d, d.queries, kth, rows, k)
		row = append(row, strconv.FormatFloat(recall, 'f', 4, 64), count(median(micros)))
	}
	return row, nil
}
