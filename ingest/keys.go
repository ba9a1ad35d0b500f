package ingest

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/ingest/decode"
	"freshet/server"
)

// The order of a point's versions is that of the log while the point stays in one
// partition, which a key of its own sees to. Where it does not, the records' timestamps
// decide. That is right on one machine, but producers' clocks have to agree, so it is
// said.

// The policies for records without a key.
const (
	keyWarn    = "warn"
	keyRequire = "require" // in topics of several partitions they are dead letters
)

// KeyStatus tells whether keys keep points in their partitions, since the start.
type KeyStatus struct {
	Unkeyed int64 // records without a key in topics where several partitions have such
	Crossed int64 // writes of points that another partition of the topic had written
}

// unkeyed is what is known of records without a key in one topic.
type unkeyed struct {
	partition int32 // the first that had one
	records   int64
	several   bool // partitions have had some
}

// checkKey refuses a record without a key where the source requires one.
func (s *source) checkKey(r *kgo.Record) error {
	if r.Key != nil || s.cfg.KeyPolicy != keyRequire || !s.severalPartitions(r.Topic) {
		return nil
	}
	return decode.Bad(decode.NoKey, "the record has no key, and the topic has several partitions: key_policy is %s", keyRequire)
}

func (s *source) severalPartitions(topic string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for p := range s.partitions {
		if p.topic == topic {
			n++
		}
		if n > 1 {
			return true
		}
	}
	return false
}

// noteKeys counts what applied records tell of keys, and says so when it is news.
func (s *session) noteKeys(records []*kgo.Record, applied server.Applied) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.keys
	for _, r := range records {
		if r.Key != nil {
			continue
		}
		u := s.unkeyed[r.Topic]
		if u == nil {
			u = &unkeyed{partition: r.Partition}
			s.unkeyed[r.Topic] = u
		}
		u.records++
		switch {
		case u.several:
			s.keys.Unkeyed++
		case u.partition != r.Partition:
			u.several = true
			s.keys.Unkeyed += u.records
		}
	}
	s.keys.Crossed += int64(applied.Crossed)
	s.metrics.keys.WithLabelValues("unkeyed").Add(float64(s.keys.Unkeyed - before.Unkeyed))
	s.metrics.keys.WithLabelValues("crossed").Add(float64(s.keys.Crossed - before.Crossed))
	const advice = "versions of a point in several partitions are ordered by the records' times; a key that goes with the id keeps them in one"
	if before.Unkeyed == 0 && s.keys.Unkeyed > 0 {
		s.log.Warn("records without a key come from several partitions", "advice", advice)
	}
	if before.Crossed == 0 && s.keys.Crossed > 0 {
		s.log.Warn("a point was written from several partitions", "advice", advice)
	}
}
