package ingest

import (
	"errors"
	"fmt"
	"time"

	"freshet/server"
)

// The policies for a log that does not have the record at our position.
const (
	gapFail   = "fail"   // the partition waits for a person
	gapSkip   = "skip"   // go on behind what is missing
	gapReplay = "replay" // read again all that the log has
)

// gap tells why a log cannot be continued at a position.
type gap struct {
	text string
	// missing is how many records are known to be gone, and unread how many of them were
	// not applied.
	missing, unread int64
	// skip and replay are where those policies go on.
	skip, replay server.Position
}

// findGap compares a stored position with the log that there is; nil if the log
// goes on there. end is where the position's log ended when it was last seen, 0 if it was
// not.
func findGap(stored server.Position, b bounds, end int64) *gap {
	at := func(next int64, newLog bool) server.Position {
		return server.Position{Stream: stored.Stream, Next: next, TopicID: b.topicID, NewLog: newLog}
	}
	switch missing := b.start - stored.Next; {
	case !stored.TopicID.CanBe(b.topicID):
		begin := at(b.start, true)
		lost := max(end-stored.Next, 0)
		g := &gap{missing: lost, unread: lost, skip: begin, replay: begin}
		g.text = fmt.Sprintf("the topic was deleted and made anew: of the old log everything from offset %d on is gone, %d records at least; the new one has the offsets from %d to %d",
			stored.Next, g.missing, b.start, b.end-1)
		return g
	case missing > 0:
		return &gap{
			text:    fmt.Sprintf("%d records are gone from the log: it begins at offset %d, the position is %d", missing, b.start, stored.Next),
			missing: missing, unread: missing, skip: at(b.start, false), replay: at(b.start, false),
		}
	case stored.Next > b.end:
		return &gap{
			text: fmt.Sprintf("the log was cut: it ends at offset %d, %d records before the position %d", b.end, stored.Next-b.end, stored.Next),
			// What is written from now on has the offsets of what was cut.
			missing: stored.Next - b.end, skip: at(b.end, true), replay: at(b.start, true),
		}
	case stored.Next > b.parted:
		return &gap{
			text: fmt.Sprintf("the log was cut and has grown again: what it has from offset %d on was written by another leader than the %d records up to the position %d",
				b.parted, stored.Next-b.parted, stored.Next),
			missing: stored.Next - b.parted, skip: at(b.parted, true), replay: at(b.start, true),
		}
	}
	return nil
}

// cross returns where a policy goes on behind a gap.
func (g *gap) cross(policy string) server.Position {
	if policy == gapReplay {
		return g.replay
	}
	return g.skip
}

// crossGap says whether the source's policy crosses a gap. If not, the partition is
// parked; before is what was known of it.
func (s *session) crossGap(p partition, g *gap, stored server.Position, b bounds, before partitionState) bool {
	if s.cfg.OnGap == gapFail {
		state := &partitionState{
			state: Gap, err: g.text, next: stored.Next, end: max(before.end, stored.Next), topicID: stored.TopicID,
			missing: g.missing, unread: g.unread, behind: g.skip.Next, reached: before.waitingSince(),
		}
		state.lookBehind(b)
		s.park(p, state)
		return false
	}
	s.log.Warn("the log has a gap", "topic", p.topic, "partition", p.number, "gap", g.text, "policy", s.cfg.OnGap, "go_on_at", g.cross(s.cfg.OnGap).Next)
	if g.missing > 0 {
		s.metrics.records.WithLabelValues("skipped", "gap").Add(float64(g.missing))
	}
	return true
}

// lookBehind takes note of the log that there is behind a gap.
func (p *partitionState) lookBehind(b bounds) {
	p.present = b.end
	if p.topicID.CanBe(b.topicID) {
		p.end = max(p.end, b.end)
	}
}

// parkVanished handles the partitions that have a position but no log: their topic was
// deleted, or has fewer partitions than it had.
func (s *session) parkVanished(logs map[partition]bounds) error {
	c := s.current()
	if c == nil {
		return nil
	}
	positions, err := c.Positions()
	if err != nil {
		return err
	}
	topics := map[string]bool{}
	for p := range logs {
		topics[p.topic] = true
	}
	for _, stored := range positions {
		p := partition{stored.Stream.Topic, stored.Stream.Partition}
		if _, ok := logs[p]; ok || stored.Stream.Source != s.cfg.streamName() || !s.topics.has(p.topic) {
			continue
		}
		s.mu.Lock()
		state := s.partitions[p]
		end, waiting := max(s.earlier[p].end, stored.Next), s.earlier[p].waiting
		if state != nil {
			end, waiting = max(state.end, stored.Next), state.waitingSince()
		}
		s.mu.Unlock()
		missing := end - stored.Next
		text := fmt.Sprintf("the topic was deleted: everything from offset %d on is gone, %d records at least", stored.Next, missing)
		if topics[p.topic] {
			text = "the topic was deleted and made anew, without this partition"
		}
		switch {
		case s.cfg.OnGap != gapFail:
			if missing > 0 {
				s.log.Warn("the log has a gap", "topic", p.topic, "partition", p.number, "gap", text, "policy", s.cfg.OnGap)
				s.metrics.records.WithLabelValues("skipped", "gap").Add(float64(missing))
			}
			s.leave(p, topics[p.topic])
			s.forget(p, stored.Next)
		case s.topics.pattern != nil && !topics[p.topic] && missing == 0:
			s.leave(p, false) // topics that match come and go, and nothing is known to be lost
			s.forget(p, end)
		default:
			s.leave(p, topics[p.topic])
			s.park(p, &partitionState{
				state: Gap, err: text, next: stored.Next, end: end, missing: missing, topicID: stored.TopicID, reached: waiting, vanished: true,
			})
		}
	}
	return nil
}

// leave ends the consumption of a partition without a log. Of a topic that is not there
// the client forgets everything: another one of the name has another id.
func (s *session) leave(p partition, hasTopic bool) {
	s.mu.Lock()
	state := s.partitions[p]
	s.mu.Unlock()
	switch {
	case state == nil || state.vanished:
	case hasTopic:
		s.client.RemoveConsumePartitions(map[string][]int32{p.topic: {p.number}})
	default:
		s.client.PurgeTopicsFromClient(p.topic)
	}
}

// forget drops the state of a partition whose log, which ended at end, is gone.
func (s *session) forget(p partition, end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.partitions[p]; ok {
		s.log.Info("a partition is gone", "topic", p.topic, "partition", p.number)
	}
	delete(s.partitions, p)
	s.earlier[p] = earlier{end: end}
}

// errRecreated ends a session so that the next one, which knows nothing of the old
// topic, finds the gap.
var errRecreated = errors.New("a topic was deleted and made anew")

// errCut ends a session that knows early deletes by the offsets which they had before.
var errCut = errors.New("a log was cut, of which deletes are kept")

// longestPark bounds the time between looks at a partition that is out of range.
const longestPark = time.Minute

// outOfRange leaves a partition alone whose position the broker does not have: it
// would say so thousands of times a second. The next look at the log tells what is
// missing; if nothing is, that is a fault of the broker's, and each further one
// makes the pause longer.
func (s *session) outOfRange(p partition) {
	s.client.RemoveConsumePartitions(map[string][]int32{p.topic: {p.number}})
	s.mu.Lock()
	if state := s.partitions[p]; state != nil && state.state == Running {
		state.state, state.until = Retrying, time.Now().Add(parkPause(s.refresh, state.faults))
		state.faults++
		state.err = fmt.Sprintf("the broker does not have offset %d, though its log does: asked %d times", state.next, state.faults)
	}
	s.mu.Unlock()
	s.lookSoon()
}

// parkPause returns the time until the next look at a partition that was out of range so many
// times before.
func parkPause(refresh time.Duration, faults int) time.Duration {
	if faults == 0 {
		return 0
	}
	return doubled(refresh, faults, longestPark)
}
