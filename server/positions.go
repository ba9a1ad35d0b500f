package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// WaitPositions returns once reads see everything before the positions. When ctx
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
			if at := v.applied[w.Stream].Next; at < w.Next {
				behind = append(behind, fmt.Sprintf("topic %q, partition %d: applied up to %d of %d", w.Stream.Topic, w.Stream.Partition, at, w.Next))
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
			return &Error{Kind: Timeout, Text: "not applied in time: " + strings.Join(behind, "; ")}
		}
	}
}
