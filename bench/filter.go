package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"freshet/server"
	"freshet/server/filter"
	"freshet/server/point"
)

const filterQueries = 200

// benchFilter searches with filters that pass more or fewer points: some drawn
// at random, some the nearest of a vector, which most queries are far from. Beside
// it the same without filter, and by looking at the vectors of all matches.
func benchFilter(ctx context.Context, d *dataset) (err error) {
	db, c, closeAll, err := database(ctx, d.base.dim)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	if err := loadFiltered(ctx, db, c, d); err != nil {
		return err
	}
	fmt.Printf("%d vectors, %d dimensions, top %d, µs a search of one client\n\n", d.base.rows, d.base.dim, k)
	fmt.Printf("   ef   filter        matches   recall       µs   exact µs\n")
	for _, ef := range []int{32, 128} {
		everything, err := searchFiltered(ctx, c, d, ef, nil)
		if err != nil {
			return err
		}
		fmt.Printf("%5d   %-12s %8d   %.4f %8.0f   %8.0f\n", ef, "none", d.base.rows, everything.recall, everything.took, everything.exact)
		for _, field := range []string{"random", "near"} {
			for _, share := range []float64{0.001, 0.01, 0.1, 0.5} {
				n := int(share * float64(d.base.rows))
				f := &filter.Filter{}
				if err := json.Unmarshal([]byte(fmt.Sprintf(`{"must":{"key":%q,"range":{"lt":%d}}}`, field, n)), f); err != nil {
					return err
				}
				r, err := searchFiltered(ctx, c, d, ef, f)
				if err != nil {
					return err
				}
				fmt.Printf("%5d   %-6s %4.1f%% %8d   %.4f %8.0f   %8.0f\n", ef, field, 100*share, n, r.recall, r.took, r.exact)
			}
		}
	}
	return nil
}

// loadFiltered inserts the points, each with a number of its own: random is in no
// order, near in that of the distances to one of them.
func loadFiltered(ctx context.Context, db *server.DB, c *server.Collection, d *dataset) error {
	for _, field := range []string{"random", "near"} {
		if err := db.CreateIndex(ctx, c.Name(), field, json.RawMessage(`"integer"`)); err != nil {
			return err
		}
	}
	random := rand.New(rand.NewPCG(1, 1)).Perm(d.base.rows)
	order := make([]int, d.base.rows)
	scores := make([]float32, d.base.rows)
	for i := range order {
		order[i], scores[i] = i, dot(d.base.row(0), d.base.row(i))
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	near := make([]int, d.base.rows)
	for rank, i := range order {
		near[i] = rank
	}
	for from := 0; from < d.base.rows; from += batch {
		op := server.Op{Kind: server.Upsert}
		for i := from; i < min(from+batch, d.base.rows); i++ {
			op.Points = append(op.Points, server.Point{
				ID: point.Number(uint64(i)), Vectors: server.Vectors{"": d.base.row(i)},
				Payload: []byte(fmt.Sprintf(`{"random":%d,"near":%d}`, random[i], near[i])),
			})
		}
		if _, err := c.Apply(ctx, server.Batch{Ops: []server.Op{op}}); err != nil {
			return err
		}
	}
	return nil
}

// filtered is what searches with a filter reach, in µs a search.
type filtered struct{ recall, took, exact float64 }

func searchFiltered(ctx context.Context, c *server.Collection, d *dataset, ef int, f *filter.Filter) (filtered, error) {
	var found, exact [][]server.ScoredPoint
	var took, exactTook []float64
	for range rounds {
		for _, x := range []struct {
			hits  *[][]server.ScoredPoint
			times *[]float64
			exact bool
		}{{&found, &took, false}, {&exact, &exactTook, true}} {
			*x.hits = (*x.hits)[:0]
			began := time.Now()
			n := min(filterQueries, d.queries.rows)
			for q := range n {
				hits, err := c.Search(ctx, server.SearchRequest{Vector: d.queries.row(q), Limit: k, Ef: ef, Filter: f, Exact: x.exact})
				if err != nil {
					return filtered{}, err
				}
				*x.hits = append(*x.hits, hits)
			}
			*x.times = append(*x.times, us(time.Since(began))/float64(n))
		}
	}
	right, all := 0, 0
	for q, want := range exact {
		for _, h := range found[q] {
			if h.Score >= want[len(want)-1].Score-tolerance {
				right++
			}
		}
		all += len(want)
	}
	return filtered{float64(right) / float64(max(all, 1)), median(took), median(exactTook)}, nil
}
