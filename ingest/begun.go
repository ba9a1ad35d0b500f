package ingest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"freshet/server"
	"freshet/server/sources"
)

// Where a partition begins that has no stored position is stored with the collection; while
// there is none, in a document of the source, if it was found by "latest": another look
// would find the end of the log as it is then, and pass over what came meanwhile.

// begun is where a partition has begun, as it is kept.
type begun struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Next      int64  `json:"next"`
	TopicID   []byte `json:"topic_id"`
}

// begunDocument names the document of a source: neither name has a slash.
func begunDocument(key sources.Key) string { return "begun/" + key.Collection + "/" + key.Name }

// beginOnce is begin for a source that consumes: where it has begun, and could not store
// so yet, it begins again.
func (s *session) beginOnce(ctx context.Context, p partition, b bounds) (server.Position, error) {
	s.mu.Lock()
	at, ok := s.begun[p]
	s.mu.Unlock()
	if ok && at.TopicID.CanBe(b.topicID) && b.start <= at.Next && at.Next <= b.end {
		return at, nil
	}
	at, err := s.begin(ctx, p, b)
	if err == nil {
		s.mu.Lock()
		s.begun[p] = at
		s.mu.Unlock()
	}
	return at, err
}

// recallBegun reads the document, once, before the positions are looked up: those that are
// stored leave it.
func (s *source) recallBegun(ctx context.Context) error {
	if !s.start.latest || s.begunKept != nil {
		return nil
	}
	var list []begun
	kept, err := s.recallDocument(ctx, begunDocument(s.cfg.key()), &list)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range list {
		p := partition{at.Topic, at.Partition}
		s.begun[p] = server.Position{Stream: s.stream(p), Next: at.Next, TopicID: server.TopicIDFrom(at.TopicID)}
	}
	s.begunKept = append([]byte{}, kept...)
	return nil
}

// keepBegun keeps the document up to date. Nothing is to be consumed before.
func (s *source) keepBegun(ctx context.Context) error {
	if !s.start.latest {
		return nil
	}
	var list []begun
	for _, at := range s.allBegun() {
		list = append(list, begun{at.Stream.Topic, at.Stream.Partition, at.Next, at.TopicID[:]})
	}
	if len(list) == 0 {
		if len(s.begunKept) == 0 {
			return nil
		}
		s.begunKept = []byte{}
		return s.db.DeleteDocuments(ctx, begunDocument(s.cfg.key()))
	}
	slices.SortFunc(list, func(a, b begun) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return s.keepDocument(ctx, begunDocument(s.cfg.key()), list, &s.begunKept)
}

// recallDocument reads what a document of the source holds into content, and returns the
// document, nil if there is none.
func (s *source) recallDocument(ctx context.Context, name string, content any) (kept []byte, err error) {
	documents, err := s.db.Documents(ctx, name)
	if kept = documents[name]; err != nil || kept == nil {
		return nil, err
	}
	if err := json.Unmarshal(kept, content); err != nil {
		return nil, fmt.Errorf("recall document %s: %w", name, err)
	}
	return kept, nil
}

// keepDocument puts what a document of the source is to hold, unless that is what it holds: kept.
func (s *source) keepDocument(ctx context.Context, name string, content any, kept *[]byte) error {
	value, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("keep document %s: %w", name, err)
	}
	if bytes.Equal(value, *kept) {
		return nil
	}
	if err := s.db.PutDocument(ctx, name, value); err != nil {
		return err
	}
	*kept = value
	return nil
}

// allBegun lists where partitions have begun whose positions are not stored yet.
func (s *source) allBegun() []server.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]server.Position, 0, len(s.begun))
	for _, position := range s.begun {
		list = append(list, position)
	}
	return list
}

// forgetBegun takes note of positions that are stored.
func (s *source) forgetBegun(stored []server.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range stored {
		delete(s.begun, partition{p.Stream.Topic, p.Stream.Partition})
	}
}
