package server

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/server/point"
)

// BenchmarkMultivectors searches 2,000 points of 64 rows of 128 numbers by 32 rows:
// all of them, and the hundred that a prefetch finds.
func BenchmarkMultivectors(b *testing.B) {
	const points, rows, queryRows, dim = 2000, 64, 32, 128
	r := rand.New(rand.NewPCG(1, 2))
	random := func(n int) Multi {
		v := make([]float32, n*dim)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		return Multi{Values: v, Dim: dim}
	}
	db := openDB(b, vfs.NewMem())
	defer closeDB(b, db)
	c := newCollection(b, db, "c", configOf(b, fmt.Sprintf(`{"vectors":{"d":{"size":2,"distance":"Euclid"},
		"m":{"size":%d,"distance":"Cosine","multivector_config":{"comparator":"max_sim"}}}}`, dim)))
	for i := range uint64(points) {
		p := Point{ID: point.Number(i), Vectors: Vectors{"m": random(rows), "d": Dense{float32(i), 0}}}
		apply(b, c, Batch{Ops: []Op{{Kind: Upsert, Points: []Point{p}}}})
	}
	for name, prefetch := range map[string][]SearchRequest{
		"all": nil, "prefetch": {{Vector: Dense{7, 0}, Using: "d", Limit: 100}},
	} {
		b.Run(name, func(b *testing.B) {
			q := SearchRequest{Vector: random(queryRows), Using: "m", Limit: 10, Prefetch: prefetch}
			for b.Loop() {
				if _, err := c.Search(context.Background(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
