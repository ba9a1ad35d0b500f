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
	return c.waitFor(ctx, func(v *view, tell behind) {
		for _, w := range want {
			at := v.applied[w.Stream]
			more := true
			switch {
			case !at.TopicID.CanBe(w.TopicID):
				more = tell("topic %q, partition %d: what is applied is of a topic that was deleted and made anew", w.Stream.Topic, w.Stream.Partition)
			case at.Next < w.Next:
				more = tell("topic %q, partition %d: applied up to %d of %d", w.Stream.Topic, w.Stream.Partition, at.Next, w.Next)
			}
			if !more {
				return
			}
		}
	})
}

// WaitOffsets returns once reads see all the records named. Positions count
// every offset of the log, control records included, so a wait for a record
// behind a transaction's marker ends too. When ctx ends first the error
// (Timeout) says what is missing.
func (c *Collection) WaitOffsets(ctx context.Context, want []MinOffset) error {
	return c.waitFor(ctx, func(v *view, tell behind) {
		for _, w := range want {
			next, known := int64(0), false
			for s, p := range v.applied {
				if s.Topic == w.Topic && s.Partition == w.Partition {
					next, known = max(next, p.Next), true
				}
			}
			more := true
			switch {
			case !known:
				more = tell("topic %q, partition %d: nothing applied yet, offset %d wanted", w.Topic, w.Partition, w.Offset)
			case next <= w.Offset:
				more = tell("topic %q, partition %d: applied to offset %d, %d records behind offset %d",
					w.Topic, w.Partition, next-1, w.Offset-next+1, w.Offset)
			}
			if !more {
				return
			}
		}
	})
}

// behind says what is missing, and returns whether the rest is wanted, too: while it is waited
// for one thing is enough. Many may wait, and look again after each batch.
type behind func(format string, args ...any) (more bool)

// waitFor waits for a view in which nothing is missing.
func (c *Collection) waitFor(ctx context.Context, look func(*view, behind)) error {
	for {
		moved := *c.moved.Load() // before the view: none must come between
		over := ctx.Err()
		v, err := c.acquire()
		if err != nil {
			return err
		}
		missing := false
		var text []string
		look(v, func(format string, args ...any) bool {
			missing = true
			if over != nil {
				text = append(text, fmt.Sprintf(format, args...))
			}
			return over != nil
		})
		v.release()
		switch {
		case !missing:
			return nil
		case errors.Is(over, context.DeadlineExceeded):
			return &Error{Kind: Timeout, RetryAfter: time.Second, Text: "not applied in time: " + strings.Join(text, "; ")}
		case over != nil:
			return over
		}
		select {
		case <-moved:
		case <-ctx.Done():
		}
	}
}
