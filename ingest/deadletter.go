package ingest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/ingest/decode"
	"freshet/server"
)

// Bounds of what is written to a dead-letter topic at once: a request of letters that
// are not large is below what brokers take by default (1 MiB), and a letter alone may be
// as large as a record may be. What a topic takes is for the broker to say.
const (
	letterRequest  = 900 << 10
	maxLetterBytes = 2*decode.MaxRecord + 1<<20
	// letterPatience is how long brokers may refuse letters for now, or not answer, before
	// the source says so.
	letterPatience = 5 * time.Second
)

// deliver writes dead letters to their topic, if the source has one, and returns those
// that are for the collection to keep: all without a topic, else the ones that are too
// large for it. It returns once the brokers have the others, so that no position passes
// a record that is nowhere. A crash in between writes a letter twice.
func (s *session) deliver(ctx context.Context, letters []letter) (kept []letter, err error) {
	if s.cfg.DeadLetterTopic == "" || len(letters) == 0 {
		return letters, nil
	}
	s.makeLetterTopic(ctx)
	for len(letters) > 0 {
		n, size := 0, 0
		for n < len(letters) && (n == 0 || size+letters[n].size() <= letterRequest) {
			size += letters[n].size()
			n++
		}
		refused, err := s.send(ctx, letters[:n])
		if err != nil {
			return nil, err
		}
		if n > 1 { // as one batch they were too large
			again := refused
			refused = nil
			for i := range again {
				alone, err := s.send(ctx, again[i:i+1])
				if err != nil {
					return nil, err
				}
				refused = append(refused, alone...)
			}
		}
		kept = append(kept, refused...)
		letters = letters[n:]
	}
	if len(kept) > 0 {
		s.log.Warn("the dead-letter topic does not take letters so large, the collection keeps them",
			"topic", s.cfg.DeadLetterTopic, "letters", len(kept), "bytes", kept[0].size())
	}
	return kept, nil
}

// makeLetterTopic makes the dead-letter topic unless it is known to be there. Who may not
// make it may still write to it.
func (s *session) makeLetterTopic(ctx context.Context) {
	if s.letterTopic {
		return
	}
	topic := s.cfg.DeadLetterTopic
	_, err := s.admin.CreateTopic(ctx, 1, -1, nil, topic)
	s.letterTopic = err == nil || errors.Is(err, kerr.TopicAlreadyExists) || errors.Is(err, kerr.TopicAuthorizationFailed)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		s.log.Debug("the dead-letter topic was not created", "topic", topic, "err", err)
	}
}

// send writes letters to their topic and returns those that it does not take.
func (s *session) send(ctx context.Context, letters []letter) (refused []letter, err error) {
	topic := s.cfg.DeadLetterTopic
	records := make([]*kgo.Record, len(letters))
	index := make(map[*kgo.Record]int, len(letters))
	for i, l := range letters {
		records[i] = &kgo.Record{
			Topic: topic, Key: l.record.Key, Value: l.record.Value, Timestamp: l.record.Timestamp,
			Headers: append(append([]kgo.RecordHeader(nil), l.record.Headers...), s.headers(l)...),
		}
		index[records[i]] = i
	}
	var errs []error
	for _, result := range s.produce(ctx, records) {
		switch {
		case errors.Is(result.Err, kerr.MessageTooLarge):
			refused = append(refused, letters[index[result.Record]])
		case errors.Is(result.Err, kerr.UnknownTopicOrPartition):
			s.letterTopic = false // it was deleted
			fallthrough
		case result.Err != nil:
			errs = append(errs, result.Err)
		}
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("write to the dead-letter topic %q: %w", topic, errs[0])
	}
	return refused, nil
}

// produce returns once the brokers have answered for all records. The client tries for ever
// where they may take them later, and tells nothing of why they do not for now.
func (s *session) produce(ctx context.Context, records []*kgo.Record) kgo.ProduceResults {
	answered := make(chan kgo.ProduceResults, 1)
	go func() { answered <- s.client.ProduceSync(ctx, records...) }()
	select {
	case results := <-answered:
		return results
	case <-time.After(letterPatience):
	}
	s.noteStuck(true) // until the batch is applied
	s.failed(fmt.Errorf("write to the dead-letter topic %q: its brokers have not taken letters for %s, and are asked again", s.cfg.DeadLetterTopic, letterPatience))
	return <-answered
}

// size is about how many bytes the letter has in its topic.
func (l letter) size() int {
	n := len(l.record.Key) + len(l.record.Value) + 2*len(l.err.Detail) + 512
	for _, h := range l.record.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

const headerPrefix = "__connect.errors."

// topicIDHeader names the log of a letter's record, as Kafka writes ids of topics: a topic that
// is made anew has the same offsets once more.
const topicIDHeader = "freshet.topic.id"

// headers tell what is wrong, by the names that Kafka Connect uses. What Connect has of
// Java is filled with what it stands for here: the class of the exception is the reason,
// and the stack trace is its first line, from which tools take class and message.
func (s *session) headers(l letter) []kgo.RecordHeader {
	header := func(name, value string) kgo.RecordHeader {
		return kgo.RecordHeader{Key: headerPrefix + name, Value: []byte(value)}
	}
	headers := []kgo.RecordHeader{
		header("topic", l.record.Topic),
		header("partition", strconv.Itoa(int(l.record.Partition))),
		header("offset", strconv.FormatInt(l.record.Offset, 10)),
		header("connector.name", s.cfg.streamName()),
		header("task.id", "0"),
		header("stage", stageOf(l.err)),
		header("class.name", "freshet.ingest"),
		header("exception.class.name", string(l.err.Reason)),
		header("exception.message", l.err.Detail),
		header("exception.stacktrace", l.err.Error()),
	}
	if id := s.topicIDOf(l); id != nil {
		headers = append(headers, kgo.RecordHeader{Key: topicIDHeader, Value: base64.RawURLEncoding.AppendEncode(nil, id)})
	}
	return headers
}

// topicIDOf returns the id of the topic that a letter's record is of, nil if it is not known.
func (s *session) topicIDOf(l letter) []byte {
	id := s.topicID(partition{l.record.Topic, l.record.Partition})
	if id == (server.TopicID{}) {
		return nil
	}
	return id[:]
}

// stageOf returns the stage of Connect's in which a record failed.
func stageOf(err *decode.Error) string {
	switch err.Reason {
	case decode.WrongDimension, decode.ZeroVector, decode.Rejected:
		return "TASK_PUT" // by what it is written to
	case decode.NoKey, decode.NoID, decode.BadID, decode.BadVersion, decode.BadTTL, decode.BadOperation, decode.UnknownCollection,
		decode.TooManyDeletes, decode.NoText, decode.EmbeddingRefused:
		return "TRANSFORMATION" // it was read, and says no point
	case decode.Undecodable, decode.NoVector, decode.BadVector, decode.UnknownSchema, decode.BadSchema, decode.TooLarge:
		if err.Key {
			return "KEY_CONVERTER"
		}
	}
	return "VALUE_CONVERTER"
}

// localLetter is the form in which the collection keeps a dead letter.
func (s *session) localLetter(l letter) server.DeadLetter {
	d := server.DeadLetter{
		Stream: s.stream(partition{l.record.Topic, l.record.Partition}), Offset: l.record.Offset, Time: l.record.Timestamp,
		Reason: string(l.err.Reason), Detail: l.err.Detail,
		Key: l.record.Key, Value: l.record.Value, TopicID: s.topicIDOf(l),
	}
	for _, h := range l.record.Headers {
		d.Headers = append(d.Headers, server.Header{Key: h.Key, Value: h.Value})
	}
	return d
}
