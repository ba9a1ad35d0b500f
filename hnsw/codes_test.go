package hnsw

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"freshet/hnsw/kernels"
)

// shapes are data that are easy and hard to say in 8 bits a dimension.
var shapes = map[string]func(r *rand.Rand, dim, i int) []float32{
	"gaussian": func(r *rand.Rand, dim, _ int) []float32 { return gaussian(r, dim) },
	"positive": func(r *rand.Rand, dim, _ int) []float32 {
		v := gaussian(r, dim)
		for k := range v {
			v[k] = 100 + 5*v[k]
		}
		return v
	},
	"a few large dimensions": func(r *rand.Rand, dim, _ int) []float32 {
		v := gaussian(r, dim)
		for k := 0; k < dim; k += 16 {
			v[k] *= 12
		}
		return v
	},
	"one in a hundred is far out": func(r *rand.Rand, dim, i int) []float32 {
		v := gaussian(r, dim)
		if i%100 == 7 {
			for k := range v {
				v[k] *= 30
			}
		}
		return v
	},
	"growing": func(r *rand.Rand, dim, i int) []float32 {
		v := gaussian(r, dim)
		for k := range v {
			v[k] *= float32(math.Pow(2, float64(i)/300))
		}
		return v
	},
}

// TestCodesLoseNoRecall compares a graph on codes with brute force. A graph on
// vectors reaches 0.998 or more on all of these data.
func TestCodesLoseNoRecall(t *testing.T) {
	for name, shape := range shapes {
		if raced && name != "gaussian" {
			continue // other data, and nothing else that is concurrent
		}
		for _, metric := range []Metric{Cosine, Dot, Euclid, Manhattan} {
			t.Run(fmt.Sprintf("%s/%v", name, metric), func(t *testing.T) { loseNoRecall(t, shape, metric, alone(3000), 48) })
		}
		// Of so many dimensions codes of 4 bits are kept, too. They are judged after
		// a thousand inserts or so.
		want, judged := map[string]bool{"gaussian": true, "a few large dimensions": false}[name]
		t.Run(name+"/halves", func(t *testing.T) {
			w := loseNoRecall(t, shape, Euclid, 1500, 256)
			if coarse := w.g.codes.Load().coarse.Load(); judged && coarse != want {
				t.Errorf("codes of 4 bits are searched: %v, want %v", coarse, want)
			}
		})
	}
}

func loseNoRecall(t *testing.T, shape func(r *rand.Rand, dim, i int) []float32, metric Metric, n, dim int) *world {
	const k = 10
	r := rand.New(rand.NewPCG(3, 3))
	vectors := make([][]float32, n)
	for i := range vectors {
		vectors[i] = shape(r, dim, i)
		if metric == Cosine {
			Normalize(vectors[i])
		}
	}
	w := newWorld(t, Config{Dim: dim, Metric: metric})
	w.insert(vectors, 50, 2)
	if (w.g.codes.Load() == nil) != (metric == Manhattan) {
		t.Fatal("the graph has no codes")
	}
	total := 0.0
	const queries = 60
	for range queries {
		q := shape(r, dim, r.IntN(n))
		if metric == Cosine {
			Normalize(q)
		}
		hits := w.search(w.query(q, k, 200))
		for _, h := range hits {
			want := score(metric, q, w.vectors[h.Slot])
			if math.Abs(float64(h.Score)-want) > 1e-4*math.Max(1, math.Abs(want)) {
				t.Fatalf("slot %d has the score %g, its vector %g", h.Slot, h.Score, want)
			}
		}
		total += w.recall(hits, w.nearest(q, k, nil))
	}
	if total/queries < 0.99 {
		t.Errorf("recall %.3f", total/queries)
	}
	return w
}

// TestDistancesOnCodes checks that distances on codes are those of the vectors
// that the codes stand for, that these are near to the vectors, and that nothing
// in float32's range breaks it.
func TestDistancesOnCodes(t *testing.T) {
	for _, metric := range []Metric{Dot, Euclid} {
		for _, scale := range []float64{1, 1e-15, 1e15, 1e37, 0} {
			t.Run(fmt.Sprintf("%v/%g", metric, scale), func(t *testing.T) {
				r := rand.New(rand.NewPCG(5, 5))
				const dim, n = 100, 40
				var sample [][]float32
				for range n {
					v := shapes["positive"](r, dim, 0)
					for k := range v {
						v[k] = float32(float64(v[k]) / 100 * scale)
					}
					sample = append(sample, v)
				}
				c := newCodes(metric, dim, sample)
				decoded := make([][]float32, n)
				for i, v := range sample {
					slot := uint32(i)
					if err := c.grow(slot); err != nil {
						t.Fatal(err)
					}
					c.put(slot, v, make([]byte, 2*len(v)))
					decoded[i] = make([]float32, dim)
					step := c.bytes.term(slot).Step
					for k := range v {
						decoded[i][k] = c.mean[k] + step*(float32(c.bytes.row(slot, dim)[k])-kernels.ByteBias)
						if e := math.Abs(float64(decoded[i][k]) - float64(v[k])); e > 0.51*float64(step)+1e-6*scale {
							t.Fatalf("%g stands for %g, a step is %g", decoded[i][k], v[k], step)
						}
					}
				}
				slots := []uint32{0, 1, 2, 39}
				out := make([]float32, len(slots))
				row, stored, query := newCoded(dim), newCoded(dim), newCoded(dim)
				for slot := range uint32(n) {
					c.rowAsQuery(&row, slot)
					c.storedQuery(&stored, slot)
					c.query(&query, sample[slot])
					for _, q := range []*coded{&row, &stored, &query} {
						c.bytes.compute(q, slots, out)
						for i, other := range slots {
							want := score(metric, decoded[slot], decoded[other])
							if metric == Euclid {
								want *= want
							} else {
								want = -want
							}
							if want = float64(float32(want)); float64(out[i]) != want && math.Abs(float64(out[i])-want) > 1e-4*scale*scale*dim {
								t.Fatalf("slots %d and %d: %g, want %g", slot, other, out[i], want)
							}
						}
					}
				}
			})
		}
	}
}

// TestSearchWhileCodesChange searches while a growing graph makes the mean be
// learned anew: a search that began with codes that are replaced
// meets slots they do not have.
func TestSearchWhileCodesChange(t *testing.T) {
	const dim = 32
	n := max(alone(4000), 800) // the mean is learned four times by the 512th
	w := newWorld(t, Config{Dim: dim, Metric: Euclid})
	done := make(chan struct{})
	var readers sync.WaitGroup
	for seed := range uint64(2) {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(seed, 1))
			for {
				select {
				case <-done:
					return
				default:
				}
				view := w.slots.View()
				hits, err := w.g.Search(context.Background(), Query{Vector: gaussian(r, dim), K: 5, Ef: 30, View: view}, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if !slices.IsSortedFunc(hits, func(a, b Hit) int { return int(math.Copysign(1, float64(a.Score-b.Score))) }) {
					t.Errorf("hits are not sorted: %v", hits)
				}
				for _, h := range hits {
					if !view.Visible(h.Slot) {
						t.Errorf("slot %d is not visible", h.Slot)
					}
				}
			}
		})
	}
	r := rand.New(rand.NewPCG(9, 9))
	seen := map[*codes]bool{}
	for i := range n {
		w.insert([][]float32{shapes["growing"](r, dim, i)}, 1, 1)
		seen[w.g.codes.Load()] = true
	}
	close(done)
	readers.Wait()
	if len(seen) < 4 {
		t.Errorf("the mean was learned %d times", len(seen))
	}
}
