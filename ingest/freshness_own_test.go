package ingest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/server"
)

// openDB opens a database in memory that is closed when the test ends.
func openDB(t *testing.T) *server.DB {
	t.Helper()
	db, err := server.Open(t.Context(), "data", server.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// newManager returns a manager of sources that feed the collection c with the topic t.
func newManager(t *testing.T, brokers string, names ...string) *Manager {
	t.Helper()
	db := openDB(t)
	if err := db.CreateCollection(t.Context(), "c", server.Config{}); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Kafka: Kafka{BootstrapServers: brokers}}
	for _, name := range names {
		cfg.Sources = append(cfg.Sources, Source{Name: name, Collection: "c", Topics: []string{"t"}})
	}
	cfg.SetDefaults()
	m, err := New(cfg, db, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// newSession returns a session of a source that has one partition, t/0, and does not consume.
func newSession(t *testing.T) *session {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	s := newManager(t, cluster.ListenAddrs()[0], "src").list[0].source
	client, err := kgo.NewClient(s.options()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s.connected = &session{source: s, client: client, admin: kadm.NewClient(client), assign: make(chan struct{}, 1)}
	return s.connected
}

// TestMarksAreOfTheTimeBeforeTheQuestion: what the brokers answer was so when they were asked,
// and maybe not when the answer came. A partition that is not consumed yet is looked at.
func TestMarksAreOfTheTimeBeforeTheQuestion(t *testing.T) {
	s := newSession(t)
	began := time.Now().Add(-time.Minute)
	if err := s.takeMarks(t.Context(), began); err != nil {
		t.Fatal(err)
	}
	list := s.marks[partition{"t", 0}]
	if len(list) != 1 || !list[0].at.Equal(began) || list[0].topicID == (server.TopicID{}) {
		t.Errorf("marks %+v", list)
	}
	if len(s.assign) != 1 {
		t.Error("no look at the new partition is asked for")
	}
}

// TestMissingOfAnotherLog: a position in the log that a topic had before it was made anew is
// not taken for one in the log that there is.
func TestMissingOfAnotherLog(t *testing.T) {
	s := newSession(t)
	c, err := s.db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	former := server.Position{Stream: s.stream(partition{"t", 0}), Next: 9, TopicID: server.TopicID{1}}
	if _, err := c.Apply(t.Context(), server.Batch{Positions: []server.Position{former}}); err != nil {
		t.Fatal(err)
	}
	if err := s.client.ProduceSync(t.Context(), &kgo.Record{Topic: "t"}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	want, err := s.missing(t.Context(), c, time.Now())
	if err != nil || len(want) != 1 || want[0].Next != 1 || want[0].TopicID == (server.TopicID{}) {
		t.Fatalf("%+v, %v", want, err)
	}
	ended, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	if err := c.WaitPositions(ended, want); server.KindOf(err) != server.Timeout {
		t.Errorf("a wait for them: %v", err)
	}
}

// TestAsOfIsThatOfTheSlowestSource: what is visible is as old as the source says that is furthest
// behind, and of unknown age while one of them has not caught up.
func TestAsOfIsThatOfTheSlowestSource(t *testing.T) {
	at := func(second int64) time.Time { return time.Unix(second, 0) }
	p := partition{"t", 0}
	for _, seconds := range [][]int64{{7, 3, 5}, {3, 7, 5}, {5, 7, 3}} {
		m := newManager(t, "localhost:9", "a", "b", "c")
		var positions []server.Position
		for i, newest := range seconds {
			s := m.list[i].source
			s.marks = map[partition]marks{p: {{at: at(newest), end: 10}, {at: at(9), end: 20}}}
			positions = append(positions, server.Position{Stream: s.stream(p), Next: 10})
		}
		if asOf, known := m.AsOf("c", positions); !known || !asOf.Equal(at(3)) {
			t.Errorf("%v: as of %v, %v", seconds, asOf, known)
		}
		for i := range positions {
			behind := slices.Clone(positions)
			behind[i].Next = 9
			if asOf, known := m.AsOf("c", behind); known {
				t.Errorf("source %d has not come to any mark: as of %v", i, asOf)
			}
		}
	}
}

// selected is a context that does something once somebody waits for it to end.
type selected struct {
	context.Context
	do func()
}

func (c selected) Done() <-chan struct{} {
	c.do()
	return c.Context.Done()
}

// TestLookThatBeganTooEarly is shared by those who want no more than what was in the logs
// then. Others look themselves.
func TestLookThatBeganTooEarly(t *testing.T) {
	for name, since := range map[string]time.Duration{"in time": -time.Minute, "too early": time.Minute} {
		t.Run(name, func(t *testing.T) {
			s := newSession(t)
			began := time.Now()
			other := &marking{began: began, done: make(chan struct{})}
			s.marking = other
			ends := func() { // with no marks
				s.mu.Lock()
				defer s.mu.Unlock()
				if s.marking == other {
					s.marking = nil
					close(other.done)
				}
			}
			if err := s.mark(selected{t.Context(), ends}, began.Add(since)); err != nil {
				t.Fatal(err)
			}
			if looked := len(s.marks) > 0; looked != (since > 0) {
				t.Errorf("it looked itself: %v", looked)
			}
		})
	}
}

// TestBuffered counts what the client holds beside what has left it, each record with all that
// it has.
func TestBuffered(t *testing.T) {
	s := newSession(t)
	record := &kgo.Record{Topic: "t", Key: []byte("key"), Value: []byte("value"), Headers: []kgo.RecordHeader{{Key: "header", Value: []byte("of it")}}}
	if err := s.client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if n := s.buffered(); n != 0 {
		t.Errorf("%d bytes before any fetch", n)
	}
	s.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{"t": {0: kgo.NewOffset().AtStart()}})
	defer giveUp(s.client, map[string][]int32{"t": {0}})
	for s.client.BufferedFetchBytes() == 0 {
		time.Sleep(time.Millisecond)
	}
	s.unapplied.Add(100)
	if n := s.buffered(); n != 100+sizeOf(record) || sizeOf(record) != int64(len("key"+"value"+"header"+"of it")) {
		t.Errorf("%d bytes, the record has %d", n, sizeOf(record))
	}
	s.client.PollFetches(t.Context())
	if n := s.buffered(); n != 100 {
		t.Errorf("%d bytes once it has left the client", n)
	}
}
