package hnsw

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// shelf is a place where vectors are that a graph does not hold.
type shelf struct {
	vectors map[uint32][]float32
	reads   int
	fail    error
	onRead  func()
}

// scannedShelf can go through its vectors, which come in no order.
type scannedShelf struct{ *shelf }

func (s scannedShelf) ScanVectors(ctx context.Context, next func(slot uint32, ok bool) []float32) error {
	dst := next(0, false)
	for slot, v := range s.vectors {
		if err := errors.Join(ctx.Err(), s.fail); err != nil {
			return err
		}
		copy(dst, v)
		dst = next(slot, slot%5 != 4)
	}
	return nil
}

func (s *shelf) ReadVector(slot uint32, dst []float32) (bool, error) {
	s.reads++
	if s.onRead != nil {
		s.onRead()
	}
	if s.fail != nil {
		return false, s.fail
	}
	v, ok := s.vectors[slot]
	copy(dst, v)
	return ok, nil
}

// onShelf returns a world whose graph does not hold its vectors.
func onShelf(t *testing.T, cfg Config) (*world, *shelf) {
	t.Helper()
	s := &shelf{}
	cfg.Vectors = s
	w := newWorld(t, cfg)
	s.vectors = w.vectors
	return w, s
}

// some goes through every third slot below n.
func some(n uint32) func([]uint32) int {
	next := uint32(0)
	return func(block []uint32) int {
		i := 0
		for ; i < len(block) && next < n; next += 3 {
			block[i] = next
			i++
		}
		return i
	}
}

// TestVectorsElsewhereChangeNothing compares graphs that hold their vectors with
// graphs that do not, through all that is done to vectors: insert, learn anew,
// search, scan, score.
func TestVectorsElsewhereChangeNothing(t *testing.T) {
	const dim = 40
	n := alone(1500) // enough to learn anew after the first batch
	for _, metric := range []Metric{Cosine, Dot, Euclid} {
		for _, codes := range []Codes{AutoCodes, ByteCodes} {
			t.Run(fmt.Sprintf("%v/%d", metric, codes), func(t *testing.T) {
				held := newWorld(t, Config{Dim: dim, Metric: metric, Codes: codes})
				w, s := onShelf(t, Config{Dim: dim, Metric: metric, Codes: codes})
				vectors := clustered(7, n+20, dim)
				held.insert(vectors[:n], 20, 2)
				w.insert(vectors[:n], 20, 2)
				if m := w.g.Memory(); m.Vectors != 0 || m.Codes == 0 {
					t.Fatalf("the graph takes %+v", m)
				}
				if w.g.Vector(5) != nil {
					t.Fatal("the graph returns a vector")
				}
				for _, v := range vectors[n:] {
					for _, change := range []func(*Query){
						func(*Query) {},
						func(q *Query) { q.CodeScores = true },
						func(q *Query) { q.Rescore = 40 },
						func(q *Query) { q.Accept = func(slot uint32) bool { return slot%7 == 0 } },
					} {
						a, b := held.query(v, 10, 60), w.query(v, 10, 60)
						change(&a)
						change(&b)
						var work Work
						b.Vectors, b.Work = s, &work
						s.reads = 0
						want, got := held.search(a), w.search(b)
						if !slices.Equal(got, want) {
							t.Fatalf("found %v instead of %v", got, want)
						}
						if (s.reads == 0) != b.CodeScores || s.reads < b.Rescore || s.reads != work.Vectors {
							t.Fatalf("%d vectors were read, %d are counted", s.reads, work.Vectors)
						}
					}
					a, b := held.query(v, 10, 10), w.query(v, 10, 10)
					b.Vectors = s
					want, err := held.g.Exact(context.Background(), a, nil)
					if err != nil {
						t.Fatal(err)
					}
					got, err := w.g.Exact(context.Background(), b, nil)
					if err != nil || !slices.Equal(got, want) {
						t.Fatalf("the scan found %v (%v) instead of %v", got, err, want)
					}
					for name, among := range map[string]func(g *Graph, q Query) ([]Hit, error){
						"among": func(g *Graph, q Query) ([]Hit, error) { return g.Among(context.Background(), q, some(uint32(n)), nil) },
						"exact": func(g *Graph, q Query) ([]Hit, error) {
							return g.ExactAmong(context.Background(), q, some(uint32(n)), nil)
						},
					} {
						want, err := among(held.g, a)
						if err != nil {
							t.Fatal(err)
						}
						if got, err := among(w.g, b); err != nil || !slices.Equal(got, want) {
							t.Fatalf("%s found %v (%v) instead of %v", name, got, err, want)
						}
					}
				}
			})
		}
	}
}

// TestScannedVectorsElsewhere compares exact searches that go through the vectors
// with ones that read them by their slots.
func TestScannedVectorsElsewhere(t *testing.T) {
	const dim = 40
	w, s := onShelf(t, Config{Dim: dim, Metric: Cosine})
	w.insert(clustered(7, 500, dim), 50, 2)
	for _, v := range clustered(8, 20, dim) {
		q := w.query(v, 10, 10)
		q.Vectors = s
		q.Accept = func(slot uint32) bool { return slot%3 != 0 && slot%5 != 4 }
		want, err := w.g.Exact(context.Background(), q, nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Vectors = scannedShelf{s}
		q.Accept = func(slot uint32) bool { return slot%3 != 0 } // the shelf leaves out the others
		got, err := w.g.Exact(context.Background(), q, nil)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("found %v (%v) instead of %v", got, err, want)
		}
	}
	s.fail = errors.New("broken")
	q := w.query(make([]float32, dim), 10, 10)
	q.Vectors = scannedShelf{s}
	if _, err := w.g.Exact(context.Background(), q, nil); !errors.Is(err, s.fail) {
		t.Errorf("a failed scan gives %v", err)
	}
}

// TestReplacedVectorsElsewhere learns anew about vectors half of which have been
// replaced, and so are nowhere any more.
func TestReplacedVectorsElsewhere(t *testing.T) {
	const dim = 32
	w, s := onShelf(t, Config{Dim: dim, Metric: Euclid})
	for i, slot := range w.insert(clustered(3, alone(400), dim), 400, 1) {
		if i%2 == 0 {
			w.retire(slot)
		}
	}
	before := w.g.codes.Load()
	w.insert(clustered(4, alone(3200), dim), 100, 2)
	if w.g.codes.Load() == before {
		t.Fatal("nothing was learned anew")
	}
	total := 0.0
	queries := clustered(5, 50, dim)
	for _, v := range queries {
		q := w.query(v, 10, 100)
		q.Vectors = s
		total += w.recall(w.search(q), w.nearest(v, 10, nil))
	}
	if recall := total / float64(len(queries)); recall < 0.98 {
		t.Errorf("recall %.3f", recall)
	}
}

func TestReadErrorsEndASearch(t *testing.T) {
	const dim = 32
	w, s := onShelf(t, Config{Dim: dim, Metric: Dot})
	w.insert(clustered(3, alone(2000), dim), 40, 1)
	v := clustered(4, 1, dim)[0]
	plain := w.query(v, 10, 50)
	if _, err := w.g.Search(context.Background(), plain, nil); err == nil {
		t.Error("a query without a reader is served")
	}
	calls := map[string]func(ctx context.Context, q Query) error{
		"search": func(ctx context.Context, q Query) error { _, err := w.g.Search(ctx, q, nil); return err },
		"filtered": func(ctx context.Context, q Query) error {
			q.Accept = q.View.Visible
			_, err := w.g.Search(ctx, q, nil)
			return err
		},
		"exact": func(ctx context.Context, q Query) error { _, err := w.g.Exact(ctx, q, nil); return err },
		"among": func(ctx context.Context, q Query) error { _, err := w.g.Among(ctx, q, some(900), nil); return err },
		"exact among": func(ctx context.Context, q Query) error {
			_, err := w.g.ExactAmong(ctx, q, some(900), nil)
			return err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			q := plain
			broken := errors.New("broken")
			q.Vectors = &shelf{fail: broken}
			if err := call(context.Background(), q); !errors.Is(err, broken) {
				t.Errorf("a failed read gives %v", err)
			}
			q.Vectors = &shelf{}
			if err := call(context.Background(), q); err == nil {
				t.Error("a missing vector gives no error")
			}
			// The deadline passes while vectors are read.
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			late := &shelf{vectors: s.vectors}
			late.onRead = func() {
				if late.reads == 5 {
					cancel()
				}
			}
			q.Vectors = late
			if err := call(ctx, q); !errors.Is(err, context.Canceled) || late.reads != 5 {
				t.Errorf("a cancelled search gives %v after %d reads", err, late.reads)
			}
		})
	}
	// A failed read while the writer learns anew leaves the graph as it was.
	s.fail = errors.New("broken")
	slot, err := w.slots.Alloc()
	if err != nil {
		t.Fatal(err)
	}
	w.g.drift.learnedAt = 1
	if _, err := w.g.Stage(context.Background(), []Item{{slot, v}}, 1); !errors.Is(err, s.fail) || w.g.Has(slot) {
		t.Fatalf("staged with %v", err)
	}
	s.fail = nil
	plain.Vectors = s
	if hits := w.search(plain); len(hits) != 10 {
		t.Errorf("%d hits", len(hits))
	}
}

// TestWithoutCodesVectorsAreHeld covers what has no codes to be walked on.
func TestWithoutCodesVectorsAreHeld(t *testing.T) {
	for _, cfg := range []Config{
		{Dim: codedFrom - 1, Metric: Dot}, {Dim: 64, Metric: Manhattan}, {Dim: 64, Metric: Dot, Codes: NoCodes},
	} {
		w, _ := onShelf(t, cfg)
		vectors := clustered(1, 100, cfg.Dim)
		w.insert(vectors, 10, 1)
		if m := w.g.Memory(); m.Vectors == 0 || m.Codes != 0 || w.g.Config().Vectors != nil {
			t.Errorf("%+v: the graph takes %+v", cfg, m)
		}
		if hits := w.search(w.query(vectors[3], 3, 20)); len(hits) != 3 {
			t.Errorf("%+v: %d hits", cfg, len(hits))
		}
	}
}

// TestUseOfCodes checks what a query can say about codes.
func TestUseOfCodes(t *testing.T) {
	const dim, k = 256, 10
	vectors := clustered(7, alone(2000), dim)
	plain := newWorld(t, Config{Dim: dim, Metric: Euclid, Codes: NoCodes})
	w := newWorld(t, Config{Dim: dim, Metric: Euclid})
	held, s := onShelf(t, Config{Dim: dim, Metric: Euclid})
	for _, w := range []*world{plain, w, held} {
		w.insert(vectors, 100, 2)
	}
	recall := map[string]float64{}
	queries := clustered(8, alone(400), dim)
	for _, v := range queries {
		truth := w.nearest(v, k, nil)
		q := w.query(v, k, 100)
		for name, change := range map[string]func(*Query){
			"default":      func(*Query) {},
			"ignore":       func(q *Query) { q.IgnoreCodes, q.CodeScores = true, true },
			"code scores":  func(q *Query) { q.CodeScores = true },
			"oversampling": func(q *Query) { q.Rescore = 300 },
		} {
			q := q
			change(&q)
			hits := w.search(q)
			recall[name] += w.recall(hits, truth) / float64(len(queries))
			far := 0.0
			for _, h := range hits {
				far = max(far, abs(float64(h.Score)-score(Euclid, v, vectors[h.Slot])))
			}
			// Scores are the vectors' unless asked otherwise.
			if exact := far < 1e-4; exact == (name == "code scores") {
				t.Fatalf("%s: a score is off by %g", name, far)
			}
		}
		onDisk := held.query(v, k, 100)
		onDisk.Vectors, onDisk.IgnoreCodes = s, true
		s.reads = 0
		recall["ignore on disk"] += held.recall(held.search(onDisk), truth) / float64(len(queries))
		if s.reads < 100 {
			t.Fatalf("only %d candidates were scored on their vectors", s.reads)
		}
		recall["none"] += plain.recall(plain.search(plain.query(v, k, 100)), truth) / float64(len(queries))
	}
	t.Log(recall)
	for name, least := range map[string]float64{
		"default": recall["none"] - 0.002, "ignore": recall["none"] - 0.01, "ignore on disk": recall["none"] - 0.01,
		"code scores": 0.7, "oversampling": recall["default"] - 0.001, "none": 0.9,
	} {
		if recall[name] < least {
			t.Errorf("recall with %s: %.3f, %.3f expected", name, recall[name], least)
		}
	}
	if recall["code scores"] > recall["default"] {
		t.Errorf("scores by codes are not used")
	}
}

func abs(x float64) float64 { return max(x, -x) }
