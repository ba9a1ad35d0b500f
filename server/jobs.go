package server

import (
	"context"
	"sync"
)

// maxJobs bounds how many snapshots are taken and recovered at a time; up to maxQueued
// others wait. Who asked for one may not be waiting for it.
const (
	maxJobs   = 4
	maxQueued = 100
)

// jobs are the long operations that Close ends.
type jobs struct {
	places chan struct{} // one for each of those that have a slot or wait for one
	slots  chan struct{}
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu     sync.Mutex // orders begin and stop
	closed bool
	wg     sync.WaitGroup
}

func newJobs() *jobs {
	j := &jobs{places: make(chan struct{}, maxJobs+maxQueued), slots: make(chan struct{}, maxJobs)}
	j.ctx, j.cancel = context.WithCancelCause(context.Background())
	return j
}

// enter waits for its turn. The context it returns ends with ctx and with stop;
// leave must be called.
func (j *jobs) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	select {
	case j.places <- struct{}{}:
	default:
		return nil, nil, errorf(Unavailable, "%d snapshots are being taken or recovered or wait for that, try again", maxJobs+maxQueued)
	}
	done, err := j.turn(ctx)
	if err != nil {
		<-j.places
		return nil, nil, err
	}
	ctx, end := j.linked(ctx)
	return ctx, func() {
		end()
		done()
		<-j.places
	}, nil
}

// turn waits for a slot.
func (j *jobs) turn(ctx context.Context) (done func(), err error) {
	select {
	case j.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, deadline(ctx)
	case <-j.ctx.Done():
		return nil, errDBClosed
	}
	begun, err := j.begin()
	if err != nil {
		<-j.slots
		return nil, err
	}
	return func() {
		<-j.slots
		begun()
	}, nil
}

// begin makes stop wait until done is called. It waits for no turn.
func (j *jobs) begin() (done func(), err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil, errDBClosed
	}
	j.wg.Add(1)
	return j.wg.Done, nil
}

// stop ends the jobs and waits for them.
func (j *jobs) stop() {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.cancel(errDBClosed)
	j.wg.Wait()
}

// UntilClosed returns a context that ends with ctx, and as soon as Close is called. end must
// be called.
func (db *DB) UntilClosed(ctx context.Context) (_ context.Context, end func()) {
	return db.jobs.linked(ctx)
}

// linked returns a context that ends with ctx and with stop.
func (j *jobs) linked(ctx context.Context) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	unlink := context.AfterFunc(j.ctx, func() { cancel(context.Cause(j.ctx)) })
	return ctx, func() {
		unlink()
		cancel(nil)
	}
}
