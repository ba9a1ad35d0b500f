package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/hnsw"
	"freshet/server/formula"
	"freshet/server/point"
)

// world is a collection beside a plain model of it: points with random vectors, of
// which some have none, and a payload {"group": id mod 3, "n": id}.
type world struct {
	t       testing.TB
	c       *Collection
	metric  hnsw.Metric
	vectors map[uint64][]float64 // as they are compared; nil for points without
}

const worldDim = 3

func newWorld(t testing.TB, distance Distance, points int, rng *rand.Rand) *world {
	t.Helper()
	db := openDB(t, vfs.NewMem())
	t.Cleanup(func() { closeDB(t, db) })
	w := &world{t: t, c: newCollection(t, db, "c", vectorConfig(worldDim, distance)), vectors: map[uint64][]float64{}}
	w.metric, _ = distance.Metric()
	var ops []Op
	for id := range uint64(points) {
		p := Point{ID: point.Number(id), Payload: json.RawMessage(fmt.Sprintf(`{"group":%d,"n":%d}`, id%3, id))}
		w.vectors[id] = nil
		if rng.IntN(10) > 0 {
			v := randomVector(rng)
			p.Vectors = Vectors{"": v}
			w.vectors[id] = w.compared(v)
		}
		ops = append(ops, Op{Kind: Upsert, Points: []Point{p}})
	}
	apply(t, w.c, Batch{Ops: ops})
	return w
}

func randomVector(rng *rand.Rand) Dense {
	v := make(Dense, worldDim)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

// compared is a vector as it is compared with others.
func (w *world) compared(v Dense) []float64 {
	out := make([]float64, len(v))
	length := 0.0
	for i, x := range v {
		out[i] = float64(x)
		length += out[i] * out[i]
	}
	if w.metric == hnsw.Cosine && length > 0 {
		for i := range out {
			out[i] /= math.Sqrt(length)
		}
	}
	return out
}

func (w *world) similarity(a, b []float64) float64 {
	s := 0.0
	for i := range a {
		switch w.metric {
		case hnsw.Euclid:
			s -= (a[i] - b[i]) * (a[i] - b[i])
		case hnsw.Manhattan:
			s -= math.Abs(a[i] - b[i])
		default:
			s += a[i] * b[i]
		}
	}
	return s
}

// score is a similarity as a search returns it.
func (w *world) score(similarity float64) float64 {
	switch w.metric {
	case hnsw.Euclid:
		return math.Sqrt(-similarity)
	case hnsw.Manhattan:
		return -similarity
	default:
		return similarity
	}
}

// example is an example beside its vector in the model.
type example struct {
	Example
	vector []float64 // as it is compared
	raw    []float64 // as it is averaged
}

func (w *world) example(rng *rand.Rand) example {
	for rng.IntN(2) == 0 {
		id := rng.Uint64N(uint64(len(w.vectors)))
		if v := w.vectors[id]; v != nil {
			return example{Example{ID: point.Number(id)}, v, v}
		}
	}
	v := randomVector(rng)
	raw := make([]float64, len(v))
	for i, x := range v {
		raw[i] = float64(x)
	}
	return example{Example{Vector: v}, w.compared(v), raw}
}

func (w *world) examples(rng *rand.Rand, n int) (list []example, plain []Example) {
	for range n {
		e := w.example(rng)
		list, plain = append(list, e), append(plain, e.Example)
	}
	return list, plain
}

// scored is a point of the model with what a query should make of it.
type scored struct {
	id    uint64
	score float64
}

// expect compares what a request finds with the scores a model gives: all points that
// may be found, in the order better says, have to be there up to the limit. Points
// whose scores are as good as equal may change places.
func (w *world) expect(r SearchRequest, scores []scored, ascending bool) {
	w.t.Helper()
	hidden := map[uint64]bool{}
	if r.Query != nil {
		for _, e := range r.Query.examples() {
			if n, ok := e.ID.AsNumber(); ok {
				hidden[n] = true
			}
		}
	}
	scores = slices.DeleteFunc(slices.Clone(scores), func(s scored) bool { return hidden[s.id] })
	slices.SortFunc(scores, func(a, b scored) int {
		if ascending {
			return cmp.Compare(a.score, b.score)
		}
		return cmp.Compare(b.score, a.score)
	})
	byID := map[uint64]float64{}
	for _, s := range scores {
		byID[s.id] = s.score
	}
	want := scores[min(r.Offset, len(scores)):]
	want = want[:min(len(want), r.Limit)]
	found, err := w.c.Search(context.Background(), r)
	if err != nil {
		w.t.Fatalf("%+v: %v", r, err)
	}
	if len(found) != len(want) {
		w.t.Fatalf("%+v: found %d points, want %d", r, len(found), len(want))
	}
	seen := map[uint64]bool{}
	for i, p := range found {
		id, _ := p.ID.AsNumber()
		score, ok := byID[id]
		if !ok || seen[id] || !near(score, float64(p.Score)) || !near(want[i].score, float64(p.Score)) {
			w.t.Fatalf("%+v: place %d has point %d with %v (known: %v, again: %v); it should score %v, and the place %v",
				r, i, id, p.Score, ok, seen[id], score, want[i].score)
		}
		seen[id] = true
	}
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-4*max(1, math.Abs(a)) }

// all scores every point that has a vector.
func (w *world) all(score func(v []float64) float64) (list []scored) {
	for id, v := range w.vectors {
		if v != nil {
			list = append(list, scored{id, score(v)})
		}
	}
	return list
}

func modelSigmoid(x float64) float64 { return 0.5 * (x/(1+math.Abs(x)) + 1) }

func (w *world) mostSimilar(v []float64, list []example) float64 {
	best := math.Inf(-1)
	for _, e := range list {
		best = max(best, w.similarity(e.vector, v))
	}
	return best
}

func mean(list []example) []float64 {
	sum := make([]float64, worldDim)
	for _, e := range list {
		for i, x := range e.raw {
			sum[i] += x / float64(len(list))
		}
	}
	return sum
}

// TestQueriesAgainstModel compares each kind of query with a model that computes every
// score by itself.
func TestQueriesAgainstModel(t *testing.T) {
	for _, distance := range []Distance{Cosine, Dot, Euclid, Manhattan} {
		t.Run(string(distance), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, uint64(len(distance))))
			w := newWorld(t, distance, 200, rng)
			for range 30 {
				r := SearchRequest{Limit: 1 + rng.IntN(30), Offset: rng.IntN(3) * rng.IntN(10)}
				positive, plainPositive := w.examples(rng, 1+rng.IntN(3))
				negative, plainNegative := w.examples(rng, rng.IntN(3))

				r.Query = Recommend{Positive: plainPositive, Negative: plainNegative}
				average := mean(positive)
				if len(negative) > 0 {
					for i, x := range mean(negative) {
						average[i] = 2*average[i] - x
					}
				}
				dense := make(Dense, worldDim)
				for i, x := range average {
					dense[i] = float32(x)
				}
				average = w.compared(dense)
				w.expect(r, w.all(func(v []float64) float64 { return w.score(w.similarity(average, v)) }), w.metric.Ascending())

				if rng.IntN(4) == 0 {
					positive, plainPositive = nil, nil
					negative, plainNegative = w.examples(rng, 1)
				}
				r.Query = Recommend{Positive: plainPositive, Negative: plainNegative, Strategy: BestScore}
				w.expect(r, w.all(func(v []float64) float64 {
					p, n := w.mostSimilar(v, positive), w.mostSimilar(v, negative)
					if p > n {
						return modelSigmoid(p)
					}
					return -modelSigmoid(n)
				}), false)

				r.Query = Recommend{Positive: plainPositive, Negative: plainNegative, Strategy: SumScores}
				w.expect(r, w.all(func(v []float64) float64 {
					total := 0.0
					for _, e := range positive {
						total += w.similarity(e.vector, v)
					}
					for _, e := range negative {
						total -= w.similarity(e.vector, v)
					}
					return total
				}), false)

				target := w.example(rng)
				a, _ := w.examples(rng, rng.IntN(4))
				b, _ := w.examples(rng, len(a))
				var pairs []Pair
				for i := range a {
					pairs = append(pairs, Pair{a[i].Example, b[i].Example})
				}
				r.Query = Discover{Target: target.Example, Pairs: pairs}
				w.expect(r, w.all(func(v []float64) float64 {
					score := modelSigmoid(w.similarity(target.vector, v))
					for i := range a {
						if w.similarity(a[i].vector, v) > w.similarity(b[i].vector, v) {
							score++
						} else {
							score--
						}
					}
					return score
				}), false)

				judged := make([]Judged, len(a))
				for i := range a {
					judged[i] = Judged{a[i].Example, float32(rng.IntN(4))}
				}
				by := Feedback{Target: target.Example, Judged: judged, A: rng.Float32(), B: 2 * rng.Float32(), C: rng.Float32() - 0.3}
				r.Query = by
				w.expect(r, w.all(func(v []float64) float64 {
					score := float64(by.A) * w.similarity(target.vector, v)
					for i, better := range judged {
						for j, worse := range judged {
							if better.Score > worse.Score {
								apart := math.Pow(float64(better.Score-worse.Score), float64(by.B))
								score += float64(by.C) * apart * (w.similarity(a[i].vector, v) - w.similarity(a[j].vector, v))
							}
						}
					}
					return score
				}), false)

				r.Query = Context{Pairs: pairs}
				w.expect(r, w.all(func(v []float64) float64 {
					score := 0.0
					for i := range a {
						d := min(0, w.similarity(a[i].vector, v)-w.similarity(b[i].vector, v))
						score += d / (1 - d)
					}
					return score
				}), false)
			}
		})
	}
}

func TestMMRAgainstModel(t *testing.T) {
	for _, distance := range []Distance{Cosine, Dot, Euclid, Manhattan} {
		t.Run(string(distance), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(2, uint64(len(distance))))
			w := newWorld(t, distance, 60, rng)
			for range 30 {
				e := w.example(rng)
				q := MMR{Example: e.Example, Diversity: rng.Float32(), Candidates: 1 + rng.IntN(20)}
				r := SearchRequest{Query: q, Limit: 1 + rng.IntN(12)}
				candidates := w.all(func(v []float64) float64 { return w.similarity(e.vector, v) })
				if n, ok := e.ID.AsNumber(); ok {
					candidates = slices.DeleteFunc(candidates, func(s scored) bool { return s.id == n })
				}
				slices.SortFunc(candidates, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
				candidates = candidates[:q.Candidates]
				var want []uint64
				for len(want) < min(r.Limit, q.Candidates) {
					best := slices.MaxFunc(candidates, func(a, b scored) int {
						value := func(s scored) float64 {
							closest := math.Inf(-1)
							for _, id := range want {
								closest = max(closest, w.similarity(w.vectors[id], w.vectors[s.id]))
							}
							if len(want) == 0 {
								closest = 0
							}
							return (1-float64(q.Diversity))*s.score - float64(q.Diversity)*closest
						}
						return cmp.Compare(value(a), value(b))
					})
					want = append(want, best.id)
					candidates = slices.DeleteFunc(candidates, func(s scored) bool { return s.id == best.id })
				}
				found, err := w.c.Search(context.Background(), r)
				if err != nil {
					t.Fatal(err)
				}
				var got []uint64
				for _, p := range found {
					id, _ := p.ID.AsNumber()
					got = append(got, id)
					if score := w.score(w.similarity(e.vector, w.vectors[id])); !near(score, float64(p.Score)) {
						t.Errorf("point %d has the score %v instead of %v", id, p.Score, score)
					}
				}
				if !slices.Equal(got, want) {
					t.Fatalf("%+v: got %v, want %v", r, got, want)
				}
			}
		})
	}
}

// TestMMRComparesAsQdrant checks where what is chosen by is not the score: the values
// without IDF, and the rows of a candidate as the query.
func TestMMRComparesAsQdrant(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	defer closeDB(t, db)
	c := newCollection(t, db, "c", configOf(t, `{
		"vectors":{"m":{"size":2,"distance":"Dot","multivector_config":{"comparator":"max_sim"}}},
		"sparse_vectors":{"s":{"modifier":"idf"}}}`))
	rows := func(values ...float32) Multi { return Multi{Values: values, Dim: 2} }
	for i, v := range []Vectors{
		{"s": Sparse{[]uint32{0}, []float32{3}}, "m": rows(5, 0)},
		{"s": Sparse{[]uint32{1}, []float32{2}}, "m": rows(1, 0, 1, 0, 1, 0)},
		{"s": Sparse{[]uint32{0}, []float32{1}}, "m": rows(2, 0)},
		{"s": Sparse{[]uint32{0}, []float32{1}}},
	} {
		apply(t, c, Batch{Ops: []Op{{Kind: Upsert, Points: []Point{{ID: point.Number(uint64(i)), Vectors: v}}}}})
	}
	w := &world{t: t, c: c}
	query := Sparse{[]uint32{0, 1}, []float32{1, 1}}
	if got := w.ids(SearchRequest{Vector: query, Using: "s", Limit: 2}); !slices.Equal(got, []uint64{1, 0}) {
		t.Errorf("the nearest by IDF are %v", got)
	}
	r := SearchRequest{Query: MMR{Example: Example{Vector: query}}, Using: "s", Limit: 2}
	if got := w.ids(r); !slices.Equal(got, []uint64{0, 1}) {
		t.Errorf("MMR of sparse vectors chooses %v", got)
	}
	r = SearchRequest{Query: MMR{Example: Example{Vector: Dense{1, 0}}, Diversity: 0.5}, Using: "m", Limit: 3}
	if got := w.ids(r); !slices.Equal(got, []uint64{0, 2, 1}) {
		t.Errorf("MMR of multivectors chooses %v", got)
	}
}

// ids searches and returns the ids that were found, as numbers.
func (w *world) ids(r SearchRequest) []uint64 {
	w.t.Helper()
	found, err := w.c.Search(context.Background(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	ids := []uint64{}
	for _, p := range found {
		n, _ := p.ID.AsNumber()
		ids = append(ids, n)
	}
	return ids
}

// TestPrefetches looks at what a query over prefetches returns: points of theirs alone,
// with the filters of all levels, without the points that queries refer to.
func TestPrefetches(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	w := newWorld(t, Euclid, 300, rng)
	for round := range 40 {
		var prefetch []SearchRequest
		for range 1 + rng.IntN(3) {
			p := SearchRequest{Limit: 1 + rng.IntN(40), Vector: randomVector(rng)}
			if rng.IntN(2) == 0 {
				p.Filter = mustFilter(t, `{"must":{"key":"n","range":{"gte":50}}}`)
			}
			prefetch = append(prefetch, p)
		}
		hide := w.example(rng)
		for hide.ID.IsZero() {
			hide = w.example(rng)
		}
		prefetch = append(prefetch, SearchRequest{Limit: 10, ID: hide.ID})
		above := mustFilter(t, `{"must":{"key":"group","match":{"value":1}}}`)

		union := map[uint64]bool{}
		hidden, _ := hide.ID.AsNumber()
		lists := make([][]uint64, len(prefetch))
		for i, p := range prefetch {
			list := w.all(func(v []float64) float64 {
				if p.Vector == nil {
					return w.similarity(hide.vector, v)
				}
				return w.similarity(w.compared(p.Vector.(Dense)), v)
			})
			list = slices.DeleteFunc(list, func(s scored) bool {
				return s.id == hidden || s.id%3 != 1 || p.Filter != nil && s.id < 50
			})
			slices.SortFunc(list, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
			for _, s := range list[:min(len(list), p.Limit)] {
				union[s.id] = true
				lists[i] = append(lists[i], s.id)
			}
		}
		target := w.example(rng)
		if n, ok := target.ID.AsNumber(); ok && union[n] {
			continue // would not be a candidate any more
		}
		only := func(list []scored) []scored {
			return slices.DeleteFunc(list, func(s scored) bool { return !union[s.id] })
		}
		outer := SearchRequest{Prefetch: prefetch, Filter: above, Limit: 1 + rng.IntN(50), Offset: rng.IntN(2) * 5}

		outer.ID, outer.Vector = target.ID, target.Vector
		w.expect(outer, only(w.all(func(v []float64) float64 { return w.score(w.similarity(target.vector, v)) })), true)
		outer.ID, outer.Vector = point.ID{}, nil

		outer.Query = Recommend{Positive: []Example{target.Example}, Strategy: BestScore}
		w.expect(outer, only(w.all(func(v []float64) float64 { return modelSigmoid(w.similarity(target.vector, v)) })), false)

		outer.Query = Fusion{}
		ranks := map[uint64]float64{}
		for _, list := range lists {
			for place, id := range list {
				ranks[id] += 1 / float64(place+2)
			}
		}
		var fused []scored
		for id, score := range ranks {
			fused = append(fused, scored{id, score})
		}
		w.expect(outer, fused, false)

		// The same one level deeper is the same again.
		inner := outer
		inner.Filter, inner.Offset = nil, 0
		deep := SearchRequest{Prefetch: []SearchRequest{inner}, Query: Fusion{}, Filter: above, Limit: 5}
		one := outer
		one.Offset, one.Limit = 0, min(5, inner.Limit)
		if got, want := w.ids(deep), w.ids(one); !slices.Equal(got, want) {
			t.Fatalf("round %d: fusion of a fusion has %v, it alone %v", round, got, want)
		}

		f, err := formula.Parse(json.RawMessage(`{"sum":["n",{"mult":[1000,{"key":"n","match":{"value":100}}]},{"mult":["$score[7]",5]}]}`), nil)
		if err != nil {
			t.Fatal(err)
		}
		outer.Query = Formula{f}
		var sums []scored
		for id := range union {
			s := scored{id, float64(id)}
			if id == 100 {
				s.score += 1000
			}
			sums = append(sums, s)
		}
		w.expect(outer, sums, false)

		outer.Query, outer.Offset = Sample{}, 0
		sampled := w.ids(outer)
		if len(sampled) != min(outer.Limit, len(union)) || len(slices.Compact(slices.Sorted(slices.Values(sampled)))) != len(sampled) {
			t.Fatalf("a sample of %d of %d points has %v", outer.Limit, len(union), sampled)
		}
		for _, id := range sampled {
			if !union[id] {
				t.Fatalf("point %d of the sample is in no prefetch", id)
			}
		}
	}
}

func TestSample(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	w := newWorld(t, Dot, 30, rng)
	counts := map[uint64]int{}
	const rounds = 3000
	for range rounds {
		ids := w.ids(SearchRequest{Query: Sample{}, Limit: 3, Filter: mustFilter(t, `{"must":{"key":"group","match":{"value":2}}}`)})
		if len(ids) != 3 || ids[0] == ids[1] || ids[1] == ids[2] || ids[0] == ids[2] {
			t.Fatalf("a sample of 3 is %v", ids)
		}
		for _, id := range ids {
			counts[id]++
		}
	}
	// Each of the 10 points is drawn with a chance of 0.3; six deviations are 151.
	for id := uint64(2); id < 30; id += 3 {
		if n := counts[id]; math.Abs(float64(n)-0.3*rounds) > 151 {
			t.Errorf("point %d was drawn %d times of %d", id, n, rounds)
		}
	}
	if len(counts) != 10 {
		t.Errorf("%d points were drawn", len(counts))
	}
	if all := w.ids(SearchRequest{Query: Sample{}, Limit: 100, Offset: 7}); len(all) != 30 {
		t.Errorf("a sample of all has %d points", len(all))
	}
}

func TestThresholds(t *testing.T) {
	c := testCollection(t)
	var ops []Op
	for i := range 5 {
		ops = append(ops, upsert(point.Number(uint64(i)), Version{}, float32(i), 0, fmt.Sprintf(`{"n":%d}`, i)))
	}
	apply(t, c, Batch{Ops: ops})
	f, err := formula.Parse(json.RawMessage(`"n"`), nil)
	if err != nil {
		t.Fatal(err)
	}
	everything := SearchRequest{List: true, Limit: 10}
	for _, test := range []struct {
		name      string
		r         SearchRequest
		threshold float32
		want      int
	}{
		{"formula keeps its threshold", SearchRequest{Query: Formula{f}, Prefetch: []SearchRequest{everything}}, 3, 2},
		{"and what is above", SearchRequest{Query: Formula{f}, Prefetch: []SearchRequest{everything}}, 3.5, 1},
		{"fusion keeps its threshold", SearchRequest{Query: Fusion{}, Prefetch: []SearchRequest{everything}}, 0.5, 1},
		{"a third place", SearchRequest{Query: Fusion{}, Prefetch: []SearchRequest{everything}}, 0.25, 3},
		{"sum_scores drops its threshold", SearchRequest{Query: Recommend{Positive: []Example{{Vector: Dense{0, 0}}}, Strategy: SumScores}}, -9, 3},
		{"and keeps what is above", SearchRequest{Query: Recommend{Positive: []Example{{Vector: Dense{0, 0}}}, Strategy: SumScores}}, -9.5, 4},
		{"context", SearchRequest{Query: Context{}}, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.r.ScoreThreshold, test.r.Limit = &test.threshold, 10
			found, err := c.Search(context.Background(), test.r)
			if err != nil || len(found) != test.want {
				t.Errorf("found %+v, %v; want %d points", found, err, test.want)
			}
		})
	}
}

func TestLookupFromAnotherCollection(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	defer closeDB(t, db)
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	cfg := vectorConfig(2, Dot)
	cfg.Vectors = VectorsConfig{Named: map[string]VectorParams{"other": {Size: 2, Distance: Dot}, "long": {Size: 3, Distance: Dot}}}
	other := newCollection(t, db, "other", cfg)
	one := point.Number(1)
	apply(t, c, Batch{Ops: []Op{upsert(one, Version{}, 0, 0, ""), upsert(point.Number(2), Version{}, 5, 5, "")}})
	apply(t, other, Batch{Ops: []Op{{Kind: Upsert, Points: []Point{{ID: one, Vectors: Vectors{"other": Dense{5, 4}, "long": Dense{1, 2, 3}}}}}}})
	name, long, missing := "other", "long", "missing"
	lookup := &Lookup{Collection: other, Vector: &name}

	found, err := c.Search(context.Background(), SearchRequest{ID: one, LookupFrom: lookup, Limit: 5})
	if err != nil || len(found) != 2 || found[0].ID != point.Number(2) || found[0].Score != 1 {
		t.Errorf("near to point 1 of the other collection are %+v, %v", found, err)
	}
	found, err = c.Search(context.Background(), SearchRequest{
		Query: Recommend{Positive: []Example{{ID: one}}}, LookupFrom: &Lookup{Collection: c}, Limit: 5,
	})
	if err != nil || len(found) != 1 || found[0].ID != point.Number(2) {
		t.Errorf("a lookup in the collection itself finds %+v, %v", found, err)
	}
	for _, test := range []struct {
		id     point.ID
		lookup *Lookup
		kind   Kind
		want   string
	}{
		{point.Number(9), lookup, NotFound, "No point with id 9 found"},
		{one, &Lookup{Collection: other, Vector: &missing}, WrongInput, "Not existing vector name error: missing"},
		{one, &Lookup{Collection: other}, WrongInput, "Not existing vector name error: "},
		{one, &Lookup{Collection: other, Vector: &long}, WrongInput, "Vector dimension error: expected dim: 2, got 3"},
	} {
		_, err := c.Search(context.Background(), SearchRequest{ID: test.id, LookupFrom: test.lookup, Limit: 5})
		if KindOf(err) != test.kind || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

func TestQueriesThatContradictThemselves(t *testing.T) {
	c := testCollection(t)
	apply(t, c, Batch{Ops: []Op{
		upsert(point.Number(1), Version{}, 1, 0, `{"n":1}`),
		{Kind: Upsert, Points: []Point{{ID: point.Number(2)}}},
	}})
	threshold := float32(1)
	near := SearchRequest{Vector: Dense{0, 0}, Limit: 1}
	deep := near
	for range MaxPrefetchDepth + 1 {
		deep = SearchRequest{Query: Fusion{}, Limit: 1, Prefetch: []SearchRequest{deep}}
	}
	missing, err := formula.Parse(json.RawMessage(`"zzz"`), nil)
	if err != nil {
		t.Fatal(err)
	}
	without := Example{ID: point.Number(2)}
	for _, test := range []struct {
		r    SearchRequest
		kind Kind
		want string
	}{
		{SearchRequest{List: true, Prefetch: []SearchRequest{near}}, BadRequest, "A query is needed to merge the prefetches."},
		{SearchRequest{List: true, ScoreThreshold: &threshold}, BadRequest, "A query is needed to use the score_threshold."},
		{SearchRequest{Query: Fusion{}, Prefetch: []SearchRequest{{List: true, ScoreThreshold: &threshold}}}, BadRequest, "A query is needed to use the score_threshold."},
		{SearchRequest{Query: Fusion{}}, WrongInput, "Validation failed: cannot apply Fusion without prefetches"},
		{SearchRequest{Query: Formula{missing}}, WrongInput, "Validation failed: cannot apply Formula without prefetches"},
		{SearchRequest{Query: Formula{missing}, Prefetch: []SearchRequest{near}}, WrongInput, "Expected number value for zzz"},
		{SearchRequest{Query: Fusion{}, Using: "a", Prefetch: []SearchRequest{near}}, BadRequest, "Fusion queries cannot be combined with the 'using' field."},
		{SearchRequest{Query: Fusion{Weights: []float32{1, 2}}, Prefetch: []SearchRequest{near}}, WrongInput, "Validation failed: RRF weights length (2) does not match number of prefetches (1)"},
		{SearchRequest{Query: Recommend{Negative: []Example{{Vector: Dense{1, 1}}}}}, WrongInput, "Positive vectors should not be empty with `average` strategy"},
		{SearchRequest{Query: Recommend{Strategy: BestScore}}, BadRequest, "At least one"},
		{SearchRequest{Query: Recommend{Positive: []Example{{ID: point.Number(9)}}}}, NotFound, "No point with id 9 found"},
		{SearchRequest{Query: Recommend{Positive: []Example{{Vector: Dense{1}}}}}, WrongInput, "Vector dimension error: expected dim: 2, got 1"},
		{SearchRequest{Query: Recommend{Positive: []Example{{Vector: Dense{1, 1}}}}, Using: "zzz"}, WrongInput, "Not existing vector name error: zzz"},
		{SearchRequest{Query: Context{}, Using: "zzz"}, WrongInput, "Not existing vector name error: zzz"},
		{SearchRequest{Query: Feedback{Judged: []Judged{{Example: without}}, Target: Example{Vector: Dense{1, 1}}}}, NotFound, `Vector with name "" for point not found`},
		{SearchRequest{Query: Feedback{Judged: make([]Judged, MaxJudged+1)}}, BadRequest, "relevance feedback may have 1024 examples"},
		{SearchRequest{Query: Discover{Target: without}}, NotFound, `Vector with name "" for point not found`},
		{SearchRequest{Query: Context{Pairs: []Pair{{without, without}}}}, NotFound, `Vector with name "" for point not found`},
		{SearchRequest{Query: Recommend{Positive: []Example{without}, Strategy: SumScores}}, BadRequest, "At least one"},
		{SearchRequest{Query: MMR{Example: without}}, NotFound, `Vector with name "" for point not found`},
		{deep, BadRequest, "prefetches may be nested 64 deep"},
	} {
		test.r.Limit = 1
		_, err := c.Search(context.Background(), test.r)
		if KindOf(err) != test.kind || !strings.HasPrefix(fmt.Sprint(err), test.want) {
			t.Errorf("%+v: %v (%d), want %s", test.r, err, KindOf(err), test.want)
		}
	}
}

// TestRecommendWithoutVectors leaves examples out that have no vector.
func TestRecommendWithoutVectors(t *testing.T) {
	c := testCollection(t)
	apply(t, c, Batch{Ops: []Op{
		upsert(point.Number(1), Version{}, 1, 0, ""), upsert(point.Number(2), Version{}, 2, 0, ""),
		{Kind: Upsert, Points: []Point{{ID: point.Number(3)}}},
	}})
	found, err := c.Search(context.Background(), SearchRequest{Query: Recommend{Positive: []Example{{ID: point.Number(3)}, {ID: point.Number(1)}}}, Limit: 5})
	if err != nil || len(found) != 1 || found[0].ID != point.Number(2) {
		t.Errorf("found %+v, %v", found, err)
	}
}

func TestQueriesEndWithTheContext(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	w := newWorld(t, Dot, 50, rng)
	ctx, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel()
	near := SearchRequest{Vector: Dense{1, 1, 1}, Limit: 5}
	some := []Example{{Vector: Dense{1, 1, 1}}}
	one, err := formula.Parse(json.RawMessage("1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []Query{
		Recommend{Positive: some},
		Recommend{Positive: some, Strategy: BestScore},
		Discover{Target: some[0]},
		Feedback{Target: some[0], A: 1},
		MMR{Example: some[0]},
		Fusion{},
		Formula{one},
	} {
		r := SearchRequest{Query: q, Limit: 5}
		if _, err := w.c.Search(ctx, SearchRequest{Query: q, Prefetch: []SearchRequest{near}, Limit: 5}); KindOf(err) != Timeout {
			t.Errorf("%T over a prefetch: %v", q, err)
		}
		if q.check(&r) != nil {
			continue
		}
		if _, err := w.c.Search(ctx, r); KindOf(err) != Timeout {
			t.Errorf("%T: %v", q, err)
		}
	}
}

// TestTreesSeeOneMoment runs queries while every batch moves all points and says so in
// their payloads: whatever a query's parts see is of one batch.
func TestTreesSeeOneMoment(t *testing.T) {
	c := testCollection(t)
	const points = 20
	move := func(batch int) Batch {
		var ops []Op
		for i := range points {
			ops = append(ops, upsert(point.Number(uint64(i)), Version{}, float32(batch), float32(i), fmt.Sprintf(`{"batch":%d}`, batch)))
		}
		return Batch{Ops: ops}
	}
	apply(t, c, move(1))
	f, err := formula.Parse(json.RawMessage(`"batch"`), nil)
	if err != nil {
		t.Fatal(err)
	}
	filtered := mustFilter(t, `{"must":{"key":"batch","range":{"gte":1}}}`)
	some := []Example{{ID: point.Number(0)}}
	r := SearchRequest{Query: Formula{f}, Limit: 2 * points, Prefetch: []SearchRequest{
		{ID: point.Number(0), Limit: 10, Filter: filtered},
		{Query: Recommend{Positive: some, Strategy: BestScore}, Limit: 15},
		{Query: Sample{}, Limit: 10, Filter: filtered},
		{Query: Fusion{}, Limit: points, Prefetch: []SearchRequest{{List: true, Limit: points}, {Query: Discover{Target: some[0]}, Limit: 5}}},
	}}
	done := make(chan error)
	go func() {
		var err error
		for batch := 2; batch < 100 && err == nil; batch++ {
			_, err = c.Apply(context.Background(), move(batch))
		}
		done <- err
	}()
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
		}
		found, err := c.Search(context.Background(), r)
		if err != nil || len(found) != points-1 {
			t.Fatalf("found %d points, %v", len(found), err)
		}
		for _, p := range found {
			if p.Score != found[0].Score {
				t.Fatalf("points of the batches %v and %v were found together", p.Score, found[0].Score)
			}
		}
	}
}

// TestWalkByScore compares the walk that ranks many points with a scan of all, and of
// a third of them.
func TestWalkByScore(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	for _, distance := range []Distance{Dot, Euclid} {
		w := newWorld(t, distance, under(3000), rng)
		third, err := w.c.choose(mustFilter(t, `{"must":{"key":"group","match":{"value":1}}}`))
		if err != nil {
			t.Fatal(err)
		}
		v := third.v
		defer v.release()
		if err := third.resolve(context.Background()); err != nil {
			t.Fatal(err)
		}
		const k = 10
		found, total := 0, 0
		for range alone(40) {
			_, positive := w.examples(rng, 2)
			_, negative := w.examples(rng, 2)
			pairs := []Pair{{positive[0], negative[0]}, {positive[1], negative[1]}}
			for _, q := range []Query{
				Recommend{Positive: positive, Negative: negative, Strategy: BestScore},
				Recommend{Negative: negative, Strategy: BestScore},
				Recommend{Positive: positive, Negative: negative, Strategy: SumScores},
				Discover{Target: positive[0], Pairs: pairs[1:]},
				Context{Pairs: pairs},
				Feedback{Target: positive[0], Judged: []Judged{{positive[1], 2}, {negative[0], 1}}, A: 1, B: 1, C: 0.5},
			} {
				r := SearchRequest{Query: q, Limit: k}
				n := &node{tree: &tree{c: w.c, v: v, hidden: map[uint32]bool{}}, r: &r, query: q, wanted: k}
				m, err := measureOf(n, q)
				if err != nil {
					t.Fatal(err)
				}
				ranker, err := n.newRanker(m)
				if err != nil {
					t.Fatal(err)
				}
				among := []*selection{nil, third}[rng.IntN(2)]
				all, err := ranker.scan(context.Background(), among)
				if err != nil {
					t.Fatal(err)
				}
				walked, err := ranker.walk(context.Background(), among, m.near)
				if err != nil {
					t.Fatal(err)
				}
				best, got := n.best(all, above).hits, n.best(walked, above).hits
				worst := best[len(best)-1].Score
				total += len(best)
				for _, h := range got {
					if h.Score >= worst {
						found++
					}
				}
			}
		}
		if recall := float64(found) / float64(total); recall < 0.97 {
			t.Errorf("%s: the walk finds %.3f of the best", distance, recall)
		} else {
			t.Logf("%s: the walk finds %.4f of the best", distance, recall)
		}
	}
}

// measureOf is the measure by which a query ranks.
func measureOf(n *node, q Query) (measure, error) {
	switch q := q.(type) {
	case Recommend:
		positive, err1 := n.vectors(q.Positive)
		negative, err2 := n.vectors(q.Negative)
		if q.Strategy == SumScores {
			return sumScores(positive, negative), errors.Join(err1, err2)
		}
		return bestScore(positive, negative), errors.Join(err1, err2)
	case Discover:
		return q.measure(n)
	case Feedback:
		return q.measure(n)
	default:
		return q.(Context).measure(n)
	}
}
