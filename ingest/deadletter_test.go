package ingest_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"freshet/ingest"
	"freshet/ingest/decode"
	"freshet/server/sources"
)

// inTopic returns what a topic holds, by offset in the topic "t".
func (r *rig) inTopic(topic string) map[string][]*kgo.Record {
	r.t.Helper()
	client := r.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer client.Close()
	defer client.PurgeTopicsFromClient(topic) // so that it begins with nothing while it closes
	ends, err := kadm.NewClient(client).ListEndOffsets(r.t.Context(), topic)
	if err != nil {
		r.t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, 0)
	found := map[string][]*kgo.Record{}
	for n := int64(0); n < end.Offset; {
		for _, record := range client.PollFetches(r.t.Context()).Records() {
			found[header(record, "offset")] = append(found[header(record, "offset")], record)
			n++
		}
	}
	return found
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == "__connect.errors."+name {
			return string(h.Value)
		}
	}
	return ""
}

// TestLettersTooLargeForTheirTopic has a topic that takes less than some of the letters.
// Those are kept by the collection, the others are not held up, and all can be looked at
// and tried again.
func TestLettersTooLargeForTheirTopic(t *testing.T) {
	r := newRig(t, 1, ingest.Source{ID: "value.id", DeadLetterTopic: "t.dlq"})
	r.create(1)
	client := r.client()
	defer client.Close()
	limit := "5000"
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, map[string]*string{"max.message.bytes": &limit}, "t.dlq"); err != nil {
		t.Fatal(err)
	}
	random := make([]byte, 20_000) // no compression makes it small
	if _, err := rand.NewChaCha8([32]byte{}).Read(random); err != nil {
		t.Fatal(err)
	}
	var records []*kgo.Record
	for i := range 40 {
		records = append(records, value(fmt.Sprintf(`{"key":%d,"embedding":[1],"x":"%x"}`, i, random[300*i:300*i+200])))
	}
	records = append(records, &kgo.Record{Value: random}, value(fmt.Sprintf(`{"key":41,"embedding":[1],"x":"%x"}`, random)), value(`{"id":42,"embedding":[1]}`))
	r.run()
	r.produce(records...)
	r.applied(0, 42)
	r.expect(map[string]string{"42": `{}`})
	if n := len(r.inTopic("t.dlq")); n != 40 {
		t.Errorf("%d letters are in the topic", n)
	}
	kept := r.letters()
	if len(kept) != 2 || kept[0].Offset != 40 || kept[1].Offset != 41 || !bytes.Equal(kept[0].Value, random) {
		t.Errorf("the collection keeps %d letters", len(kept))
	}
	if got := r.manager.Status()[0].Letters; got != (ingest.LetterStatus{Total: 42, Kept: 2}) {
		t.Errorf("status %+v", got)
	}
	all, err := r.manager.DeadLetters(t.Context(), src, 100, sources.LetterFilter{})
	if err != nil || len(all) != 42 || all[41].Offset != 41 {
		t.Errorf("%d dead letters, %v", len(all), err)
	}
}

// TestLetterTopicIsMadeOnce counts the requests that make topics.
func TestLetterTopicIsMadeOnce(t *testing.T) {
	r := newRig(t, 1, ingest.Source{DeadLetterTopic: "t.dlq"})
	r.create(1)
	var made atomic.Int64
	r.cluster.ControlKey(int16(kmsg.CreateTopics), func(kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		made.Add(1)
		return nil, nil, false
	})
	r.run()
	for i := range 5 {
		r.produce(value("nonsense"))
		r.applied(0, int64(i))
	}
	if n := made.Load(); n != 1 {
		t.Errorf("the topic was made %d times", n)
	}
	client := r.client()
	defer client.Close()
	if _, err := kadm.NewClient(client).DeleteTopics(t.Context(), "t.dlq"); err != nil {
		t.Fatal(err)
	}
	r.produce(value("more nonsense"))
	r.applied(0, 5)
	if n := len(r.inTopic("t.dlq")); n != 1 || made.Load() != 2 {
		t.Errorf("after the topic was deleted it holds %d letters, and was made %d times", n, made.Load())
	}
}

// TestLettersNameTheirRecords has a bad record in the second of two partitions, behind a good
// one: a letter has all that the record had, and says where that is, in a topic as in the
// collection.
func TestLettersNameTheirRecords(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_123)
	for _, topic := range []string{"", "t.dlq"} {
		r := newRig(t, 2, ingest.Source{DeadLetterTopic: topic})
		r.create(1)
		r.run()
		bad := &kgo.Record{
			Partition: 1, Key: []byte("k"), Value: []byte("nonsense"), Timestamp: at,
			Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte("x")}, {Key: "trace", Value: []byte("y")}},
		}
		r.produce(&kgo.Record{Partition: 1, Value: []byte(`{"id":1,"embedding":[1]}`)}, bad)
		r.applied(1, 1)
		if topic != "" {
			found := r.inTopic(topic)["1"]
			if len(found) != 1 || header(found[0], "topic") != "t" || header(found[0], "partition") != "1" || header(found[0], "connector.name") != "src" {
				t.Fatalf("letters %+v", found)
			}
			if own := found[0].Headers[:2]; !found[0].Timestamp.Equal(at) || string(own[0].Value)+string(own[1].Value) != "xy" {
				t.Errorf("at %v, with %v", found[0].Timestamp, own)
			}
		}
		all, err := r.manager.DeadLetters(t.Context(), src, 10, sources.LetterFilter{})
		if err != nil || len(all) != 1 {
			t.Fatalf("%+v, %v", all, err)
		}
		if l := all[0]; l.Topic != "t" || l.Partition != 1 || l.Offset != 1 || l.Reason != string(decode.Undecodable) {
			t.Errorf("%+v", l)
		}
		if topic == "" {
			l := r.letters()[0]
			if string(l.Key) != "k" || string(l.Value) != "nonsense" || !l.Time.Equal(at) || l.Stream.Source != "src" || len(l.Headers) != 2 || string(l.Headers[1].Value) != "y" {
				t.Errorf("%+v", l)
			}
		}
	}
}

// TestStages has a record fail in each stage that Connect's headers tell apart.
func TestStages(t *testing.T) {
	r := newRig(t, 1, ingest.Source{DeadLetterTopic: "t.dlq"})
	r.create(2)
	r.run()
	r.produce(
		value(`nonsense`),
		value(`{"embedding":[1,2]}`),
		value(`{"id":1,"embedding":[1]}`),
	)
	r.applied(0, 2)
	found := r.inTopic("t.dlq")
	for offset, want := range map[string]string{"0": "VALUE_CONVERTER", "1": "TRANSFORMATION", "2": "TASK_PUT"} {
		if len(found[offset]) != 1 || header(found[offset][0], "stage") != want {
			t.Errorf("offset %s: %v, want the stage %s", offset, found[offset], want)
			continue
		}
		l := found[offset][0]
		if trace := header(l, "exception.class.name") + ": " + header(l, "exception.message"); header(l, "exception.stacktrace") != trace {
			t.Errorf("the stack trace is %q, want %q", header(l, "exception.stacktrace"), trace)
		}
	}
}

// TestNothingIsMadeOfABadRecord has bad records before the first good one: they do not
// say what the collection is to be.
func TestNothingIsMadeOfABadRecord(t *testing.T) {
	r := newRig(t, 1, ingest.Source{OnCreate: ingest.OnCreate{Auto: true}})
	r.run()
	r.produce(value(`{"id":1,"embedding":[0,0,0]}`), value(`{"id":2,"embedding":[1,1]}`), value(`{"id":3,"embedding":[1,1,1]}`))
	r.applied(0, 2)
	r.expect(map[string]string{"2": `{}`})
	letters := r.letters()
	if len(letters) != 2 || letters[0].Reason != string(decode.ZeroVector) || letters[1].Reason != string(decode.WrongDimension) {
		t.Errorf("dead letters %+v", letters)
	}
}

// TestLettersUnderWayHoldUpNobody stops a source whose letters a broker has taken, and has not
// answered.
func TestLettersUnderWayHoldUpNobody(t *testing.T) {
	for name, fault := range map[string]error{"silent": nil, "gone": errors.New("the connection ends")} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, ingest.Source{DeadLetterTopic: "t.dlq"})
			r.create(1)
			r.run()
			r.produce(value("nonsense"))
			r.applied(0, 0)
			var topic kadm.TopicID
			r.admin(func(a *kadm.Client) error {
				topics, err := a.ListTopics(t.Context(), "t.dlq")
				topic = topics["t.dlq"].ID
				return err
			})
			var answers atomic.Bool
			var taken atomic.Int64
			r.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
				r.cluster.KeepControl()
				if answers.Load() || req.(*kmsg.ProduceRequest).Topics[0].TopicID != topic {
					return nil, nil, false
				}
				taken.Add(1)
				return nil, fault, true
			})
			r.produce(value("more nonsense"))
			r.eventually(func() string {
				if taken.Load() == 0 {
					return "no letter is under way"
				}
				return ""
			})
			halted := make(chan struct{})
			go func() {
				defer close(halted)
				r.halt()
			}()
			select {
			case <-halted:
			case <-time.After(time.Minute):
				t.Error("the source does not end before its letters")
				answers.Store(true)
				<-halted
			}
		})
	}
}

// TestLetterTopicThatRefuses has a topic for dead letters whose replicas are never enough: the
// client would try for ever, and the source says that it stands still, why and since when.
func TestLetterTopicThatRefuses(t *testing.T) {
	r := newRig(t, 1, ingest.Source{DeadLetterTopic: "t.dlq"})
	r.create(1)
	r.produce(value("nonsense"))
	var enough atomic.Bool
	r.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		if enough.Load() {
			return nil, nil, false
		}
		answer := req.ResponseKind().(*kmsg.ProduceResponse)
		for _, asked := range req.(*kmsg.ProduceRequest).Topics {
			topic := kmsg.ProduceResponseTopic{Topic: asked.Topic, TopicID: asked.TopicID}
			for _, p := range asked.Partitions {
				topic.Partitions = append(topic.Partitions, kmsg.ProduceResponseTopicPartition{Partition: p.Partition, ErrorCode: kerr.NotEnoughReplicas.Code})
			}
			answer.Topics = append(answer.Topics, topic)
		}
		return answer, nil, true
	})
	began := time.Now()
	r.run()
	r.eventually(func() string {
		s := r.manager.Status()[0]
		if s.State != ingest.Retrying || !strings.Contains(s.Error, `"t.dlq"`) || s.ErrorSince.Before(began) {
			return fmt.Sprintf("the source is %s, %q since %s", s.State, s.Error, s.ErrorSince)
		}
		return ""
	})
	var looks atomic.Int64
	r.cluster.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		looks.Add(1)
		return nil, nil, false
	})
	r.eventually(func() string { // and goes on saying so, though the logs can be looked at
		if s := r.manager.Status()[0]; s.State != ingest.Retrying || s.Error == "" {
			t.Fatalf("the source is %s, %q", s.State, s.Error)
		}
		if n := looks.Load(); n < 10 {
			return fmt.Sprintf("%d looks at the logs", n)
		}
		return ""
	})
	enough.Store(true)
	r.applied(0, 0)
	r.eventually(func() string {
		if s := r.manager.Status()[0]; s.State != ingest.Running || s.Error != "" || !s.ErrorSince.IsZero() {
			return fmt.Sprintf("the source is %s, %q since %s", s.State, s.Error, s.ErrorSince)
		}
		return ""
	})
	if n := len(r.inTopic("t.dlq")); n != 1 {
		t.Errorf("%d letters are in the topic", n)
	}
}
