package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// WaitPositions returns once reads see everything before the positions, of the same
// topics where their ids are known. When ctx ends first the error (Timeout) says what
// is missing.
func (c *Collection) WaitPositions(ctx context.Context, want []Position) error {
	return c.waitFor(ctx, func(v *view) (behind []string) {
		for _, w := range want {
			at := v.applied[w.Stream]
			switch what := fmt.Sprintf("topic %q, partition %d", w.Stream.Topic, w.Stream.Partition); {
			case !at.TopicID.CanBe(w.TopicID):
				behind = append(behind, what+": what is applied is of a topic that was deleted and made anew")
			case at.Next < w.Next:
				behind = append(behind, fmt.Sprintf("%s: applied up to %d of %d", what, at.Next, w.Next))
			}
		}
		return behind
	})
}

// WaitOffsets returns once reads see all the records named. Positions count
// every offset of the log, control records included, so a wait for a record
// behind a transaction's marker ends too. When ctx ends first the error
// (Timeout) says what is missing.
func (c *Collection) WaitOffsets(ctx context.Context, want []MinOffset) error {
	return c.waitFor(ctx, func(v *view) (behind []string) {
		for _, w := range want {
			next, known := int64(0), false
			for s, p := range v.applied {
				if s.Topic == w.Topic && s.Partition == w.Partition {
					next, known = max(next, p.Next), true
				}
			}
			switch {
			case !known:
				behind = append(behind, fmt.Sprintf("topic %q, partition %d: nothing applied yet, offset %d wanted", w.Topic, w.Partition, w.Offset))
			case next <= w.Offset:
				behind = append(behind, fmt.Sprintf("topic %q, partition %d: applied to offset %d, %d records behind offset %d",
					w.Topic, w.Partition, next-1, w.Offset-next+1, w.Offset))
			}
		}
		return behind
	})
}

// waitFor waits for a view of which missing has nothing to say.
func (c *Collection) waitFor(ctx context.Context, missing func(*view) []string) error {
	for {
		moved := *c.moved.Load() // before the view: none must come between
		v, err := c.acquire()
		if err != nil {
			return err
		}
		behind := missing(v)
		v.release()
		if len(behind) == 0 {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return ctx.Err()
			}
			return &Error{Kind: Timeout, RetryAfter: time.Second, Text: "not applied in time: " + strings.Join(behind, "; ")}
		}
	}
}
