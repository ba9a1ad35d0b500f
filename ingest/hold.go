package ingest

import (
	"context"
	"errors"
	"slices"

	"freshet/server"
)

// Before the first good upsert nothing tells what the collection is to be, and there is
// nowhere to store anything. What is read until then waits in memory: the dead letters, the
// deletes, which older upserts of other partitions must not undo, and where each partition
// has come to. After a crash it is read again.

// Bounds of what is held. Of the dead letters the oldest go first.
const (
	maxHeldLetters = 1000
	maxHeldBytes   = 16 << 20 // of the letters
	maxHeldDeletes = 10_000   // ids
)

// errReadAgain ends a session so that the next one, which has a collection to store deletes
// in, reads all from where this source began.
var errReadAgain = errors.New("more points were deleted before the collection was made than are kept: the topics are read again")

// held is what has been read before there is a collection to keep it.
type held struct {
	server.Batch
	deletes int  // ids in Ops
	over    bool // there were more than are kept: Ops has none
}

// hold keeps what cannot be stored yet.
func (h *held) hold(b server.Batch) {
	h.Positions = newest(append(h.Positions, b.Positions...))
	h.holdLetters(b.DeadLetters)
	for i := range b.Ops {
		h.deletes += len(b.Ops[i].Select.IDs)
	}
	if h.over = h.over || h.deletes > maxHeldDeletes; h.over {
		h.Ops = nil
		return
	}
	h.Ops = append(h.Ops, b.Ops...)
}

func (h *held) holdLetters(letters []server.DeadLetter) {
	h.DeadLetters = append(h.DeadLetters, letters...)
	size := 0
	for i, l := range slices.Backward(h.DeadLetters) {
		size += len(l.Key) + len(l.Value)
		if newer := len(h.DeadLetters) - 1 - i; newer > 0 && (newer >= maxHeldLetters || size > maxHeldBytes) {
			h.DeadLetters = slices.Clone(h.DeadLetters[i+1:])
			return
		}
	}
}

// release puts what is held before what the batch has, for the collection that there is now.
func (s *session) release(ctx context.Context, c *server.Collection, b *server.Batch) error {
	h := s.held
	s.held = held{}
	begun := s.allBegun()
	if !h.over && len(h.Positions) == 0 && len(begun) == 0 {
		return nil // nothing is held: no operation is without a position
	}
	if h.over {
		if _, err := commit(ctx, c, server.Batch{Positions: begun}); err != nil {
			return err
		}
		s.forgetBegun(begun)
		return errReadAgain
	}
	b.Ops = append(h.Ops, b.Ops...)
	b.Positions = newest(slices.Concat(begun, h.Positions, b.Positions))
	b.DeadLetters = append(h.DeadLetters, b.DeadLetters...)
	return nil
}

// newest keeps the last position of each stream.
func newest(positions []server.Position) []server.Position {
	last := map[server.Stream]int{}
	kept := positions[:0]
	for _, p := range positions {
		if i, ok := last[p.Stream]; ok {
			kept[i] = p
			continue
		}
		last[p.Stream] = len(kept)
		kept = append(kept, p)
	}
	return kept
}
