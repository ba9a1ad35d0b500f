package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"freshet/server"
	filters "freshet/server/filter"
	"freshet/server/point"
)

const (
	filterEf      = 64
	filterQueries = 200 // at most: exact scans of half the rows are slow
)

var selectivities = []float64{0.001, 0.01, 0.1, 0.5}

// filtered is a filter that is searched with, and what is right.
type filtered struct {
	name    string
	matches int
	filter  *filters.Filter
	kth     []float32 // score of each query's k-th best match, or of the last if there are fewer
}

// payloads are the members that filters are on: their index and, by row, their values.
type payloads map[string]member

type member struct {
	schema string
	values []json.RawMessage // nil where a row has none
}

// benchFilters searches with filters on payload indexes. A filter is random, or
// correlated with the vectors: it passes those nearest to one of them, which for
// most queries are far away. Those in the folder come after these, if one is named. Beside
// it stands what exact=true does with the same filter: it looks at the vectors of all matches.
func benchFilters(ctx context.Context, d *dataset, folder string, rounds int, while time.Duration) (s *section, err error) {
	db, c, closeAll, err := database(ctx, d.base.dim)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	queries := &matrix{rows: min(filterQueries, d.queries.rows), dim: d.queries.dim, data: d.queries.data}
	members := payloads{}
	all, err := drawnFilters(ctx, d.base, queries, members)
	if err != nil {
		return nil, err
	}
	if folder != "" {
		more, err := readFilters(folder, d.base, queries, members)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	if err := loadFiltered(ctx, db, c, d.base, members); err != nil {
		return nil, err
	}
	kth, err := d.truth(ctx)
	if err != nil {
		return nil, err
	}
	if err := settle(ctx); err != nil {
		return nil, err
	}
	t := table{Head: []string{"filter", "matches", "recall", "queries/s", "exact scan of matches/s", "× scan"}}
	all = append([]filtered{{name: "none", matches: d.base.rows, kth: kth[:queries.rows]}}, all...)
	for _, f := range all {
		progress("%s: filter %s", d.name, f.name)
		recall, qps, scans, err := besideScan(ctx, c, d, queries, &f, rounds, while)
		if err != nil {
			return nil, err
		}
		row := []string{f.name, grouped(f.matches), fmt.Sprintf("%.4f", recall), count(qps), count(scans), fmt.Sprintf("%.2f", qps/scans)}
		t.Rows = append(t.Rows, row)
	}
	return &section{
		Title: "Filters: " + d.name,
		Lead: fmt.Sprintf("%s, of which %d are used; ef %d, one client, per second of CPU time, medians of %d rounds. "+
			"A correlated filter passes the vectors nearest to one of them; others come with the data, and so does what is right for them. "+
			"Filters are on payload indexes; by turns with each search goes the same with exact=true, a scan of all matches.",
			d.describe(), queries.rows, filterEf, rounds),
		Tables: []table{t},
	}, nil
}

// drawnFilters draws filters of each kind and selectivity, and adds the members they are on.
func drawnFilters(ctx context.Context, base, queries *matrix, members payloads) (all []filtered, err error) {
	for _, kind := range []string{"random", "correlated"} {
		for _, share := range selectivities {
			accept := filter(base, kind, share)
			name := fmt.Sprintf("filter%d", len(all))
			values := make([]json.RawMessage, base.rows)
			f := filtered{name: fmt.Sprintf("%s %g %%", kind, 100*share), filter: &filters.Filter{}}
			for row, yes := range accept {
				values[row] = json.RawMessage(strconv.FormatBool(yes))
				if yes {
					f.matches++
				}
			}
			members[name] = member{"bool", values}
			if err := json.Unmarshal(fmt.Appendf(nil, `{"must":{"key":%q,"match":{"value":true}}}`, name), f.filter); err != nil {
				return nil, err
			}
			if f.kth, err = exact(ctx, base, queries, accept); err != nil {
				return nil, err
			}
			all = append(all, f)
		}
	}
	return all, nil
}

// loadFiltered makes the indexes and inserts the rows with their payloads.
func loadFiltered(ctx context.Context, db *server.DB, c *server.Collection, base *matrix, members payloads) error {
	for name, m := range members {
		schema, err := json.Marshal(m.schema)
		if err != nil {
			return err
		}
		if err := db.CreateIndex(ctx, c.Name(), name, schema); err != nil {
			return err
		}
	}
	for from := 0; from < base.rows; from += batch {
		op := server.Op{Kind: server.Upsert}
		for row := from; row < min(from+batch, base.rows); row++ {
			payload := map[string]json.RawMessage{}
			for name, m := range members {
				if value := m.values[row]; value != nil {
					payload[name] = value
				}
			}
			text, err := json.Marshal(payload)
			if err != nil {
				return err
			}
			op.Points = append(op.Points, server.Point{
				ID: point.Number(uint64(row)), Vectors: server.Vectors{"": server.Dense(slices.Clone(base.row(row)))}, Payload: text,
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

// besideScan searches with a filter and scans its matches by turns, each for a while in each
// round, and returns the searches' recall and the medians of both rates per second of CPU time.
func besideScan(
	ctx context.Context, c *server.Collection, d *dataset, queries *matrix, f *filtered, rounds int, while time.Duration,
) (recall, qps, scans float64, err error) {
	var rates [2][]float64
	var recalls [2]float64
	for range rounds {
		for i, exact := range []bool{false, true} {
			rows, took, err := repeat(while, func() ([]int, error) { return searchFiltered(ctx, c, queries, f.filter, exact) })
			if err != nil {
				return 0, 0, 0, err
			}
			rates[i] = append(rates[i], float64(queries.rows)/took.cpu.Seconds())
			recalls[i] = recallOf(d, queries, f.kth, rows, min(k, f.matches))
		}
	}
	if recalls[1] < 1 {
		return 0, 0, 0, fmt.Errorf("filter %s: a scan of all matches has a recall of %.4f", f.name, recalls[1])
	}
	return recalls[0], median(rates[0]), median(rates[1]), nil
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
