package server

import (
	"context"
	"sync"
)

// maxJobs bounds how many snapshots are taken and recovered at a time; others wait.
const maxJobs = 4

// jobs are the long operations that Close ends.
type jobs struct {
	slots  chan struct{}
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex // orders enter and stop
	closed bool
	wg     sync.WaitGroup
}

func newJobs() *jobs {
	j := &jobs{slots: make(chan struct{}, maxJobs)}
	j.ctx, j.cancel = context.WithCancel(context.Background())
	return j
}

// enter waits for its turn. The context it returns ends with ctx and with stop;
// leave must be called.
func (j *jobs) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	select {
	case j.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, deadline(ctx)
	case <-j.ctx.Done():
		return nil, nil, errDBClosed
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		<-j.slots
		return nil, nil, errDBClosed
	}
	j.wg.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	unlink := context.AfterFunc(j.ctx, cancel)
	return ctx, func() {
		unlink()
		cancel()
		<-j.slots
		j.wg.Done()
	}, nil
}

// stop ends the jobs and waits for them.
func (j *jobs) stop() {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.cancel()
	j.wg.Wait()
}
