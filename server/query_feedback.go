package server

import (
	"context"
	"math"
)

// Feedback asks for points near to a target, corrected by what somebody thinks of some
// examples: of each two of them points like the better are preferred to points like the
// other, the more so the further their scores are apart. With a, b and c the score is
//
//	a·sim(target) + Σ c·(difference of scores)^b · (sim(better) − sim(worse))
//
// which is a sum of similarities with a fixed weight for each, so that a point costs as
// many of them as there are examples, not as there are pairs.
type Feedback struct {
	Target  Example
	Judged  []Judged
	A, B, C float32
}

// Judged is an example with what somebody thinks of it, larger being better.
type Judged struct {
	Example
	Score float32
}

// MaxJudged bounds the examples of one Feedback: all are compared with all.
const MaxJudged = 1024

// maxWeight keeps sums of MaxJudged similarities with such weights finite.
const maxWeight = 1e200

func (q Feedback) check(*SearchRequest) error {
	if len(q.Judged) > MaxJudged {
		return errorf(BadRequest, "relevance feedback may have %d examples", MaxJudged)
	}
	return nil
}

func (q Feedback) examples() []Example {
	list := []Example{q.Target}
	for _, j := range q.Judged {
		list = append(list, j.Example)
	}
	return list
}

func (q Feedback) answer(ctx context.Context, n *node) (ranking, error) {
	m, err := q.measure(n)
	if err != nil {
		return ranking{}, err
	}
	return n.rank(ctx, m)
}

func (q Feedback) measure(n *node) (measure, error) {
	weights, err := q.weights()
	if err != nil {
		return measure{}, err
	}
	m := measure{score: func(s []float32) float64 {
		score := 0.0
		for i, w := range weights {
			score += w * float64(s[i])
		}
		return score
	}}
	var likes, unlike []Vector
	for i, e := range q.examples() {
		v, err := n.needVector(e)
		if err != nil {
			return measure{}, err
		}
		m.to = append(m.to, v)
		switch w := weights[i]; {
		case w > 0:
			likes = append(likes, v)
		case w < 0:
			unlike = append(unlike, v)
		}
	}
	m.near = likely(likes, unlike)
	return m, nil
}

// weights returns those of the similarities to examples().
func (q Feedback) weights() ([]float64, error) {
	weights := make([]float64, 1+len(q.Judged))
	weights[0] = float64(q.A)
	for i, better := range q.Judged {
		for j, worse := range q.Judged {
			apart := float64(better.Score) - float64(worse.Score)
			if apart <= 0 {
				continue
			}
			w := float64(q.C) * math.Pow(apart, float64(q.B))
			weights[1+i] += w
			weights[1+j] -= w
		}
	}
	for _, w := range weights {
		if !(math.Abs(w) <= maxWeight) {
			return nil, errorf(WrongInput, "the scores of the feedback are too far apart for b = %v and c = %v", q.B, q.C)
		}
	}
	return weights, nil
}
