package ingest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/ingest"
	"freshet/server/sources"
	"freshet/storage/crashfs"
)

// idle waits until the source has read the partitions up to their ends, without a
// collection in which it could note that.
func (r *rig) idle(partitions int) {
	r.t.Helper()
	r.eventually(func() string {
		s := r.manager.Status()[0]
		if s.State != ingest.Running || len(s.Partitions) != partitions {
			return "the source does not run"
		}
		return ""
	})
}

// TestDeleteBeforeTheCollection has a point deleted in one partition before the collection
// is made by the point's own older upsert, which is in another one. The first points come
// when fewer deletes were read than are held, and when there were more.
func TestDeleteBeforeTheCollection(t *testing.T) {
	for name, deletes := range map[string]int{"held": 1, "more than are held": 10_001} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 2, ingest.Source{OnCreate: ingest.OnCreate{Auto: true}, DeadLetterTopic: "t.dlq"})
			r.run()
			now := time.Now()
			records := make([]*kgo.Record, 0, deletes)
			for i := range deletes {
				records = append(records, &kgo.Record{Key: fmt.Appendf(nil, "k%d", i), Timestamp: now})
			}
			// The letter that follows them tells that they were read.
			r.produce(append(records, &kgo.Record{Value: []byte("nonsense"), Timestamp: now})...)
			r.eventually(func() string {
				if r.manager.Status()[0].Letters.Total == 0 {
					return "the deletes are not read"
				}
				return ""
			})
			upsert := func(key string, at time.Time) {
				r.produce(&kgo.Record{Partition: 1, Key: []byte(key), Value: []byte(`{"embedding":[1]}`), Timestamp: at})
			}
			upsert("k0", now.Add(-time.Minute))
			upsert("other", now.Add(-time.Minute))
			r.applied(0, int64(deletes))
			r.applied(1, 1)
			r.expect(map[string]string{"other": `{}`})
		})
	}
}

// TestLatestIsFoundOnce has a source that begins at the ends of the logs, and its first
// record refused for a while, also over a restart: where the logs end later is not where it
// began.
func TestLatestIsFoundOnce(t *testing.T) {
	for name, restart := range map[string]bool{"in one run": false, "over a restart": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 2, ingest.Source{Start: "latest", Embed: ofText("value.text"), OnCreate: ingest.OnCreate{Auto: true}})
			r.produce(value(`{"id":1,"text":"before"}`))
			e := r.embedding()
			e.answer(http.StatusServiceUnavailable)
			r.run()
			r.idle(2)
			r.produce(value(`{"id":2,"text":"a"}`))
			r.eventually(func() string {
				if s := r.manager.Status()[0]; !strings.Contains(s.Error, "503") {
					return "the record is not refused"
				}
				return ""
			})
			if restart {
				r.halt()
			}
			second := value(`{"id":3,"text":"b"}`)
			second.Partition = 1
			r.produce(second)
			e.answer(0)
			if restart {
				r.run()
			}
			r.applied(0, 1)
			r.applied(1, 0)
			r.expect(map[string]string{"2": `{"text":"a"}`, "3": `{"text":"b"}`})
			r.eventually(func() string {
				documents, err := r.db.Documents(t.Context(), "begun/")
				if err != nil || len(documents) > 0 {
					return fmt.Sprintf("where it began is kept though it is stored: %s, %v", documents, err)
				}
				return ""
			})
		})
	}
}

// TestLatestIsDurable takes the power away from a source that has found where its logs end, and
// read nothing yet: what comes meanwhile is not passed over.
func TestLatestIsDurable(t *testing.T) {
	for _, name := range []string{"with a collection", "with one that was made anew", "without"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, ingest.Source{Start: "latest", OnCreate: ingest.OnCreate{Auto: true}})
			if err := r.db.Close(); err != nil {
				t.Fatal(err)
			}
			fs := crashfs.New()
			r.fs, r.dir, r.syncInterval = fs, "data", time.Hour
			r.open()
			r.produce(value(`{"id":1,"embedding":[1]}`))
			if name != "without" {
				r.create(1)
			}
			r.run()
			r.idle(1)
			if name == "with one that was made anew" {
				r.turns(sources.Stopped)
				r.drop("c")
				r.create(1)
				r.turns(sources.Running)
			}
			crashed := fs.CrashClone(vfs.CrashCloneCfg{})
			r.reopen(crashed)
			r.produce(value(`{"id":2,"embedding":[1]}`))
			r.run()
			r.applied(0, 1)
			r.expect(map[string]string{"2": `{}`})
		})
	}
}

// runsOnAnotherLog has the source begin behind point 1, and run again on a topic that was made anew
// meanwhile, with the points 2 and 3.
func (r *rig) runsOnAnotherLog() {
	r.t.Helper()
	r.produce(value(`{"id":1,"embedding":[1]}`))
	r.run()
	r.idle(1)
	r.halt()
	r.recreate(1)
	r.produce(value(`{"id":2,"embedding":[1]}`), value(`{"id":3,"embedding":[1]}`))
	r.run()
}

// TestBegunInAFormerLog has the topic made anew before there is a collection: where the source
// had begun says nothing about the new log.
func TestBegunInAFormerLog(t *testing.T) {
	r := newRig(t, 1, ingest.Source{Start: "latest", OnCreate: ingest.OnCreate{Auto: true}})
	r.runsOnAnotherLog()
	r.applied(0, 1)
	r.expect(map[string]string{"2": `{}`, "3": `{}`})
}

// TestStoredPositionCounts keeps nothing of where a source has begun whose position is
// stored, as a crash between the two leaves it: where it begins anew is another place.
func TestStoredPositionCounts(t *testing.T) {
	r := newRig(t, 1, ingest.Source{Start: "latest"})
	r.create(1)
	r.run()
	r.idle(1)
	r.halt()
	if err := r.db.PutDocument(t.Context(), "begun/c/src", []byte(`[{"topic":"t","partition":0,"next":7}]`)); err != nil {
		t.Fatal(err)
	}
	r.run()
	r.produce(value(`{"id":1,"embedding":[1]}`))
	r.applied(0, 0)
	r.expect(map[string]string{"1": `{}`})
	r.eventually(func() string {
		documents, err := r.db.Documents(t.Context(), "begun/")
		if err != nil || len(documents) > 0 {
			return fmt.Sprintf("there are %s, %v", documents, err)
		}
		return ""
	})
}

// TestBadRecordBeforeTheCollection stops a partition at a bad record though there is no
// collection yet.
func TestBadRecordBeforeTheCollection(t *testing.T) {
	r := newRig(t, 2, ingest.Source{ErrorsTolerance: "none", OnCreate: ingest.OnCreate{Auto: true}})
	r.run()
	r.produce(value(`nonsense`))
	r.eventually(func() string {
		s := r.manager.Status()[0]
		if len(s.Partitions) == 0 || s.Partitions[0].State != ingest.Failed {
			return "the partition is not stopped"
		}
		return ""
	})
	behind := value(`{"id":1,"embedding":[1]}`)
	other := value(`{"id":2,"embedding":[1]}`)
	other.Partition = 1
	r.produce(behind, other)
	r.applied(1, 0)
	r.expect(map[string]string{"2": `{}`})
}
