package server

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// cores lets requests use more than the core each runs on. They are shared by all
// requests of a database, so that many large ones together start no more helpers
// than there are cores.
type cores struct{ spare *semaphore.Weighted }

func newCores() *cores {
	return &cores{semaphore.NewWeighted(int64(runtime.GOMAXPROCS(0) - 1))}
}

// each calls work for 0 to n-1, in this order, on the caller's goroutine and as
// many others as there are cores to spare. After an error nothing else is begun;
// it returns the error of the least i. A panic of work is one of the caller's.
func (c *cores) each(n int, work func(i int) error) error {
	var (
		next   atomic.Int64
		failed atomic.Bool
		mu     sync.Mutex
		least  = n
		first  error
		thrown string
		group  sync.WaitGroup
		run    func()
	)
	run = func() {
		defer func() {
			if p := recover(); p != nil {
				failed.Store(true)
				mu.Lock()
				thrown = fmt.Sprintf("%v\n%s", p, debug.Stack())
				mu.Unlock()
			}
		}()
		for !failed.Load() {
			i := int(next.Add(1)) - 1
			if i >= n {
				return
			}
			if i+1 < n && c.spare.TryAcquire(1) {
				group.Go(func() {
					defer c.spare.Release(1)
					run()
				})
			}
			if err := work(i); err != nil {
				failed.Store(true)
				mu.Lock()
				if i < least {
					least, first = i, err
				}
				mu.Unlock()
			}
		}
	}
	run()
	group.Wait()
	if thrown != "" {
		panic(thrown)
	}
	return first
}
