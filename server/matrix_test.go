package server

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"freshet/server/filter"
)

func TestMatrixModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	drawn := map[uint64]bool{}
	for _, distance := range []Distance{Cosine, Dot, Euclid, Manhattan} {
		w := newWorld(t, distance, 120, rng)
		ascending := w.metric.Ascending()
		for range 30 {
			r := MatrixRequest{Sample: 2 + rng.IntN(60), Limit: 1 + rng.IntN(20)}
			if rng.IntN(4) == 0 {
				r.Sample, r.Limit = 1<<62, 1<<62
			}
			allowed := func(id uint64) bool { return w.vectors[id] != nil }
			if rng.IntN(2) == 0 {
				r.Filter = mustFilter(t, `{"must":{"key":"group","match":{"value":1}}}`)
				allowed = func(id uint64) bool { return w.vectors[id] != nil && id%3 == 1 }
			}
			total := 0
			for id := range w.vectors {
				if allowed(id) {
					total++
				}
			}
			m, err := w.c.SearchMatrix(context.Background(), r)
			if err != nil {
				t.Fatal(err)
			}
			if len(m.IDs) != min(r.Sample, total) || len(m.Rows) != len(m.IDs) {
				t.Fatalf("%+v: %d points and %d rows of %d", r, len(m.IDs), len(m.Rows), total)
			}
			ids := make([]uint64, len(m.IDs))
			for i, id := range m.IDs {
				ids[i], _ = id.AsNumber()
				drawn[ids[i]] = true
				if !allowed(ids[i]) || i > 0 && ids[i-1] >= ids[i] {
					t.Fatalf("%+v draws %v", r, ids)
				}
			}
			for row, neighbours := range m.Rows {
				scores := make([]float64, len(ids))
				for i, id := range ids {
					scores[i] = w.score(w.similarity(w.vectors[ids[row]], w.vectors[id]))
				}
				best := slices.Delete(slices.Clone(scores), row, row+1)
				slices.SortFunc(best, func(a, b float64) int {
					if ascending {
						return cmp.Compare(a, b)
					}
					return cmp.Compare(b, a)
				})
				if len(neighbours) != min(r.Limit, len(best)) {
					t.Fatalf("%+v: row %d of %d has %d neighbours", r, row, len(ids), len(neighbours))
				}
				seen := map[int]bool{row: true}
				for i, n := range neighbours {
					if seen[n.Place] || !near(scores[n.Place], float64(n.Score)) || !near(best[i], float64(n.Score)) {
						t.Fatalf("%s %+v: row %d has %v at %d, which scores %v; best is %v", distance, r, row, n, i, scores[n.Place], best[i])
					}
					seen[n.Place] = true
				}
			}
		}
	}
	if len(drawn) < 90 {
		t.Errorf("only %d points were ever drawn", len(drawn))
	}
}

func TestMatrixLimits(t *testing.T) {
	w := newWorld(t, Dot, 1300, rand.New(rand.NewPCG(9, 9)))
	ctx := context.Background()
	one := mustFilter(t, `{"must":{"has_id":[1]}}`)
	for _, f := range []*filter.Filter{one, mustFilter(t, `{"must":{"has_id":[]}}`)} {
		m, err := w.c.SearchMatrix(ctx, MatrixRequest{Filter: f, Sample: 10, Limit: 3})
		if err != nil || len(m.IDs)+len(m.Rows) > 0 {
			t.Errorf("a matrix of one point is %v (%v)", m, err)
		}
	}
	if _, err := w.c.SearchMatrix(ctx, MatrixRequest{Using: "foo", Sample: 10, Limit: 3}); KindOf(err) != WrongInput || err.Error() != "Not existing vector name error: foo" {
		t.Error(err)
	}
	_, err := w.c.SearchMatrix(ctx, MatrixRequest{Sample: 1300, Limit: 1 << 40})
	if KindOf(err) != BadRequest || !strings.HasSuffix(err.Error(), "at most 1048576 may be asked for") {
		t.Error(err)
	}
	late, cancel := context.WithTimeout(ctx, 0)
	defer cancel()
	if _, err := w.c.SearchMatrix(late, MatrixRequest{Sample: 100, Limit: 3}); KindOf(err) != Timeout {
		t.Error(err)
	}
}
