package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// WaitPositions returns once reads see everything before the positions, of the same
// topics where their ids are known. When ctx
// ends first the error (Timeout) says what is missing.
func (c *Collection) WaitPositions(ctx context.Context, want []Position) error {
	for {
		moved := *c.moved.Load()
		v, err := c.acquire()
		if err != nil {
			return err
		}
		var behind []string
		for _, w := range want {
			at := v.applied[w.Stream]
			switch what := fmt.Sprintf("topic %q, partition %d", w.Stream.Topic, w.Stream.Partition); {
			case !sameTopic(at.TopicID, w.TopicID):
				behind = append(behind, what+": what is applied is of a topic that was deleted and made anew")
			case at.Next < w.Next:
				behind = append(behind, fmt.Sprintf("%s: applied up to %d of %d", what, at.Next, w.Next))
			}
		}
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

func sameTopic(a, b TopicID) bool {
	var none TopicID
	return a == b || a == none || b == none
}
