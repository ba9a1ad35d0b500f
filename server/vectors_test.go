package server

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"freshet/server/payload"
	"freshet/server/point"
	"freshet/storage/crashfs"
)

// configOf reads a configuration as the API would.
func configOf(t testing.TB, text string) Config {
	t.Helper()
	var c Config
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

const (
	heldConfig   = `{"vectors":{"a":{"size":32,"distance":"Cosine"},"b":{"size":20,"distance":"Euclid"},"c":{"size":8,"distance":"Dot"}}}`
	onDiskConfig = `{"vectors":{"a":{"size":32,"distance":"Cosine","on_disk":true},"b":{"size":20,"distance":"Euclid","on_disk":true},
		"c":{"size":8,"distance":"Dot","on_disk":true}}}`
)

// randomVectors gives a point some of the vectors of those configurations.
func randomVectors(r *rand.Rand, all bool) Vectors {
	vectors := Vectors{}
	for name, dim := range map[string]int{"a": 32, "b": 20, "c": 8} {
		if !all && r.IntN(5) == 0 {
			continue
		}
		v := make(Dense, dim)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		vectors[name] = v
	}
	return vectors
}

var sameIDs = cmp.Comparer(func(a, b point.ID) bool { return a == b })

func cloneVectors(v Vectors) Vectors {
	c := Vectors{}
	for name, x := range v {
		c[name] = slices.Clone(x.(Dense))
	}
	return c
}

// TestVectorsOnDisk applies the same operations to a collection that holds its
// vectors and to one that does not, with restarts. What is read from the store
// must be the same, and searches as good.
func TestVectorsOnDisk(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	fs := vfs.NewMem()
	db := openDB(t, fs)
	held, onDisk := newCollection(t, db, "held", configOf(t, heldConfig)), newCollection(t, db, "disk", configOf(t, onDiskConfig))
	queries := make([]Vectors, 5)
	for i := range queries {
		queries[i] = randomVectors(r, true)
	}
	const ids = 700
	for step := range 18 {
		var one, other []Op
		for range under(100) {
			id := point.Number(r.Uint64N(ids))
			op := Op{Kind: Upsert, Points: []Point{{ID: id, Vectors: randomVectors(r, false), Payload: json.RawMessage(fmt.Sprintf(`{"n":%d}`, r.IntN(3)))}}}
			if r.IntN(6) == 0 {
				op = remove(Version{}, id)
			}
			one = append(one, op)
			if op.Points != nil {
				op.Points = []Point{op.Points[0]}
				op.Points[0].Vectors = cloneVectors(op.Points[0].Vectors)
			}
			other = append(other, op)
		}
		apply(t, held, Batch{Ops: one})
		apply(t, onDisk, Batch{Ops: other})
		if step%7 == 6 {
			closeDB(t, db)
			db = openDB(t, fs)
			var err error
			if held, err = db.Collection("held"); err != nil {
				t.Fatal(err)
			}
			if onDisk, err = db.Collection("disk"); err != nil {
				t.Fatal(err)
			}
		}
		if step%9 == 8 {
			compareCollections(t, held, onDisk, queries)
		}
	}
	for name, wanted := range map[string]bool{"a": true, "b": true, "c": false} {
		if m := onDisk.set().graphs[name].Memory(); (m.Vectors == 0) != wanted {
			t.Errorf("graph %s takes %+v", name, m)
		}
	}
	closeDB(t, db)
}

func compareCollections(t *testing.T, held, onDisk *Collection, queries []Vectors) {
	t.Helper()
	ctx := context.Background()
	all := ScrollRequest{Limit: 1 << 20, WithPayload: payload.All(), WithVector: VectorSelector{All: true}}
	a, err := held.Scroll(ctx, all)
	if err != nil {
		t.Fatal(err)
	}
	b, err := onDisk.Scroll(ctx, all)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(a, b, sameIDs); d != "" {
		t.Fatal(d)
	}
	byID := map[string]point.ID{}
	for _, record := range a.Records {
		for name := range record.Vectors {
			byID[name] = record.ID
		}
	}
	const k = 10
	found, wanted := 0, 0
	for _, q := range queries {
		for name, v := range q {
			same := func(r SearchRequest) []ScoredPoint {
				t.Helper()
				r.Using, r.Limit, r.WithVector = name, k, VectorSelector{Names: []string{name}}
				want, err := held.Search(ctx, r)
				if err != nil {
					t.Fatal(err)
				}
				got, err := onDisk.Search(ctx, r)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(want, got, sameIDs); d != "" {
					t.Fatalf("%+v: %s", r, d)
				}
				return want
			}
			exact := same(SearchRequest{Vector: v, Exact: true})
			same(SearchRequest{Vector: v, Filter: mustFilter(t, `{"must":{"key":"n","match":{"value":1}}}`)})
			same(SearchRequest{ID: byID[name], Exact: true})
			for _, codes := range []CodeParams{{}, {Ignore: true}, {Oversampling: 3}} {
				hits, err := onDisk.Search(ctx, SearchRequest{Vector: v, Using: name, Limit: k, Codes: codes})
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range hits {
					if slices.ContainsFunc(exact, func(e ScoredPoint) bool { return e.ID == h.ID && e.Score == h.Score }) {
						found++
					}
				}
				wanted += len(exact)
			}
		}
	}
	if recall := float64(found) / float64(wanted); recall < 0.97 {
		t.Errorf("recall %.3f", recall)
	}
}

// Readers beside writers read the vector that their view sees: the score, the
// payload and the vector of a point are of the same write.
func TestVectorsOnDiskBesideWrites(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	defer closeDB(t, db)
	c := newCollection(t, db, "c", configOf(t, `{"vectors":{"size":24,"distance":"Euclid","on_disk":true}}`))
	const points = 20
	write := func(rev int) {
		var ops []Op
		for i := range points {
			v := make(Dense, 24)
			v[0] = float32(rev)
			ops = append(ops, Op{Kind: Upsert, Points: []Point{{
				ID: point.Number(uint64(i)), Vectors: Vectors{"": v}, Payload: json.RawMessage(fmt.Sprintf(`{"rev":%d}`, rev)),
			}}})
		}
		apply(t, c, Batch{Ops: ops})
	}
	write(0)
	readBeside(2, func(n int) bool {
		hits, err := c.Search(context.Background(), SearchRequest{
			Vector: make(Dense, 24), Limit: 2 * points, Exact: n == 1,
			WithPayload: payload.All(), WithVector: VectorSelector{All: true},
		})
		if err != nil || len(hits) != points {
			t.Errorf("%d hits, %v", len(hits), err)
			return false
		}
		for _, h := range hits {
			if want := fmt.Sprintf(`{"rev":%v}`, h.Score); string(h.Payload) != want || h.Vectors[""].(Dense)[0] != h.Score {
				t.Errorf("point %v has payload %s and vector %v with the score of %s", h.ID, h.Payload, h.Vectors[""], want)
				return false
			}
		}
		return true
	}, func() {
		for rev := range 60 {
			write(rev + 1)
		}
	})
}

// A crash leaves a graph that fits the vectors in the store.
func TestVectorsOnDiskSurviveACrash(t *testing.T) {
	for trial := range under(4) {
		r := rand.New(rand.NewPCG(uint64(trial), 1))
		fs := crashfs.New()
		db := openDB(t, fs)
		c := newCollection(t, db, "c", configOf(t, onDiskConfig))
		for i := range 12 {
			var ops []Op
			for range 40 {
				ops = append(ops, Op{Kind: Upsert, Points: []Point{{ID: point.Number(r.Uint64N(300)), Vectors: randomVectors(r, true)}}})
			}
			apply(t, c, Batch{Ops: ops, Sync: i == 6})
		}
		crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: trial * 30, RNG: rand.New(rand.NewPCG(uint64(trial), 3))})
		closeDB(t, db)
		db = openDB(t, crashed)
		c, err := db.Collection("c")
		if err != nil {
			t.Fatal(err)
		}
		page, err := c.Scroll(context.Background(), ScrollRequest{Limit: 1000, WithVector: VectorSelector{All: true}})
		if err != nil || len(page.Records) < 100 {
			t.Fatalf("%d points, %v", len(page.Records), err)
		}
		for _, record := range page.Records[:100] {
			hits, err := c.Search(context.Background(), SearchRequest{Vector: record.Vectors["b"], Using: "b", Limit: 1})
			if err != nil || len(hits) != 1 || hits[0].ID != record.ID || hits[0].Score != 0 {
				t.Fatalf("%v is found as %v, %v", record.ID, hits, err)
			}
		}
		closeDB(t, db)
	}
}

// A change of where vectors are and of their codes takes effect when the
// collection is next loaded, and loses nothing.
func TestChangesOfCodesTakeEffectOnLoad(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	fs := vfs.NewMem()
	db := openDB(t, fs)
	c := newCollection(t, db, "c", configOf(t, `{"vectors":{"size":400,"distance":"Euclid"}}`))
	var ops []Op
	for i := range 100 {
		v := make(Dense, 400)
		for k := range v {
			v[k] = r.Float32()
		}
		ops = append(ops, Op{Kind: Upsert, Points: []Point{{ID: point.Number(uint64(i)), Vectors: Vectors{"": v}}}})
	}
	apply(t, c, Batch{Ops: ops})
	scroll := ScrollRequest{Limit: 1000, WithVector: VectorSelector{All: true}}
	before, err := c.Scroll(context.Background(), scroll)
	if err != nil {
		t.Fatal(err)
	}
	both := c.set().graphs[""].Memory()
	err = db.UpdateConfig(context.Background(), "c", func(cfg *Config) error {
		p := cfg.Vectors.Named[""]
		yes := true
		p.OnDisk, p.Quantization = &yes, &Quantization{Scalar: &ScalarQuantization{Type: "int8"}}
		cfg.Vectors.Named[""] = p
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for reopened := range 2 {
		after, err := c.Scroll(context.Background(), scroll)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(before, after, sameIDs); d != "" {
			t.Fatal(d)
		}
		m := c.set().graphs[""].Memory()
		if reopened == 0 && m != both || reopened == 1 && (m.Vectors != 0 || m.Codes >= both.Codes) {
			t.Fatalf("reopened %d times: %+v, at first %+v", reopened, m, both)
		}
		if reopened == 0 {
			closeDB(t, db)
			db = openDB(t, fs)
			if c, err = db.Collection("c"); err != nil {
				t.Fatal(err)
			}
		}
	}
	closeDB(t, db)
}

// TestSearchesByCodes checks what a request can say about codes.
func TestSearchesByCodes(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	defer closeDB(t, db)
	c := newCollection(t, db, "c", configOf(t, `{"vectors":{"size":64,"distance":"Euclid"},"quantization_config":{"scalar":{"type":"int8"}}}`))
	r := rand.New(rand.NewPCG(1, 1))
	vectors := make([]Dense, 2000)
	var ops []Op
	for i := range vectors {
		vectors[i] = make(Dense, 64)
		for k := range vectors[i] {
			vectors[i][k] = r.Float32()
		}
		ops = append(ops, Op{Kind: Upsert, Points: []Point{{ID: point.Number(uint64(i)), Vectors: Vectors{"": vectors[i]}}}})
	}
	apply(t, c, Batch{Ops: ops})
	q := make(Dense, 64)
	for _, x := range []struct {
		codes CodeParams
		exact bool // scores are those of the vectors
	}{
		{CodeParams{}, true},
		{CodeParams{Ignore: true}, true},
		{CodeParams{Ignore: true, NoRescore: true}, true},
		{CodeParams{Oversampling: 1e30}, true},
		{CodeParams{NoRescore: true}, false},
	} {
		hits, err := c.Search(context.Background(), SearchRequest{Vector: q, Limit: 20, Codes: x.codes})
		if err != nil || len(hits) != 20 {
			t.Fatalf("%+v: %d hits, %v", x.codes, len(hits), err)
		}
		far := 0.0
		for _, h := range hits {
			n, _ := h.ID.AsNumber()
			square := 0.0
			for _, y := range vectors[n] {
				square += float64(y) * float64(y)
			}
			far = max(far, math.Abs(float64(h.Score)-math.Sqrt(square)))
		}
		if (far < 1e-5) != x.exact || far > 0.05 {
			t.Errorf("%+v: scores are off by %g", x.codes, far)
		}
	}
}
