package sparse

import "container/heap"

// best is the K best hits so far, the worst of them first.
type best struct {
	q    *Query
	hits []Hit
}

// less says whether a is worse than b.
func (b *best) less(x, y Hit) bool {
	if x.Score < y.Score || x.Score > y.Score {
		return x.Score < y.Score
	}
	return x.Slot != y.Slot && b.q.Before(y.Slot, x.Slot)
}

// reaches says whether a document with at most the score could be among the best.
func (b *best) reaches(score float64) bool {
	s := toFloat32(score)
	return s > b.q.Above && (len(b.hits) < b.q.K || s >= b.hits[0].Score)
}

// wants says whether a hit would be among the best.
func (b *best) wants(h Hit) bool {
	return h.Score > b.q.Above && (len(b.hits) < b.q.K || b.less(b.hits[0], h))
}

// keep adds a hit that is wanted.
func (b *best) keep(h Hit) {
	if len(b.hits) < b.q.K {
		heap.Push(b, h)
		return
	}
	b.hits[0] = h
	heap.Fix(b, 0)
}

// Len implements heap.Interface, as the others do.
func (b *best) Len() int           { return len(b.hits) }
func (b *best) Less(i, j int) bool { return b.less(b.hits[i], b.hits[j]) }
func (b *best) Swap(i, j int)      { b.hits[i], b.hits[j] = b.hits[j], b.hits[i] }

// Push implements heap.Interface.
func (b *best) Push(x any) {
	if h, ok := x.(Hit); ok {
		b.hits = append(b.hits, h)
	}
}

// Pop implements heap.Interface.
func (b *best) Pop() any {
	last := b.hits[len(b.hits)-1]
	b.hits = b.hits[:len(b.hits)-1]
	return last
}
