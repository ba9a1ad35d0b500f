package index

import (
	"cmp"
	"iter"
	"sort"
)

// Value is a number that points are ordered by.
type Value struct {
	Int     int64 // of integers, and of moments in microseconds since 1970
	Float   float64
	IsFloat bool
}

// Order is the pairs of a value and a slot in an index as of one moment. It may be
// read while the index is changed.
type Order interface {
	// Pairs goes through the pairs by value, equal ones in any order. A start is the
	// first value that may come; nil begins at the end.
	Pairs(descending bool, start *Value) iter.Seq2[Value, uint32]
}

// Order returns the index's order as of now, nil if it has none: those of integers,
// unless without `range`, of floats and of moments have one. The index must not be
// changed during the call.
func (ix *Index) Order() Order {
	switch v := ix.values.(type) {
	case *integers:
		if v.order != nil {
			return &order[int64]{v.order.blocksNow(), ofInt, compareInt}
		}
	case *moments:
		return &order[int64]{v.order.blocksNow(), ofInt, compareInt}
	case *floats:
		return &order[float64]{v.order.blocksNow(), ofFloat, compareFloat}
	}
	return nil
}

func ofInt(x int64) Value     { return Value{Int: x} }
func ofFloat(x float64) Value { return Value{Float: x, IsFloat: true} }

func compareInt(x int64, v Value) int {
	if v.IsFloat {
		return cmp.Compare(float64(x), v.Float)
	}
	return cmp.Compare(x, v.Int)
}

func compareFloat(x float64, v Value) int {
	if v.IsFloat {
		return cmp.Compare(x, v.Float)
	}
	return cmp.Compare(x, float64(v.Int))
}

// order implements Order.
type order[K any] struct {
	blocks  []*block[K]
	value   func(K) Value
	compare func(K, Value) int
}

// Pairs implements Order.
func (o *order[K]) Pairs(descending bool, start *Value) iter.Seq2[Value, uint32] {
	if descending {
		return func(yield func(Value, uint32) bool) { o.down(start, yield) }
	}
	return func(yield func(Value, uint32) bool) { o.up(start, yield) }
}

// search returns the place of the first pair that is at a value, or with beyond past it.
func (o *order[K]) search(v *Value, beyond int) place {
	is := func(k K) bool { return o.compare(k, *v) >= beyond }
	i := sort.Search(len(o.blocks), func(i int) bool { return is(o.blocks[i].keys[len(o.blocks[i].keys)-1]) })
	if i == len(o.blocks) {
		return place{i, 0}
	}
	return place{i, sort.Search(len(o.blocks[i].keys), func(at int) bool { return is(o.blocks[i].keys[at]) })}
}

func (o *order[K]) up(start *Value, yield func(Value, uint32) bool) {
	var from place
	if start != nil {
		from = o.search(start, 0)
	}
	for i := from.block; i < len(o.blocks); i++ {
		b := o.blocks[i]
		for at := from.at; at < len(b.keys); at++ {
			if !yield(o.value(b.keys[at]), b.slots[at]) {
				return
			}
		}
		from.at = 0
	}
}

func (o *order[K]) down(start *Value, yield func(Value, uint32) bool) {
	end := place{len(o.blocks), 0}
	if start != nil {
		end = o.search(start, 1)
	}
	for i := min(end.block, len(o.blocks)-1); i >= 0; i-- {
		b := o.blocks[i]
		n := len(b.keys)
		if i == end.block {
			n = end.at
		}
		for at := n - 1; at >= 0; at-- {
			if !yield(o.value(b.keys[at]), b.slots[at]) {
				return
			}
		}
	}
}
