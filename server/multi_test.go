package server

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/server/point"
)

const multiDim = 5

func multiConfig(d Distance, datatype Datatype) string {
	return fmt.Sprintf(`{"vectors":{"m":{"size":%d,"distance":%q,"datatype":%q,"multivector_config":{"comparator":"max_sim"}},
		"d":{"size":4,"distance":"Dot"}}}`, multiDim, d, datatype)
}

func randomMulti(r *rand.Rand) Multi {
	v := make([]float32, multiDim*(1+r.IntN(6)))
	for i := range v {
		v[i] = float32(r.NormFloat64()*60 + 30)
	}
	return Multi{Values: v, Dim: multiDim}
}

// maxSim is the score of two multivectors in float64.
func maxSim(d Distance, query, stored Multi) float64 {
	sum := 0.0
	for i := range query.Len() {
		best := math.Inf(-1)
		for j := range stored.Len() {
			s := plainScore(d, query.Row(i), stored.Row(j))
			switch d {
			case Euclid:
				s = -s * s
			case Manhattan:
				s = -s
			case Cosine, Dot:
			}
			best = max(best, s)
		}
		sum += best
	}
	switch d {
	case Euclid:
		return math.Sqrt(-sum)
	case Manhattan:
		return -sum
	default:
		return sum
	}
}

// stored is what should be stored of a multivector.
func (m Multi) stored(datatype Datatype, d Distance) Multi {
	v := slices.Clone(m.Values)
	for row := range slices.Chunk(v, max(1, m.Dim)) {
		if datatype == Uint8 {
			copy(row, rounded(Uint8, false, row))
		} else if d == Cosine {
			norm := math.Sqrt(plainScore(Dot, row, row))
			for i := range row {
				row[i] = float32(float64(row[i]) / norm)
			}
		}
	}
	return Multi{Values: v, Dim: m.Dim}
}

type multiModel map[uint64]Point

func (m multiModel) step(r *rand.Rand, ids uint64) (ops []Op) {
	give := func(v Multi) Multi { return Multi{Values: slices.Clone(v.Values), Dim: v.Dim} }
	for range 30 {
		n := r.Uint64N(ids)
		id := point.Number(n)
		old, exists := m[n]
		switch kind := r.IntN(8); {
		case kind == 0:
			ops = append(ops, remove(Version{}, id))
			delete(m, n)
		case kind == 1 && exists:
			ops = append(ops, Op{Kind: DeleteVectors, Select: Select{IDs: []point.ID{id}}, Names: []string{"m"}})
			old.Vectors = mapsWithout(old.Vectors, "m")
			m[n] = old
		case kind == 2 && exists:
			v := randomMulti(r)
			ops = append(ops, Op{Kind: UpdateVectors, Points: []Point{{ID: id, Vectors: Vectors{"m": give(v)}}}})
			old.Vectors = mapsWithout(old.Vectors, "m")
			old.Vectors["m"] = v
			m[n] = old
		default:
			v := randomMulti(r)
			p := Point{ID: id, Vectors: Vectors{"m": v, "d": Dense{1, 2, 3, float32(n)}}, Payload: json.RawMessage(fmt.Sprintf(`{"n":%d}`, r.IntN(4)))}
			m[n] = p
			p.Vectors = Vectors{"m": give(v), "d": Dense{1, 2, 3, float32(n)}}
			ops = append(ops, Op{Kind: Upsert, Points: []Point{p}})
		}
	}
	return ops
}

type idScore struct {
	id    uint64
	score float64
}

// best is what a search should find of the points that pass.
func (m multiModel) best(d Distance, datatype Datatype, query Multi, pass func(uint64, Point) bool) (list []idScore) {
	query = query.stored(datatype, d)
	for id, p := range m {
		if v, ok := p.Vectors["m"].(Multi); ok && pass(id, p) {
			list = append(list, idScore{id, maxSim(d, query, v.stored(datatype, d))})
		}
	}
	slices.SortFunc(list, func(a, b idScore) int {
		if d == Euclid || d == Manhattan {
			return cmp.Compare(a.score, b.score)
		}
		return cmp.Compare(b.score, a.score)
	})
	return list
}

// same compares what was found with the best there is; near ties may change places.
func same(t *testing.T, what string, found []ScoredPoint, want []idScore, limit int) {
	t.Helper()
	scores := map[uint64]float64{}
	for _, w := range want {
		scores[w.id] = w.score
	}
	if len(found) != min(limit, len(want)) {
		t.Fatalf("%s: %d found of %d", what, len(found), len(want))
	}
	for i, h := range found {
		id, _ := h.ID.AsNumber()
		own, ok := scores[id]
		delete(scores, id)
		slack := 1e-4 * max(1, math.Abs(own))
		if !ok || math.Abs(float64(h.Score)-own) > slack || math.Abs(own-want[i].score) > slack {
			t.Fatalf("%s: hit %d is point %d with %v; its score is %v, that of the place %v", what, i, id, h.Score, own, want[i].score)
		}
	}
}

func (m multiModel) check(t *testing.T, r *rand.Rand, c *Collection, d Distance, datatype Datatype) {
	t.Helper()
	ctx := context.Background()
	page, err := c.Scroll(ctx, ScrollRequest{Limit: 1 << 20, WithVector: VectorSelector{All: true}})
	if err != nil || len(page.Records) != len(m) {
		t.Fatalf("%d points instead of %d, %v", len(page.Records), len(m), err)
	}
	vectors := 0
	for _, record := range page.Records {
		n, _ := record.ID.AsNumber()
		vectors += len(record.Vectors)
		got, has := record.Vectors["m"].(Multi)
		given, wanted := m[n].Vectors["m"].(Multi)
		if has != wanted {
			t.Fatalf("point %d has %v instead of %v", n, got, given)
		}
		for i, x := range given.stored(datatype, d).Values {
			if got.Dim != given.Dim || len(got.Values) != len(given.Values) || math.Abs(float64(got.Values[i]-x)) > 1e-5*math.Abs(float64(x)) {
				t.Fatalf("point %d has %v instead of %v", n, got, given)
			}
		}
	}
	if info, err := c.Info(); err != nil || info.IndexedVectors != vectors || (info.MultiBytes > 0) != (vectors > 0) {
		t.Fatalf("%+v, %v: there are %d vectors", info, err, vectors)
	}
	filters := map[string]func(uint64, Point) bool{
		"{}": func(uint64, Point) bool { return true },
		`{"must":{"key":"n","match":{"value":1}}}`: func(_ uint64, p Point) bool { return string(p.Payload) == `{"n":1}` },
		`{"must":{"has_id":[1,2,3,4,5,6,7]}}`:      func(id uint64, _ Point) bool { return id > 0 && id < 8 },
		`{"must":{"has_vector":"m"}}`:              func(uint64, Point) bool { return true },
	}
	for text, pass := range filters {
		query, limit := randomMulti(r), 1+r.IntN(20)
		want := m.best(d, datatype, query, pass)
		req := SearchRequest{Vector: query, Using: "m", Limit: limit, Filter: mustFilter(t, text)}
		found, err := c.Search(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		same(t, text, found, want, limit)
		if len(want) == 0 {
			continue
		}
		// A threshold just beyond a score keeps what is better.
		at := r.IntN(len(want))
		threshold := float32(want[at].score)
		req.ScoreThreshold, req.Limit = &threshold, 1<<20
		least, most := 0, 0 // not counting those as good as the threshold, and counting them
		for _, w := range want {
			better := w.score - want[at].score
			if d == Euclid || d == Manhattan {
				better = -better
			}
			slack := 1e-4 * max(1, math.Abs(w.score))
			if better > slack {
				least++
			}
			if better > -slack {
				most++
			}
		}
		if found, err = c.Search(ctx, req); err != nil || len(found) < least || len(found) > most {
			t.Fatalf("%s: the threshold %v leaves %d, not %d to %d, %v", text, threshold, len(found), least, most, err)
		}
		// By id it is the point's own rows, without itself.
		id := want[at].id
		own, _ := m[id].Vectors["m"].(Multi)
		byID, err := c.Search(ctx, SearchRequest{ID: point.Number(id), Using: "m", Limit: 3, Filter: req.Filter})
		if err != nil {
			t.Fatal(err)
		}
		same(t, text+" by id", byID, m.best(d, datatype, own, func(n uint64, p Point) bool { return n != id && pass(n, p) }), 3)
		// A dense vector is one row.
		row := Multi{Values: query.Row(0), Dim: multiDim}
		one, err := c.Search(ctx, SearchRequest{Vector: Dense(row.Values), Using: "m", Limit: limit, Filter: req.Filter})
		if err != nil {
			t.Fatal(err)
		}
		same(t, text+" one row", one, m.best(d, datatype, row, pass), limit)
	}
	// The common use: candidates by one vector, the order by the rows.
	query := randomMulti(r)
	candidates, err := c.Search(ctx, SearchRequest{Vector: Dense{0, 0, 0, 1}, Using: "d", Limit: 12, Exact: true})
	if err != nil {
		t.Fatal(err)
	}
	among := map[uint64]bool{}
	for _, h := range candidates {
		n, _ := h.ID.AsNumber()
		among[n] = true
	}
	found, err := c.Search(ctx, SearchRequest{
		Prefetch: []SearchRequest{{Vector: Dense{0, 0, 0, 1}, Using: "d", Limit: 12, Exact: true}}, Vector: query, Using: "m", Limit: 5,
	})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "scored anew", found, m.best(d, datatype, query, func(n uint64, _ Point) bool { return among[n] }), 5)
}

// TestMultivectors compares a collection with a model through writes, repairs and
// restarts.
func TestMultivectors(t *testing.T) {
	for _, d := range []Distance{Cosine, Dot, Euclid, Manhattan} {
		for _, datatype := range []Datatype{Float32, Uint8} {
			t.Run(fmt.Sprint(d, datatype), func(t *testing.T) {
				seed := rand.Uint64()
				t.Logf("seed %d", seed)
				r := rand.New(rand.NewPCG(seed, 1))
				fs := vfs.NewMem()
				db := openDB(t, fs)
				c := newCollection(t, db, "c", configOf(t, multiConfig(d, datatype)))
				m := multiModel{}
				for step := range under(40) {
					apply(t, c, Batch{Ops: m.step(r, 300)})
					if step == 5 {
						if err := db.CreateIndex(context.Background(), "c", "n", json.RawMessage(`"integer"`)); err != nil {
							t.Fatal(err)
						}
					}
					if step%8 == 7 {
						m.check(t, r, c, d, datatype)
					}
					if step%10 == 9 {
						closeDB(t, db)
						db = openDB(t, fs)
						var err error
						if c, err = db.Collection("c"); err != nil {
							t.Fatal(err)
						}
						m.check(t, r, c, d, datatype)
					}
				}
				if slots := c.slots.Len(); slots > 3*300 {
					t.Errorf("%d slots for 300 points: dead ones are not used again", slots)
				}
				closeDB(t, db)
			})
		}
	}
}

// TestMultiReadsBesideWrites has each batch set all points to the same value: a search
// must see one batch only.
func TestMultiReadsBesideWrites(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	defer closeDB(t, db)
	c := newCollection(t, db, "c", configOf(t, `{"vectors":{"size":2,"distance":"Dot","multivector_config":{"comparator":"max_sim"}}}`))
	const points = 50
	write := func(rev int) {
		var ops []Op
		for i := range uint64(points) {
			m := Multi{Values: []float32{float32(rev), 0, 0, 1}, Dim: 2}
			ops = append(ops, Op{Kind: Upsert, Points: []Point{{ID: point.Number(i), Vectors: Vectors{"": m}}}})
		}
		apply(t, c, Batch{Ops: ops})
	}
	write(1)
	readBeside(3, func(int) bool {
		hits, err := c.Search(context.Background(), SearchRequest{
			Vector: Multi{Values: []float32{1, 0, 0, 1}, Dim: 2}, Limit: 2 * points, WithVector: VectorSelector{All: true},
		})
		if err != nil || len(hits) != points {
			t.Errorf("%d hits, %v", len(hits), err)
			return false
		}
		for _, h := range hits {
			if rev := h.Vectors[""].(Multi).Values[0]; h.Score != hits[0].Score || h.Score != rev+1 {
				t.Errorf("point %v has the score %v, the first one %v, the vector %v", h.ID, h.Score, hits[0].Score, rev)
				return false
			}
		}
		return true
	}, func() {
		for rev := range 150 {
			write(rev + 2)
		}
	})
}

func TestMultiErrors(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	defer closeDB(t, db)
	c := newCollection(t, db, "c", configOf(t, multiConfig(Dot, Float32)))
	apply(t, c, Batch{Ops: []Op{{Kind: Upsert, Points: []Point{{ID: point.Number(1), Vectors: Vectors{"d": Dense{1, 2, 3, 4}}}}}}})
	for want, r := range map[string]SearchRequest{
		"Vector dimension error: expected dim: 5, got 4":         {Vector: Dense{1, 2, 3, 4}},
		"Vector dimension error: expected dim: 5, got 2":         {Vector: Multi{Values: []float32{1, 2}, Dim: 2}},
		"Conversion between sparse and regular vectors failed":   {Vector: Sparse{}},
		"Conversion between multi and regular vectors failed":    {},
		"Vector \"m\" has 0 numbers, which are not rows of 5":    {Vector: Multi{Dim: 5}},
		"Vector with name \"m\" for point not found":             {ID: point.Number(1)},
		"No point with id 9 found":                               {ID: point.Number(9)},
		"Vector \"m\" holds a value that is not a finite number": {Vector: Dense{1, 2, 3, 4, float32(nan())}},
	} {
		r.Using, r.Limit = "m", 1
		if _, err := c.Search(context.Background(), r); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	_, err := c.Apply(context.Background(), Batch{Ops: []Op{{Kind: Upsert, Points: []Point{{ID: point.Number(2), Vectors: Vectors{"m": Dense{1, 2, 3, 4, 5}}}}}}})
	if err == nil || err.Error() != "Conversion between multi and regular vectors failed" {
		t.Errorf("a dense vector is stored: %v", err)
	}
	for _, text := range []string{`{}`, `{"comparator":"sum"}`, `{"comparator":null}`, `7`} {
		var cfg Config
		if err := cfg.Vectors.UnmarshalJSON([]byte(`{"size":1,"distance":"Dot","multivector_config":` + text + `}`)); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}
