package main

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"sync"

	"github.com/viterin/vek/vek32"
)

// k is how many neighbours every search asks for.
const k = 10

// tolerance makes a tie with the k-th best no miss.
const tolerance = 1e-6

const (
	truthBlock = 32     // queries compared with a row while it is in the cache
	truthSpare = 2 * k  // candidates kept for scoring in float64
	truthPause = 10_000 // rows between two looks at the context
)

// exact returns the k-th best score of each query among the accepted rows, all
// if accept is nil, by brute force. vek's products choose candidates, float64
// scores them: none of the kernels judged by the outcome takes part. Where fewer
// than k rows are accepted, it is the score of the last.
func exact(ctx context.Context, base, queries *matrix, accept []bool) ([]float32, error) {
	kth := make([]float32, queries.rows)
	blocks := make(chan int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for from := range blocks {
				exactBlock(ctx, base, queries, accept, from, kth[from:min(from+truthBlock, queries.rows)])
			}
		})
	}
	for from := 0; from < queries.rows; from += truthBlock {
		blocks <- from
	}
	close(blocks)
	workers.Wait()
	return kth, ctx.Err()
}

// scored is a row and its score for one query.
type scored struct {
	row   int
	score float32
}

func exactBlock(ctx context.Context, base, queries *matrix, accept []bool, from int, kth []float32) {
	best := make([][]scored, len(kth)) // best first
	for i := range base.rows {
		if i%truthPause == 0 && ctx.Err() != nil {
			return
		}
		if accept != nil && !accept[i] {
			continue
		}
		row := base.row(i)
		for q := range kth {
			best[q] = keepBest(best[q], scored{i, vek32.Dot(queries.row(from+q), row)}, k+truthSpare)
		}
	}
	for q := range kth {
		var scores []float64
		for _, s := range best[q] {
			scores = append(scores, dot(queries.row(from+q), base.row(s.row)))
		}
		slices.Sort(scores)
		if n := len(scores); n > 0 {
			kth[q] = float32(scores[n-min(k, n)])
		}
	}
}

// keepBest puts a row where it belongs among the best, at most limit, best first.
func keepBest(best []scored, s scored, limit int) []scored {
	if len(best) == limit {
		if s.score <= best[limit-1].score {
			return best
		}
		best = best[:limit-1]
	}
	at, _ := slices.BinarySearchFunc(best, s.score, func(b scored, score float32) int { return cmp.Compare(score, b.score) })
	return slices.Insert(best, at, s)
}

func dot(a, b []float32) (sum float64) {
	for i, x := range a {
		sum += float64(x) * float64(b[i])
	}
	return sum
}

// found counts the distinct rows that are among the k nearest of a query.
func found(query []float32, base *matrix, kth float32, rows []int) int {
	n := 0
	for i, row := range rows[:min(k, len(rows))] {
		if row < 0 || row >= base.rows || slices.Contains(rows[:i], row) {
			continue
		}
		if dot(query, base.row(row)) >= float64(kth)-tolerance {
			n++
		}
	}
	return n
}
