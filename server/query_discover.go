package server

import (
	"context"
	"slices"
)

// Pair is two examples; points near to Positive and far from Negative are asked for.
type Pair struct{ Positive, Negative Example }

// Discover asks for points that are on the positive side of most pairs, and of these
// for those near to the target.
type Discover struct {
	Target Example
	Pairs  []Pair
}

func (Discover) check(*SearchRequest) error { return nil }
func (q Discover) examples() []Example      { return append(pairExamples(q.Pairs), q.Target) }

func (q Discover) answer(ctx context.Context, n *node) (ranking, error) {
	m, err := q.measure(n)
	if err != nil {
		return ranking{}, err
	}
	return n.rank(ctx, m)
}

func (q Discover) measure(n *node) (measure, error) {
	target, err := n.needVector(q.Target)
	if err != nil {
		return measure{}, err
	}
	pairs, near, err := n.pairs(q.Pairs)
	if err != nil {
		return measure{}, err
	}
	return measure{
		to:   append(pairs, target),
		near: append(near, target),
		score: func(s []float32) float64 {
			last := len(s) - 1
			score := sigmoid(float64(s[last]))
			for i := 0; i < last; i += 2 {
				switch {
				case s[i] > s[i+1]:
					score++
				case s[i] < s[i+1]:
					score--
				}
			}
			return score
		},
	}, nil
}

// Context asks for points that are on the positive side of all pairs; the others are
// worse the farther they are from there.
type Context struct{ Pairs []Pair }

func (Context) check(*SearchRequest) error { return nil }
func (q Context) examples() []Example      { return pairExamples(q.Pairs) }

// contextMargin is how much nearer a point has to be to the positive example of a
// pair: the distance of float32 numbers at 1.
const contextMargin = 1.0 / (1 << 23)

func (q Context) answer(ctx context.Context, n *node) (ranking, error) {
	m, err := q.measure(n)
	if err != nil {
		return ranking{}, err
	}
	return n.rank(ctx, m)
}

func (q Context) measure(n *node) (measure, error) {
	pairs, near, err := n.pairs(q.Pairs)
	if err != nil {
		return measure{}, err
	}
	return measure{
		to:   pairs,
		near: near,
		score: func(s []float32) float64 {
			score := 0.0
			for i := 0; i < len(s); i += 2 {
				score += softsign(min(0, float64(s[i])-float64(s[i+1])-contextMargin))
			}
			return score
		},
	}, nil
}

func pairExamples(pairs []Pair) []Example {
	list := make([]Example, 0, 2*len(pairs)+1)
	for _, p := range pairs {
		list = append(list, p.Positive, p.Negative)
	}
	return list
}

// pairs returns the vectors of pairs, positive and negative in turns, and vectors that
// points on the positive sides are near to.
func (n *node) pairs(list []Pair) (vectors, near []Vector, err error) {
	for _, p := range list {
		positive, err := n.needVector(p.Positive)
		if err != nil {
			return nil, nil, err
		}
		negative, err := n.needVector(p.Negative)
		if err != nil {
			return nil, nil, err
		}
		vectors = append(vectors, positive, negative)
		near = append(near, likely([]Vector{positive}, []Vector{negative})...)
	}
	return vectors, slices.Clip(near), nil
}
