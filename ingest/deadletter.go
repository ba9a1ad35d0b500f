package ingest

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/server"
)

// deliver writes dead letters to their topic, if the source has one. It
// returns once the brokers have them, so that no position passes a record that
// is nowhere. A crash in between writes a letter twice.
func (s *session) deliver(ctx context.Context, letters []letter) error {
	topic := s.cfg.DeadLetterTopic
	if topic == "" || len(letters) == 0 {
		return nil
	}
	_, err := s.admin.CreateTopic(ctx, 1, -1, nil, topic)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		s.log.Debug("the dead-letter topic was not created", "topic", topic, "err", err)
	}
	records := make([]*kgo.Record, len(letters))
	for i, l := range letters {
		records[i] = &kgo.Record{
			Topic: topic, Key: l.record.Key, Value: l.record.Value, Timestamp: l.record.Timestamp,
			Headers: append(append([]kgo.RecordHeader(nil), l.record.Headers...), s.headers(l)...),
		}
	}
	if err := s.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("write to the dead-letter topic %q: %w", topic, err)
	}
	return nil
}

const headerPrefix = "__connect.errors."

// headers tell what is wrong, by the names that Kafka Connect uses.
func (s *session) headers(l letter) []kgo.RecordHeader {
	header := func(name, value string) kgo.RecordHeader {
		return kgo.RecordHeader{Key: headerPrefix + name, Value: []byte(value)}
	}
	return []kgo.RecordHeader{
		header("topic", l.record.Topic),
		header("partition", strconv.Itoa(int(l.record.Partition))),
		header("offset", strconv.FormatInt(l.record.Offset, 10)),
		header("connector.name", s.cfg.Name),
		header("task.id", "0"),
		header("stage", "VALUE_CONVERTER"),
		header("class.name", "freshet.ingest"),
		header("exception.class.name", string(l.err.Reason)),
		header("exception.message", l.err.Detail),
	}
}

// localLetter is the form in which the collection keeps a dead letter.
func (s *session) localLetter(l letter) server.DeadLetter {
	d := server.DeadLetter{
		Stream: s.stream(partition{l.record.Topic, l.record.Partition}), Offset: l.record.Offset, Time: l.record.Timestamp,
		Reason: string(l.err.Reason), Detail: l.err.Detail,
		Key: l.record.Key, Value: l.record.Value,
	}
	for _, h := range l.record.Headers {
		d.Headers = append(d.Headers, server.Header{Key: h.Key, Value: h.Value})
	}
	return d
}
