// Package fusion merges lists of hits that were found in different ways.
package fusion

import (
	"math"

	"freshet/hnsw"
)

// DefaultK is the constant of reciprocal rank fusion where a request does not set it.
const DefaultK = 2

// ReciprocalRanks scores each slot by its places in the lists, the first place of a
// list of weight w counting 1/(1/w + k - 1). A nil weights gives each list 1. The hits
// are in the order of their first appearance.
func ReciprocalRanks(lists [][]hnsw.Hit, k int, weights []float32) []hnsw.Hit {
	m := merger{}
	for i, list := range lists {
		weight := 1.0
		if weights != nil {
			weight = float64(weights[i])
		}
		for place, hit := range list {
			m.add(hit.Slot, 1/(float64(place+1)/weight+float64(k)-1))
		}
	}
	return m.hits()
}

// Distributions scores each slot by the sum of its scores, each seen within three
// standard deviations about the mean of its list as 0 to 1. The hits are in the order
// of their first appearance.
func Distributions(lists [][]hnsw.Hit) []hnsw.Hit {
	m := merger{}
	for _, list := range lists {
		mean, deviation := moments(list)
		for _, hit := range list {
			score := 0.5
			if deviation > 0 {
				score = (float64(hit.Score) - (mean - 3*deviation)) / (6 * deviation)
			}
			m.add(hit.Slot, score)
		}
	}
	return m.hits()
}

// moments returns the mean of the scores and the standard deviation of what they are
// a sample of, 0 for a single one.
func moments(list []hnsw.Hit) (mean, deviation float64) {
	for _, hit := range list {
		mean += float64(hit.Score)
	}
	mean /= float64(len(list))
	if len(list) < 2 {
		return mean, 0
	}
	squares := 0.0
	for _, hit := range list {
		d := float64(hit.Score) - mean
		squares += d * d
	}
	return mean, math.Sqrt(squares / float64(len(list)-1))
}

// merger sums scores by slot.
type merger struct {
	slots  []uint32
	scores map[uint32]float64
}

func (m *merger) add(slot uint32, score float64) {
	if m.scores == nil {
		m.scores = map[uint32]float64{}
	}
	if _, ok := m.scores[slot]; !ok {
		m.slots = append(m.slots, slot)
	}
	m.scores[slot] += score
}

func (m *merger) hits() []hnsw.Hit {
	hits := make([]hnsw.Hit, len(m.slots))
	for i, slot := range m.slots {
		hits[i] = hnsw.Hit{Slot: slot, Score: float32(min(m.scores[slot], math.MaxFloat32))}
	}
	return hits
}
