package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/ingest"
	"freshet/server"
	"freshet/server/sources"
)

// at is a position in partition p of the topic t; below 0, where the source starts.
func at(p int32, offset int64) sources.Offset {
	o := sources.Offset{Partition: sources.TopicPartition{Topic: "t", Partition: p}}
	if offset >= 0 {
		o.Offset = &sources.KafkaOffset{Offset: offset}
	}
	return o
}

// TestOffsetsAreMoved reads records again after their points have changed: those
// that are the newest of their points take effect, by another mapping too; the
// others do not.
func TestOffsetsAreMoved(t *testing.T) {
	r := newBare(t, 1)
	r.create(1)
	r.run()
	r.add(`{"name":"src","topics":["t"],"payload":{"include":["a"]}}`)
	base := time.Now().Add(-time.Hour)
	for i, v := range []string{
		`{"id":1,"embedding":[1],"a":"old","b":0}`, `{"id":2,"embedding":[1],"a":2,"b":2}`,
		`{"id":1,"embedding":[1],"a":"new","b":1}`, `{"id":3,"embedding":[1],"a":3,"b":3}`,
	} {
		rec := value(v)
		rec.Timestamp = base.Add(time.Duration(i) * time.Minute)
		r.produce(rec)
	}
	r.produce(&kgo.Record{Key: []byte("3"), Timestamp: base.Add(5 * time.Minute)})
	r.applied(0, 4)
	r.expect(map[string]string{"1": `{"a":"new"}`, "2": `{"a":2}`})

	ctx := t.Context()
	if _, err := r.manager.Patch(ctx, src, []byte(`{"payload":{"include":["b"]}}`)); err != nil {
		t.Fatal(err)
	}
	wait := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := r.manager.WaitFor(ctx, src, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.manager.MoveOffsets(ctx, src, sources.Move{Offsets: []sources.Offset{at(0, 2)}}); err != nil {
		t.Fatal(err)
	}
	wait()
	r.expect(map[string]string{"1": `{"b":1}`, "2": `{"a":2}`})
	if _, err := r.manager.ResetOffsets(ctx, src); err != nil {
		t.Fatal(err)
	}
	wait()
	r.expect(map[string]string{"1": `{"b":1}`, "2": `{"b":2}`})

	// While it is stopped, a move shows.
	r.turns(sources.Stopped)
	for want, move := range map[int64]sources.Move{
		1: {Timestamp: ptr(base.Add(30 * time.Second).UnixMilli())},
		5: {Timestamp: ptr(base.Add(time.Hour).UnixMilli() + 1e6)},
		0: {Offsets: []sources.Offset{at(0, -1)}},
		3: {Offsets: []sources.Offset{at(0, 3)}},
	} {
		got, err := r.manager.MoveOffsets(ctx, src, move)
		if err != nil || len(got) != 1 || got[0].Offset.Offset != want {
			t.Errorf("%+v: %+v, %v, want %d", move, got, err, want)
		}
	}
	if _, err := r.manager.MoveOffsets(ctx, src, sources.Move{Offsets: []sources.Offset{at(0, 3)}}); err != nil {
		t.Fatal(err)
	}
	r.restart()
	if got, err := r.manager.Offsets(src); err != nil || len(got) != 1 || got[0].Offset.Offset != 3 {
		t.Errorf("after a restart: %+v, %v", got, err)
	}
}

// TestOffsetsMovedBeforeTheStart moves one of two partitions that have no positions: the other
// begins where the source is to start, as if it had not been moved, and not with its log.
func TestOffsetsMovedBeforeTheStart(t *testing.T) {
	r := newRig(t, 2, ingest.Source{Start: "latest", OnCreate: ingest.OnCreate{Auto: true}})
	record := func(p int32, id int) *kgo.Record {
		return &kgo.Record{Partition: p, Value: fmt.Appendf(nil, `{"id":%d,"embedding":[1]}`, id)}
	}
	r.produce(record(0, 1), record(1, 3))
	r.run()
	r.idle(2)
	r.produce(record(0, 2))
	r.applied(0, 1)
	r.turns(sources.Stopped)
	r.drop("c")
	r.create(1)
	r.produce(record(1, 3))
	offsets, err := r.manager.MoveOffsets(t.Context(), src, sources.Move{Offsets: []sources.Offset{at(0, 0)}})
	if err != nil || len(offsets) != 2 {
		t.Errorf("positions %+v, %v", offsets, err)
	}
	r.produce(record(1, 4))
	r.turns(sources.Running)
	r.applied(0, 1)
	r.applied(1, 2)
	r.expect(map[string]string{"1": `{}`, "2": `{}`, "4": `{}`})

	// From here on a partition that is added begins with its log.
	r.turns(sources.Stopped)
	r.admin(func(a *kadm.Client) error {
		_, err := a.UpdatePartitions(t.Context(), 3, "t")
		return err
	})
	r.produce(record(2, 5))
	if offsets, err = r.manager.MoveOffsets(t.Context(), src, sources.Move{Offsets: []sources.Offset{at(0, 1)}}); err != nil || len(offsets) != 2 {
		t.Errorf("positions %+v, %v", offsets, err)
	}
	r.turns(sources.Running)
	r.applied(2, 0)
	r.expect(map[string]string{"1": `{}`, "2": `{}`, "4": `{}`, "5": `{}`})
}

// TestOffsetsMovedBesideATopicToCome moves a partition while there is a topic that the source
// has not seen yet: that one begins with its log, as without the move.
func TestOffsetsMovedBesideATopicToCome(t *testing.T) {
	r := newBare(t, 1)
	r.create(1)
	r.run()
	r.add(`{"name":"src","topics.regex":"t|late","start":"latest"}`)
	r.idle(1)
	r.produce(value(`{"id":1,"embedding":[1]}`))
	r.applied(0, 0)
	r.turns(sources.Stopped)
	r.makeTopic("late")
	r.produce(inTopic("late", `{"id":2,"embedding":[1]}`))
	if offsets, err := r.manager.MoveOffsets(t.Context(), src, sources.Move{Offsets: []sources.Offset{at(0, 0)}}); err != nil || len(offsets) != 1 {
		t.Errorf("positions %+v, %v", offsets, err)
	}
	r.turns(sources.Running)
	r.eventually(func() string {
		if got := r.points(); len(got) != 2 {
			return fmt.Sprintf("points %v, want 1 and 2", got)
		}
		return ""
	})
}

func ptr[T any](v T) *T { return &v }

func TestBadMoves(t *testing.T) {
	r := newBare(t, 1)
	r.create(1)
	r.run()
	r.add(`{"name":"src","topics":["t"]}`)
	r.produce(value(`{"id":1,"embedding":[1]}`))
	r.applied(0, 0)
	for _, test := range []struct {
		move sources.Move
		path string
	}{
		{sources.Move{}, "offsets"},
		{sources.Move{Timestamp: ptr[int64](1), Offsets: []sources.Offset{at(0, 0)}}, "timestamp"},
		{sources.Move{Timestamp: ptr[int64](-1)}, "timestamp"},
		{sources.Move{Offsets: []sources.Offset{at(0, 0), at(0, 1)}}, "offsets[1].partition"},
		{sources.Move{Offsets: []sources.Offset{at(1, 0)}}, "offsets[0].partition"},
		{sources.Move{Offsets: []sources.Offset{at(0, 2)}}, "offsets[0].offset.kafka_offset"},
	} {
		_, err := r.manager.MoveOffsets(t.Context(), src, test.move)
		var e *server.Error
		if !errors.As(err, &e) || e.Kind != server.Invalid || e.Path != test.path {
			t.Errorf("%+v: %v", test.move, err)
		}
	}
	for _, test := range []struct {
		skip sources.Skip
		kind server.Kind
		text string
	}{
		{sources.Skip{Offset: ptr[int64](0)}, server.Invalid, "partition"},
		{sources.Skip{Partition: ptr[int32](0)}, server.Invalid, "offset"},
		{sources.Skip{Partition: ptr[int32](7), Offset: ptr[int64](0)}, server.Invalid, "partition 7"},
		{sources.Skip{Topic: "u", Partition: ptr[int32](0), Offset: ptr[int64](0)}, server.Invalid, `"u"`},
		{sources.Skip{Partition: ptr[int32](0), Offset: ptr[int64](1)}, server.Invalid, "outside of the log"},
		{sources.Skip{Partition: ptr[int32](0), Offset: ptr[int64](0)}, server.Conflict, "not the next record, which is 1"},
	} {
		_, err := r.manager.SkipRecord(t.Context(), src, test.skip)
		if server.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%+v: %v", test.skip, err)
		}
	}
	if got, err := r.manager.Offsets(src); err != nil || len(got) != 1 || got[0].Offset.Offset != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.manager.WaitFor(ctx, src, []sources.Offset{at(0, 9)}); server.KindOf(err) != server.Timeout || !strings.Contains(err.Error(), "applied up to 1 of 9") {
		t.Errorf("a wait for what is not there: %v", err)
	}
	if err := r.manager.WaitFor(t.Context(), src, []sources.Offset{at(0, -1)}); server.KindOf(err) != server.Invalid {
		t.Errorf("a wait for nothing: %v", err)
	}
}

// TestSkip lets a partition that a bad record has stopped go on behind it.
func TestSkip(t *testing.T) {
	r := newRig(t, 1, ingest.Source{ErrorsTolerance: "none"})
	r.create(1)
	r.run()
	r.produce(value(`{"id":1,"embedding":[1]}`), value(`nonsense`), value(`{"id":2,"embedding":[1]}`))
	r.eventually(func() string {
		s, err := r.manager.SourceStatus(src)
		if err != nil || len(s.Partitions) != 1 || s.Partitions[0].State != "failed" {
			return fmt.Sprintf("%+v, %v", s, err)
		}
		return ""
	})
	if _, err := r.manager.SkipRecord(t.Context(), src, sources.Skip{Partition: ptr[int32](0), Offset: ptr[int64](1)}); err != nil {
		t.Fatal(err)
	}
	if err := r.manager.WaitFor(t.Context(), src, []sources.Offset{at(0, 3)}); err != nil {
		t.Fatal(err)
	}
	r.expect(map[string]string{"1": `{}`, "2": `{}`})
	if n := r.countedAs("skipped"); n != 1 {
		t.Errorf("%v records count as skipped", n)
	}
}

// TestSkipBehindAHole skips a bad record behind offsets that compaction has left empty: the
// record that the source names is the next one.
func TestSkipBehindAHole(t *testing.T) {
	r := newBare(t, 1)
	if err := r.cluster.CreateTopic("compacted", 1, map[string]string{"cleanup.policy": "compact"}); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ key, value string }{
		{"1", `{"id":1,"embedding":[1]}`}, {"2", `{"id":2,"embedding":[1],"n":1}`}, {"3", "nonsense"}, {"2", `{"id":2,"embedding":[1],"n":2}`}, {"4", `{"id":4,"embedding":[1]}`},
	} {
		r.produce(&kgo.Record{Topic: "compacted", Key: []byte(x.key), Value: []byte(x.value)})
	}
	r.cluster.Compact()
	r.create(1)
	r.run()
	r.add(`{"name":"src","topics":["compacted"],"errors.tolerance":"none"}`)
	r.partition(0, func(p ingest.PartitionStatus) bool {
		return p.State == ingest.Failed && p.Next == 2 && strings.Contains(p.Error, "offset 2: ")
	})
	if _, err := r.manager.SkipRecord(t.Context(), src, sources.Skip{Partition: ptr[int32](0), Offset: ptr[int64](2)}); err != nil {
		t.Fatal(err)
	}
	r.waits(sources.Offset{Partition: sources.TopicPartition{Topic: "compacted"}, Offset: &sources.KafkaOffset{Offset: 5}})
	r.expect(map[string]string{"1": `{}`, "2": `{"n":2}`, "4": `{}`})
}

// TestWaitForWhatIsNotThere: a wait goes on while there is no collection yet, and until the
// last record that is in the logs.
func TestWaitForWhatIsNotThere(t *testing.T) {
	r := newRig(t, 1, ingest.Source{OnCreate: ingest.OnCreate{Auto: true}})
	r.run()
	late := func(problem string, offsets ...sources.Offset) {
		t.Helper()
		r.eventually(func() string {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			err := r.manager.WaitFor(ctx, src, offsets)
			if err == nil || server.KindOf(err) == server.NotFound {
				t.Fatalf("the wait ends: %v", err)
			}
			if server.KindOf(err) != server.Timeout || !strings.Contains(err.Error(), problem) {
				return err.Error()
			}
			return ""
		})
	}
	late("not applied in time", at(0, 1))
	r.produce(value(`{"id":1,"embedding":[1]}`))
	r.waits()
	r.turns(sources.Stopped)
	r.produce(value(`{"id":2,"embedding":[1]}`))
	late("applied up to 1 of 2")
}

// TestMoveIntoALogMadeAnew takes a partition out of its gap: what the new log has is
// not older than what the former one had.
func TestMoveIntoALogMadeAnew(t *testing.T) {
	r := newRig(t, 1, ingest.Source{})
	r.create(1)
	r.run()
	r.produce(value(`{"id":1,"embedding":[1],"n":1}`), value(`{"id":2,"embedding":[1]}`), value(`{"id":1,"embedding":[1],"n":2}`))
	r.applied(0, 2)
	r.halt()
	client := r.client()
	defer client.Close()
	admin := kadm.NewClient(client)
	if _, err := admin.DeleteTopic(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CreateTopic(t.Context(), 1, -1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	r.produce(value(`{"id":1,"embedding":[1],"n":3}`))
	r.run()
	r.eventually(func() string {
		s, err := r.manager.SourceStatus(src)
		if err != nil || len(s.Partitions) != 1 || s.Partitions[0].State != "gap" {
			return fmt.Sprintf("%+v, %v", s, err)
		}
		return ""
	})
	if _, err := r.manager.MoveOffsets(t.Context(), src, sources.Move{Offsets: []sources.Offset{at(0, 0)}}); err != nil {
		t.Fatal(err)
	}
	if err := r.manager.WaitFor(t.Context(), src, []sources.Offset{at(0, 1)}); err != nil {
		t.Fatal(err)
	}
	r.expect(map[string]string{"1": `{"n":3}`, "2": `{}`})
}
