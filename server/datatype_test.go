package server

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/x448/float16"

	"freshet/server/point"
)

// rounded is what should be stored of a vector.
func rounded(d Datatype, cosine bool, v []float32) []float32 {
	v = slices.Clone(v)
	norm := 0.0
	for _, x := range v {
		norm += float64(x) * float64(x)
	}
	for i, x := range v {
		switch {
		case d == Uint8:
			v[i] = float32(math.Trunc(math.Max(0, math.Min(255, float64(x)))))
		case cosine && norm > 0:
			x = float32(float64(x) / math.Sqrt(norm))
			fallthrough
		default:
			v[i] = float16.Fromfloat32(x).Float32()
		}
	}
	return v
}

// plainScore is the score of two vectors in float64.
func plainScore(d Distance, a, b []float32) float64 {
	var dot, aa, bb, l1, l2 float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		dot, aa, bb = dot+x*y, aa+x*x, bb+y*y
		l1, l2 = l1+math.Abs(x-y), l2+(x-y)*(x-y)
	}
	switch d {
	case Cosine:
		if aa == 0 || bb == 0 {
			return 0
		}
		return dot / math.Sqrt(aa*bb)
	case Dot:
		return dot
	case Euclid:
		return math.Sqrt(l2)
	default:
		return l1
	}
}

// TestDatatypes compares what is stored and found with rounded vectors, before and
// after a restart, with vectors in memory and on disk.
func TestDatatypes(t *testing.T) {
	const dim, points = 20, 120
	ctx := context.Background()
	for _, datatype := range []Datatype{Uint8, Float16} {
		for _, d := range []Distance{Cosine, Dot, Euclid, Manhattan} {
			for _, onDisk := range []bool{false, true} {
				t.Run(fmt.Sprint(datatype, d, onDisk), func(t *testing.T) {
					random := func() []float32 {
						v := make([]float32, dim)
						for i := range v {
							v[i] = float32(rand.NormFloat64()*150 + 60)
						}
						return v
					}
					fs := vfs.NewMem()
					db := openDB(t, fs)
					cfg := fmt.Sprintf(`{"vectors":{"size":%d,"distance":%q,"datatype":%q,"on_disk":%v}}`, dim, d, datatype, onDisk)
					c := newCollection(t, db, "c", configOf(t, cfg))
					want := map[point.ID][]float32{}
					var batch Batch
					for i := range uint64(points) {
						v := random()
						want[point.Number(i)] = rounded(datatype, d == Cosine, v)
						batch.Ops = append(batch.Ops, Op{Kind: Upsert, Points: []Point{{ID: point.Number(i), Vectors: Vectors{"": Dense(v)}}}})
					}
					apply(t, c, batch)
					given := random()
					check := func() {
						t.Helper()
						query := rounded(datatype, d == Cosine, given)
						hits, err := c.Search(ctx, SearchRequest{Vector: Dense(slices.Clone(given)), Limit: points, WithVector: VectorSelector{All: true}})
						if err != nil || len(hits) != points {
							t.Fatalf("%d hits, %v", len(hits), err)
						}
						for _, h := range hits {
							stored := want[h.ID]
							got := h.Vectors[""].(Dense)
							for i, x := range stored {
								// A length of 1 is not computed to the last bit.
								if slack := float64(x) / 1024; got[i] != x && (datatype == Uint8 || d != Cosine || math.Abs(float64(got[i]-x)) > math.Abs(slack)) {
									t.Fatalf("point %v has %v instead of %v", h.ID, got, stored)
								}
							}
							score := plainScore(d, query, got)
							if datatype == Float16 && d == Cosine {
								score = plainScore(Dot, query, got)
							}
							// What the terms of a dot product are rounded by stays where they cancel out.
							terms := 1e-6 * math.Sqrt(plainScore(Dot, query, query)*plainScore(Dot, got, got))
							if math.Abs(float64(h.Score)-score) > max(1e-3*max(1, math.Abs(score)), terms) {
								t.Fatalf("point %v has the score %v instead of %v", h.ID, h.Score, score)
							}
						}
						byID, err := c.Search(ctx, SearchRequest{ID: hits[0].ID, Limit: 1})
						if err != nil || len(byID) != 1 {
							t.Fatal(byID, err)
						}
						own, other := hits[0].Vectors[""].(Dense), want[byID[0].ID]
						if score := plainScore(d, own, other); math.Abs(float64(byID[0].Score)-score) > 2e-3*max(1, math.Abs(score)) {
							t.Fatalf("by id the score is %v instead of %v", byID[0].Score, score)
						}
					}
					check()
					// Vectors that stay where others change stay as they are.
					apply(t, c, Batch{Ops: []Op{{Kind: SetPayload, Select: Select{IDs: []point.ID{point.Number(3)}}, Payload: map[string]any{"a": "b"}}}})
					closeDB(t, db)
					db = openDB(t, fs)
					var err error
					if c, err = db.Collection("c"); err != nil {
						t.Fatal(err)
					}
					check()
					closeDB(t, db)
				})
			}
		}
	}
}

func TestDatatypeLimits(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	defer closeDB(t, db)
	c := newCollection(t, db, "c", configOf(t, `{"vectors":{"size":1,"distance":"Dot","datatype":"float16"}}`))
	for x, ok := range map[float32]bool{65504: true, 65519: true, 65520: false, -65520: false} {
		_, err := c.Apply(context.Background(), Batch{Ops: []Op{{Kind: Upsert, Points: []Point{{ID: point.Number(1), Vectors: Vectors{"": Dense{x}}}}}}})
		if (err == nil) != ok || !ok && err.Error() != `Vector "" holds a value that is not a finite number of half precision` {
			t.Errorf("%v: %v", x, err)
		}
	}
	var cfg Config
	if err := cfg.Vectors.UnmarshalJSON([]byte(`{"size":1,"distance":"Dot","datatype":"float64"}`)); err == nil {
		t.Error("an unknown datatype is taken")
	}
}
