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

// admin does something to the topics.
func (r *rig) admin(do func(*kadm.Client) error) {
	r.t.Helper()
	client := r.client()
	defer client.Close()
	if err := do(kadm.NewClient(client)); err != nil {
		r.t.Fatal(err)
	}
}

// trim removes what the logs of the topic's first partitions have before these offsets.
func (r *rig) trim(offsets ...int64) {
	r.t.Helper()
	r.admin(func(a *kadm.Client) error {
		var cut kadm.Offsets
		for p, offset := range offsets {
			cut.AddOffset("t", int32(p), offset, -1)
		}
		_, err := a.DeleteRecords(r.t.Context(), cut)
		return err
	})
}

func (r *rig) makeTopic(name string) {
	r.t.Helper()
	r.admin(func(a *kadm.Client) error {
		_, err := a.CreateTopic(context.Background(), 1, -1, nil, name)
		return err
	})
}

func (r *rig) deleteTopic(name string) {
	r.t.Helper()
	r.admin(func(a *kadm.Client) error {
		_, err := a.DeleteTopic(context.Background(), name)
		return err
	})
}

func inTopic(topic, v string) *kgo.Record { return &kgo.Record{Topic: topic, Value: []byte(v)} }

// lists waits until the status of the only source lists these partitions.
func (r *rig) lists(want ...string) {
	r.t.Helper()
	r.eventually(func() string {
		got := []string{}
		for _, p := range r.manager.Status()[0].Partitions {
			got = append(got, fmt.Sprintf("%s:%d %s %d/%d", p.Topic, p.Partition, p.State, p.Next, p.End))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Sprintf("partitions %v, want %v", got, want)
		}
		return ""
	})
}

func (r *rig) waits(offsets ...sources.Offset) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	if err := r.manager.WaitFor(ctx, src, offsets); err != nil {
		r.t.Fatal(err)
	}
}

// TestTopicsByPattern consumes what matches, as it comes and goes, and nothing else.
func TestTopicsByPattern(t *testing.T) {
	r := newBare(t, 1)
	r.create(1)
	for _, name := range []string{"a.1", "a.2", "xa.1", "a"} {
		r.makeTopic(name)
	}
	r.produce(inTopic("a.1", `{"id":1,"embedding":[1]}`), inTopic("xa.1", `{"id":100,"embedding":[1]}`), inTopic("a", `{"id":101,"embedding":[1]}`), value(`{"id":102,"embedding":[1]}`))
	r.run()
	r.add(`{"name":"src","topics.regex":"a\\..*","start":"latest","errors.deadletterqueue.topic.name":"a.dlq"}`)
	r.lists("a.1:0 running 1/1", "a.2:0 running 0/0")
	r.produce(inTopic("a.1", `{"id":2,"embedding":[1]}`), inTopic("a.2", `{"id":3,"embedding":[1]}`), inTopic("a.2", `bad`))
	r.makeTopic("a.3") // which is not read from its end: nothing is missed
	r.produce(inTopic("a.3", `{"id":4,"embedding":[1]}`))
	r.lists("a.1:0 running 2/2", "a.2:0 running 2/2", "a.3:0 running 1/1")
	r.waits()
	r.waits(sources.Offset{Partition: sources.TopicPartition{Topic: "a.3"}, Offset: &sources.KafkaOffset{Offset: 1}})
	r.expect(map[string]string{"2": `{}`, "3": `{}`, "4": `{}`})

	letters, err := r.manager.DeadLetters(t.Context(), src, 10, sources.LetterFilter{Topic: "a.2"})
	if err != nil || len(letters) != 1 || letters[0].Topic != "a.2" || letters[0].Offset != 1 {
		t.Errorf("dead letters %+v, %v", letters, err)
	}
	other := sources.Offset{Partition: sources.TopicPartition{Topic: "t"}, Offset: &sources.KafkaOffset{}}
	var e *server.Error
	if err := r.manager.WaitFor(t.Context(), src, []sources.Offset{other}); !errors.As(err, &e) || e.Path != "offsets[0].partition.kafka_topic" {
		t.Errorf("waiting for another topic: %v", err)
	}
	if _, err := r.manager.MoveOffsets(t.Context(), src, sources.Move{Offsets: []sources.Offset{other}}); !errors.As(err, &e) || e.Path != "offsets[0].partition" {
		t.Errorf("moving in another topic: %v", err)
	}
	zero, one := int32(0), int64(2)
	if _, err := r.manager.SkipRecord(t.Context(), src, sources.Skip{Partition: &zero, Offset: &one}); !errors.As(err, &e) || e.Path != "topic" {
		t.Errorf("skipping without a topic: %v", err)
	}

	r.restart()
	r.produce(inTopic("a.1", `{"id":5,"embedding":[1]}`), inTopic("a.3", `{"id":6,"embedding":[1]}`))
	r.lists("a.1:0 running 3/3", "a.2:0 running 2/2", "a.3:0 running 2/2")
	r.expect(map[string]string{"2": `{}`, "3": `{}`, "4": `{}`, "5": `{}`, "6": `{}`})
	offsets, err := r.manager.Offsets(src)
	if err != nil || len(offsets) != 3 || offsets[2].Partition.Topic != "a.3" || offsets[2].Offset.Offset != 2 {
		t.Errorf("offsets %+v, %v", offsets, err)
	}

	r.deleteTopic("a.2") // everything of it is applied
	r.lists("a.1:0 running 3/3", "a.3:0 running 2/2")
	r.makeTopic("a.2") // another one
	r.partition(1, func(p ingest.PartitionStatus) bool {
		return p.Topic == "a.2" && p.State == ingest.Gap && strings.Contains(p.Error, "made anew")
	})
	if _, err := r.manager.ResetOffsets(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	r.produce(inTopic("a.2", `{"id":7,"embedding":[1]}`))
	r.eventually(func() string {
		if _, ok := r.points()["7"]; !ok {
			return fmt.Sprint(r.points())
		}
		return ""
	})
}

// TestDeletedTopic deletes topics with and without records that were not applied.
func TestDeletedTopic(t *testing.T) {
	for _, test := range []struct {
		topics, policy string
		want           []string // without d and e
		last           []string // without any topic
		skipped        float64
	}{
		{`"topics":["d","e","t"]`, "fail", []string{"d:0 gap 0/2", "e:0 gap 0/0", "t:0 paused 0/0"}, []string{"d:0 gap 0/2", "e:0 gap 0/0", "t:0 gap 0/0"}, 0},
		{`"topics.regex":"[det]"`, "fail", []string{"d:0 gap 0/2", "t:0 paused 0/0"}, []string{"d:0 gap 0/2"}, 0},
		{`"topics":["d","e","t"]`, "skip", []string{"t:0 paused 0/0"}, []string{}, 2},
		{`"topics.regex":"[det]"`, "replay", []string{"t:0 paused 0/0"}, []string{}, 2},
	} {
		t.Run(test.topics+" "+test.policy, func(t *testing.T) {
			r := newBare(t, 1)
			r.create(1)
			r.makeTopic("d")
			r.makeTopic("e")
			r.run()
			r.add(fmt.Sprintf(`{"name":"src",%s,"on_gap":%q}`, test.topics, test.policy))
			r.lists("d:0 running 0/0", "e:0 running 0/0", "t:0 running 0/0")
			r.turns(sources.Paused)
			r.produce(inTopic("d", `{"id":1,"embedding":[1]}`), inTopic("d", `{"id":2,"embedding":[1]}`))
			r.lists("d:0 paused 0/2", "e:0 paused 0/0", "t:0 paused 0/0")
			r.deleteTopic("d")
			r.deleteTopic("e")
			r.lists(test.want...)
			if test.policy == "fail" {
				r.partition(0, func(p ingest.PartitionStatus) bool {
					return strings.Contains(p.Error, "the topic was deleted: everything from offset 0 on is gone, 2 records at least") && p.Missing == 2
				})
			}
			r.deleteTopic("t") // the last one
			if !strings.HasPrefix(test.want[len(test.want)-1], "t:") {
				t.Fatal("the table is wrong")
			}
			r.eventually(func() string {
				s := r.manager.Status()[0]
				if s.State != ingest.Retrying || !strings.Contains(s.Error, "none of the topics exists") {
					return "it does not say that no topic is left"
				}
				return ""
			})
			r.lists(test.last...)
			if n := r.countedAs("skipped"); n != test.skipped {
				t.Errorf("%v records count as skipped, want %v", n, test.skipped)
			}
		})
	}
}

// TestTopicThatComesBack consumes another topic of the name of one that was deleted while the
// source goes on with others.
func TestTopicThatComesBack(t *testing.T) {
	r := newBare(t, 1)
	r.create(1)
	r.makeTopic("d")
	r.run()
	r.add(`{"name":"src","topics":["d","t"],"on_gap":"skip"}`)
	r.produce(inTopic("d", `{"id":1,"embedding":[1]}`))
	r.lists("d:0 running 1/1", "t:0 running 0/0")
	r.deleteTopic("d")
	r.lists("t:0 running 0/0")
	r.makeTopic("d")
	r.produce(inTopic("d", `{"id":2,"embedding":[1]}`), inTopic("d", `{"id":3,"embedding":[1]}`))
	r.lists("d:0 running 2/2", "t:0 running 0/0")
	r.expect(map[string]string{"1": `{}`, "2": `{}`, "3": `{}`})
}

// TestPatternWithoutTopics waits for the first one.
func TestPatternWithoutTopics(t *testing.T) {
	r := newBare(t, 1)
	r.create(1)
	r.run()
	r.add(`{"name":"src","topics.regex":"later-.*"}`)
	r.eventually(func() string {
		if s := r.manager.Status()[0]; !strings.Contains(s.Error, "none of the topics exists: topics.regex later-.*") {
			return "it does not say so"
		}
		return ""
	})
	r.makeTopic("later-1")
	r.produce(inTopic("later-1", `{"id":1,"embedding":[1]}`))
	r.lists("later-1:0 running 1/1")
}
