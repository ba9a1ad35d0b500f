package server

import "slices"

// top keeps the first of many items in an order.
type top[T any] struct {
	limit   int
	compare func(a, b T) int
	items   []T
}

// topSlack is how many items more than twice the limit are kept before some go.
const topSlack = 64

func (t *top[T]) add(item T) {
	t.items = append(t.items, item)
	if (len(t.items)-topSlack)/2 > t.limit {
		t.list()
	}
}

// list returns the first items in order. It may be called again.
func (t *top[T]) list() []T {
	slices.SortFunc(t.items, t.compare)
	t.items = t.items[:min(len(t.items), t.limit)]
	return t.items
}
