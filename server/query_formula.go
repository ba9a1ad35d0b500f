package server

import (
	"context"
	"errors"

	"freshet/hnsw"
	"freshet/server/filter"
	"freshet/server/formula"
	"freshet/storage"
)

// Formula scores the points of the prefetches by an expression.
type Formula struct{ *formula.Formula }

func (Formula) check(r *SearchRequest) error {
	if len(r.Prefetch) == 0 {
		return errorf(WrongInput, "Validation failed: cannot apply Formula without prefetches")
	}
	return nil
}

func (Formula) examples() []Example { return nil }

func (q Formula) answer(ctx context.Context, n *node) (ranking, error) {
	p := scoredPoint{n: n, bound: map[*filter.Filter]*filter.Filter{}}
	for _, list := range n.from {
		scores := make(map[uint32]float32, len(list.hits))
		for _, h := range list.hits {
			scores[h.Slot] = h.Score
		}
		p.scores = append(p.scores, scores)
	}
	var hits []hnsw.Hit
	for it := n.candidates().Iterator(); it.HasNext(); {
		if err := ctx.Err(); err != nil {
			return ranking{}, err
		}
		p.move(it.Next())
		score, err := q.Eval(&p)
		var value *formula.ValueError
		if errors.As(err, &value) {
			return ranking{}, errorf(WrongInput, "%s", value.Text)
		}
		if err != nil {
			return ranking{}, err
		}
		hits = append(hits, hnsw.Hit{Slot: p.slot, Score: score})
	}
	return n.best(hits, atLeast), nil
}

// scoredPoint shows a formula one point after the other. It implements formula.Point.
type scoredPoint struct {
	n       *node
	scores  []map[uint32]float32 // by prefetch and slot
	bound   map[*filter.Filter]*filter.Filter
	slot    uint32
	subject *subject
}

func (p *scoredPoint) move(slot uint32) {
	c, key := p.n.c, p.n.c.ids.key(slot)
	p.slot = slot
	p.subject = &subject{c: c, key: key, slot: slot, load: func() ([]byte, error) {
		value, err := p.n.v.snapshot.Get(nil, storage.AppendKey(nil, storage.Point, c.space, key))
		if err != nil {
			return nil, err
		}
		record, err := decodeStored(value)
		return record.payload, err
	}}
}

// Score returns the point's score in a prefetch.
func (p *scoredPoint) Score(prefetch int) (float32, bool) {
	if prefetch >= len(p.scores) {
		return 0, false
	}
	score, ok := p.scores[prefetch][p.slot]
	return score, ok
}

// Payload returns the point's payload.
func (p *scoredPoint) Payload() (map[string]any, error) { return p.subject.Payload() }

// Holds says whether the point passes a filter, with the text indexes there are.
func (p *scoredPoint) Holds(f *filter.Filter) (bool, error) {
	if p.bound[f] == nil {
		set := p.n.c.indexes
		set.mu.RLock()
		p.bound[f] = f.Bind(set.analyzer)
		set.mu.RUnlock()
	}
	return p.bound[f].Match(p.subject)
}
