package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Positions returns how far each stream is applied and visible, by topic,
// partition and source.
func (c *Collection) Positions() ([]Position, error) {
	v, err := c.acquire()
	if err != nil {
		return nil, err
	}
	defer v.release()
	return sortedPositions(v.applied), nil
}

// Position returns how far one stream is applied; false before its first batch.
func (c *Collection) Position(s Stream) (Position, bool, error) {
	v, err := c.acquire()
	if err != nil {
		return Position{}, false, err
	}
	defer v.release()
	p, ok := v.applied[s]
	p.Stream = s
	return p, ok, nil
}

// WaitOffsets returns once reads see all the records named. Positions count
// every offset of the log, control records included, so a wait for a record
// behind a transaction's marker ends too. When ctx ends first the error
// (Timeout) says what is missing.
func (c *Collection) WaitOffsets(ctx context.Context, want []MinOffset) error {
	for {
		moved := *c.moved.Load()
		v, err := c.acquire()
		if err != nil {
			return err
		}
		behind := v.behind(want)
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

// behind says for each of the wanted records that the view does not have yet
// how far it is away.
func (v *view) behind(want []MinOffset) []string {
	var behind []string
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
}
