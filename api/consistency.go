package api

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"freshet/server"
)

// The headers by which a client ties its reads to positions in Kafka's log.
const (
	minOffsetsHeader = "X-Freshet-Min-Offsets"
	offsetsHeader    = "X-Freshet-Offsets"
	// maxMinOffsets bounds the entries of one header.
	maxMinOffsets = 1024
	// offsetsWait bounds the wait for them where the request sets no timeout.
	offsetsWait = 10 * time.Second
)

// readable returns the collection once it is as fresh as the request demands,
// and sets the header that says how fresh that is.
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
	if value := r.Request().Header.Get(minOffsetsHeader); value != "" {
		want, err := parseOffsets(value)
		if err != nil {
			return nil, err
		}
		if err := r.awaitOffsets(c, want); err != nil {
			return nil, err
		}
	}
	// Taken before the read, so that it never claims what the read has not seen.
	positions, err := c.Positions()
	if err != nil {
		return nil, err
	}
	if len(positions) > 0 {
		r.Response().Header().Set(offsetsHeader, formatOffsets(positions))
	}
	return c, nil
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

// awaitOffsets waits until the collection shows the records, for as long as
// the request's timeout says, else offsetsWait.
func (r *request) awaitOffsets(c *server.Collection, want []server.MinOffset) error {
	ctx := r.ctx
	if r.QueryParam("timeout") == "" {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, offsetsWait)
		defer cancel()
	}
	return c.WaitOffsets(ctx, want)
}
