package server

import (
	"context"
	"time"

	"freshet/server/memory"
)

// Parts of the memory that the process may take which the store gets: one for its cache,
// and one for each of its two write buffers.
const (
	cacheShare  = 8
	bufferShare = 16
)

// memoryRetry is when a write that found no memory is worth trying again.
const memoryRetry = 5 * time.Second

// Memory returns what says whether there is memory for more data; nil if there is no limit.
func (db *DB) Memory() *memory.Guard { return db.memory }

// inMemory returns an error while there is no memory for more data. What takes none,
// such as deletes, goes on.
func inMemory(g *memory.Guard) error {
	if why := g.Full(); why != "" {
		return &Error{Kind: MemoryFull, Text: why, RetryAfter: memoryRetry}
	}
	return nil
}

// grows says whether any of the operations takes memory that stays.
func grows(ops []Op) bool {
	for i := range ops {
		switch ops[i].Kind {
		case Delete, DeleteVectors, DeletePayload, ClearPayload:
		default:
			return true
		}
	}
	return false
}

// WithRoom returns a context for reads that tells take how many bytes of memory what they
// return has, with its JSON, and what prefetches find. An error of take ends the read. It is
// called by several goroutines at once.
func WithRoom(ctx context.Context, take func(n int) error) context.Context {
	return context.WithValue(ctx, roomKey{}, take)
}

type roomKey struct{}

// Bytes that a point of an answer takes beside its payload and its numbers, and what these
// take: a payload counts twice, and a number of four bytes has about twelve as text: answers are
// sent in pieces, but what was encoded is garbage for a while.
const (
	pointRoom  = 192
	numberRoom = 16
)

// hitRoom is what one point that a prefetch has found takes until all have been merged, in
// bytes.
const hitRoom = 64

// takeRoom asks for room for the numbers and bytes of points.
func takeRoom(ctx context.Context, points, numbers, bytes int) error {
	return take(ctx, points*pointRoom+numbers*numberRoom+2*bytes)
}

func take(ctx context.Context, n int) error {
	if n == 0 {
		return nil
	}
	if take, ok := ctx.Value(roomKey{}).(func(int) error); ok {
		return take(n)
	}
	return nil
}

// takeRecord asks for room for what is to be seen of a point.
func takeRecord(ctx context.Context, r *Record) error {
	numbers := 0
	for _, v := range r.Vectors {
		switch v := v.(type) {
		case Dense:
			numbers += len(v)
		case Sparse:
			numbers += 2 * len(v.Indices)
		case Multi:
			numbers += len(v.Values)
		}
	}
	return takeRoom(ctx, 0, numbers, len(r.Payload))
}

// appendRecord adds a record to those that are returned.
func appendRecord(ctx context.Context, records []Record, r Record) ([]Record, error) {
	if err := takeRoom(ctx, 1, 0, 0); err != nil {
		return nil, err
	}
	if err := takeRecord(ctx, &r); err != nil {
		return nil, err
	}
	return append(records, r), nil
}
