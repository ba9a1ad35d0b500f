package server

import (
	"context"
	"math/rand/v2"

	"freshet/hnsw"
)

// Sample asks for points at random, in any order.
type Sample struct{}

func (Sample) check(*SearchRequest) error { return nil }
func (Sample) examples() []Example        { return nil }
func (Sample) needsAll()                  {}
func (Sample) unscored()                  {}

func (Sample) answer(ctx context.Context, n *node) (ranking, error) {
	sel, err := n.selection(ctx)
	if err != nil {
		return ranking{}, err
	}
	if err := sel.resolve(ctx); err != nil {
		return ranking{}, err
	}
	points := sel.sure
	if len(n.hidden) > 0 {
		points = points.Clone()
		for slot := range n.hidden {
			points.Remove(slot)
		}
	}
	total := int(points.GetCardinality())
	hits := []hnsw.Hit{}
	for _, rank := range draw(total, min(n.wanted, total)) {
		slot, err := points.Select(uint32(rank))
		if err != nil {
			return ranking{}, err
		}
		hits = append(hits, hnsw.Hit{Slot: slot, Score: 1})
	}
	return ranking{hits: hits}, nil
}

// draw returns k of the numbers below n, in random order: the first steps of a
// shuffle that keeps only what it has moved.
func draw(n, k int) []int {
	moved := make(map[int]int, k)
	at := func(i int) int {
		if x, ok := moved[i]; ok {
			return x
		}
		return i
	}
	drawn := make([]int, k)
	for i := range drawn {
		j := i + rand.IntN(n-i)
		drawn[i] = at(j)
		moved[j] = at(i)
	}
	return drawn
}
