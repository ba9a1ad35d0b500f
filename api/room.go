package api

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"freshet/server"
	"freshet/server/memory"
)

// Requests in progress share rooms of memory, whose sizes are parts of what the process may
// take. A body takes about three times its size while it is read and applied, an answer
// twice: together about a half of the memory if all rooms are full.
const (
	largeShare, maxLarge   = 16, 256 << 20
	smallShare, maxSmall   = 64, 64 << 20
	answerShare, maxAnswer = 8, 1 << 30
)

// Bodies of up to smallBody bytes have a room of their own, so that searches do not wait
// for uploads.
const smallBody = 64 << 10

// How long a request waits for room, and how many do: the others have to try again. So
// those that wait never take all places of requests in flight.
const (
	maxWait    = 5 * time.Second
	maxWaiting = maxInFlight / 4
)

// room is memory that requests share.
type room struct {
	size    int64 // bytes
	free    *semaphore.Weighted
	waiting atomic.Int64  // requests
	guard   *memory.Guard // nil: its word does not count here
}

// newRoom returns a room of a part of the guard's limit, at most of largest bytes, and of
// that if there is no limit.
func newRoom(guard *memory.Guard, share, largest int64) *room {
	size := largest
	if limit := guard.Limit(); limit > 0 {
		size = min(largest, limit/share)
	}
	return &room{size: size, free: semaphore.NewWeighted(size), guard: guard}
}

// hold is the part of a room that a request has. The zero hold is not usable.
type hold struct {
	room *room
	n    int64
}

// wait takes n bytes, waiting for others to give them back. The hold must be empty: those
// that each have a part and wait for more could wait for each other.
func (h *hold) wait(ctx context.Context, n int64) error {
	if n > h.room.size {
		return tooMuch(h.room.size)
	}
	if h.room.guard.Pressed() {
		return errCrowded
	}
	if h.room.free.TryAcquire(n) {
		h.n = n
		return nil
	}
	defer h.room.waiting.Add(-1)
	if h.room.waiting.Add(1) > maxWaiting {
		return errCrowded
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	if err := h.room.free.Acquire(ctx, n); err != nil {
		return errCrowded
	}
	h.n = n
	return nil
}

// more takes n bytes beside those it has. It does not wait.
func (h *hold) more(n int64) error {
	if h.n+n > h.room.size {
		return tooMuch(h.room.size)
	}
	if h.room.guard.Pressed() || !h.room.free.TryAcquire(n) {
		return errCrowded
	}
	h.n += n
	return nil
}

// step takes what a use that grows from before to after needs: whole steps of smallBody. What
// is below the first counts as a small body, which takes nothing.
func (h *hold) step(before, after int64) error {
	if steps := after/smallBody - before/smallBody; steps > 0 {
		return h.more(steps * smallBody)
	}
	return nil
}

// shrink gives back what is beyond n bytes.
func (h *hold) shrink(n int64) {
	if h.n > n {
		h.room.free.Release(h.n - n)
		h.n = n
	}
}

// answering returns what the reads of the request ask for room for what they return. The
// first bytes are had without asking: most answers are small.
func (r *request) answering() func(n int) error {
	var mu sync.Mutex // the searches of a batch run at the same time
	taken := int64(0)
	return func(n int) error {
		mu.Lock()
		defer mu.Unlock()
		taken += int64(n)
		need := taken - smallBody - r.answer.n
		if need <= 0 {
			return nil
		}
		need = max(need, smallBody)
		if size := r.answer.room.size; r.answer.n+need > size {
			return badRequest("the answer and what its prefetches find take more than %d bytes of memory, which is all that there is for answers; ask for fewer points, or less of each", size)
		}
		return r.answer.more(need)
	}
}

// errCrowded is for clients that may try again in a moment.
var errCrowded = &server.Error{Kind: server.Unavailable, Text: "the requests in flight take all the memory there is for them, try again"}

// tooMuch is for requests that trying again does not help.
func tooMuch(limit int64) error {
	return &statusError{http.StatusRequestEntityTooLarge, fmt.Sprintf("Payload too large: one request may take %d bytes of memory here", limit)}
}
