package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"freshet/server"
	"freshet/server/payload"
	"freshet/server/sources"
)

// newReplayRig returns a rig whose collection c has a source, an alias docs and as many
// points as records. Ids go round, so that later records replace points.
func newReplayRig(t *testing.T, records int) *rig {
	t.Helper()
	r := newBare(t, 2)
	r.create(2)
	r.alias("docs", "c")
	r.run()
	r.add(`{"name":"src","topics":["t"]}`)
	r.produceNumbered(0, records)
	r.settled("c", records)
	return r
}

func (r *rig) alias(alias, collection string) {
	r.t.Helper()
	err := r.db.UpdateAliases(r.t.Context(), []server.AliasAction{{Create: &server.Alias{Alias: alias, Collection: collection}}})
	if err != nil {
		r.t.Fatal(err)
	}
}

func numbered(i int) *kgo.Record {
	return &kgo.Record{
		Topic: "t", Partition: int32(i % 2),
		Value: fmt.Appendf(nil, `{"id":%d,"embedding":[%d,1],"other":[1,%d],"n":%d}`, i%1000, i%7, i*i%11, i),
	}
}

func (r *rig) produceNumbered(from, to int) {
	r.t.Helper()
	var list []*kgo.Record
	for i := from; i < to; i++ {
		list = append(list, numbered(i))
	}
	r.produce(list...)
}

// settled waits until a collection has applied as many records of both partitions.
func (r *rig) settled(collection string, records int) {
	r.t.Helper()
	r.eventually(func() string {
		c, err := r.db.Collection(collection)
		if err != nil {
			return err.Error()
		}
		positions, err := c.Positions()
		sum := 0
		for _, p := range positions {
			sum += int(p.Next)
		}
		if err != nil || sum != records {
			return fmt.Sprintf("%s: positions %v, %v; want %d records", collection, positions, err, records)
		}
		return ""
	})
}

func (r *rig) payloads(collection string) map[string]string {
	r.t.Helper()
	c, err := r.db.Collection(collection)
	if err != nil {
		r.t.Fatal(err)
	}
	page, err := c.Scroll(r.t.Context(), server.ScrollRequest{Limit: 1 << 20, WithPayload: payload.All()})
	if err != nil {
		r.t.Fatal(err)
	}
	found := map[string]string{}
	for _, record := range page.Records {
		found[record.ID.String()] = string(record.Payload)
	}
	return found
}

func (r *rig) replay(request string) {
	r.t.Helper()
	if _, err := r.manager.Replay(r.t.Context(), "docs", []byte(request)); err != nil {
		r.t.Fatal(err)
	}
}

// replayIs waits until the replay into c2 is as check wants it.
func (r *rig) replayIs(check func(sources.ReplayStatus) bool) {
	r.t.Helper()
	r.eventually(func() string {
		status, err := r.manager.ReplayStatus(r.t.Context(), "c", "c2")
		if err != nil || !check(status) {
			return fmt.Sprintf("%+v, %v", status, err)
		}
		return ""
	})
}

func isSwitched(s sources.ReplayStatus) bool { return s.State == sources.Switched }

// TestReplay builds a collection with other parameters and another mapping while
// records keep coming, with a restart on the way: before, at and after the switch no
// record is lost in either collection.
func TestReplay(t *testing.T) {
	r := newReplayRig(t, 500)
	stop, produced := make(chan struct{}), make(chan int)
	go func() {
		client, err := kgo.NewClient(kgo.SeedBrokers(r.cluster.ListenAddrs()...), kgo.ProducerLinger(0), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Error(err)
		}
		defer client.Close()
		for i := 500; ; i++ {
			select {
			case <-stop:
				produced <- i
				return
			case <-time.After(5 * time.Millisecond):
			}
			if err := client.ProduceSync(context.Background(), numbered(i)).FirstErr(); err != nil {
				t.Error(err)
			}
		}
	}()
	r.replay(`{"into":"c2","switch_alias":"docs","overrides":{
		"collection":{"hnsw_config":{"m":8},"vectors":{"distance":"Euclid"}},
		"sources":{"src":{"vectors":{"":"value.other"},"payload":{"exclude":["embedding"]},"batch":{"max":7}}}}}`)
	r.restart()
	r.replayIs(isSwitched)
	r.restart()
	r.replayIs(isSwitched)
	close(stop)
	n := <-produced
	r.settled("c", n)
	r.settled("c2", n)

	named, err := r.db.Collection("docs")
	if err != nil || named.Name() != "c2" {
		t.Fatalf("docs names %v, %v", named, err)
	}
	if cfg := named.Config(); *cfg.HNSW.M != 8 || cfg.Vectors.Named[""].Size != 2 || cfg.Vectors.Named[""].Distance != server.Euclid {
		t.Errorf("configuration %+v", cfg)
	}
	want := map[string]string{}
	for i := range n {
		want[fmt.Sprint(i%1000)] = fmt.Sprintf(`{"n":%d}`, i)
	}
	if got := r.payloads("c2"); !maps.Equal(got, want) {
		t.Errorf("the new collection has %d points, want %d: %.2000v", len(got), len(want), got)
	}
	if got := r.payloads("c"); len(got) != len(want) || !strings.Contains(got["0"], `"other"`) {
		t.Errorf("the old collection has %d points, want %d; %s", len(got), len(want), got["0"])
	}
	// What has been switched to stays when the replay is forgotten.
	if dropped, err := r.manager.CancelReplay(t.Context(), "docs", "c2"); dropped || err != nil {
		t.Errorf("forgotten: %v, %v", dropped, err)
	}
	if list, err := r.manager.Replays(t.Context(), "docs"); len(list) != 0 || err != nil || !r.db.Exists("c2") {
		t.Errorf("%v, %v, %v", list, err, r.db.Exists("c2"))
	}
}

// TestReplayGate keeps a gate closed over a restart, by each of its conditions.
func TestReplayGate(t *testing.T) {
	r := newReplayRig(t, 40)
	for _, test := range []struct{ request, waits string }{
		{`"gate":{"min_points":41}`, "40 points of at least 41"},
		{`"gate":{"min_points_fraction":1.1}`, "40 points of at least 44"},
		{`"gate":{"overlap":{"at_least":1,"queries":40,"limit":3}},"overrides":{"sources":{"src":{"vectors":{"":"value.other"}}}}`, "an overlap of "},
		{`"from":{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0},"offset":{"kafka_offset":10}}]}`, "30 points of at least 36"},
		{`"from":{"timestamp":4000000000000}`, "0 points of at least 36"},
	} {
		r.replay(`{"into":"c2","switch_alias":"docs",` + test.request + `}`)
		waits := func(s sources.ReplayStatus) bool {
			return s.State == sources.CatchingUp && len(s.WaitsFor) == 1 && strings.HasPrefix(s.WaitsFor[0], test.waits) && s.Lag == 0
		}
		r.replayIs(waits)
		r.restart()
		r.replayIs(waits)
		if c, err := r.db.Collection("docs"); err != nil || c.Name() != "c" {
			t.Errorf("%s: the alias has been switched, %v", test.request, err)
		}
		if dropped, err := r.manager.CancelReplay(t.Context(), "c", "c2"); !dropped || err != nil {
			t.Fatalf("cancelled: %v, %v", dropped, err)
		}
		r.restart()
		if list, err := r.manager.Replays(t.Context(), "c"); len(list) != 0 || err != nil || r.db.Exists("c2") {
			t.Fatalf("after it was cancelled: %v, %v", list, err)
		}
		if _, err := r.manager.Get(sources.Key{Collection: "c2", Name: "src"}); server.KindOf(err) != server.NotFound {
			t.Fatalf("its source is still there: %v", err)
		}
	}
	// The same vectors have the same neighbours, and without an alias nothing is switched.
	r.replay(`{"into":"c2","gate":{"max_lag":0,"min_points_fraction":1,"overlap":{"at_least":1,"limit":39}}}`)
	r.replayIs(func(s sources.ReplayStatus) bool {
		return s.State == sources.Ready && s.Overlap != nil && *s.Overlap == 1 && s.Points == 40 && s.OldPoints == 40
	})
	r.alias("mine", "c2")
	if dropped, err := r.manager.CancelReplay(t.Context(), "c", "c2"); dropped || err != nil || !r.db.Exists("c2") {
		t.Errorf("a collection that an alias names was dropped: %v, %v", dropped, err)
	}
}

// TestReplayGateWaitsForAlias moves the alias elsewhere while the gate is closed.
func TestReplayGateWaitsForAlias(t *testing.T) {
	r := newReplayRig(t, 4)
	r.replay(`{"into":"c2","switch_alias":"docs","gate":{"min_points":5}}`)
	if err := r.db.CreateCollection(t.Context(), "c3", server.Config{}); err != nil {
		t.Fatal(err)
	}
	r.alias("docs", "c3")
	r.produceNumbered(4, 5)
	r.replayIs(func(s sources.ReplayStatus) bool {
		return s.Points == 5 && len(s.WaitsFor) == 1 && strings.HasPrefix(s.WaitsFor[0], "the alias `docs`")
	})
	r.alias("docs", "c")
	r.replayIs(isSwitched)
}

// TestReplayThatWasSwitched finds that the alias names the new collection, as a crash between
// the switch and the note of it leaves it: the gate has been open.
func TestReplayThatWasSwitched(t *testing.T) {
	r := newReplayRig(t, 4)
	r.replay(`{"into":"c2","switch_alias":"docs","gate":{"min_points":5}}`)
	r.alias("docs", "c2")
	r.replayIs(isSwitched)
}

// TestReplayOfCutLog begins where the log begins, says what is gone and does it only
// if that is allowed.
func TestReplayOfCutLog(t *testing.T) {
	r := newReplayRig(t, 20)
	r.trim(3, 4)
	_, err := r.manager.Replay(t.Context(), "c", []byte(`{"into":"c2"}`))
	if server.KindOf(err) != server.Conflict || !strings.HasPrefix(err.Error(), "7 records are gone") || r.db.Exists("c2") {
		t.Fatal(err)
	}
	r.replay(`{"into":"c2","allow_gap":true,"gate":{"min_points_fraction":0.6}}`)
	r.replayIs(func(s sources.ReplayStatus) bool { return s.State == sources.Ready && s.Gap == 7 && s.Points == 13 })
}

func TestBadReplays(t *testing.T) {
	r := newReplayRig(t, 4)
	for _, name := range []string{"none", "other"} {
		if err := r.db.CreateCollection(t.Context(), name, server.Config{}); err != nil {
			t.Fatal(err)
		}
	}
	r.alias("elsewhere", "other")
	at := func(partition, offset int) string {
		return fmt.Sprintf(`{"partition":{"kafka_topic":"t","kafka_partition":%d},"offset":{"kafka_offset":%d}}`, partition, offset)
	}
	for _, test := range []struct{ collection, request, text string }{
		{"c", `{`, "it is not JSON"},
		{"c", `{} {}`, "more than one JSON value"},
		{"c", `{}`, "into: "},
		{"c", `{"into":7}`, "into: it is number, not a string"},
		{"c", `{"into":"a/b"}`, "into: "},
		{"c", `{"into":"x","gat":1}`, "gat: there is no such setting"},
		{"c", `{"into":"other"}`, "Collection `other` already exists!"},
		{"c", `{"into":"docs"}`, "Collection `docs` already exists!"},
		{"nowhere", `{"into":"x"}`, "doesn't exist"},
		{"none", `{"into":"x"}`, "has no sources"},
		{"c", `{"into":"x","switch_alias":"nowhere"}`, "Alias nowhere does not exists!"},
		{"c", `{"into":"x","switch_alias":"c"}`, "switch_alias: \"c\" is a collection"},
		{"c", `{"into":"x","switch_alias":"elsewhere"}`, "names the collection `other`"},
		{"c", `{"into":"x","from":"latest"}`, "from: "},
		{"c", `{"into":"x","from":{}}`, "from: needs either"},
		{"c", `{"into":"x","from":{"time":1}}`, "from.time: there is no such setting"},
		{"c", `{"into":"x","from":{"timestamp":-1}}`, "from.timestamp: "},
		{"c", `{"into":"x","from":{"offsets":[` + at(0, 99) + `]}}`, "from.offsets[0].offset.kafka_offset: 99 is outside"},
		{"c", `{"into":"x","from":{"offsets":[` + at(7, 0) + `]}}`, "from.offsets[0].partition: no source has"},
		{"c", `{"into":"x","from":{"offsets":[` + at(0, 0) + `,` + at(0, 1) + `]}}`, "is there twice"},
		{"c", `{"into":"x","from":{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0}}]}}`, "from.offsets[0].offset: is needed"},
		{"c", `{"into":"x","gate":{"max_lag":-1}}`, "gate.max_lag: "},
		{"c", `{"into":"x","gate":{"max_lag_seconds":-1}}`, "gate.max_lag_seconds: "},
		{"c", `{"into":"x","gate":{"min_points":-1}}`, "gate.min_points: "},
		{"c", `{"into":"x","gate":{"min_points_fraction":-1}}`, "gate.min_points_fraction: "},
		{"c", `{"into":"x","gate":{"overlap":{}}}`, "gate.overlap.at_least: "},
		{"c", `{"into":"x","gate":{"overlap":{"at_least":1,"queries":-1}}}`, "gate.overlap.queries: "},
		{"c", `{"into":"x","gate":{"overlap":{"at_least":1,"limit":100000}}}`, "gate.overlap.limit: "},
		{"c", `{"into":"x","gate":{"overlap":{"at_least":1,"using":"y"}}}`, "gate.overlap.using: "},
		{"c", `{"into":"x","overrides":{"collection":7}}`, "overrides.collection: is not a JSON object"},
		{"c", `{"into":"x","overrides":{"collection":{"payload_schema":{}}}}`, "overrides.collection.payload_schema: "},
		{"c", `{"into":"x","overrides":{"collection":{"hnsw":{}}}}`, `overrides.collection: json: unknown field "hnsw"`},
		{"c", `{"into":"x","overrides":{"collection":{"hnsw_config":{"m":99999}}}}`, "overrides.collection.hnsw_config.m: "},
		{"c", `{"into":"x","overrides":{"sources":{"y":{}}}}`, "has no source \"y\""},
		{"c", `{"into":"x","overrides":{"sources":{"src":7}}}`, "overrides.sources.src: "},
		{"c", `{"into":"x","overrides":{"sources":{"src":{"start":"latest"}}}}`, "overrides.sources.src.start: "},
		{"c", `{"into":"x","overrides":{"sources":{"src":{"format":"jason"}}}}`, "overrides.sources.src.format: "},
	} {
		_, err := r.manager.Replay(t.Context(), test.collection, []byte(test.request))
		if err == nil || !strings.Contains(err.Error(), test.text) || server.KindOf(err) == server.Internal {
			t.Errorf("%s: %v, want %q", test.request, err, test.text)
		}
	}
	if list, err := r.manager.Replays(t.Context(), "c"); len(list) != 0 || err != nil {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := r.manager.Get(sources.Key{Collection: "x", Name: "src"}); err == nil || r.db.Exists("x") {
		t.Error("a refused replay has left something behind")
	}
	if _, err := r.manager.CancelReplay(t.Context(), "c", "x"); server.KindOf(err) != server.NotFound {
		t.Error(err)
	}
	if _, err := r.manager.Create(t.Context(), "none", []byte(`{"name":"spreads","topics":["t"],"route":"${field:tenant}"}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.manager.Replay(t.Context(), "none", []byte(`{"into":"x"}`)); err == nil || !strings.Contains(err.Error(), "has a route") {
		t.Error(err)
	}
	r.alias("again", "c")
	if _, err := r.manager.Create(t.Context(), "again", []byte(`{"name":"byalias","topics":["t"]}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.manager.Replay(t.Context(), "c", []byte(`{"into":"x"}`)); err == nil || !strings.Contains(err.Error(), "by its alias") {
		t.Error(err)
	}
}

// TestReplayOfALogThatShrinks removes records that a replay has not read yet: by the policy of
// its source it waits, and says why, or goes on behind them.
func TestReplayOfALogThatShrinks(t *testing.T) {
	for _, policy := range []string{"fail", "skip", "replay"} {
		t.Run(policy, func(t *testing.T) {
			r := newBare(t, 1)
			r.create(1)
			r.run()
			r.add(`{"name":"src","topics":["t"],"on_gap":"` + policy + `"}`)
			r.alias("docs", "c")
			for i := range 6 {
				r.produce(value(fmt.Sprintf(`{"id":%d,"embedding":[1]}`, i)))
			}
			r.applied(0, 5)
			var silent atomic.Bool
			silent.Store(true)
			r.cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
				r.cluster.KeepControl()
				time.Sleep(time.Millisecond)
				return req.ResponseKind(), nil, silent.Load()
			})
			r.replay(`{"into":"c2","gate":{"max_lag":0,"min_points_fraction":0.5},"switch_alias":"docs"}`)
			r.trim(3)
			made := sources.Key{Collection: "c2", Name: "src"}
			if err := r.manager.SetState(t.Context(), made, sources.Stopped); err != nil {
				t.Fatal(err)
			}
			silent.Store(false)
			if err := r.manager.SetState(t.Context(), made, sources.Running); err != nil {
				t.Fatal(err)
			}
			if policy == "fail" {
				r.replayIs(func(s sources.ReplayStatus) bool {
					return s.State == sources.CatchingUp && strings.Contains(fmt.Sprint(s.WaitsFor),
						"source `src`, topic `t`, partition 0, which is in state gap: 3 records are gone from the log: it begins at offset 3, the position is 0")
				})
				return
			}
			r.replayIs(func(s sources.ReplayStatus) bool { return s.State == sources.Switched })
			if got, want := fmt.Sprint(r.payloads("c2")), "map[3:{} 4:{} 5:{}]"; got != want {
				t.Errorf("points %s, want %s", got, want)
			}
			if n := r.countedAs("skipped"); n != 3 {
				t.Errorf("%v records count as skipped", n)
			}
		})
	}
}

// TestReplayBesideChanges asks for a replay while the description of its source is replaced.
func TestReplayBesideChanges(t *testing.T) {
	r := newReplayRig(t, 1)
	done := make(chan error, 1)
	go func() {
		var err error
		for i := range 20 {
			_, changed := r.manager.Patch(t.Context(), src, fmt.Appendf(nil, `{"batch":{"max":%d}}`, 100+i))
			err = errors.Join(err, changed)
		}
		done <- err
	}()
	for {
		_, err := r.manager.Replay(t.Context(), "c", []byte(`{"into":"c2","overrides":{"sources":{"none":{}}}}`))
		if server.KindOf(err) != server.Invalid {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
	}
}
