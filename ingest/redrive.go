package ingest

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/ingest/decode"
	"freshet/server"
	"freshet/server/sources"
)

// Bounds of looking at dead letters.
const (
	maxShownLetters = 1000
	maxFailures     = 20 // that a report names
	redriveBatch    = 256
)

// DeadLetters returns up to limit dead letters of a source, the oldest first.
func (m *Manager) DeadLetters(ctx context.Context, key sources.Key, limit int, filter sources.LetterFilter) ([]sources.Letter, error) {
	if limit < 1 || limit > maxShownLetters {
		return nil, invalid("limit", "value %d invalid, must be from 1 to %d", limit, maxShownLetters)
	}
	g, err := m.find(key)
	if err != nil {
		return nil, err
	}
	list := []sources.Letter{}
	err = m.letters(ctx, g.current(), func(l *server.DeadLetter, _ bool) (bool, error) {
		if len(list) < limit && selects(&filter, l) {
			list = append(list, sources.Letter{
				Topic: l.Stream.Topic, Partition: l.Stream.Partition, Offset: l.Offset, Time: server.TimeInJSON(l.Time),
				Reason: l.Reason, Detail: l.Detail, Key: l.Key, Value: l.Value, Truncated: l.Truncated,
			})
		}
		return len(list) < limit, nil
	})
	return list, err
}

func selects(f *sources.LetterFilter, l *server.DeadLetter) bool {
	return (f.Reason == "" || f.Reason == l.Reason) && (f.Topic == "" || f.Topic == l.Stream.Topic) &&
		(f.Partition == nil || *f.Partition == l.Stream.Partition) && (f.Offset == nil || *f.Offset == l.Offset)
}

// letters visits the dead letters of a source, those of its topic before those that the
// collection keeps, until visit returns false.
func (m *Manager) letters(ctx context.Context, s *source, visit func(l *server.DeadLetter, kept bool) (bool, error)) error {
	more := true
	if s.cfg.DeadLetterTopic != "" {
		err := s.lettersOfTopic(ctx, func(l *server.DeadLetter) (_ bool, err error) {
			more, err = visit(l, false)
			return more, err
		})
		if err != nil || !more {
			return err
		}
	}
	c, err := m.db.Collection(s.cfg.Collection)
	if err != nil {
		if s.cfg.DeadLetterTopic != "" && server.KindOf(err) == server.NotFound {
			return nil
		}
		return err
	}
	return c.ScanDeadLetters(ctx, func(l *server.DeadLetter) (bool, error) {
		if l.Stream.Source != s.cfg.streamName() {
			return true, nil
		}
		return visit(l, true)
	})
}

// lettersOfTopic visits the dead letters in the source's topic for them.
func (s *source) lettersOfTopic(ctx context.Context, visit func(*server.DeadLetter) (bool, error)) error {
	err := s.cfgOf(s.cfg.DeadLetterTopic).look(ctx, func(look *look) error {
		from := map[partition]int64{}
		for p, b := range look.logs {
			from[p] = b.start
		}
		return look.read(ctx, from, func(r *kgo.Record) (bool, error) {
			l := s.letterOf(r)
			if l.Stream.Source != s.cfg.streamName() {
				return true, nil
			}
			return visit(l)
		})
	})
	if errors.Is(err, errNoTopic) {
		return nil // it is made with the first letter
	}
	return err
}

// cfgOf returns a source that differs in its topic.
func (s *source) cfgOf(topic string) *source {
	cfg := s.cfg
	return &source{cfg: cfg, topics: subscription{names: []string{topic}}, kafka: s.kafka, db: s.db, log: s.log, start: s.start, metrics: s.metrics, refresh: s.refresh}
}

// letterOf reads a record of the dead-letter topic.
func (s *source) letterOf(r *kgo.Record) *server.DeadLetter {
	l := &server.DeadLetter{Time: r.Timestamp, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		value := string(h.Value)
		switch h.Key {
		case headerPrefix + "topic":
			l.Stream.Topic = value
		case headerPrefix + "partition":
			n, err := strconv.ParseInt(value, 10, 32)
			if err == nil {
				l.Stream.Partition = int32(n)
			}
		case headerPrefix + "offset":
			n, err := strconv.ParseInt(value, 10, 64)
			if err == nil {
				l.Offset = n
			}
		case headerPrefix + "connector.name":
			l.Stream.Source = value
		case headerPrefix + "exception.class.name":
			l.Reason = value
		case headerPrefix + "exception.message":
			l.Detail = value
		case topicIDHeader:
			id, err := base64.RawURLEncoding.DecodeString(value)
			if err == nil {
				l.TopicID = id
			}
		default:
			l.Headers = append(l.Headers, server.Header{Key: h.Key, Value: h.Value})
		}
	}
	return l
}

// Redrive tries dead letters again, by the source's present settings. A letter has
// the version of its record, so it changes nothing that newer records have written.
// In the collection's own store, one that has taken effect is gone with the same
// commit; the records of a topic stay, and can be tried again without harm.
func (m *Manager) Redrive(ctx context.Context, key sources.Key, what sources.Redrive) (sources.Redriven, error) {
	report := sources.Redriven{DryRun: what.DryRun, Errors: []sources.Failure{}}
	g, err := m.find(key)
	if err != nil {
		return report, err
	}
	s := g.current()
	c, err := m.db.Collection(s.cfg.Collection)
	if err != nil {
		return report, err
	}
	batch := server.Batch{Sync: true}
	others := map[*server.Collection][]server.Op{} // with a route
	tried := 0
	flush := func() error {
		b, ops, n := batch, others, tried
		batch, others, tried = server.Batch{Sync: true}, map[*server.Collection][]server.Op{}, 0
		if n == 0 || what.DryRun {
			report.Applied += n
			return nil
		}
		applied, err := redriven(ctx, c, b, ops)
		report.Applied += n - applied.Stale
		report.Stale += applied.Stale
		return err
	}
	err = m.letters(ctx, s, func(l *server.DeadLetter, kept bool) (bool, error) {
		if !selects(&what.Filter, l) {
			return true, nil
		}
		report.Matched++
		op, target, err := s.reread(ctx, c, l)
		var failed *decode.Error
		switch {
		case errors.As(err, &failed):
			report.Failed++
			if len(report.Errors) < maxFailures {
				report.Errors = append(report.Errors, sources.Failure{
					Topic: l.Stream.Topic, Partition: l.Stream.Partition, Offset: l.Offset,
					Reason: string(failed.Reason), Detail: failed.Detail,
				})
			}
			return true, nil
		case err != nil:
			return false, err
		}
		if target == c {
			batch.Ops = append(batch.Ops, op)
		} else {
			others[target] = append(others[target], op)
		}
		tried++
		if kept {
			batch.Redriven = append(batch.Redriven, l.Number)
		}
		if tried < redriveBatch {
			return true, nil
		}
		return true, flush()
	})
	return report, errors.Join(err, flush())
}

// redriven applies what letters have become: to other collections first, so that a letter
// is gone only when it has taken effect.
func redriven(ctx context.Context, home *server.Collection, b server.Batch, others map[*server.Collection][]server.Op) (server.Applied, error) {
	stale := 0
	for c, ops := range others {
		applied, err := c.Apply(ctx, server.Batch{Ops: ops, Sync: true})
		if err != nil {
			return applied, err
		}
		stale += applied.Stale
	}
	applied, err := home.Apply(ctx, b)
	applied.Stale += stale
	return applied, err
}

// reread turns a dead letter into an operation on a collection that exists. A *decode.Error
// says that it still cannot become one.
func (s *source) reread(ctx context.Context, c *server.Collection, l *server.DeadLetter) (server.Op, *server.Collection, error) {
	if l.Truncated {
		return server.Op{}, nil, decode.Bad(decode.TooLarge, "only the beginning of the record was kept")
	}
	r := &kgo.Record{Topic: l.Stream.Topic, Partition: l.Stream.Partition, Offset: l.Offset, Timestamp: l.Time, Key: l.Key, Value: l.Value}
	for _, h := range l.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	record, target, err := s.readOne(ctx, c, l.Stream, r)
	if err == nil && target == nil {
		err = decode.Bad(decode.UnknownCollection, "there is no collection %q yet: the next record of its makes it", record.Collection)
	}
	if err != nil {
		return record.Op, nil, err
	}
	at, _, err := target.Position(l.Stream)
	if !server.TopicIDFrom(l.TopicID).CanBe(at.TopicID) {
		record.Op.Version = record.Op.Version.OfFormerLog()
	}
	return record.Op, target, err
}

// readOne reads a record by itself, and returns the collection it is for. Without one it
// is not checked whether that takes it.
func (s *source) readOne(ctx context.Context, c *server.Collection, stream server.Stream, r *kgo.Record) (decode.Decoded, *server.Collection, error) {
	batch := make([]parsed, 1)
	if batch[0].err = s.checkKey(r); batch[0].err == nil {
		batch[0].Decoded, batch[0].err = s.mapping.Decode(ctx, stream, r)
	}
	if s.embedder != nil {
		if err := s.embedder.embed(ctx, batch); err != nil {
			return batch[0].Decoded, nil, err
		}
	}
	if batch[0].err != nil {
		return batch[0].Decoded, nil, batch[0].err
	}
	if s.cfg.Route != "" {
		var err error
		if c, err = s.lookUp(batch[0].Collection); err != nil {
			return batch[0].Decoded, nil, err
		}
	}
	if c == nil {
		return batch[0].Decoded, nil, nil
	}
	return batch[0].Decoded, c, decode.Check(c, &batch[0].Op)
}
