package ingest

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/server"
)

// TestFindGap counts exactly what is missing, and says where it goes on: in a log whose offsets
// stand for other records than those that were read, as a new one.
func TestFindGap(t *testing.T) {
	old, made := server.TopicID{1}, server.TopicID{2}
	at := func(next int64, id server.TopicID, newLog bool) server.Position {
		return server.Position{Next: next, TopicID: id, NewLog: newLog}
	}
	for name, x := range map[string]struct {
		next int64
		id   server.TopicID
		log  bounds
		end  int64
		want *gap
	}{
		"at the beginning":       {3, old, bounds{3, 9, old, never}, 9, nil},
		"at the end":             {9, old, bounds{3, 9, old, never}, 9, nil},
		"of an id not known":     {9, server.TopicID{}, bounds{3, 9, old, never}, 9, nil},
		"where epochs agree":     {7, old, bounds{3, 9, old, 7}, 9, nil},
		"one is gone":            {2, old, bounds{3, 9, old, never}, 9, &gap{missing: 1, unread: 1, skip: at(3, old, false), replay: at(3, old, false)}},
		"all are gone":           {2, old, bounds{9, 9, old, never}, 9, &gap{missing: 7, unread: 7, skip: at(9, old, false), replay: at(9, old, false)}},
		"cut by one":             {10, old, bounds{3, 9, old, never}, 10, &gap{missing: 1, skip: at(9, old, true), replay: at(3, old, true)}},
		"cut and regrown by one": {8, old, bounds{3, 9, old, 7}, 8, &gap{missing: 1, skip: at(7, old, true), replay: at(3, old, true)}},
		"made anew":              {4, old, bounds{0, 9, made, never}, 7, &gap{missing: 3, unread: 3, skip: at(0, made, true), replay: at(0, made, true)}},
		"made anew, and trimmed": {4, old, bounds{5, 9, made, never}, 0, &gap{skip: at(5, made, true), replay: at(5, made, true)}},
	} {
		got := findGap(at(x.next, x.id, false), x.log, x.end)
		if got != nil {
			if got.text == "" {
				t.Errorf("%s: it says nothing", name)
			}
			got.text = ""
		}
		if (got == nil) != (x.want == nil) || got != nil && *got != *x.want {
			t.Errorf("%s: %+v, want %+v", name, got, x.want)
		}
	}
}

// TestParkPause: a broker that does not have a position is asked at once, and then ever more
// seldom.
func TestParkPause(t *testing.T) {
	for faults, want := range map[int]time.Duration{
		0: 0, 1: 5 * time.Second, 2: 10 * time.Second, 4: 40 * time.Second, 5: time.Minute, 1000: time.Minute,
	} {
		if got := parkPause(5*time.Second, faults); got != want {
			t.Errorf("after %d faults %s, want %s", faults, got, want)
		}
	}
}

// TestReceived: records end the faults of a partition that was out of range, and the first that
// waits is the oldest.
func TestReceived(t *testing.T) {
	p := partition{"t", 0}
	state := &partitionState{state: Running, faults: 3}
	s := &session{source: &source{partitions: map[partition]*partitionState{p: state}}}
	receive := func(records ...*kgo.Record) {
		s.received(kgo.Fetches{{Topics: []kgo.FetchTopic{{
			Topic: "t", Partitions: []kgo.FetchPartition{{HighWatermark: 9, Records: records}},
		}}}})
	}
	receive()
	if state.faults != 3 || state.end != 9 {
		t.Errorf("%+v", state)
	}
	first := time.Unix(1, 0)
	receive(&kgo.Record{Timestamp: first}, &kgo.Record{Timestamp: time.Unix(2, 0)})
	receive(&kgo.Record{Timestamp: time.Unix(3, 0)})
	if state.faults != 0 || !state.oldest.Equal(first) {
		t.Errorf("%+v", state)
	}
}
