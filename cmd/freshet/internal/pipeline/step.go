package pipeline

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// momentsOf is how many moments are noted while records are produced, least how short one is.
const (
	momentsOf   = 24
	leastMoment = 100 * time.Millisecond
)

// step produces at a rate while the source consumes and searches go on.
func (b *bench) step(ctx context.Context, n *node, rate int, last bool) error {
	n.start()
	records := max(1, int(float64(rate)*b.Duration.Seconds()))
	w := b.watch(ctx, n, max(leastMoment, b.Duration/momentsOf), fmt.Sprintf("%d records/s", rate), int64(records), requests(b.Vectors.Queries))
	defer w.stop()
	began := time.Now()
	if err := b.produce(ctx, n, records, func(i int) error {
		return sleep(ctx, time.Duration(i)*time.Second/time.Duration(rate)-time.Since(began))
	}); err != nil {
		return err
	}
	ended := time.Now()
	lag := n.seen.lag()
	if err := b.settle(ctx, n, n.unapplied(records)); err != nil {
		return err
	}
	w.stop()
	b.report.Steps = append(b.report.Steps, Step{
		Rate: rate, Records: records, Produced: float64(records) / ended.Sub(began).Seconds(), Lag: lag,
		KeepsUp:    lag <= int64(rate) && !grows(w.moments, ended.Sub(b.began)),
		BatchLimit: n.m.Status()[0].Limit.Records, Table: Table{n.seen.stages(article), times(w.searches)}, Moments: w.moments,
	})
	if last && b.Backlog == 0 {
		return b.recall(ctx, n, requests(b.Vectors.Queries))
	}
	return nil
}

// backlog produces records before the source starts, measures how fast they are
// consumed, and then what searches find of them.
func (b *bench) backlog(ctx context.Context, n *node) error {
	b.Progress("producing a backlog", 0, int64(b.Backlog))
	if err := b.produce(ctx, n, b.Backlog, func(i int) error {
		if i%1000 == 0 {
			b.Progress("producing a backlog", int64(i), int64(b.Backlog))
		}
		return nil
	}); err != nil {
		return err
	}
	w := b.watch(ctx, n, leastMoment, "consuming the backlog", int64(b.Backlog), nil)
	defer w.stop()
	began := time.Now()
	n.start()
	if err := b.settle(ctx, n, n.unapplied(b.Backlog)); err != nil {
		return err
	}
	b.report.Backlog = reading(n, w, time.Since(began), nil)
	return b.recall(ctx, n, requests(b.Vectors.Queries))
}

// produce sends records whose ids are their numbers; each waits for its turn.
func (b *bench) produce(ctx context.Context, n *node, records int, turn func(i int) error) error {
	var failed firstError
	for i := range records {
		if err := turn(i); err != nil {
			return err
		}
		record := &kgo.Record{Topic: n.topic, Key: strconv.AppendInt(nil, int64(i), 10), Value: b.values[i%len(b.values)]}
		b.client.Produce(ctx, record, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.note(err)
				return
			}
			n.seen.acknowledged()
		})
	}
	if err := b.client.Flush(ctx); err != nil {
		return err
	}
	return failed.get()
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// firstError keeps the first of the errors of several goroutines.
type firstError struct {
	mu  sync.Mutex
	err error
}

func (f *firstError) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *firstError) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
