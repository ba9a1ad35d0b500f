package server

import (
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// bucket holds the tokens of one kind of request: as many as come in a minute, which
// is also how many come back in one.
type bucket struct {
	mu      sync.Mutex
	limiter *rate.Limiter // of the limit that was asked for last
}

// take takes so many tokens, or none and returns an error that says when there will
// be enough. Without a limit it does nothing. What is the kind of request.
func (b *bucket) take(now time.Time, perMinute *uint64, tokens int, what string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if perMinute == nil {
		b.limiter = nil
		return nil
	}
	size := int(min(*perMinute, math.MaxInt32))
	if b.limiter == nil || b.limiter.Burst() != size {
		b.limiter = rate.NewLimiter(rate.Limit(float64(size)/time.Minute.Seconds()), size)
	}
	there := b.limiter.TokensAt(now)
	reservation := b.limiter.ReserveN(now, tokens)
	if !reservation.OK() {
		return errorf(RateLimited, "%s rate limit exceeded, request larger than rate limiter capacity, please try to split your request", what)
	}
	wait := reservation.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	reservation.CancelAt(now)
	seconds := math.Ceil(wait.Seconds())
	return &Error{
		Kind: RateLimited, RetryAfter: time.Duration(seconds) * time.Second,
		Text: fmt.Sprintf("%s rate limit exceeded: Operation requires %d tokens but only %.1f were available. Retry after %.0fs", what, tokens, max(there, 0), seconds),
	}
}
