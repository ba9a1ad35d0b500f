package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/ingest"
	"freshet/ingest/decode"
	"freshet/server"
	"freshet/server/payload"
	"freshet/server/sources"
	"freshet/storage/crashfs"
)

// newRouted returns a rig whose source lives in c.
func newRouted(t *testing.T, partitions int32, s ingest.Source) *rig {
	t.Helper()
	s.OnCreate.Auto = true
	r := newRig(t, partitions, s)
	return r
}

// of returns the points of a collection as id → payload, and its operations.
func (r *rig) of(name string) (points string, operations uint64) {
	r.t.Helper()
	c, err := r.db.Collection(name)
	if err != nil {
		return err.Error(), 0
	}
	page, err := c.Scroll(context.Background(), server.ScrollRequest{Limit: 1 << 20, WithPayload: payload.All()})
	if err != nil {
		r.t.Fatal(err)
	}
	info, err := c.Info()
	if err != nil {
		r.t.Fatal(err)
	}
	m := map[string]string{}
	for _, record := range page.Records {
		m[record.ID.String()] = string(record.Payload)
	}
	return fmt.Sprint(m), info.Operation
}

func (r *rig) holds(name string, want map[string]string) {
	r.t.Helper()
	r.eventually(func() string {
		if got, _ := r.of(name); got != fmt.Sprint(want) {
			return fmt.Sprintf("%s has %s, want %v", name, got, want)
		}
		return ""
	})
}

func tenant(id int, tenant string) *kgo.Record {
	return value(fmt.Sprintf(`{"id":%d,"embedding":[1],"tenant":%q}`, id, tenant))
}

// TestRoute spreads records over collections, which it makes up to a bound.
func TestRoute(t *testing.T) {
	r := newRouted(t, 1, ingest.Source{
		Route: "of-${field:tenant}", OnCreate: ingest.OnCreate{MaxCollections: 2}, Payload: decode.Payload{Exclude: []string{"tenant"}},
	})
	r.run()
	r.produce(tenant(1, "a"), tenant(2, "b"), tenant(3, "a"), tenant(4, "x/../../y"), tenant(5, strings.Repeat("z", 300)),
		value(`{"id":6,"embedding":[1]}`), tenant(7, "c"), value(`{"id":8,"embedding":[1,2],"tenant":"b"}`), value(`{"embedding":[1],"tenant":"b"}`))
	r.everywhere(8)
	r.holds("of-a", map[string]string{"1": `{}`, "3": `{}`})
	r.holds("of-b", map[string]string{"2": `{}`})
	got := []string{}
	for _, l := range r.letters() {
		got = append(got, fmt.Sprintf("%d:%s", l.Offset, l.Reason))
	}
	if want := "[3:unknown_collection 4:unknown_collection 5:unknown_collection 6:unknown_collection 7:wrong_dimension 8:no_id]"; fmt.Sprint(got) != want {
		t.Errorf("dead letters %v", got)
	}
	if names := fmt.Sprint(r.db.Collections()); names != "[c of-a of-b]" {
		t.Errorf("collections %s", names)
	}
	// What is idle is brought forward: a client may wait for any record.
	for _, name := range []string{"of-a", "of-b"} {
		c, err := r.db.Collection(name)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if err := c.WaitOffsets(ctx, []server.MinOffset{{Topic: "t", Offset: 8}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
	r.waits()
	if s := r.manager.Status()[0]; fmt.Sprint(s.Collections) != "[of-a of-b]" {
		t.Errorf("the source says that it feeds %v", s.Collections)
	}
	r.produce(tenant(1, "a")) // a strong read of the other one waits for it, too
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := r.manager.CatchUp(ctx, "of-b", time.Now()); err != nil {
		t.Error(err)
	}
	c, err := r.db.Collection("of-b")
	if err != nil {
		t.Fatal(err)
	}
	if p, _, err := c.Position(server.Stream{Source: "c/src", Topic: "t"}); err != nil || p.Next != 10 {
		t.Errorf("%+v, %v", p, err)
	}

	// A collection that is made by hand takes its dead letter.
	if err := r.db.CreateCollection(t.Context(), "of-c", server.Config{Vectors: server.VectorsConfig{Single: true, Named: map[string]server.VectorParams{"": {Size: 1, Distance: server.Dot}}}}); err != nil {
		t.Fatal(err)
	}
	report, err := r.manager.Redrive(t.Context(), src, sources.Redrive{})
	if err != nil || report.Applied != 1 || report.Failed != 5 {
		t.Errorf("%+v, %v", report, err)
	}
	r.holds("of-c", map[string]string{"7": `{}`})
	if n := len(r.letters()); n != 5 {
		t.Errorf("%d letters are left", n)
	}
	r.produce(tenant(9, "c"))
	r.holds("of-c", map[string]string{"7": `{}`, "9": `{}`})
	// A dry run tells where each record goes.
	validation, err := r.manager.Validate(t.Context(), "c", []byte(`{"topics":["t"],"route":"of-${field:tenant}","on_create":{"auto":true}}`), 3)
	went := []string{}
	for _, p := range validation.Points {
		went = append(went, p.Collection)
	}
	if err != nil || fmt.Sprint(went) != "[of-a of-b of-a]" {
		t.Errorf("the dry run says %v, %v", went, err)
	}
	r.drop("of-c") // the source goes on for the others
	r.produce(tenant(10, "a"))
	r.holds("of-a", map[string]string{"1": `{}`, "3": `{}`, "10": `{}`})
}

// TestRouteAnew is refused a replay of one collection, and of its home, and builds all
// anew beside the old ones by a second source, with another mapping and other graphs. An
// alias is switched, and both go on being fed.
func TestRouteAnew(t *testing.T) {
	r := newBare(t, 1)
	r.run()
	r.add(`{"name":"src","topics":["t"],"route":"of-${field:tenant}","on_create":{"auto":true},"payload":{"exclude":["tenant"]}}`)
	r.produce(tenant(1, "a"), tenant(2, "b"))
	r.everywhere(1)
	const refused = "source `src` of collection `c` has a route, by which it feeds many collections: another source with another route builds them all anew, beside these"
	for _, collection := range []string{"of-a", "c"} {
		if _, err := r.manager.Replay(t.Context(), collection, []byte(`{"into":"again"}`)); server.KindOf(err) != server.Conflict || err.Error() != refused {
			t.Errorf("a replay of %s: %v", collection, err)
		}
	}
	if r.db.Exists("again") {
		t.Error("a replay that was refused has made a collection")
	}
	r.alias("live", "of-a")
	r.add(`{"name":"v2","topics":["t"],"route":"v2-${field:tenant}","on_create":{"auto":true,"m":8}}`)
	r.holds("v2-a", map[string]string{"1": `{"tenant":"a"}`})
	r.holds("v2-b", map[string]string{"2": `{"tenant":"b"}`})
	c, err := r.db.Collection("v2-a")
	if err != nil {
		t.Fatal(err)
	}
	if m := c.Config().HNSW.M; m == nil || *m != 8 {
		t.Errorf("the new collection has m %v", m)
	}
	if err := r.manager.WaitFor(t.Context(), sources.Key{Collection: "c", Name: "v2"}, nil); err != nil {
		t.Fatal(err)
	}
	r.alias("live", "v2-a")
	r.produce(tenant(3, "a"))
	r.holds("live", map[string]string{"1": `{"tenant":"a"}`, "3": `{"tenant":"a"}`})
	r.holds("of-a", map[string]string{"1": `{}`, "3": `{}`})
}

// TestRouteByTopic has a collection for each topic, and follows an alias.
func TestRouteByTopic(t *testing.T) {
	r := newBare(t, 1)
	r.create(1)
	r.makeTopic("a")
	r.makeTopic("b")
	if err := r.db.UpdateAliases(t.Context(), []server.AliasAction{{Create: &server.Alias{Alias: "b", Collection: "c"}}}); err != nil {
		t.Fatal(err)
	}
	r.run()
	r.add(`{"name":"src","topics":["a","b"],"route":"${topic}"}`)
	r.produce(inTopic("a", `{"id":1,"embedding":[1]}`), inTopic("b", `{"id":2,"embedding":[1]}`))
	r.lists("a:0 running 1/1", "b:0 running 1/1")
	r.holds("c", map[string]string{"2": `{}`})
	if l := r.letters(); len(l) != 1 || l[0].Reason != "unknown_collection" || l[0].Stream.Topic != "a" || !strings.Contains(l[0].Detail, "on_create.auto") {
		t.Errorf("dead letters %+v", l)
	}
	if letters, err := r.manager.DeadLetters(t.Context(), src, 10, sources.LetterFilter{}); err != nil || len(letters) != 1 {
		t.Errorf("%+v, %v", letters, err)
	}
	// The collection of b has nothing to do with a, the home has.
	if err := r.db.CreateCollection(t.Context(), "a", server.Config{Vectors: server.VectorsConfig{Single: true, Named: map[string]server.VectorParams{"": {Size: 1, Distance: server.Dot}}}}); err != nil {
		t.Fatal(err)
	}
	r.produce(inTopic("a", `{"id":3,"embedding":[1]}`), inTopic("a", `bad`), inTopic("b", `{"id":4,"embedding":[1]}`))
	r.holds("a", map[string]string{"3": `{}`})
	for name, want := range map[string]string{"a": "[a:3]", "c": "[a:3 b:2]"} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if err := r.manager.CatchUp(ctx, name, time.Now()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
		c, err := r.db.Collection(name)
		if err != nil {
			t.Fatal(err)
		}
		positions, err := c.Positions()
		if err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, p := range positions {
			got = append(got, fmt.Sprintf("%s:%d", p.Stream.Topic, p.Next))
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s has come to %v, want %s", name, got, want)
		}
		r.eventually(func() string {
			if _, ok := r.manager.AsOf(name, positions); !ok {
				return "it is not known how old " + name + " is"
			}
			return ""
		})
	}
	if err := r.db.UpdateAliases(t.Context(), []server.AliasAction{{Delete: "b"}}); err != nil {
		t.Fatal(err)
	}
	validation, err := r.manager.Validate(t.Context(), "c", []byte(`{"topics":["b"],"route":"${topic}"}`), 10)
	if err != nil || len(validation.Points) != 0 || len(validation.Errors) != 2 || validation.Errors[0].Reason != "unknown_collection" {
		t.Errorf("%+v, %v", validation, err)
	}
}

// TestRouteMoves goes back for all collections.
func TestRouteMoves(t *testing.T) {
	r := newBare(t, 1)
	r.run()
	r.add(`{"name":"src","topics":["t"],"route":"${field:tenant}","on_create":{"auto":true},"payload":{"exclude":["tenant"]}}`)
	r.produce(tenant(1, "a"), tenant(2, "b"))
	r.everywhere(1)
	_, before := r.of("a")
	if _, err := r.manager.Patch(t.Context(), src, []byte(`{"payload":null}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.manager.ResetOffsets(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	r.waits()
	r.holds("a", map[string]string{"1": `{"tenant":"a"}`})
	r.holds("b", map[string]string{"2": `{"tenant":"b"}`})
	if _, after := r.of("a"); after != before+1 {
		t.Errorf("%d operations, %d before the record was read again", after, before)
	}
	zero, two := int32(0), int64(2)
	if _, err := r.manager.SkipRecord(t.Context(), src, sources.Skip{Partition: &zero, Offset: &two}); err == nil {
		t.Error("a record that there is not was skipped")
	}
	r.turns(sources.Stopped)
	r.produce(tenant(3, "a"), tenant(4, "a"))
	if _, err := r.manager.SkipRecord(t.Context(), src, sources.Skip{Partition: &zero, Offset: &two}); err != nil {
		t.Fatal(err)
	}
	r.turns(sources.Running)
	r.holds("a", map[string]string{"1": `{"tenant":"a"}`, "4": `{"tenant":"a"}`})
}

// TestRouteSkipsNothingElse has a collection that was put back, and what it lacks not read yet,
// when the next record is to be skipped.
func TestRouteSkipsNothingElse(t *testing.T) {
	r := newBare(t, 1)
	r.run()
	r.add(`{"name":"src","topics":["t"],"route":"${field:tenant}","on_create":{"auto":true},"payload":{"exclude":["tenant"]}}`)
	r.produce(tenant(1, "a"), tenant(2, "b"))
	r.everywhere(1)
	snapshot, err := r.db.CreateSnapshot(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	r.produce(tenant(3, "a"))
	r.everywhere(2)
	r.turns(sources.Paused)
	r.restore("a", snapshot.Name)
	r.produce(tenant(4, "b"), tenant(5, "b"))
	r.partition(0, func(p ingest.PartitionStatus) bool { return p.Next < 3 && p.End == 5 })
	zero, three := int32(0), int64(3)
	skip := sources.Skip{Partition: &zero, Offset: &three}
	if _, err := r.manager.SkipRecord(t.Context(), src, skip); server.KindOf(err) != server.Conflict {
		t.Errorf("skipped, %v", err)
	}
	r.turns(sources.Running)
	r.everywhere(4)
	r.holds("a", map[string]string{"1": `{}`, "3": `{}`})
	r.holds("b", map[string]string{"2": `{}`, "4": `{}`, "5": `{}`})
}

// TestRouteCountsOnceOverCrashes kills the database while records flow into several
// collections, from partitions in turns, and counts the operations of each: as many as
// it has records.
func TestRouteCountsOnceOverCrashes(t *testing.T) {
	r := newRouted(t, 2, ingest.Source{Route: "${field:tenant}", Batch: ingest.Batch{Max: 5}})
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	fs := crashfs.New()
	r.fs = fs
	r.open()
	tenants := []string{"a", "b", "rare"}
	want := map[string]map[string]string{"a": {}, "b": {}, "rare": {}}
	id, crashes := 0, 0
	for range 12 {
		r.run()
		for range 10 {
			var batch []*kgo.Record
			for range 4 {
				name := tenants[rand.IntN(2)]
				if id%37 == 0 {
					name = tenants[2]
				}
				rec := value(fmt.Sprintf(`{"id":%d,"embedding":[1],"tenant":%q}`, id, name))
				rec.Partition = int32(rand.IntN(2))
				batch = append(batch, rec)
				want[name][fmt.Sprint(id)] = fmt.Sprintf(`{"tenant":%q}`, name)
				id++
			}
			r.produce(batch...)
		}
		// What a crash of the machine leaves, at any moment.
		clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rand.IntN(101), RNG: rand.New(rand.NewPCG(rand.Uint64(), 1))})
		fs = clone
		r.reopen(fs)
		crashes++
	}
	r.run()
	r.waits()
	for name, points := range want {
		r.holds(name, points)
		if _, operations := r.of(name); operations != uint64(len(points)) {
			t.Errorf("%s: %d operations of %d records, after %d crashes", name, operations, len(points), crashes)
		}
	}
}

// TestRouteAfterSnapshot puts one of the collections back to an older state: it gets what
// it lacks, and the others get nothing twice.
func TestRouteAfterSnapshot(t *testing.T) {
	r := newRouted(t, 1, ingest.Source{Route: "${field:tenant}", Payload: decode.Payload{Exclude: []string{"tenant"}}})
	r.run()
	r.produce(tenant(1, "a"), tenant(2, "b"))
	r.everywhere(1)
	a, err := r.db.Collection("a")
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := r.db.CreateSnapshot(t.Context(), a.Name())
	if err != nil {
		t.Fatal(err)
	}
	r.produce(tenant(3, "a"), tenant(4, "b"))
	r.everywhere(3)
	r.holds("a", map[string]string{"1": `{}`, "3": `{}`})
	_, before := r.of("b")
	r.restore("a", snapshot.Name)
	r.holds("a", map[string]string{"1": `{}`, "3": `{}`})
	r.produce(tenant(5, "b"))
	r.holds("b", map[string]string{"2": `{}`, "4": `{}`, "5": `{}`})
	if _, after := r.of("b"); after != before+1 {
		t.Errorf("%d operations, %d before one more record", after, before)
	}
}

// everywhere waits until the source has applied an offset everywhere.
func (r *rig) everywhere(offset int64) {
	r.t.Helper()
	r.eventually(func() string {
		list, err := r.manager.Offsets(src)
		if err != nil || len(list) == 0 || list[0].Offset.Offset <= offset {
			return fmt.Sprintf("offsets %+v, %v", list, err)
		}
		return ""
	})
}

// restore puts a collection back to what a snapshot has.
func (r *rig) restore(collection, snapshot string) {
	r.t.Helper()
	file, info, err := r.db.OpenSnapshot(context.Background(), collection, snapshot)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := errors.Join(r.db.Recover(context.Background(), collection, file, info.Checksum), file.Close()); err != nil {
		r.t.Fatal(err)
	}
}
