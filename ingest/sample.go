package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// patience is how long a read waits for records that the log says are there: its
// last offsets may be those of records that were aborted or compacted away.
const patience = 2 * time.Second

// read visits the records from the offsets given to the ends of the logs, until
// visit returns false. Nothing is noted as consumed.
func (l *look) read(ctx context.Context, from map[partition]int64, visit func(*kgo.Record) (bool, error)) error {
	offsets, open := map[string]map[int32]kgo.Offset{}, map[partition]bool{}
	assigned := map[string][]int32{}
	for p, offset := range from {
		if offset >= l.logs[p].end {
			continue
		}
		if offsets[p.topic] == nil {
			offsets[p.topic] = map[int32]kgo.Offset{}
		}
		offsets[p.topic][p.number] = kgo.NewOffset().At(offset)
		assigned[p.topic] = append(assigned[p.topic], p.number)
		open[p] = true
	}
	l.client.AddConsumePartitions(offsets)
	defer giveUp(l.client, assigned)
	for len(open) > 0 {
		poll, cancel := context.WithTimeout(ctx, patience)
		fetches := l.client.PollRecords(poll, maxShownLetters)
		cancel()
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, e := range fetches.Errors() {
			if !kerr.IsRetriable(e.Err) && !errors.Is(e.Err, context.DeadlineExceeded) {
				return fmt.Errorf("topic %q, partition %d: %w", e.Topic, e.Partition, e.Err)
			}
		}
		if fetches.NumRecords() == 0 {
			return nil
		}
		for _, r := range fetches.Records() {
			p := partition{r.Topic, r.Partition}
			if r.Offset+1 >= l.logs[p].end {
				delete(open, p)
			}
			if r.Attrs.IsControl() || r.Offset >= l.logs[p].end {
				continue
			}
			if more, err := visit(r); err != nil || !more {
				return err
			}
		}
	}
	return nil
}
