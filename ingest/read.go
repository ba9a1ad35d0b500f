package ingest

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/ingest/decode"
	"freshet/server"
)

// letter is a record that could not become an operation.
type letter struct {
	record *kgo.Record
	err    *decode.Error
}

// decoded is what a batch of records comes to. It grows with every poll.
type decoded struct {
	polled time.Time               // of its first records
	read   int                     // records that it was made of
	bytes  int64                   // of them
	oldest map[partition]time.Time // the timestamps of the first ones

	batch   server.Batch
	shares  map[*server.Collection][]server.Op // in place of the batch's, with a route
	early   map[string][]byte                  // documents of early deletes to be kept before
	late    map[string]bool                    // and those to be removed after
	letters []letter
	records []*kgo.Record // those that count as applied
	formats map[decode.Format]int64
	next    map[partition]reach // what it brings the partitions to
	stopped map[partition]letter
	// How long it took to read the records, and to make the vectors of texts.
	decoding, embedding time.Duration
}

func newDecoded() *decoded {
	return &decoded{
		oldest:  map[partition]time.Time{},
		formats: map[decode.Format]int64{}, next: map[partition]reach{}, stopped: map[partition]letter{},
		shares: map[*server.Collection][]server.Op{}, early: map[string][]byte{}, late: map[string]bool{},
	}
}

// count adds records that are to be decoded, and returns their size.
func (d *decoded) count(records []*kgo.Record) (bytes int64) {
	for _, r := range records {
		bytes += sizeOf(r)
		if p := (partition{r.Topic, r.Partition}); d.oldest[p].IsZero() {
			d.oldest[p] = r.Timestamp
		}
	}
	d.read += len(records)
	d.bytes += bytes
	return bytes
}

// sizeOf is how many bytes a record counts with, as the client counts those it holds.
func sizeOf(r *kgo.Record) int64 {
	n := len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return int64(n)
}

// decode adds records to a batch, and makes the collection if that is still to do.
func (s *session) decode(ctx context.Context, records []*kgo.Record, d *decoded) error {
	began := time.Now()
	embedding := d.embedding
	batch, err := s.read(ctx, records, d)
	if err != nil {
		return err
	}
	d.batch.Ops = slices.Grow(d.batch.Ops, len(records))
	d.records = slices.Grow(d.records, len(records))
	for i, r := range records {
		p := partition{r.Topic, r.Partition}
		if s.stopped[p] {
			continue
		}
		if !r.Attrs.IsControl() {
			record, c, err := s.admit(ctx, batch[i], d)
			op := record.Op
			failed, isBad := errors.AsType[*decode.Error](err)
			routed := s.cfg.Route != ""
			switch {
			case routed && isBad && s.has(s.current(), p, r.Offset):
			case routed && err == nil && (c == nil || s.has(c, p, r.Offset)):
			case isBad && s.cfg.ErrorsTolerance == "none":
				s.stopped[p], d.stopped[p] = true, letter{r, failed}
				continue
			case isBad:
				d.letters = append(d.letters, letter{r, failed})
			case err != nil:
				return err
			default:
				d.formats[record.Format]++
				if routed {
					d.shares[c] = append(d.shares[c], op)
				} else {
					d.batch.Ops = append(d.batch.Ops, op)
				}
			}
			d.records = append(d.records, r)
		}
		d.next[p] = reachOf(r)
	}
	d.decoding += time.Since(began) - (d.embedding - embedding)
	return nil
}

// reach is how far a partition is read.
type reach struct {
	next  int64
	epoch int32 // as in server.Position
}

func reachOf(r *kgo.Record) reach { return reach{r.Offset + 1, r.LeaderEpoch + 1} }

// positionsOf returns the positions that a batch brings.
func (s *session) positionsOf(d *decoded) []server.Position {
	list := make([]server.Position, 0, len(d.next))
	for p, to := range d.next {
		list = append(list, server.Position{Stream: s.stream(p), Next: to.next, TopicID: s.topicID(p), Epoch: to.epoch})
	}
	return list
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
	d.embedding += time.Since(began)
	return batch, err
}

// shareFrom is how many records are worth a goroutine.
const shareFrom = 16

// share does the work for 0 to n-1 on all cores.
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
func (s *session) admit(ctx context.Context, p parsed, d *decoded) (decode.Decoded, *server.Collection, error) {
	record, err := p.Decoded, p.err
	if err != nil {
		return record, nil, err
	}
	c := s.current()
	switch {
	case s.cfg.Route != "":
		c, err = s.target(ctx, record.Collection, &record.Op, d)
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
