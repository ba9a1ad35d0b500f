package ingest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/ingest/decode"
	"freshet/server"
)

// consume applies what arrives, at once, up to the limit.
func (s *session) consume(ctx context.Context) error {
	for {
		if err := s.awaitRoom(ctx); err != nil {
			return err
		}
		fetches := s.poll(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		polled := time.Now()
		if err := s.fetchErrors(ctx, fetches); err != nil {
			return err
		}
		records := s.received(fetches)
		if len(records) > 0 {
			if err := s.apply(ctx, records, polled); err != nil {
				return err
			}
		}
		if s.cfg.Route != "" {
			if err := s.advanceIdle(ctx); err != nil {
				return err
			}
		}
		if len(records) == 0 {
			continue
		}
		s.control.observe(batch{ended: time.Now(), took: time.Since(polled), records: len(records), backlog: s.backlog()})
		s.publishLimit()
	}
}

// poll waits for records; not for long while collections are to be brought forward.
func (s *session) poll(ctx context.Context) kgo.Fetches {
	if s.cfg.Route != "" && s.lags() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, advanceIdleEvery)
		defer cancel()
	}
	return s.client.PollRecords(ctx, s.control.limit)
}

// received lists the records of the partitions that are consumed, in the order
// of each log.
func (s *session) received(fetches kgo.Fetches) []*kgo.Record {
	records := make([]*kgo.Record, 0, fetches.NumRecords())
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		s.mu.Lock()
		state := s.partitions[partition{f.Topic, f.Partition}]
		consumed := state != nil && state.state == Running
		if consumed {
			state.end = max(state.end, f.HighWatermark)
			if len(f.Records) > 0 {
				state.faults, state.oldest = 0, f.Records[0].Timestamp
			}
		}
		s.mu.Unlock()
		if consumed && len(f.Records) > 0 {
			records = append(records, f.Records...)
		}
	})
	return records
}

// backlog returns how many records are known to wait.
func (s *session) backlog() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := int64(0)
	for _, state := range s.partitions {
		if state.state == Running {
			n += max(state.end-state.next, 0)
		}
	}
	return int(n)
}

// fetchErrors handles the errors of single partitions. What it cannot handle
// ends the session.
func (s *session) fetchErrors(ctx context.Context, fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		p := partition{e.Topic, e.Partition}
		switch {
		case errors.Is(e.Err, kerr.OffsetOutOfRange):
			s.outOfRange(p)
		case errors.Is(e.Err, context.DeadlineExceeded) && e.Topic == "": // of poll
		case kerr.IsRetriable(e.Err):
			s.log.Debug("fetch", "topic", e.Topic, "partition", e.Partition, "err", e.Err)
		default:
			return fmt.Errorf("topic %q, partition %d: %w", e.Topic, e.Partition, e.Err)
		}
	}
	return ctx.Err()
}

// letter is a record that could not become an operation.
type letter struct {
	record *kgo.Record
	err    *decode.Error
}

// decoded is what a batch of records comes to.
type decoded struct {
	batch   server.Batch
	shares  map[*server.Collection][]server.Op // in place of the batch's, with a route
	letters []letter
	records []*kgo.Record // those that count as applied
	formats map[decode.Format]int64
	upserts int
	// stopped holds the partitions that a bad record has stopped.
	stopped map[partition]letter
	// embedding is how long the vectors of texts took.
	embedding time.Duration
}

// apply turns records into one batch and applies it.
func (s *session) apply(ctx context.Context, records []*kgo.Record, polled time.Time) error {
	began := time.Now()
	d, err := s.decode(ctx, records)
	if err != nil {
		return err
	}
	decoding := time.Since(began) - d.embedding
	kept, err := s.deliver(ctx, d.letters)
	if err != nil {
		return err
	}
	for _, l := range kept {
		d.batch.DeadLetters = append(d.batch.DeadLetters, s.localLetter(l))
	}
	c := s.current()
	if c == nil {
		s.hold(d)
		s.countLetters(d.letters, len(kept))
		return nil
	}
	d.batch.Positions = append(s.held.Positions, d.batch.Positions...)
	d.batch.DeadLetters = append(s.held.DeadLetters, d.batch.DeadLetters...)
	s.held = server.Batch{}
	positions := d.batch.Positions
	var applied server.Applied
	if s.cfg.Route == "" {
		applied, err = commit(ctx, c, d.batch)
	} else {
		applied, err = s.deal(ctx, d.batch, d.shares)
	}
	if err != nil {
		return fmt.Errorf("apply %d records: %w", len(records), err)
	}
	s.applied(d, positions)
	s.noteKeys(d.records, applied)
	s.countLetters(d.letters, len(kept))
	s.metrics.batch(d, applied, polled, decoding)
	for p, l := range d.stopped {
		s.mu.Lock()
		state := *s.partitions[p]
		s.mu.Unlock()
		state.state, state.err = Failed, fmt.Sprintf("offset %d: %v", l.record.Offset, l.err)
		s.park(p, &state)
	}
	return nil
}

// commit applies a batch and returns once that is done, even if ctx has ended: whoever
// reads the positions next, and begins there, must not be overtaken by it.
func commit(ctx context.Context, c *server.Collection, b server.Batch) (server.Applied, error) {
	return c.Apply(context.WithoutCancel(ctx), b)
}

// decode reads the records and makes the collection if that is still to do.
func (s *session) decode(ctx context.Context, records []*kgo.Record) (*decoded, error) {
	d := &decoded{
		batch:   server.Batch{Ops: make([]server.Op, 0, len(records))},
		records: make([]*kgo.Record, 0, len(records)),
		formats: map[decode.Format]int64{},
		stopped: map[partition]letter{},
		shares:  map[*server.Collection][]server.Op{},
	}
	batch, err := s.read(ctx, records, d)
	if err != nil {
		return nil, err
	}
	next := map[partition]int64{}
	for i, r := range records {
		p := partition{r.Topic, r.Partition}
		if _, ok := d.stopped[p]; ok {
			continue
		}
		if !r.Attrs.IsControl() {
			record, c, err := s.admit(ctx, batch[i])
			op := record.Op
			var failed *decode.Error
			isBad := errors.As(err, &failed)
			routed := s.cfg.Route != ""
			switch {
			case routed && isBad && s.has(s.current(), p, r.Offset):
			case routed && err == nil && (c == nil || s.has(c, p, r.Offset)):
			case isBad && s.cfg.ErrorsTolerance == "none":
				d.stopped[p] = letter{r, failed}
				continue
			case isBad:
				d.letters = append(d.letters, letter{r, failed})
			case err != nil:
				return nil, err
			default:
				d.formats[record.Format]++
				if routed {
					d.shares[c] = append(d.shares[c], op)
				} else {
					d.batch.Ops = append(d.batch.Ops, op)
				}
				if op.Kind == server.Upsert {
					d.upserts++
				}
			}
			d.records = append(d.records, r)
		}
		next[p] = r.Offset + 1
	}
	for p, n := range next {
		d.batch.Positions = append(d.batch.Positions, server.Position{Stream: s.stream(p), Next: n, TopicID: s.topicID(p)})
	}
	return d, nil
}

// topicID returns the id of the topic whose log a partition is.
func (s *session) topicID(p partition) server.TopicID {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state := s.partitions[p]; state != nil {
		return state.topicID
	}
	return server.TopicID{}
}

// read reads the records and makes the vectors of their texts together.
func (s *session) read(ctx context.Context, records []*kgo.Record, d *decoded) ([]parsed, error) {
	batch := make([]parsed, len(records))
	share(len(records), func(i int) {
		if r := records[i]; !r.Attrs.IsControl() {
			if batch[i].err = s.checkKey(r); batch[i].err == nil {
				batch[i].Decoded, batch[i].err = s.mapping.Decode(ctx, s.stream(partition{r.Topic, r.Partition}), r)
			}
		}
	})
	if s.embedder == nil {
		return batch, nil
	}
	began := time.Now()
	err := s.embedder.embed(ctx, batch)
	d.embedding = time.Since(began)
	return batch, err
}

// shareFrom is how many records are worth a goroutine.
const shareFrom = 16

// share does the work for 0 to n-1 on all cores: while a batch is decoded, the
// collection's writer has nothing to do.
func share(n int, work func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), (n+shareFrom-1)/shareFrom)
	each := (n + workers - 1) / workers
	var group sync.WaitGroup
	for from := each; from < n; from += each {
		group.Go(func() {
			for i := from; i < min(from+each, n); i++ {
				work(i)
			}
		})
	}
	for i := range min(each, n) {
		work(i)
	}
	group.Wait()
}

// admit tells whether the record's collection takes what was read, and makes the
// collection if that is still to do.
func (s *session) admit(ctx context.Context, p parsed) (decode.Decoded, *server.Collection, error) {
	record, err := p.Decoded, p.err
	if err != nil {
		return record, nil, err
	}
	c := s.current()
	switch {
	case s.cfg.Route != "":
		c, err = s.target(ctx, record.Collection, &record.Op)
	case c == nil && record.Op.Kind == server.Upsert:
		c, err = s.create(ctx, &record.Op)
	}
	if c == nil || err != nil {
		return record, nil, err
	}
	return record, c, decode.Check(c, &record.Op)
}

// create makes the source's collection.
func (s *session) create(ctx context.Context, op *server.Op) (*server.Collection, error) {
	c, err := s.make(ctx, s.cfg.Collection, op)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.collection = c
	s.mu.Unlock()
	return c, nil
}

// make makes a collection as its first record has it.
func (s *session) make(ctx context.Context, name string, op *server.Op) (*server.Collection, error) {
	cfg := s.cfg.OnCreate.config(op.Points[0].Vectors)
	if err := cfg.Validate(); err != nil {
		return nil, decode.Bad(decode.Rejected, "no collection can be made from it: %v", err)
	}
	if err := decode.Fits(cfg, op); err != nil {
		return nil, err // nothing is made of a record that is bad itself
	}
	switch err := s.db.CreateCollection(ctx, name, cfg); {
	case err == nil:
		s.log.Info("collection made from the first record", "collection", name, "offset", op.Version.Offset)
	case server.KindOf(err) != server.Exists:
		return nil, err
	}
	return s.db.Collection(name)
}

// Bounds of the dead letters held while there is no collection; the oldest go first.
const (
	maxHeld      = 1000
	maxHeldBytes = 16 << 20
)

// hold keeps what cannot be stored yet, because nothing before the first good
// record tells what the collection is to be. After a crash it is read again.
func (s *session) hold(d *decoded) {
	s.held.Positions = append(s.held.Positions, d.batch.Positions...)
	s.held.DeadLetters = append(s.held.DeadLetters, d.batch.DeadLetters...)
	size := 0
	for i, l := range slices.Backward(s.held.DeadLetters) {
		size += len(l.Key) + len(l.Value)
		if newer := len(s.held.DeadLetters) - 1 - i; newer > 0 && (newer >= maxHeld || size > maxHeldBytes) {
			s.held.DeadLetters = slices.Clone(s.held.DeadLetters[i+1:])
			break
		}
	}
	s.held.Positions = newest(s.held.Positions)
}

// newest keeps the last position of each stream.
func newest(positions []server.Position) []server.Position {
	last := map[server.Stream]int{}
	kept := positions[:0]
	for _, p := range positions {
		if i, ok := last[p.Stream]; ok {
			kept[i] = p
			continue
		}
		last[p.Stream] = len(kept)
		kept = append(kept, p)
	}
	return kept
}

// applied takes note of the positions reached.
func (s *session) applied(d *decoded, positions []server.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, position := range positions {
		if state := s.partitions[partition{position.Stream.Topic, position.Stream.Partition}]; state != nil {
			state.next, state.oldest = max(state.next, position.Next), time.Time{}
			state.lookedAt(position.Next)
		}
	}
	s.tellProgress()
	for format, n := range d.formats {
		s.formats[format] += n
	}
	for _, r := range d.records {
		if state := s.partitions[partition{r.Topic, r.Partition}]; state != nil {
			state.last = r.Timestamp
		}
	}
}
