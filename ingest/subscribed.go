package ingest

import (
	"context"

	"freshet/server/sources"
)

// "latest" and a timestamp are for what there is when a source begins. A partition that comes
// later begins with its log, also if nobody looked when it came: while the server was down, or
// the brokers were away. So the source keeps, in a document, which topics it consumes: of those
// it knows that what has no position is new.

// subscribed is the document, JSON.
type subscribed struct {
	Topics []string `json:"topics,omitempty"`
	Regex  string   `json:"regex,omitempty"`
}

// subscribedDocument names it: neither name has a slash.
func subscribedDocument(key sources.Key) string {
	return "subscribed/" + key.Collection + "/" + key.Name
}

// documentsOf names all documents of a source but those of its early deletes.
func documentsOf(key sources.Key) []string {
	return []string{documentOf(key), begunDocument(key), subscribedDocument(key)}
}

// recallSubscribed finds out, once in a session, which topics the source has consumed.
func (s *session) recallSubscribed(ctx context.Context) error {
	if s.start.isEarliest() || s.seenBefore {
		return nil
	}
	at := reached{}
	if c := s.current(); c != nil {
		var err error
		if at, err = s.reachedBy(c); err != nil {
			return err
		}
	}
	var err error
	s.consumed, s.subscribedKept, err = s.consumedTopics(ctx, at)
	return err
}

// consumedTopics tells which topics the source has consumed: those with a position, stored or
// begun, and if there are any, those that the document tells. It returns the document, too, nil
// if there is none.
func (s *source) consumedTopics(ctx context.Context, at reached) (has func(topic string) bool, kept []byte, err error) {
	consumed := map[string]bool{}
	for _, p := range s.allBegun() {
		consumed[p.Stream.Topic] = true
	}
	for p := range at {
		consumed[p.topic] = true
	}
	has = func(topic string) bool { return consumed[topic] }
	var before subscribed
	kept, err = s.recallDocument(ctx, subscribedDocument(s.cfg.key()), &before)
	if err != nil || kept == nil || len(consumed) == 0 { // of a collection that there is no more
		return has, kept, err
	}
	subscription := Source{Topics: before.Topics, TopicsRegex: before.Regex}
	covered := subscription.subscription(func(string, string, ...any) {})
	return func(topic string) bool { return consumed[topic] || covered.has(topic) }, kept, nil
}

// keepSubscribed keeps the document up to date, once all partitions have a place where they
// begin.
func (s *session) keepSubscribed(ctx context.Context) error {
	if s.start.isEarliest() {
		return nil
	}
	return s.keepDocument(ctx, subscribedDocument(s.cfg.key()), subscribed{s.cfg.Topics, s.cfg.TopicsRegex}, &s.subscribedKept)
}
