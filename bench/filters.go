package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"freshet/server"
	filters "freshet/server/filter"
	"freshet/server/point"
)

const (
	filterEf      = 64
	filterQueries = 200 // at most: exact scans of half the rows are slow
)

var selectivities = []float64{0.001, 0.01, 0.1, 0.5}

// benchFilters searches with filters on payload indexes. A filter is random, or
// correlated with the vectors: it passes those nearest to one of them, which for
// most queries are far away. Beside it stands what exact=true does with the same
// filter: it looks at the vectors of all matches.
func benchFilters(ctx context.Context, d *dataset, rounds int) (s *section, err error) {
	db, c, closeAll, err := database(ctx, d.base.dim)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	accepted := map[string][]bool{}
	if err := loadFiltered(ctx, db, c, d, accepted); err != nil {
		return nil, err
	}
	queries := &matrix{rows: min(filterQueries, d.queries.rows), dim: d.queries.dim, data: d.queries.data}
	kth, err := d.truth(ctx)
	if err != nil {
		return nil, err
	}
	search := func(f *filters.Filter, exact bool) func() ([]int, error) {
		return func() ([]int, error) { return searchFiltered(ctx, c, queries, f, exact) }
	}
	recall, qps, err := timed(d, queries, kth[:queries.rows], k, rounds, search(nil, false))
	if err != nil {
		return nil, err
	}
	t := table{
		Head: []string{"filter", "matches", "recall", "queries/s", "exact scan of matches/s", "× scan"},
		Rows: [][]string{{"none", grouped(d.base.rows), fmt.Sprintf("%.4f", recall), count(qps), "", ""}},
	}
	for i, name := range filterNames() {
		progress("%s: filter %s", d.name, name)
		matches := 0
		for _, yes := range accepted[name] {
			if yes {
				matches++
			}
		}
		f := &filters.Filter{}
		if err := json.Unmarshal(fmt.Appendf(nil, `{"must":{"key":%q,"match":{"value":true}}}`, member(i)), f); err != nil {
			return nil, err
		}
		wanted := min(k, matches)
		kth, err := exact(ctx, d.base, queries, accepted[name])
		if err != nil {
			return nil, err
		}
		recall, qps, err := timed(d, queries, kth, wanted, rounds, search(f, false))
		if err != nil {
			return nil, err
		}
		whole, scans, err := timed(d, queries, kth, wanted, rounds, search(f, true))
		if err != nil {
			return nil, err
		}
		if whole < 1 {
			return nil, fmt.Errorf("a scan of all matches has a recall of %.4f", whole)
		}
		t.Rows = append(t.Rows, []string{
			name, grouped(matches), fmt.Sprintf("%.4f", recall), count(qps), count(scans), fmt.Sprintf("%.2f", qps/scans),
		})
	}
	return &section{
		Title: "Filters: " + d.name,
		Lead: fmt.Sprintf("%s, of which %d are used; ef %d, one client, per second of CPU time, medians of %d rounds. "+
			"A correlated filter passes the vectors nearest to one of them. Filters are on payload indexes; the exact scan is the same search with exact=true.",
			d.describe(), queries.rows, filterEf, rounds),
		Tables: []table{t},
	}, nil
}

// filterNames are the filters in the words of the table.
func filterNames() (names []string) {
	for _, kind := range []string{"random", "correlated"} {
		for _, share := range selectivities {
			names = append(names, fmt.Sprintf("%s %g %%", kind, 100*share))
		}
	}
	return names
}

// member is the member of payloads that the i-th filter is on.
func member(i int) string { return fmt.Sprintf("filter%d", i) }

// loadFiltered inserts the rows with a payload that says which filters they pass,
// and notes that in accepted.
func loadFiltered(ctx context.Context, db *server.DB, c *server.Collection, d *dataset, accepted map[string][]bool) error {
	names := filterNames()
	for i, kind := range []string{"random", "correlated"} {
		for j, share := range selectivities {
			accepted[names[i*len(selectivities)+j]] = filter(d.base, kind, share)
		}
	}
	for i := range names {
		if err := db.CreateIndex(ctx, c.Name(), member(i), json.RawMessage(`"bool"`)); err != nil {
			return err
		}
	}
	for from := 0; from < d.base.rows; from += batch {
		op := server.Op{Kind: server.Upsert}
		for i := from; i < min(from+batch, d.base.rows); i++ {
			passes := map[string]bool{}
			for j, name := range names {
				passes[member(j)] = accepted[name][i]
			}
			payload, err := json.Marshal(passes)
			if err != nil {
				return err
			}
			op.Points = append(op.Points, server.Point{
				ID: point.Number(uint64(i)), Vectors: server.Vectors{"": server.Dense(slices.Clone(d.base.row(i)))}, Payload: payload,
			})
		}
		if _, err := c.Apply(ctx, server.Batch{Ops: []server.Op{op}}); err != nil {
			return err
		}
	}
	return nil
}

// searchFiltered returns k rows for each query, -1 where there are fewer.
func searchFiltered(ctx context.Context, c *server.Collection, queries *matrix, f *filters.Filter, exact bool) ([]int, error) {
	rows := make([]int, 0, k*queries.rows)
	for q := range queries.rows {
		hits, err := c.Search(ctx, server.SearchRequest{Vector: server.Dense(queries.row(q)), Limit: k, Ef: filterEf, Filter: f, Exact: exact})
		if err != nil {
			return nil, err
		}
		for i := range k {
			row := -1
			if i < len(hits) {
				n, _ := hits[i].ID.AsNumber()
				row = int(n)
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
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

// filter draws which rows are accepted.
func filter(base *matrix, kind string, share float64) (accept []bool) {
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
	return accept
}
