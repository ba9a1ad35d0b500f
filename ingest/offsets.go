package ingest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/server"
	"freshet/server/sources"
)

// Offsets returns the positions of a source that the collection has, by topic and
// partition.
func (m *Manager) Offsets(key sources.Key) ([]sources.Offset, error) {
	g, err := m.find(key)
	if err != nil {
		return nil, err
	}
	list := []sources.Offset{}
	c, err := m.db.Collection(g.key.Collection)
	if server.KindOf(err) == server.NotFound {
		return list, nil // the source has not made it yet
	}
	if err != nil {
		return nil, err
	}
	positions, err := c.Positions()
	if err != nil {
		return nil, err
	}
	for _, p := range positions {
		if p.Stream.Source == g.current().cfg.streamName() {
			list = append(list, sources.Offset{
				Partition: sources.TopicPartition{Topic: p.Stream.Topic, Partition: p.Stream.Partition},
				Offset:    &sources.KafkaOffset{Offset: p.Next},
			})
		}
	}
	return list, nil
}

// MoveOffsets has a source go on elsewhere. Its position changes by way of the
// collection's writer while the source rests, so that it is never apart from the
// data. Records that are read again take effect by their versions: those that
// newer ones have replaced do not.
func (m *Manager) MoveOffsets(ctx context.Context, key sources.Key, move sources.Move) ([]sources.Offset, error) {
	switch {
	case move.Timestamp != nil && move.Offsets != nil:
		return nil, invalid("timestamp", "cannot be given together with offsets")
	case move.Timestamp != nil && *move.Timestamp < 0:
		return nil, invalid("timestamp", "%d is not a time in milliseconds since 1970", *move.Timestamp)
	case move.Timestamp == nil && len(move.Offsets) == 0:
		return nil, invalid("offsets", "needs at least one partition, or timestamp in its place")
	}
	return m.move(ctx, key, func(l *look) ([]server.Position, error) {
		if move.Timestamp != nil {
			return l.all(ctx, start{at: *move.Timestamp})
		}
		seen := map[partition]bool{}
		var positions []server.Position
		for i, o := range move.Offsets {
			p := partition{o.Partition.Topic, o.Partition.Partition}
			path := fmt.Sprintf("offsets[%d]", i)
			b, ok := l.logs[p]
			switch {
			case seen[p]:
				return nil, invalid(path+".partition", "topic %.200q, partition %d is there twice", p.topic, p.number)
			case !ok:
				return nil, invalid(path+".partition", "the source has no topic %.200q with a partition %d", p.topic, p.number)
			case o.Offset != nil && (o.Offset.Offset < b.start || o.Offset.Offset > b.end):
				return nil, invalid(path+".offset.kafka_offset", "%d is outside of the log, which goes from %d to %d", o.Offset.Offset, b.start, b.end)
			}
			seen[p] = true
			if o.Offset != nil {
				positions = append(positions, l.at(p, o.Offset.Offset))
				continue
			}
			position, err := l.begin(ctx, p, l.source.start)
			if err != nil {
				return nil, err
			}
			positions = append(positions, position)
		}
		return l.beginOthers(ctx, positions)
	})
}

// beginOthers adds to the positions those of the other partitions of topics that the source
// has not consumed: once there is a position of the topic, one without counts as added later,
// and would begin with its log, wherever the source is to start.
func (l *look) beginOthers(ctx context.Context, positions []server.Position) ([]server.Position, error) {
	if l.source.start.isEarliest() {
		return positions, nil
	}
	if err := l.source.recallBegun(ctx); err != nil {
		return nil, err
	}
	consumed, _, err := l.consumedTopics(ctx, l.reachedAt(maps.Values(l.stored)))
	if err != nil {
		return nil, err
	}
	moved := map[partition]bool{}
	for _, at := range positions {
		moved[partition{at.Stream.Topic, at.Stream.Partition}] = true
	}
	for p := range l.logs {
		if moved[p] || consumed(p.topic) {
			continue
		}
		position, err := l.begin(ctx, p, l.source.start)
		if err != nil {
			return nil, err
		}
		positions = append(positions, position)
	}
	return positions, nil
}

// ResetOffsets has a source go on where its start says.
func (m *Manager) ResetOffsets(ctx context.Context, key sources.Key) ([]sources.Offset, error) {
	return m.move(ctx, key, func(l *look) ([]server.Position, error) { return l.all(ctx, l.source.start) })
}

// SkipRecord has a source leave out the next record of a partition.
func (m *Manager) SkipRecord(ctx context.Context, key sources.Key, skip sources.Skip) ([]sources.Offset, error) {
	switch {
	case skip.Partition == nil:
		return nil, invalid("partition", "is needed")
	case skip.Offset == nil:
		return nil, invalid("offset", "is needed")
	}
	var counter prometheus.Counter
	offsets, err := m.move(ctx, key, func(l *look) ([]server.Position, error) {
		counter = l.source.metrics.records.WithLabelValues("skipped", "request")
		p, offset := partition{skip.Topic, *skip.Partition}, *skip.Offset
		if p.topic == "" {
			if len(l.source.topics.names) != 1 {
				return nil, invalid("topic", "is needed, as the source may have several")
			}
			p.topic = l.source.topics.names[0]
		}
		b, ok := l.logs[p]
		if !ok {
			return nil, invalid("partition", "the source has no topic %.200q with a partition %d", p.topic, p.number)
		}
		if offset < b.start || offset >= b.end {
			return nil, invalid("offset", "%d is outside of the log, whose records go from %d to %d", offset, b.start, b.end-1)
		}
		stored := l.stored[l.source.stream(p)].Next
		next, read := stored, stored
		l.source.mu.Lock()
		if state := l.source.partitions[p]; state != nil {
			next = max(stored, state.next) // of a partition that has failed: behind offsets without a record
			read = state.next
		}
		l.source.mu.Unlock()
		if l.source.cfg.Route != "" && read < stored { // one of its collections was put back
			return nil, &server.Error{Kind: server.Conflict, Text: fmt.Sprintf(
				"offset: the next record is %d, as not all collections have what comes before %d: the source has to read that first", read, stored)}
		}
		if offset != stored && offset != next {
			return nil, &server.Error{Kind: server.Conflict, Text: fmt.Sprintf("offset: %d is not the next record, which is %d", offset, next)}
		}
		return []server.Position{l.at(p, offset+1)}, nil
	})
	if err == nil {
		counter.Inc()
	}
	return offsets, err
}

// move gives a source the positions that where returns.
func (m *Manager) move(ctx context.Context, key sources.Key, where func(*look) ([]server.Position, error)) ([]sources.Offset, error) {
	g, err := m.find(key)
	if err != nil {
		return nil, err
	}
	err = m.change(ctx, g.key, func(g *managed) error {
		c, err := m.db.Collection(g.key.Collection)
		if err != nil {
			return err
		}
		// The source rests from here on: where it goes on is to be the last word.
		return m.atRest(g, func() error {
			return g.current().look(ctx, func(l *look) error {
				positions, err := c.Positions()
				if err != nil {
					return err
				}
				for _, p := range positions {
					l.stored[p.Stream] = p
				}
				if err := l.findAllParted(ctx); err != nil {
					return err
				}
				next, err := where(l)
				if err != nil {
					return err
				}
				if _, err := l.ageEarly(ctx, next); err != nil {
					return err
				}
				if err := l.moveOthers(ctx, c, next); err != nil {
					return err
				}
				_, err = commit(ctx, c, server.Batch{Positions: next, Sync: true})
				return err
			})
		})
	})
	if err != nil {
		return nil, err
	}
	return m.Offsets(g.key)
}

// look is a view of a source's logs, for as long as its connection is open.
type look struct {
	*session
	logs   map[partition]bounds
	stored map[server.Stream]server.Position
}

// look calls do with a view of the logs. Faults of the brokers are told as such.
func (s *source) look(ctx context.Context, do func(*look) error) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	client, err := kgo.NewClient(s.options()...)
	if err != nil {
		return err
	}
	defer client.Close()
	// Without a collection, so that positions are those of the configuration.
	l := &look{session: &session{source: s, client: client, admin: kadm.NewClient(client)}, stored: map[server.Stream]server.Position{}}
	l.admin.SetTimeoutMillis(int32(adminTimeout.Milliseconds()))
	if l.logs, err = l.session.logs(ctx); err == nil {
		err = do(l)
	}
	var known *server.Error
	if err != nil && !errors.As(err, &known) && !errors.Is(err, context.Canceled) {
		return &server.Error{Kind: server.Unavailable, Text: "the brokers cannot be asked", Err: err}
	}
	return err
}

// all returns the positions of all partitions for a start.
func (l *look) all(ctx context.Context, from start) ([]server.Position, error) {
	if err := from.isIn(l.logs); err != nil {
		return nil, err
	}
	positions := make([]server.Position, 0, len(l.logs))
	for p := range l.logs {
		position, err := l.begin(ctx, p, from)
		if err != nil {
			return nil, err
		}
		positions = append(positions, position)
	}
	return positions, nil
}

// begin returns where a start is in a partition.
func (l *look) begin(ctx context.Context, p partition, from start) (server.Position, error) {
	like := &session{source: &source{cfg: l.cfg, start: from}, admin: l.admin}
	position, err := like.begin(ctx, p, l.logs[p])
	return l.at(p, position.Next), err
}

// at is a position in the log that a partition has now, which may be another one than
// that of the stored position.
func (l *look) at(p partition, offset int64) server.Position {
	b, stream := l.logs[p], l.source.stream(p)
	before, known := l.stored[stream]
	return server.Position{Stream: stream, Next: offset, TopicID: b.topicID, NewLog: known && b.isNewFor(before)}
}

// isNewFor says whether a position is in a log that there is no more.
func (b bounds) isNewFor(before server.Position) bool {
	return !before.TopicID.CanBe(b.topicID) || before.Next > b.end || before.Next > b.parted
}

// findAllParted notes in the logs where they go on otherwise than what was read of them.
func (l *look) findAllParted(ctx context.Context) error {
	positions := map[partition][]server.Position{}
	for p := range l.logs {
		if at, ok := l.stored[l.source.stream(p)]; ok {
			positions[p] = []server.Position{at}
		}
	}
	return l.findParted(ctx, l.logs, positions)
}

// WaitFor returns once everything before the positions is visible; without any,
// everything that is in the logs now.
func (m *Manager) WaitFor(ctx context.Context, key sources.Key, offsets []sources.Offset) error {
	g, err := m.find(key)
	if err != nil {
		return err
	}
	var want []server.Position
	for i, o := range offsets {
		p := partition{o.Partition.Topic, o.Partition.Partition}
		switch path := fmt.Sprintf("offsets[%d]", i); {
		case o.Offset == nil || o.Offset.Offset < 0:
			return invalid(path+".offset.kafka_offset", "has to be 0 or more")
		case !g.current().topics.has(p.topic):
			return invalid(path+".partition.kafka_topic", "%.200q is not one of the source's: %s", p.topic, &g.current().topics)
		}
		want = append(want, server.Position{Stream: g.current().stream(p), Next: o.Offset.Offset})
	}
	if len(offsets) == 0 {
		err := g.current().look(ctx, func(l *look) error {
			ends, err := l.readable(ctx)
			for p, b := range ends {
				want = append(want, l.at(p, b.end))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	for {
		c, err := m.db.Collection(g.key.Collection)
		if err == nil {
			err = c.WaitPositions(ctx, want)
		}
		if kind := server.KindOf(err); err == nil || kind != server.NotFound && kind != server.Unavailable {
			return err
		}
		select { // until the source has made the collection, or another one is in its place
		case <-time.After(firstPause):
		case <-ctx.Done():
			return errors.Join(&server.Error{Kind: server.Timeout, Text: "not applied in time", Err: err}, ctx.Err())
		}
	}
}
