package server

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"freshet/hnsw"
)

// recallLimit is how many of the nearest are compared, recallWindow how many probes the
// share is the mean of: at 0.95 it then is certain to about a hundredth.
const (
	recallLimit  = 10
	recallWindow = 64
)

// Recall is what probes found out about the searches by one name of vector.
type Recall struct {
	Probes uint64        // that were made
	Share  float64       // of the ten nearest that searches find, in the newest probes; 0 without any
	Took   time.Duration // of all probes, those that were given up with them
}

// recall is where the searches by one name of vector leave one of themselves, which the
// prober then makes again. That one is all that is kept of what is searched for, until it
// has been made, and it is only in memory. A stored point's vector in its place would flatter
// the graph, which links the point to what is near it.
//
// Without probes there is none, and a nil one keeps nothing.
type recall struct {
	waiting atomic.Pointer[SearchRequest] // nil: the next that comes by will wait

	mu     sync.Mutex
	shares [recallWindow]float64 // of the newest probes, by their numbers
	probes uint64
	took   time.Duration
}

// leave keeps a search that is done by the graph, if no other waits. Its filter is left
// out: whether a filter is served by the graph at all, the plan decides.
func (r *recall) leave(s *search) {
	if r == nil || r.waiting.Load() != nil {
		return
	}
	again := &SearchRequest{
		ID: s.r.ID, Using: s.r.Using, Codes: s.r.Codes,
		Limit: recallLimit, Ef: max(s.r.ef(), saturatingAdd(s.r.Limit, s.r.Offset)),
	}
	if dense, ok := s.r.Vector.(Dense); ok {
		again.Vector = slices.Clone(dense)
	}
	r.waiting.CompareAndSwap(nil, again)
}

// note takes a probe that found a share of the nearest into account.
func (r *recall) note(share float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shares[r.probes%recallWindow] = share
	r.probes++
}

// spent adds the time of a probe, whether it came to its end or not.
func (r *recall) spent(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.took += d
}

func (r *recall) info() Recall {
	r.mu.Lock()
	defer r.mu.Unlock()
	info := Recall{Probes: r.probes, Took: r.took}
	n := min(r.probes, recallWindow)
	for _, share := range r.shares[:n] {
		info.Share += share / float64(n)
	}
	return info
}

// shareOf returns the share of the nearest that were found. Of points that are as far away
// as the last of the nearest, any will do.
func shareOf(nearest, found []hnsw.Hit) float64 {
	last, n := nearest[len(nearest)-1].Score, 0
	for _, h := range found {
		isOne := func(x hnsw.Hit) bool { return x.Slot == h.Slot }
		if h.Score == last || slices.ContainsFunc(nearest, isOne) {
			n++
		}
	}
	return float64(n) / float64(len(nearest))
}
