package hnsw

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"freshet/hnsw/kernels"
)

// Hit is a slot found and its score in the metric's own terms: the dot product
// for Cosine and Dot, the distance for Euclid and Manhattan.
type Hit struct {
	Slot  uint32
	Score float32
}

// Query asks for the K slots nearest to Vector that View shows and Accept, if
// there is one, accepts: it must accept none that View does not show. Ef is how
// many candidates the search keeps, at least K.
//
// With an Accept, Accepted is how many slots it accepts, 0 for not known: where
// the query is apart from them the search keeps more candidates. It gives up after
// Budget distances, if that is not 0. What Search does is added to Work, if there is
// one.
//
// How codes are used is up to the graph, unless a query says more.
type Query struct {
	Vector []float32
	K, Ef  int
	View   View
	Accept func(slot uint32) bool
	Work   *Work

	Accepted int
	Budget   int

	Vectors     VectorReader // as of View; for graphs that hold no vectors
	IgnoreCodes bool         // walk on vectors; where none are held, score all candidates on them
	CodeScores  bool         // return scores by codes
	Rescore     int          // candidates that are scored on their vectors at least
}

// beam is how many candidates are expanded together: their neighbours go to the
// kernel in one call, while those of as many more come from memory. More would
// cost distances that a strict order saves, and half as many are best where the
// rows are so long that those on their way push out of the cache what is measured
// now (on Zen 3: at 1,536 dimensions a third less time with two, at 384 a tenth
// more).
const (
	beam      = 4
	beamBytes = 512 // of a row, up to which it is that
)

// beamOf returns the beam for rows of an arena.
func beamOf(rows *arena) int {
	if rows.stride > beamBytes {
		return beam / 2
	}
	return beam
}

// accepts says whether a slot counts. A View reads marks, memory that a walk touches for
// nothing else: with them a walk took a third longer.
func (q *Query) accepts(slot uint32) bool {
	if q.Accept != nil {
		return q.Accept(slot)
	}
	return q.View.Visible(slot)
}

// contextEvery is the number of expansions between two looks at the context.
const contextEvery = 64

func (g *Graph) check(q *Query) error {
	if len(q.Vector) != g.cfg.Dim {
		return fmt.Errorf("hnsw: a query of %d dimensions on a graph of %d", len(q.Vector), g.cfg.Dim)
	}
	if g.vectors == nil && q.Vectors == nil {
		return errors.New("hnsw: a query without a reader of vectors on a graph that holds none")
	}
	q.Ef = min(max(q.Ef, q.K, q.Rescore), MaxEf)
	q.K = min(q.K, q.Ef)
	return nil
}

// Search appends the best hits to dst, best first, ties by slot. They are fewer than K
// where there are no more, or where no way leads to the others: many copies of one vector
// can do that, and a view of slots that were replaced since. The error is the context's,
// ErrGaveUp, or about the query's dimension.
func (g *Graph) Search(ctx context.Context, q Query, dst []Hit) ([]Hit, error) {
	if err := g.check(&q); err != nil || q.K <= 0 {
		return dst, err
	}
	for {
		slots := g.slots.Len()
		found, err := g.search(ctx, &q, dst)
		if err != nil || g.slots.Len()-slots <= slots/overtaken {
			return found, err
		}
		dst = found[:len(dst)]
	}
}

// overtaken is the share, one in so many, by which the slots may become more during a
// search before it is made again. It does not go through those that came after it, and
// after it was held up for long there may be no other ways left to what its view shows.
const overtaken = 8

// search is Search at one go.
func (g *Graph) search(ctx context.Context, q *Query, dst []Hit) ([]Hit, error) {
	entry, top, ok := g.start()
	if !ok {
		return dst, nil
	}
	s := g.acquire(q.Vector)
	defer s.release()
	defer s.report(q.Work)
	if q.IgnoreCodes {
		s.ignoreCodes(q)
	}
	s.reset()
	near := s.descend(entry, top, 0)
	if ef, ok := s.widened(q); ok {
		first := 0
		if s.codes != nil && !q.CodeScores && s.g.vectors != nil {
			first = rescoreStep
		}
		if err := s.walk(ctx, near, 0, ef, first); err != nil {
			return dst, err
		}
		best, err := s.rescore(ctx, s.pool, q)
		if err != nil {
			return dst, err
		}
		found := s.appendVisible(dst, best, q)
		// Nodes that are linked but not published yet may have taken places.
		if len(found)-len(dst) >= min(q.K, len(s.pool)) {
			return found, nil
		}
		s.reset()
	}
	if err := s.walkAccepting(ctx, near, q); err != nil {
		return dst, err
	}
	best, err := s.rescore(ctx, s.found, q)
	if err != nil {
		return dst, err
	}
	return s.appendVisible(dst, best, q), nil
}

// rescoreStep is how many candidates are scored on their vectors at a time.
const rescoreStep = 16

// rescoreErrors is how many standard errors of the codes a candidate may be too
// far away and still be scored on its vector. With the largest error seen in its
// place, which one in seventeen exceeds, clustered vectors lost up to a point of
// recall; on real embeddings neither loses any, and one vector more is scored.
const rescoreErrors = 3

// rescore orders the best visible candidates of a walk on codes, sorted, by the
// distances of their vectors. It goes on until the rest, by their codes and the
// errors that have shown up, are farther than the K-th best.
func (s *searcher) rescore(ctx context.Context, candidates []uint64, q *Query) ([]uint64, error) {
	if s.codes == nil || q.CodeScores {
		return candidates, nil
	}
	s.exact = s.exact[:0]
	var squares float64 // of the errors
	scored := 0
	for next := 0; next < len(candidates); {
		if n := len(s.exact); n == q.K && scored >= q.Rescore && key(candidates[next]).distance()-rescoreErrors*float32(math.Sqrt(squares/float64(scored))) > key(s.exact[n-1]).distance() {
			break
		}
		s.fresh, s.approximate = s.fresh[:0], s.approximate[:0]
		limit := max(rescoreStep, q.K+q.K/2-next)
		for _, k := range candidates[next:min(next+limit, len(candidates))] {
			q.View.request(key(k).slot())
		}
		for ; next < len(candidates) && len(s.fresh) < limit; next++ {
			if slot := key(candidates[next]).slot(); q.View.Visible(slot) {
				s.fresh = append(s.fresh, slot)
				s.approximate = append(s.approximate, key(candidates[next]).distance())
			}
		}
		distances, err := s.measureVectors(ctx, q)
		if err != nil {
			return nil, err
		}
		for i, d := range distances {
			e := float64(s.approximate[i] - d)
			squares += e * e
		}
		s.exact = s.offer(s.exact, distances, q.K)
		scored += len(s.fresh)
	}
	return s.exact, nil
}

// halfMore says how many more candidates a walk on codes of 4 bits keeps, one in
// so many: some that a walk on vectors would keep do not come up to the others by
// such codes.
const halfMore = 6

// widened returns the ef of a plain walk that is expected to come by q.Ef
// living nodes. It says no where no more live than are dead, or a filter decides.
func (s *searcher) widened(q *Query) (ef int, ok bool) {
	dead, total := s.g.slots.Dead(), s.g.slots.linked()
	if q.Accept != nil || 2*dead >= total {
		return 0, false
	}
	ef = q.Ef + q.Ef*dead/(total-dead)
	if s.codes != nil && s.layer == s.codes.halves {
		ef += ef / halfMore
	}
	return ef, true
}

// appendVisible turns the first K visible keys into hits.
func (s *searcher) appendVisible(dst []Hit, keys []uint64, q *Query) []Hit {
	left := q.K
	for _, k := range keys {
		if left == 0 {
			break
		}
		slot := key(k).slot()
		if !q.View.Visible(slot) {
			continue
		}
		dst = append(dst, Hit{Slot: slot, Score: s.g.cfg.Metric.score(key(k).distance())})
		left--
	}
	return dst
}

// descend walks greedily from the entry through the levels above bottom and
// returns the nearest node found.
func (s *searcher) descend(entry uint32, top, bottom int) uint64 {
	s.fresh = append(s.fresh[:0], entry)
	best := kernels.Key(s.measure()[0], entry)
	for level := top; level > bottom; level-- {
		for {
			s.fresh = readList(s.fresh[:0], s.g.list(key(best).slot(), level), s.limit)
			s.work.Lists++
			s.request()
			before := best
			for i, d := range s.measure() {
				best = min(best, kernels.Key(d, s.fresh[i]))
			}
			if best == before {
				break
			}
		}
	}
	return best
}

// walk is the search of one level (Algorithm 2 of the paper): from the node
// given, it leaves the ef nearest nodes it came by in s.pool, visible or not. The
// next candidates are chosen before the neighbours of the last are measured:
// meanwhile those of the next come from memory. Once so many as first of the best are
// expanded, few will take their places: their vectors are requested, which are read when
// the walk is over.
func (s *searcher) walk(ctx context.Context, near uint64, level, ef, first int) error {
	s.visit(key(near).slot())
	s.pool = append(s.pool[:0], near)
	s.fresh = s.fresh[:0]
	width := beamOf(s.rows())
	next := 0 // no candidate before this one is left to expand
	for next < len(s.pool) || len(s.fresh) > 0 {
		if s.expanded++; s.expanded%contextEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		s.ahead = s.ahead[:0]
		for expanded := 0; next < len(s.pool) && expanded < width; next++ {
			if s.pool[next]&expandedBit == 0 {
				s.pool[next] |= expandedBit
				s.ahead = s.gather(s.ahead, key(s.pool[next]).slot(), level)
				expanded++
			}
		}
		for _, k := range s.nearer(s.pool, s.measure(), ef) {
			var at int
			if s.pool, at = insert(s.pool, k, ef); at < 0 {
				continue
			}
			next = min(next, at)
			if level == 0 {
				kernels.Prefetch(s.g.base.row(key(k).slot())) // it may be expanded soon
			}
		}
		if first > 0 && next >= min(first, ef) {
			s.requestVectors(s.pool[:min(first, len(s.pool))])
			first = 0
		}
		s.fresh, s.ahead = s.ahead, s.fresh
	}
	return nil
}

// rows is what is measured.
func (s *searcher) rows() *arena {
	if s.codes != nil {
		return s.layer.rows
	}
	return s.g.vectors
}

// requestVectors asks for the vectors of candidates from memory.
func (s *searcher) requestVectors(candidates []uint64) {
	s.block = s.block[:0]
	for _, k := range candidates {
		s.block = append(s.block, key(k).slot())
	}
	kernels.RequestRows(s.g.dist.level, s.g.vectors.rows.Load(), s.block)
}

// gather appends the neighbours of a node that were not seen yet to dst, and
// requests what measure will read of them.
func (s *searcher) gather(dst []uint32, slot uint32, level int) []uint32 {
	list := s.g.list(slot, level)
	n := len(dst)
	dst = slices.Grow(dst, len(list))[:n+len(list)]
	var terms *kernels.Rows
	if s.codes != nil {
		terms = s.layer.terms.rows.Load()
	}
	dst = dst[:n+kernels.Gather(kernels.Best, list, s.visited, s.limit, s.rows().rows.Load(), terms, dst[n:])]
	s.note(dst[n:]...)
	s.work.Lists++
	return dst
}

// The graph leads less surely to points that are far away. So a query that is
// apart from the accepted slots keeps apartWidth times ef: one for which the share
// of accepted ones among the nodes it comes by differs from that among all, by
// apartShare of it and by more than apartSigmas standard deviations of chance.
// Where the accepted are just the nearest it costs little, where they are drawn at
// random it does not happen.
const (
	apartWidth  = 4
	apartShare  = 0.15
	apartSigmas = 2
)

// walkAccepting is walk where only some nodes count: it leaves the nearest that are
// visible and accepted in s.found, walking through the others. It ends when all
// that is left to expand is farther than ef accepted ones.
func (s *searcher) walkAccepting(ctx context.Context, near uint64, q *Query) error {
	s.visit(key(near).slot())
	s.frontier, s.found = s.frontier[:0], s.found[:0]
	s.passed, s.accepted, s.keep = 0, 0, q.Ef
	if q.Accepted > 0 {
		s.keep = min(apartWidth*q.Ef, MaxEf)
	}
	s.take(near, q)
	ef, spent := q.Ef, 0
	for len(s.frontier) > 0 {
		if s.expanded++; s.expanded%contextEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		s.fresh = s.fresh[:0]
		for width := 0; width < beam && len(s.frontier) > 0 && !s.enough(ef); width++ {
			s.fresh = s.gather(s.fresh, key(s.frontier.pop()).slot(), 0)
		}
		if len(s.fresh) == 0 {
			if !s.enough(ef) {
				continue
			}
			if ef == s.keep || !s.apart(q) {
				return nil
			}
			ef = s.keep
			continue
		}
		if spent += len(s.fresh); q.Budget > 0 && spent > q.Budget {
			return ErrGaveUp
		}
		for i, d := range s.measure() {
			s.take(kernels.Key(d, s.fresh[i]), q)
		}
	}
	return nil
}

// enough says whether ef accepted nodes are nearer than all there is to expand.
func (s *searcher) enough(ef int) bool {
	return len(s.found) >= ef && len(s.frontier) > 0 && s.frontier[0] > s.found[ef-1]
}

// apart says whether the query is apart from the accepted slots, as far as the
// walk has come.
func (s *searcher) apart(q *Query) bool {
	share := min(float64(q.Accepted)/float64(s.g.Len()), 1)
	expected := share * float64(s.passed)
	deviation := math.Abs(float64(s.accepted) - expected)
	return deviation > apartShare*expected && deviation*deviation > apartSigmas*apartSigmas*expected*(1-share)
}

// take considers a node for the frontier and for what is found.
func (s *searcher) take(k uint64, q *Query) {
	if len(s.found) == s.keep && k >= s.found[s.keep-1] {
		return
	}
	slot := key(k).slot()
	s.frontier.push(k)
	kernels.Prefetch(s.g.base.row(slot)) // it may be expanded soon
	s.passed++
	if q.accepts(slot) {
		s.accepted++
		s.found, _ = insert(s.found, k, s.keep)
	}
}
