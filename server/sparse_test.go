package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	gocmp "github.com/google/go-cmp/cmp"

	"freshet/server/payload"
	"freshet/server/point"
)

const sparseConfig = `{"vectors":{"d":{"size":4,"distance":"Dot"}},"sparse_vectors":{"s":{},"idf":{"modifier":"idf","index":{"on_disk":true}}}}`

// sparseModel is the points a collection should have.
type sparseModel map[uint64]Point

func randomSparse(r *rand.Rand) Sparse {
	s := Sparse{Indices: []uint32{}, Values: []float32{}}
	for index := range uint32(30) {
		if r.IntN(2+int(index)/2) == 0 {
			s.Indices = append(s.Indices, index*index)
			s.Values = append(s.Values, float32(r.IntN(9)-1)/8)
		}
	}
	return s
}

// step returns random writes and makes them in the model.
func (m sparseModel) step(r *rand.Rand, ids uint64) []Op {
	var ops []Op
	for range 40 {
		n := r.Uint64N(ids)
		id := point.Number(n)
		old, exists := m[n]
		switch kind := r.IntN(8); {
		case kind == 0:
			ops = append(ops, remove(Version{}, id))
			delete(m, n)
		case kind == 1 && exists:
			ops = append(ops, Op{Kind: DeleteVectors, Select: Select{IDs: []point.ID{id}}, Names: []string{"s", "d"}})
			old.Vectors = mapsWithout(old.Vectors, "s", "d")
			m[n] = old
		case kind == 2 && exists:
			v := Vectors{"idf": randomSparse(r)}
			ops = append(ops, Op{Kind: UpdateVectors, Points: []Point{{ID: id, Vectors: v}}})
			old.Vectors = mapsWithout(old.Vectors)
			old.Vectors["idf"] = v["idf"]
			m[n] = old
		case kind == 3 && exists:
			ops = append(ops, Op{Kind: SetPayload, Select: Select{IDs: []point.ID{id}}, Payload: map[string]any{"n": json.Number("1")}})
			old.Payload = json.RawMessage(`{"n":1}`)
			m[n] = old
		default:
			p := Point{ID: id, Vectors: Vectors{"s": randomSparse(r)}, Payload: json.RawMessage(fmt.Sprintf(`{"n":%d}`, r.IntN(6)))}
			if r.IntN(2) == 0 {
				p.Vectors["idf"] = randomSparse(r)
			}
			if r.IntN(2) == 0 {
				p.Vectors["d"] = Dense{1, 2, 3, 4}
			}
			m[n] = p
			p.Vectors = mapsWithout(p.Vectors)
			ops = append(ops, Op{Kind: Upsert, Points: []Point{p}})
		}
	}
	return ops
}

func mapsWithout(v Vectors, names ...string) Vectors {
	c := Vectors{}
	for name, x := range v {
		if !slices.Contains(names, name) {
			c[name] = x
		}
	}
	return c
}

// best is what a search should find, as text.
func (m sparseModel) best(r SearchRequest, accept func(Point) bool) []string {
	q := r.Vector.(Sparse)
	values := slices.Clone(q.Values)
	if r.Using == "idf" {
		for i, index := range q.Indices {
			total, n := 0.0, 0.0
			for _, p := range m {
				if s, ok := p.Vectors["idf"].(Sparse); ok {
					total++
					if slices.Contains(s.Indices, index) {
						n++
					}
				}
			}
			values[i] *= float32(math.Log((total-n+.5)/(n+.5) + 1))
		}
	}
	type hit struct {
		id    uint64
		score float32
	}
	var hits []hit
	for id, p := range m {
		s, ok := p.Vectors[r.Using].(Sparse)
		if !ok || !accept(p) {
			continue
		}
		score, found := 0.0, false
		for i, index := range q.Indices {
			if k, ok := slices.BinarySearch(s.Indices, index); ok {
				score += float64(values[i]) * float64(s.Values[k])
				found = true
			}
		}
		if found && (r.ScoreThreshold == nil || float32(score) > *r.ScoreThreshold) {
			hits = append(hits, hit{id, float32(score)})
		}
	}
	slices.SortFunc(hits, func(a, b hit) int { return cmp.Or(-cmp.Compare(a.score, b.score), cmp.Compare(a.id, b.id)) })
	out := []string{}
	for i, h := range hits {
		if i >= r.Offset && len(out) < r.Limit {
			out = append(out, fmt.Sprint(h.id, "=", h.score))
		}
	}
	return out
}

func (m sparseModel) check(t *testing.T, r *rand.Rand, c *Collection) {
	t.Helper()
	ctx := context.Background()
	page, err := c.Scroll(ctx, ScrollRequest{Limit: 1 << 20, WithPayload: payload.All(), WithVector: VectorSelector{All: true}})
	if err != nil || len(page.Records) != len(m) {
		t.Fatalf("%d points instead of %d, %v", len(page.Records), len(m), err)
	}
	vectors := 0
	for _, record := range page.Records {
		n, _ := record.ID.AsNumber()
		if d := gocmp.Diff(m[n].Vectors, record.Vectors); d != "" || !bytes.Equal(m[n].Payload, record.Payload) {
			t.Fatalf("point %d: %s %s %s", n, d, m[n].Payload, record.Payload)
		}
		vectors += len(record.Vectors)
	}
	if info, err := c.Info(); err != nil || info.IndexedVectors != vectors {
		t.Fatalf("%+v, %v: there are %d vectors", info, err, vectors)
	}
	threshold := float32(r.IntN(6)) / 8
	filters := map[string]func(Point) bool{
		"": func(Point) bool { return true },
		`{"must":{"key":"n","match":{"value":1}}}`:     func(p Point) bool { return string(p.Payload) == `{"n":1}` },
		`{"must_not":{"key":"n","match":{"value":1}}}`: func(p Point) bool { return string(p.Payload) != `{"n":1}` },
		`{"must":{"has_id":[1,2,3,4,5,6,7]}}`:          func(p Point) bool { n, _ := p.ID.AsNumber(); return n > 0 && n < 8 },
		`{"must":{"has_vector":"idf"}}`:                func(p Point) bool { return p.Vectors["idf"] != nil },
	}
	for text, accept := range filters {
		for _, using := range []string{"s", "idf"} {
			q := SearchRequest{Vector: randomSparse(r), Using: using, Limit: 1 + r.IntN(20), Offset: r.IntN(4)}
			if r.IntN(2) == 0 {
				q.ScoreThreshold = &threshold
			}
			if text != "" {
				q.Filter = mustFilter(t, text)
			}
			found, err := c.Search(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			got := []string{}
			for _, h := range found {
				got = append(got, fmt.Sprint(h.ID, "=", h.Score))
			}
			if d := gocmp.Diff(m.best(q, accept), got); d != "" {
				t.Fatalf("%s %+v: %s", text, q, d)
			}
		}
	}
}

// TestSparseVectors compares a collection with a model through writes, repairs and
// restarts.
func TestSparseVectors(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for _, config := range []string{sparseConfig, `{"sparse_vectors":{"s":{},"idf":{"modifier":"idf"}}}`} {
		fs := vfs.NewMem()
		db := openDB(t, fs)
		c := newCollection(t, db, "c", configOf(t, config))
		m := sparseModel{}
		for step := range 60 {
			ops := m.step(r, 300)
			if config != sparseConfig {
				for i := range ops {
					ops[i].Names = slices.DeleteFunc(ops[i].Names, func(name string) bool { return name == "d" })
					for k := range ops[i].Points {
						delete(ops[i].Points[k].Vectors, "d")
					}
				}
				for n, p := range m {
					delete(p.Vectors, "d")
					m[n] = p
				}
			}
			apply(t, c, Batch{Ops: ops})
			if step == 10 {
				if err := db.CreateIndex(context.Background(), "c", "n", json.RawMessage(`"integer"`)); err != nil {
					t.Fatal(err)
				}
			}
			if step%5 == 4 {
				m.check(t, r, c)
			}
			if step%20 == 19 {
				closeDB(t, db)
				db = openDB(t, fs)
				var err error
				if c, err = db.Collection("c"); err != nil {
					t.Fatal(err)
				}
				m.check(t, r, c)
			}
		}
		if slots := c.slots.Len(); slots > 3*300 {
			t.Errorf("%d slots for 300 points: dead ones are not used again", slots)
		}
		closeDB(t, db)
	}
}

// TestSparseReadsBesideWrites has each batch set all points to the same value: a search
// must see one batch only.
func TestSparseReadsBesideWrites(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	defer closeDB(t, db)
	c := newCollection(t, db, "c", configOf(t, `{"sparse_vectors":{"s":{"modifier":"idf"}}}`))
	const points = 50
	write := func(rev int) {
		var ops []Op
		for i := range uint64(points) {
			s := Sparse{Indices: []uint32{1, 7 + uint32(rev%2)}, Values: []float32{float32(rev), 1}}
			ops = append(ops, Op{Kind: Upsert, Points: []Point{{ID: point.Number(i), Vectors: Vectors{"s": s}}}})
		}
		apply(t, c, Batch{Ops: ops})
	}
	write(1)
	readBeside(3, func(int) bool {
		hits, err := c.Search(context.Background(), SearchRequest{
			Vector: Sparse{Indices: []uint32{1}, Values: []float32{1}}, Using: "s", Limit: 2 * points, WithVector: VectorSelector{All: true},
		})
		if err != nil || len(hits) != points {
			t.Errorf("%d hits, %v", len(hits), err)
			return false
		}
		weight := float32(math.Log(.5/(points+.5) + 1)) // all have the index
		for _, h := range hits {
			v := h.Vectors["s"].(Sparse).Values[0]
			if h.Score != hits[0].Score || h.Score != weight*v {
				t.Errorf("point %v has the score %v, the first one %v, the vector %v", h.ID, h.Score, hits[0].Score, v)
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

func TestSparseErrors(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	defer closeDB(t, db)
	c := newCollection(t, db, "c", configOf(t, sparseConfig))
	apply(t, c, Batch{Ops: []Op{{Kind: Upsert, Points: []Point{{ID: point.Number(1), Vectors: Vectors{"d": Dense{1, 2, 3, 4}}}}}}})
	s := Sparse{Indices: []uint32{1}, Values: []float32{1}}
	for want, r := range map[string]SearchRequest{
		"Conversion between sparse and regular vectors failed":   {Vector: Dense{1, 2, 3, 4}, Using: "s"},
		"Conversion between sparse and regular vectors failed ":  {Vector: s, Using: "d"},
		"Conversion between multi and regular vectors failed":    {Vector: Multi{Values: []float32{1, 2}, Dim: 2}, Using: "d"},
		"Conversion between sparse and regular vectors failed  ": {Using: "s"},
		"The indices of vector \"s\" do not ascend":              {Vector: Sparse{[]uint32{2, 1}, []float32{1, 1}}, Using: "s"},
		"Vector \"s\" has 1 indices and 0 values":                {Vector: Sparse{[]uint32{2}, nil}, Using: "s"},
		"Vector \"s\" holds a value that is not a finite number": {Vector: Sparse{[]uint32{2}, []float32{float32(nan())}}, Using: "s"},
		"Vector with name \"s\" for point not found":             {ID: point.Number(1), Using: "s"},
		"No point with id 9 found":                               {ID: point.Number(9), Using: "s"},
		"Not existing vector name error: x":                      {Vector: s, Using: "x"},
	} {
		r.Limit = 1
		if _, err := c.Search(context.Background(), r); err == nil || err.Error() != string(bytes.TrimRight([]byte(want), " ")) {
			t.Errorf("%+v: %v", r, err)
		}
	}
	for _, text := range []string{`{"sparse_vectors":{"a":{}},"vectors":{"a":{"size":1,"distance":"Dot"}}}`} {
		if err := db.CreateCollection(context.Background(), "x", configOf(t, text)); err == nil {
			t.Errorf("%s passed", text)
		}
	}
}
