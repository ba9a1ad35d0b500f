package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"freshet/ingest/decode"
	"freshet/server"
	"freshet/server/point"
	"freshet/server/sources"
)

// With a route a delete may come before its collection is made, and what makes that may be
// an older upsert of another partition. So early deletes are kept, each in a document, before
// a position passes its record. They are the first operations of the collection once there
// is one, and their documents are removed behind that commit, in the same log. A crash in
// between has them applied again, which changes nothing: they have the versions of their
// records.

const (
	// maxEarlyDeletes bounds the points of which a source keeps early deletes.
	maxEarlyDeletes = 10_000
	// earlyLook is the least time between looks for those that are kept no longer, while
	// there are so many.
	earlyLook = time.Minute
)

// earlyDelete is what a document has, JSON. Its name tells the collection and the point.
type earlyDelete struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Time      int64  `json:"time"` // as in server.Version, and so the next
	Timestamp int64  `json:"timestamp,omitempty"`
	Former    bool   `json:"former,omitempty"` // the offset is one of a log that there is no more
	Kept      int64  `json:"kept"`             // since when, Unix milliseconds
}

// expired says whether a collection, too, would not remember the delete any more.
func (e earlyDelete) expired(now time.Time) bool {
	return now.Sub(time.UnixMilli(e.Kept)) > server.DeletesRemembered
}

func (s *source) versionOf(e earlyDelete) server.Version {
	v := server.Version{Stream: s.stream(partition{e.Topic, e.Partition}), Offset: e.Offset, Time: e.Time, Timestamp: e.Timestamp}
	if e.Former {
		return v.OfFormerLog()
	}
	return v
}

func (s *source) opOf(id point.ID, e earlyDelete) server.Op {
	return server.Op{Kind: server.Delete, Select: server.Select{IDs: []point.ID{id}}, Version: s.versionOf(e)}
}

// earlyDeletes are those of a session whose collections do not exist. The goroutine that
// decodes changes them, and reads them without mu.
type earlyDeletes struct {
	making sync.Mutex                          // held while a record makes a collection
	mu     sync.Mutex                          // guards of and count against others
	of     map[string]map[point.ID]earlyDelete // by the collection's name
	count  int
	looked time.Time // for those that are kept no longer
}

func (e *earlyDeletes) put(collection string, id point.ID, d earlyDelete) {
	e.mu.Lock()
	defer e.mu.Unlock()
	points := e.of[collection]
	if points == nil {
		points = map[point.ID]earlyDelete{}
		e.of[collection] = points
	}
	if _, known := points[id]; !known {
		e.count++
	}
	points[id] = d
}

// drop forgets the deletes of one collection for which it is told to.
func (e *earlyDeletes) drop(collection string, which func(point.ID, earlyDelete) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	points := e.of[collection]
	for id, d := range points {
		if which(id, d) {
			delete(points, id)
			e.count--
		}
	}
	if len(points) == 0 {
		delete(e.of, collection)
	}
}

// noteEarly tells the status how many there are.
func (s *session) noteEarly() {
	s.early.mu.Lock()
	kept := int64(s.early.count)
	s.early.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.earlyKept = kept
}

// overdue says whether there is a collection by now that has not got its deletes.
func (e *earlyDeletes) overdue(db *server.DB) bool {
	e.making.Lock()
	defer e.making.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	for collection := range e.of {
		if db.Exists(collection) {
			return true
		}
	}
	return false
}

// earlyPrefix begins the names of the documents of a source: names have no slash.
func earlyPrefix(key sources.Key) string { return "early/" + key.Collection + "/" + key.Name + "/" }

func (s *source) earlyDocument(collection string, id point.ID) string {
	return earlyPrefix(s.cfg.key()) + collection + "/" + string(id.AppendKey(nil))
}

// keepEarly keeps a delete in a collection that does not exist, with a batch.
func (s *session) keepEarly(collection string, op *server.Op, d *decoded) error {
	v, now := op.Version, time.Now()
	e := earlyDelete{
		Topic: v.Stream.Topic, Partition: v.Stream.Partition, Offset: v.Offset, Time: v.Time, Timestamp: v.Timestamp, Kept: now.UnixMilli(),
	}
	value, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("keep a delete in %q: %w", collection, err)
	}
	for _, id := range op.Select.IDs {
		known, has := s.early.of[collection][id]
		if has && v.Before(s.versionOf(known)) {
			continue
		}
		if !has && s.early.count >= maxEarlyDeletes {
			s.dropExpired(now, d)
		}
		if !has && s.early.count >= maxEarlyDeletes {
			return decode.Bad(decode.TooManyDeletes, "there is no collection %q yet, and deletes of %d points in such collections are kept already", collection, maxEarlyDeletes)
		}
		s.early.put(collection, id, e)
		name := s.earlyDocument(collection, id)
		d.early[name] = value
		delete(d.late, name)
	}
	return nil
}

// dropExpired makes room, now and then.
func (s *session) dropExpired(now time.Time, d *decoded) {
	if now.Sub(s.early.looked) < earlyLook {
		return
	}
	s.early.looked = now
	for collection := range s.early.of {
		s.early.drop(collection, func(id point.ID, e earlyDelete) bool {
			if e.expired(now) {
				d.leaves(s.earlyDocument(collection, id))
				return true
			}
			return false
		})
	}
}

// takeEarly has a batch apply the deletes that were kept for a collection, by a name of it.
func (s *session) takeEarly(name string, c *server.Collection, d *decoded) {
	if len(s.early.of[name]) == 0 {
		return
	}
	s.early.drop(name, func(id point.ID, e earlyDelete) bool {
		d.shares[c] = append(d.shares[c], s.opOf(id, e))
		d.leaves(s.earlyDocument(name, id))
		return true
	})
}

// leaves has the document of an early delete removed once the batch is applied.
func (d *decoded) leaves(document string) {
	delete(d.early, document)
	d.late[document] = true
}

// recallEarly reads the documents. What is for collections that exist is applied.
func (s *session) recallEarly(ctx context.Context) error {
	documents, err := s.db.Documents(ctx, earlyPrefix(s.cfg.key()))
	if err != nil {
		return err
	}
	now := time.Now()
	var late []string
	ops := map[*server.Collection][]server.Op{}
	for name, value := range documents {
		collection, id, e, err := s.readEarly(name, value)
		if err != nil {
			return err
		}
		c, err := s.db.Collection(collection)
		switch {
		case e.expired(now):
			late = append(late, name)
		case err == nil:
			late = append(late, name)
			ops[c] = append(ops[c], s.opOf(id, e))
		case server.KindOf(err) != server.NotFound:
			return err
		default:
			s.early.put(collection, id, e)
		}
	}
	for c, list := range ops {
		if _, err := commit(ctx, c, server.Batch{Ops: list}); err != nil {
			return fmt.Errorf("collection %q: %w", c.Name(), err)
		}
	}
	s.noteEarly()
	return s.db.DeleteDocuments(ctx, late...)
}

func (s *source) readEarly(document string, value []byte) (collection string, id point.ID, e earlyDelete, err error) {
	collection, key, _ := strings.Cut(strings.TrimPrefix(document, earlyPrefix(s.cfg.key())), "/")
	if id, err = point.FromKey([]byte(key)); err == nil {
		err = json.Unmarshal(value, &e)
	}
	if err != nil {
		err = fmt.Errorf("a delete that source %q has kept: %w", s.cfg.Name, err)
	}
	return collection, id, e, err
}

// ageEarly notes which deletes are of logs that end with positions in new ones. To be done
// before those are stored.
func (s *source) ageEarly(ctx context.Context, positions []server.Position) (aged bool, err error) {
	ended := map[partition]bool{}
	for _, p := range positions {
		if p.NewLog {
			ended[partition{p.Stream.Topic, p.Stream.Partition}] = true
		}
	}
	if s.cfg.Route == "" || len(ended) == 0 {
		return false, nil
	}
	documents, err := s.db.Documents(ctx, earlyPrefix(s.cfg.key()))
	if err != nil {
		return false, err
	}
	changed := map[string][]byte{}
	for name, value := range documents {
		_, _, e, err := s.readEarly(name, value)
		if err != nil {
			return false, err
		}
		if e.Former || !ended[partition{e.Topic, e.Partition}] {
			continue
		}
		e.Former = true
		if changed[name], err = json.Marshal(e); err != nil {
			return false, fmt.Errorf("keep a delete: %w", err)
		}
	}
	return len(changed) > 0, s.db.PutDocuments(ctx, changed)
}
