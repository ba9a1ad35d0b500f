package server

import (
	"context"
	"slices"
)

// Strategy is how a recommendation uses its examples.
type Strategy uint8

// The strategies.
const (
	AverageVector Strategy = iota // near to their average, away from that of the negative ones
	BestScore                     // near to any, and nearer than to any negative one
	SumScores                     // by the sum of similarities
)

// Recommend asks for points like the positive examples and unlike the negative ones.
type Recommend struct {
	Positive, Negative []Example
	Strategy           Strategy
}

func (q Recommend) check(*SearchRequest) error {
	if q.Strategy != AverageVector && len(q.Positive)+len(q.Negative) == 0 {
		return errNoExamples
	}
	return nil
}

var errNoExamples = errorf(BadRequest, "At least one positive or negative vector ID required with this strategy")

func (q Recommend) examples() []Example { return slices.Concat(q.Positive, q.Negative) }

func (q Recommend) answer(ctx context.Context, n *node) (ranking, error) {
	positive, err := n.vectors(q.Positive)
	if err != nil {
		return ranking{}, err
	}
	negative, err := n.vectors(q.Negative)
	if err != nil {
		return ranking{}, err
	}
	if q.Strategy != AverageVector && len(positive)+len(negative) == 0 {
		return ranking{}, errNoExamples // none of the points has a vector
	}
	switch q.Strategy {
	case BestScore:
		return n.rank(ctx, bestScore(positive, negative))
	case SumScores:
		return n.rank(ctx, sumScores(positive, negative))
	default:
		v, err := averageOf(positive, negative)
		if err != nil {
			return ranking{}, err
		}
		hits, err := n.nearest(ctx, v, n.wanted)
		return ranking{hits: hits}, err
	}
}

func bestScore(positive, negative []Vector) measure {
	return measure{
		to:   slices.Concat(positive, negative),
		near: likely(positive, negative),
		score: func(s []float32) float64 {
			p, isPositive := largest(s[:len(positive)])
			n, isNegative := largest(s[len(positive):])
			if isPositive && (!isNegative || p > n) {
				return sigmoid(p)
			}
			return -sigmoid(n)
		},
	}
}

func sumScores(positive, negative []Vector) measure {
	return measure{
		to:   slices.Concat(positive, negative),
		near: likely(positive, negative),
		score: func(s []float32) float64 {
			total := 0.0
			for i, x := range s {
				if i < len(positive) {
					total += float64(x)
				} else {
					total -= float64(x)
				}
			}
			return total
		},
	}
}

// likely returns vectors that points like some and unlike others are near to. Without
// any to be like these are the opposites, which are right for products and no worse
// than others for distances: the walk goes on by the score.
func likely(positive, negative []Vector) []Vector {
	if len(positive) > 0 {
		list := slices.Clone(positive)
		if v, err := averageOf(positive, negative); err == nil {
			list = append(list, v)
		}
		return list
	}
	var list []Vector
	for _, v := range negative {
		list = append(list, opposite(v))
	}
	return list
}

func largest(list []float32) (x float64, ok bool) {
	if len(list) == 0 {
		return 0, false
	}
	return float64(slices.Max(list)), true
}

// sigmoid maps similarities to 0 to 1.
func sigmoid(x float64) float64 { return 0.5 * (softsign(x) + 1) }

// softsign maps numbers to -1 to 1.
func softsign(x float64) float64 {
	if x < 0 {
		return x / (1 - x)
	}
	return x / (1 + x)
}
