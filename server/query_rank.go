package server

import (
	"container/heap"
	"context"
	"math"
	"slices"

	"freshet/hnsw"
)

// How points are ranked by a score that is made of several similarities, for which
// there is no graph. Up to scanAll points are all looked at. Of more, candidates come
// from searches for what the score likes to be near; from these the graph is walked
// from neighbour to neighbour as long as the score itself gets better.
const (
	scanAll   = 20_000
	rankBlock = 256 // slots scored together
)

// measure is a score made of the similarities to vectors. Larger is better.
type measure struct {
	to    []Vector
	near  []Vector // where good points are likely to be
	score func(similarities []float32) float64
}

// rank returns the points that are best by a measure.
func (n *node) rank(ctx context.Context, m measure) (ranking, error) {
	r, err := n.newRanker(m)
	if err != nil {
		return ranking{}, err
	}
	sel, err := n.selection(ctx)
	if err != nil {
		return ranking{}, err
	}
	among := n.v.points
	if sel != nil {
		if err := sel.resolve(ctx); err != nil {
			return ranking{}, err
		}
		among = int(sel.sure.GetCardinality())
	}
	if among > scanAll && len(n.prefetch) == 0 && !n.r.Exact && n.v.set.graphs[n.r.Using] != nil {
		hits, err := r.walk(ctx, sel, m.near)
		// A walk can come to an end where the graph has no further points.
		if err != nil || len(hits) >= min(r.keep, among) {
			return n.best(hits, above), err
		}
	}
	hits, err := r.scan(ctx, sel)
	return n.best(hits, above), err
}

// ranker scores slots.
type ranker struct {
	n       *node
	to      []similarity
	score   func([]float32) float64
	columns [][]float32 // similarities of a block by vector
	row     []float32   // of a slot
	keep    int         // hits wanted
}

func (n *node) newRanker(m measure) (*ranker, error) {
	if !n.v.set.hasName(n.r.Using) {
		return nil, noVector(n.r.Using)
	}
	r := &ranker{n: n, score: m.score, row: make([]float32, len(m.to)), keep: saturatingAdd(n.wanted, len(n.hidden))}
	for _, v := range m.to {
		s, err := n.c.similarityTo(n.v, n.r.Using, v)
		if err != nil {
			return nil, err
		}
		r.to = append(r.to, s)
		r.columns = append(r.columns, make([]float32, rankBlock))
	}
	return r, nil
}

// hits appends the scores of a block of slots to dst.
func (r *ranker) hits(ctx context.Context, dst []hnsw.Hit, slots []uint32) ([]hnsw.Hit, error) {
	if err := ctx.Err(); err != nil {
		return dst, err
	}
	for i := range r.to {
		if err := r.to[i].of(ctx, slots, r.columns[i]); err != nil {
			return dst, err
		}
	}
	for j, slot := range slots {
		for i := range r.columns {
			r.row[i] = r.columns[i][j]
		}
		score := min(max(r.score(r.row), -math.MaxFloat32), math.MaxFloat32)
		dst = append(dst, hnsw.Hit{Slot: slot, Score: float32(score)})
	}
	return dst, nil
}

// scan returns at least the best of all slots of a selection; nil is all that the view
// shows.
func (r *ranker) scan(ctx context.Context, sel *selection) ([]hnsw.Hit, error) {
	next := r.n.allSlots()
	if sel != nil {
		next = sel.sure.ManyIterator().NextMany
	}
	var best []hnsw.Hit
	block := make([]uint32, rankBlock)
	for {
		count := next(block)
		if count == 0 {
			return best, nil
		}
		slots := slices.DeleteFunc(block[:count], func(slot uint32) bool { return !r.n.has(slot) })
		var err error
		if best, err = r.hits(ctx, best, slots); err != nil {
			return nil, err
		}
		if len(best) > 4*rankBlock && len(best)/2 > r.keep {
			slices.SortFunc(best, r.n.c.compareHits)
			best = best[:r.keep]
		}
	}
}

// has says whether a slot has the vector that is compared.
func (n *node) has(slot uint32) bool { return n.v.set.hasVector(n.r.Using, slot) }

// allSlots returns a function that fills a buffer with further slots the view shows,
// and returns 0 at the end.
func (n *node) allSlots() func([]uint32) int {
	slot, total := uint32(0), uint32(n.c.slots.Len())
	return func(block []uint32) int {
		count := 0
		for ; slot < total && count < len(block); slot++ {
			if n.v.slots.Visible(slot) {
				block[count] = slot
				count++
			}
		}
		return count
	}
}

// walk returns the best points of a selection that it comes by; nil is all points.
func (r *ranker) walk(ctx context.Context, sel *selection, near []Vector) ([]hnsw.Hit, error) {
	n := r.n
	ef := max(n.r.ef(), r.keep)
	starts, err := r.starts(ctx, near, ef)
	if err != nil {
		return nil, err
	}
	graph := n.v.set.graphs[n.r.Using]
	seen := make(map[uint32]struct{}, min(8*ef, n.v.points))
	fresh := starts[:0]
	for _, slot := range starts {
		if _, ok := seen[slot]; !ok {
			seen[slot] = struct{}{}
			fresh = append(fresh, slot)
		}
	}
	var (
		scored    []hnsw.Hit
		open      = &hitHeap{better: func(a, b hnsw.Hit) bool { return a.Score > b.Score }}
		found     = &hitHeap{better: func(a, b hnsw.Hit) bool { return a.Score < b.Score }} // the worst first
		neighbour []uint32
	)
	for {
		for len(fresh) > 0 {
			block := fresh[:min(len(fresh), rankBlock)]
			fresh = fresh[len(block):]
			if scored, err = r.hits(ctx, scored[:0], block); err != nil {
				return nil, err
			}
			for _, h := range scored {
				if found.Len() == ef && h.Score <= found.hits[0].Score {
					continue
				}
				heap.Push(open, h)
				if sel != nil && !sel.sure.Contains(h.Slot) {
					continue
				}
				heap.Push(found, h)
				if found.Len() > ef {
					heap.Pop(found)
				}
			}
		}
		if open.Len() == 0 {
			return found.hits, nil
		}
		h := heap.Pop(open).(hnsw.Hit)
		if found.Len() == ef && h.Score <= found.hits[0].Score {
			return found.hits, nil
		}
		neighbour = graph.AppendNeighbours(neighbour[:0], h.Slot)
		fresh = fresh[:0]
		for _, slot := range neighbour {
			if _, ok := seen[slot]; ok {
				continue
			}
			seen[slot] = struct{}{}
			if n.v.slots.Visible(slot) && graph.Has(slot) {
				fresh = append(fresh, slot)
			}
		}
	}
}

// starts returns the slots that searches for vectors find, each as many as a walk
// keeps. A filter does not matter to where the walk begins.
func (r *ranker) starts(ctx context.Context, near []Vector, ef int) ([]uint32, error) {
	n := r.n
	lists := make([][]hnsw.Hit, len(near))
	err := n.c.cores.each(len(near), func(i int) error {
		request := SearchRequest{Vector: near[i], Using: n.r.Using, Limit: ef, Ef: ef, Codes: n.r.Codes}
		s := search{c: n.c, v: n.v, r: &request, self: noSlot}
		var err error
		lists[i], err = s.run(ctx)
		return err
	})
	var slots []uint32
	for _, list := range lists {
		for _, h := range list {
			slots = append(slots, h.Slot)
		}
	}
	return slots, err
}

// hitHeap is a heap of hits with the best on top.
type hitHeap struct {
	hits   []hnsw.Hit
	better func(a, b hnsw.Hit) bool
}

func (h *hitHeap) Len() int           { return len(h.hits) }
func (h *hitHeap) Less(i, j int) bool { return h.better(h.hits[i], h.hits[j]) }
func (h *hitHeap) Swap(i, j int)      { h.hits[i], h.hits[j] = h.hits[j], h.hits[i] }
func (h *hitHeap) Push(x any)         { h.hits = append(h.hits, x.(hnsw.Hit)) }

// Pop implements heap.Interface.
func (h *hitHeap) Pop() any {
	last := len(h.hits) - 1
	x := h.hits[last]
	h.hits = h.hits[:last]
	return x
}
