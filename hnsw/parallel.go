package hnsw

import (
	"context"
	"sync"
	"sync/atomic"
)

// inParallel calls work for parts of [0, n), by so many workers.
func inParallel(ctx context.Context, n, workers int, work func(begin, end uint32)) error {
	const part = 64
	var next atomic.Int64
	run := func() {
		for ctx.Err() == nil {
			begin := int(next.Add(part)) - part
			if begin >= n {
				return
			}
			work(uint32(begin), uint32(min(begin+part, n)))
		}
	}
	var group sync.WaitGroup
	for range min(workers, (n+part-1)/part) - 1 {
		group.Go(run)
	}
	run()
	group.Wait()
	return ctx.Err()
}

// inParallel is the same for work that needs a searcher, with nothing visited.
func (g *Graph) inParallel(ctx context.Context, n, workers int, work func(s *searcher, begin, end uint32)) error {
	return inParallel(ctx, n, workers, func(begin, end uint32) {
		s := g.acquire(nil)
		defer s.release()
		work(s, begin, end)
	})
}
