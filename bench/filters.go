package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"freshet/hnsw"
)

const (
	filterEf      = 64
	filterQueries = 200 // at most: rare matches make slow searches
	scanBlock     = 256
)

var selectivities = []float64{0.001, 0.01, 0.1, 0.5}

// benchFilters searches among the rows that filters accept. A filter is random,
// or correlated with the vectors: it accepts those nearest to one of them, which
// for most queries are far away.
//
// What is measured is the graph's own Accept. A planner chooses between it and a
// scan of the matches: its place is filteredSearch.
func benchFilters(ctx context.Context, d *dataset, rounds int) (s *section, err error) {
	x, _, err := buildIndex(ctx, d)
	if x != nil {
		defer func() { err = errors.Join(err, x.close()) }()
	}
	if err != nil {
		return nil, err
	}
	queries := &matrix{rows: min(filterQueries, d.queries.rows), dim: d.queries.dim, data: d.queries.data}
	kth, err := d.truth(ctx)
	if err != nil {
		return nil, err
	}
	plain := func() ([]int, error) { return x.search(ctx, queries, hnsw.Query{Ef: filterEf}, 1) }
	recall, qps, err := timed(d, queries, kth[:queries.rows], k, rounds, plain)
	if err != nil {
		return nil, err
	}
	t := table{
		Head: []string{"filter", "matches", "recall", "queries/s", "scan of matches/s", "× scan"},
		Rows: [][]string{{"none", grouped(d.base.rows), fmt.Sprintf("%.4f", recall), count(qps), "", ""}},
	}
	for _, kind := range []string{"random", "correlated"} {
		for _, share := range selectivities {
			progress("%s: %s filter of %g", d.name, kind, share)
			accept, matches := filter(d.base, kind, share)
			wanted := min(k, len(matches))
			kth, err := exact(ctx, d.base, queries, accept)
			if err != nil {
				return nil, err
			}
			graph := func() ([]int, error) { return x.filteredSearch(ctx, queries, accept) }
			scan := func() ([]int, error) { return x.scan(ctx, queries, matches) }
			recall, qps, err := timed(d, queries, kth, wanted, rounds, graph)
			if err != nil {
				return nil, err
			}
			whole, scans, err := timed(d, queries, kth, wanted, rounds, scan)
			if err != nil {
				return nil, err
			}
			if whole < 1 {
				return nil, fmt.Errorf("a scan of all matches has a recall of %.4f", whole)
			}
			t.Rows = append(t.Rows, []string{
				fmt.Sprintf("%s %g %%", kind, 100*share), grouped(len(matches)), fmt.Sprintf("%.4f", recall),
				count(qps), count(scans), fmt.Sprintf("%.2f", qps/scans),
			})
		}
	}
	return &section{
		Title: "Filters: " + d.name,
		Lead: fmt.Sprintf("%s, of which %d are used; ef %d, one thread, per second of CPU time, medians of %d rounds. "+
			"A correlated filter accepts the vectors nearest to one of them. The scan computes the distances of the matches, known beforehand, and nothing else.",
			d.describe(), queries.rows, filterEf, rounds),
		Tables: []table{t},
	}, nil
}

// timed repeats searches for all queries and returns their recall and the median
// of their rates per second of CPU time.
func timed(d *dataset, queries *matrix, kth []float32, wanted, rounds int, search func() ([]int, error)) (recall, qps float64, err error) {
	var rates []float64
	for range rounds {
		stop := watch()
		rows, err := search()
		if err != nil {
			return 0, 0, err
		}
		rates = append(rates, float64(queries.rows)/stop().cpu.Seconds())
		recall = recallOf(d, queries, kth, rows, wanted)
	}
	return recall, median(rates), nil
}

// filteredSearch is a search with a filter.
func (x *index) filteredSearch(ctx context.Context, queries *matrix, accept []bool) ([]int, error) {
	return x.search(ctx, queries, hnsw.Query{Ef: filterEf, Accept: func(slot uint32) bool { return accept[x.rowOf[slot]] }}, 1)
}

// scan finds the nearest of the slots without the graph.
func (x *index) scan(ctx context.Context, queries *matrix, slots []uint32) ([]int, error) {
	rows := make([]int, 0, k*queries.rows)
	scores := make([]float32, scanBlock)
	var best []scored
	for q := range queries.rows {
		best = best[:0]
		for block := range slices.Chunk(slots, scanBlock) {
			if err := x.g.Score(ctx, hnsw.Query{Vector: queries.row(q)}, block, scores); err != nil {
				return nil, err
			}
			for i, slot := range block {
				best = keepBest(best, scored{int(x.rowOf[slot]), scores[i]}, k)
			}
		}
		for i := range k {
			row := -1
			if i < len(best) {
				row = best[i].row
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// filter draws which rows are accepted. The slots of a graph just built are the
// rows.
func filter(base *matrix, kind string, share float64) (accept []bool, matches []uint32) {
	n := max(1, int(share*float64(base.rows)+0.5))
	r := rand.New(rand.NewPCG(3, 3))
	order := r.Perm(base.rows)
	if kind == "correlated" {
		anchor := base.row(r.IntN(base.rows))
		score := make([]float64, base.rows)
		for row := range score {
			score[row] = dot(anchor, base.row(row))
		}
		slices.SortFunc(order, func(a, b int) int {
			return cmp.Or(cmp.Compare(score[b], score[a]), a-b)
		})
	}
	accept = make([]bool, base.rows)
	for _, row := range order[:n] {
		accept[row] = true
	}
	for row, yes := range accept {
		if yes {
			matches = append(matches, uint32(row))
		}
	}
	return accept, matches
}
