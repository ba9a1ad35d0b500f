package ingest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/server"
)

func splitServers(s string) []string {
	list := strings.Split(s, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// bounds are the offsets at which a partition's log begins and ends.
type bounds struct{ start, end int64 }

// findPartitions assigns the partitions that are not assigned yet, each from
// its stored position, and takes note of where the logs end.
func (s *session) findPartitions(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	logs, err := s.logs(ctx)
	if err != nil {
		return err
	}
	var assigned []server.Position
	add := map[string]map[int32]kgo.Offset{}
	for p, b := range logs {
		if s.seen(p, b) {
			continue
		}
		next, pinned, err := s.position(ctx, p, b)
		if err != nil {
			return err
		}
		next, ok := s.checkGap(p, next, b)
		if !ok {
			continue
		}
		if !pinned {
			assigned = append(assigned, server.Position{Stream: s.stream(p), Next: next})
		}
		if add[p.topic] == nil {
			add[p.topic] = map[int32]kgo.Offset{}
		}
		add[p.topic][p.number] = kgo.NewOffset().At(next)
		s.mu.Lock()
		s.partitions[p] = &partitionState{state: Running, next: next, end: b.end}
		s.mu.Unlock()
	}
	s.seenBefore = true
	// What "latest" was must not change with a restart.
	if c := s.current(); c != nil && len(assigned) > 0 {
		if _, err := c.Apply(ctx, server.Batch{Positions: assigned}); err != nil {
			return err
		}
	}
	if !s.paused {
		s.client.AddConsumePartitions(add)
	}
	return nil
}

// seen updates a partition that is assigned, or that waits for a person.
func (s *session) seen(p partition, b bounds) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.partitions[p]
	if state == nil {
		return false
	}
	state.end = max(state.end, b.end)
	return state.state != Gap
}

// logs lists the partitions of the topics and the bounds of their logs.
func (s *session) logs(ctx context.Context) (map[partition]bounds, error) {
	topics, err := s.admin.ListTopics(ctx, s.cfg.Topics...)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	var existing []string
	for _, t := range topics {
		switch {
		case errors.Is(t.Err, kerr.UnknownTopicOrPartition):
		case t.Err != nil:
			return nil, fmt.Errorf("topic %q: %w", t.Topic, t.Err)
		default:
			existing = append(existing, t.Topic)
		}
	}
	if len(existing) == 0 {
		return nil, fmt.Errorf("%w: %s", errNoTopic, strings.Join(s.cfg.Topics, ", "))
	}
	starts, err := s.admin.ListStartOffsets(ctx, existing...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list start offsets: %w", err)
	}
	ends, err := s.admin.ListEndOffsets(ctx, existing...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list end offsets: %w", err)
	}
	logs := map[partition]bounds{}
	starts.Each(func(o kadm.ListedOffset) {
		if end, ok := ends.Lookup(o.Topic, o.Partition); ok {
			logs[partition{o.Topic, o.Partition}] = bounds{o.Offset, end.Offset}
		}
	})
	return logs, nil
}

// position returns where to continue: where the collection says, else where
// the configuration does, else, for a partition that was added to a topic while
// it was consumed, at the beginning.
func (s *session) position(ctx context.Context, p partition, b bounds) (next int64, stored bool, err error) {
	if c := s.current(); c != nil {
		position, ok, err := c.Position(s.stream(p))
		if err != nil || ok {
			return position.Next, ok, err
		}
	}
	switch {
	case s.seenBefore || !s.start.latest && s.start.at < 0:
		return b.start, false, nil
	case s.start.latest:
		return b.end, false, nil
	}
	listed, err := s.admin.ListOffsetsAfterMilli(ctx, s.start.at, p.topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return 0, false, fmt.Errorf("list offsets at the start time: %w", err)
	}
	o, ok := listed.Lookup(p.topic, p.number)
	if !ok || o.Offset < 0 {
		return b.end, false, nil
	}
	return o.Offset, false, nil
}

// checkGap compares a position with the log. Where records are missing, the
// source's policy says whether to go on behind the gap.
func (s *session) checkGap(p partition, next int64, b bounds) (from int64, ok bool) {
	var text string
	switch {
	case next < b.start && s.cfg.OnGap == "skip":
		s.log.Warn("records are gone from the log, skipped", "topic", p.topic, "partition", p.number, "from", next, "to", b.start, "records", b.start-next)
		s.metrics.records.WithLabelValues("skipped", "gap").Add(float64(b.start - next))
		return b.start, true
	case next < b.start:
		text = fmt.Sprintf("%d records are gone from the log: it begins at offset %d, the position is %d", b.start-next, b.start, next)
	case next > b.end:
		text = fmt.Sprintf("the log ends at offset %d, before the position %d: it was truncated, or the topic was made anew", b.end, next)
	default:
		return next, true
	}
	s.park(p, Gap, text, next, b.end)
	return 0, false
}

// park leaves a partition alone, for the reason given.
func (s *session) park(p partition, state State, text string, next, end int64) {
	s.client.RemoveConsumePartitions(map[string][]int32{p.topic: {p.number}})
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.partitions[p]
	if before == nil || before.err != text {
		s.log.Error("a partition is not consumed", "topic", p.topic, "partition", p.number, "state", string(state), "err", text)
	}
	s.partitions[p] = &partitionState{state: state, err: text, next: next, end: end}
}
