package ingest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

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

// bounds are the offsets at which a partition's log begins and ends, and the
// topic's id.
type bounds struct {
	start, end int64
	topicID    server.TopicID
	parted     int64 // where it goes on otherwise than what was read of it, or never
}

// findPartitions assigns the partitions that are not assigned yet, each from
// its stored position, and takes note of where the logs end.
func (s *session) findPartitions(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	logs, err := s.logs(ctx)
	if errors.Is(err, errNoTopic) {
		return errors.Join(s.parkVanished(nil), err)
	}
	if err != nil {
		return err
	}
	if err := s.recallBegun(ctx); err != nil {
		return err
	}
	if err := s.recallSubscribed(ctx); err != nil {
		return err
	}
	before, at, err := s.unseen(ctx, logs)
	if err != nil {
		return err
	}
	assigned := map[*server.Collection][]server.Position{}
	add := map[string]map[int32]kgo.Offset{}
	found := map[partition]*partitionState{}
	for p, standings := range at {
		b := logs[p]
		to, ok := s.settle(p, b, before[p], standings, assigned)
		if !ok {
			continue
		}
		if add[p.topic] == nil {
			add[p.topic] = map[int32]kgo.Offset{}
		}
		add[p.topic][p.number] = kgo.NewOffset().At(to.next)
		known := before[p]
		found[p] = &partitionState{
			state: Running, next: to.next, epoch: to.epoch, end: b.end, topicID: b.topicID, faults: known.faults,
		}
		if to.next >= known.next { // else older records wait again
			found[p].reached = known.waitingSince()
		}
	}
	if err := s.parkVanished(logs); err != nil {
		return err
	}
	knew := s.seenBefore
	s.seenBefore = true
	aged, err := s.ageEarly(ctx, slices.Concat(slices.Collect(maps.Values(assigned))...))
	if err != nil {
		return err
	}
	// What "latest" was must not change with a restart.
	err = s.storeAssigned(ctx, assigned)
	if aged && knew {
		return errors.Join(errCut, err)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	maps.Copy(s.partitions, found)
	s.mu.Unlock()
	s.client.UpdateFetchMaxBytes(s.cfg.Buffer.fetch(len(s.client.DiscoveredBrokers())))
	if !s.paused {
		s.client.AddConsumePartitions(add)
	}
	return nil
}

// storeAssigned keeps where partitions are read from.
func (s *session) storeAssigned(ctx context.Context, assigned map[*server.Collection][]server.Position) error {
	for c, positions := range assigned {
		if _, err := commit(ctx, c, server.Batch{Positions: positions, Sync: true}); err != nil {
			return err
		}
		s.reach(c, positions)
		s.forgetBegun(positions)
	}
	return errors.Join(s.keepBegun(ctx), s.keepSubscribed(ctx))
}

// unseen returns the partitions that need a look, with what was known of them and where
// they stand.
func (s *session) unseen(ctx context.Context, logs map[partition]bounds) (map[partition]partitionState, map[partition][]standing, error) {
	begins := true // nothing is stored
	states, at, positions := map[partition]partitionState{}, map[partition][]standing{}, map[partition][]server.Position{}
	for p, b := range logs {
		before, seen, err := s.seen(p, b)
		if err != nil {
			return nil, nil, err
		}
		if seen {
			continue
		}
		if at[p], err = s.positions(ctx, p, b); err != nil {
			return nil, nil, err
		}
		states[p] = before
		for _, k := range at[p] {
			positions[p] = append(positions[p], k.Position)
			begins = begins && !k.stored
		}
	}
	if begins && !s.seenBefore {
		if err := s.start.isIn(logs); err != nil {
			return nil, nil, err
		}
	}
	return states, at, s.findParted(ctx, logs, positions)
}

// seen updates a partition that needs no other look: it is assigned, or waits. The
// state of one that does is returned.
func (s *session) seen(p partition, b bounds) (partitionState, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.partitions[p]
	switch {
	case state == nil:
		e := s.earlier[p]
		return partitionState{next: e.next, end: e.end, reached: e.waiting}, false, nil
	case state.state == Gap:
		state.lookBehind(b)
		return *state, false, nil
	case !state.topicID.CanBe(b.topicID):
		return *state, false, errRecreated
	case state.state == Retrying && !time.Now().Before(state.until):
		return *state, false, nil
	}
	state.lookedAt(b.end)
	return *state, true, nil
}

// existing returns the source's topics that there are, with their ids.
func (s *session) existing(ctx context.Context) (map[string]server.TopicID, error) {
	topics, err := s.admin.ListTopics(ctx, s.topics.names...) // without names: all but Kafka's own
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	ids := map[string]server.TopicID{}
	partitions := 0
	for _, t := range topics {
		switch {
		case !s.topics.has(t.Topic):
		case errors.Is(t.Err, kerr.UnknownTopicOrPartition):
		case t.Err != nil:
			return nil, fmt.Errorf("topic %q: %w", t.Topic, t.Err)
		default:
			partitions += len(t.Partitions)
			ids[t.Topic] = server.TopicID(t.ID)
		}
	}
	switch {
	case len(ids) == 0:
		return nil, fmt.Errorf("%w: %s", errNoTopic, &s.topics)
	case partitions > maxPartitions:
		return nil, fmt.Errorf("%s: %d topics have %d partitions, a source consumes at most %d", s.topics.field(), len(ids), partitions, maxPartitions)
	}
	return ids, nil
}

// logs lists the partitions of the topics and the bounds of their logs.
func (s *session) logs(ctx context.Context) (map[partition]bounds, error) {
	ids, err := s.existing(ctx)
	if err != nil {
		return nil, err
	}
	existing := slices.Collect(maps.Keys(ids))
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
			logs[partition{o.Topic, o.Partition}] = bounds{o.Offset, end.Offset, ids[o.Topic], never}
		}
	})
	return logs, nil
}

// standing is where a collection has come to, or is to begin.
type standing struct {
	server.Position
	collection *server.Collection // nil if it is still to be made
	stored     bool
}

// positions returns where to continue: where the collections say, else where the
// configuration does.
func (s *session) positions(ctx context.Context, p partition, b bounds) ([]standing, error) {
	var list []standing
	for i, c := range s.keepers() {
		position, stored, err := c.Position(s.stream(p))
		switch {
		case err != nil || i > 0:
		case stored:
			s.forgetBegun([]server.Position{position})
		default:
			position, err = s.beginOnce(ctx, p, b)
		}
		if err != nil {
			return nil, err
		}
		if stored || i == 0 {
			list = append(list, standing{position, c, stored})
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	position, err := s.beginOnce(ctx, p, b)
	return []standing{{Position: position}}, err
}

// settle returns from where a partition is read: the least that one of the collections
// has come to. It adds the positions that are to be stored; false means that
// the partition is parked.
func (s *session) settle(p partition, b bounds, before partitionState, at []standing, assigned map[*server.Collection][]server.Position) (reach, bool) {
	var worst *gap
	behind := at[0].Position
	for _, k := range at {
		switch g := findGap(k.Position, b, before.end); {
		case g != nil && (worst == nil || g.missing > worst.missing):
			worst, behind = g, k.Position
		case worst == nil && k.Next < behind.Next:
			behind = k.Position
		}
	}
	if before.state == Gap && !before.vanished && behind.Next == before.next && (worst == nil || worst.missing < before.missing) {
		return reach{}, false // a log that was cut grows again, by other records than those it had
	}
	if worst != nil && !s.crossGap(p, worst, behind, b, before) {
		return reach{}, false
	}
	to := reach{next: math.MaxInt64}
	for _, k := range at {
		position, changed := k.Position, !k.stored || k.TopicID != b.topicID
		if g := findGap(k.Position, b, before.end); g != nil {
			position, changed = g.cross(s.cfg.OnGap), true
		}
		if position.Next < to.next {
			to = reach{position.Next, position.Epoch}
		}
		if position.TopicID = b.topicID; changed && k.collection != nil {
			assigned[k.collection] = append(assigned[k.collection], position)
		}
	}
	return to, true
}

// begin returns where a partition without a stored position begins: at the offset that the
// configuration gives it; else, if it was added since others were consumed, with its log, or
// where the configuration says.
func (s *session) begin(ctx context.Context, p partition, b bounds) (position server.Position, err error) {
	at := func(next int64) server.Position {
		return server.Position{Stream: s.stream(p), Next: next, TopicID: b.topicID}
	}
	switch offset, given := s.start.offsets[p.number]; {
	case given && (offset < b.start || offset > b.end):
		return position, invalid("start", "topic %q, partition %d: offset %d is outside of the log, which goes from %d to %d", p.topic, p.number, offset, b.start, b.end)
	case given:
		return at(offset), nil
	case s.seenBefore, s.consumed != nil && s.consumed(p.topic):
		return at(b.start), nil
	case s.start.isEarliest():
		return at(b.start), nil
	case s.start.latest:
		return at(b.end), nil
	}
	listed, err := s.admin.ListOffsetsAfterMilli(ctx, s.start.at, p.topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return position, fmt.Errorf("list offsets at the start time: %w", err)
	}
	o, ok := listed.Lookup(p.topic, p.number) // the end, if nothing was written since
	if !ok || o.Offset < 0 {
		return position, fmt.Errorf("topic %q, partition %d: no offset is listed at the start time", p.topic, p.number)
	}
	return at(o.Offset), nil
}

// park leaves a partition alone, for the reason that its new state has.
func (s *session) park(p partition, state *partitionState) {
	s.client.RemoveConsumePartitions(map[string][]int32{p.topic: {p.number}})
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.partitions[p]
	if before == nil || before.err != state.err {
		s.log.Error("a partition is not consumed", "topic", p.topic, "partition", p.number, "state", string(state.state), "err", state.err)
	}
	s.partitions[p] = state
}
