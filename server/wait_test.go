package server

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

// TestWaitsTellPositionsApart asks, without any time to wait, for what is applied and for what
// is not: of the last record and the one after it, of another partition, of a source that is
// behind another one, and of a topic that was made anew.
func TestWaitsTellPositionsApart(t *testing.T) {
	c := testCollection(t)
	first, other := TopicID{1}, TopicID{2}
	at := func(source, topic string, partition int32, next int64) Position {
		return Position{Stream: Stream{Source: source, Topic: topic, Partition: partition}, Next: next, TopicID: first}
	}
	apply(t, c, Batch{Positions: []Position{
		at("ahead", "t", 0, 10), at("behind", "t", 0, 5), at("ahead", "t", 1, 3), at("ahead", "u", 0, 20),
	}})
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	check := func(what any, err error, applied bool) {
		t.Helper()
		if applied && err != nil || !applied && KindOf(err) != Timeout {
			t.Errorf("%+v: %v", what, err)
		}
	}
	for range 8 { // a map of positions has no order
		for want, applied := range map[MinOffset]bool{
			{Topic: "t", Partition: 0, Offset: 9}:  true,
			{Topic: "t", Partition: 0, Offset: 10}: false,
			{Topic: "t", Partition: 1, Offset: 2}:  true,
			{Topic: "t", Partition: 1, Offset: 3}:  false,
			{Topic: "t", Partition: 2, Offset: 0}:  false,
		} {
			check(want, c.WaitOffsets(late, []MinOffset{want}), applied)
		}
	}
	anew := at("ahead", "t", 0, 10)
	anew.TopicID = other
	unknown := anew
	unknown.TopicID = TopicID{}
	for want, applied := range map[Position]bool{
		at("ahead", "t", 0, 10):  true,
		at("ahead", "t", 0, 11):  false,
		at("behind", "t", 0, 10): false,
		anew:                     false,
		unknown:                  true,
	} {
		check(want, c.WaitPositions(late, []Position{want}), applied)
	}
}

// TestWaitsLookCheaply checks that what is missing is put into words only when the time is over.
func TestWaitsLookCheaply(t *testing.T) {
	c := testCollection(t)
	var positions []Position
	for i := range int32(100) {
		positions = append(positions, Position{Stream: Stream{Source: "s", Topic: "t", Partition: i}, Next: 1})
	}
	apply(t, c, Batch{Positions: positions})
	allocations := testing.AllocsPerRun(10, func() {
		if err := c.WaitPositions(t.Context(), positions); err != nil {
			t.Error(err)
		}
	})
	if allocations > 20 {
		t.Errorf("%v allocations for positions of which none is missing", allocations)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var whole []bool
	err := c.waitFor(ctx, func(_ *view, tell behind) {
		whole = append(whole, tell("one thing"))
		cancel()
	})
	if !errors.Is(err, context.Canceled) || !slices.Equal(whole, []bool{false, true}) {
		t.Errorf("%v, all that is missing was asked for: %v", err, whole)
	}
}
