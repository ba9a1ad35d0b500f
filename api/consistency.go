package api

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"freshet/server"
)

// The headers by which a client says how fresh its reads have to be, and by which the
// answers say how fresh they are.
const (
	minOffsetsHeader   = "X-Freshet-Min-Offsets"
	consistencyHeader  = "X-Freshet-Consistency"
	maxStalenessHeader = "X-Freshet-Max-Staleness"
	offsetsHeader      = "X-Freshet-Offsets"
	stalenessHeader    = "X-Freshet-Staleness-Ms"
	// maxMinOffsets bounds the entries of one header.
	maxMinOffsets = 1024
	// maxOffsetsHeader bounds the header of an answer, in bytes: clients refuse answers
	// with long ones. It is left out when it would be longer.
	maxOffsetsHeader = 16 << 10
	// freshWait bounds the wait for all of it where the request sets no timeout.
	freshWait = 10 * time.Second
)

// readable returns the collection once it is as fresh as the request demands,
// and sets the headers that say how fresh that is.
func (r *request) readable() (*server.Collection, error) {
	c, err := r.collection()
	if err != nil {
		return nil, err
	}
	if err := r.consistency(); err != nil {
		return nil, err
	}
	if err := r.admitTimeout(c); err != nil {
		return nil, err
	}
	d, err := r.demand()
	if err != nil {
		return nil, err
	}
	if err := r.await(c, d); err != nil {
		return nil, err
	}
	// Taken before the read, so that they never claim what the read has not seen.
	positions, err := c.Positions()
	if err != nil {
		return nil, err
	}
	if r.s.o.Sources != nil {
		if asOf, ok := r.s.o.Sources.AsOf(c.Name(), positions); ok {
			r.Response().Header().Set(stalenessHeader, strconv.FormatInt(max(time.Since(asOf), 0).Milliseconds(), 10))
		}
	}
	if offsets := formatOffsets(positions); offsets != "" && len(offsets) <= maxOffsetsHeader {
		r.Response().Header().Set(offsetsHeader, offsets)
	}
	return c, nil
}

// demand says what a read has to see.
type demand struct {
	offsets []server.MinOffset
	// since asks for everything that was in the logs then; zero for nothing.
	since time.Time
}

// demand reads the request's headers. The time that counts is that of its arrival.
func (r *request) demand() (demand, error) {
	var d demand
	var err error
	header := r.Request().Header
	if value := header.Get(minOffsetsHeader); value != "" {
		if d.offsets, err = parseOffsets(value); err != nil {
			return d, err
		}
	}
	if value := header.Get(maxStalenessHeader); value != "" {
		longest, err := time.ParseDuration(value)
		if err != nil || longest < 0 {
			return d, badRequest("%s: %.100q is not a duration such as 500ms, 5s or 2m", maxStalenessHeader, value)
		}
		d.since = r.started.Add(-longest)
	}
	switch value := header.Get(consistencyHeader); value {
	case "", "eventual":
	case "strong":
		d.since = r.started
	default:
		return d, badRequest("%s: %.100q is not strong or eventual", consistencyHeader, value)
	}
	return d, nil
}

// await waits until reads of the collection see what is demanded, for as long as the
// request's timeout says, else freshWait.
func (r *request) await(c *server.Collection, d demand) error {
	if d.offsets == nil && d.since.IsZero() {
		return nil
	}
	ctx := r.ctx
	if !r.params.Has("timeout") {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, freshWait)
		defer cancel()
	}
	return r.waiting(func() error {
		if d.offsets != nil {
			if err := c.WaitOffsets(ctx, d.offsets); err != nil {
				return err
			}
		}
		if d.since.IsZero() || r.s.o.Sources == nil {
			return nil
		}
		return r.s.o.Sources.CatchUp(ctx, c.Name(), d.since)
	})
}

// parseOffsets reads topic:partition:offset,….
func parseOffsets(value string) ([]server.MinOffset, error) {
	parts := strings.Split(value, ",")
	if len(parts) > maxMinOffsets {
		return nil, badRequest("%s names %d offsets, more than %d", minOffsetsHeader, len(parts), maxMinOffsets)
	}
	var list []server.MinOffset
	for _, part := range parts {
		fields := strings.Split(strings.TrimSpace(part), ":")
		if len(fields) == 3 && fields[0] != "" {
			partition, err1 := strconv.ParseUint(fields[1], 10, 31)
			offset, err2 := strconv.ParseUint(fields[2], 10, 63)
			if err1 == nil && err2 == nil {
				list = append(list, server.MinOffset{Topic: fields[0], Partition: int32(partition), Offset: int64(offset)})
				continue
			}
		}
		return nil, badRequest("%s: %.100q is not topic:partition:offset", minOffsetsHeader, part)
	}
	return list, nil
}

// formatOffsets writes the offset of the newest applied record of each
// partition, in the form that parseOffsets reads. Where several sources consume
// a partition, the one that is ahead counts, as it does for a wait.
func formatOffsets(positions []server.Position) string {
	var out strings.Builder
	for i, p := range positions { // sorted by topic and partition
		next := p.Next
		if i+1 < len(positions) {
			if after := positions[i+1]; after.Stream.Topic == p.Stream.Topic && after.Stream.Partition == p.Stream.Partition {
				positions[i+1].Next = max(next, after.Next)
				continue
			}
		}
		if next == 0 {
			continue
		}
		if out.Len() > 0 {
			out.WriteByte(',')
		}
		fmt.Fprintf(&out, "%s:%d:%d", p.Stream.Topic, p.Stream.Partition, next-1)
	}
	return out.String()
}
