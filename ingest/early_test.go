package ingest_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"freshet/ingest"
	"freshet/ingest/decode"
	"freshet/server"
	"freshet/server/sources"
	"freshet/storage/crashfs"
)

// untenant is a delete of what tenant writes.
func untenant(id int, tenant string) *kgo.Record {
	return &kgo.Record{Key: fmt.Appendf(nil, `{"id":%d,"tenant":%q}`, id, tenant)}
}

// placed puts a record in a partition, with a time in seconds.
func placed(partition int32, seconds int64, r *kgo.Record) *kgo.Record {
	r.Partition, r.Timestamp = partition, time.Unix(1_700_000_000+seconds, 0)
	return r
}

// kept waits until so many early deletes are kept.
func (r *rig) kept(want int) {
	r.t.Helper()
	r.eventually(func() string {
		documents, err := r.db.Documents(r.t.Context(), "early/")
		if err != nil || len(documents) != want {
			return fmt.Sprintf("%d early deletes are kept, want %d; %v", len(documents), want, err)
		}
		return ""
	})
}

func config(dim int) server.Config {
	return server.Config{Vectors: server.VectorsConfig{Single: true, Named: map[string]server.VectorParams{"": {Size: dim, Distance: server.Dot}}}}
}

// TestEarlyDelete has points deleted in one partition before their collection is there, and
// their older upserts come from another one: in the same run, after a restart, after the
// collection was made by hand, and for an alias that is given later.
func TestEarlyDelete(t *testing.T) {
	between := map[string]func(r *rig){
		"in one run":                 func(*rig) {},
		"restart":                    func(r *rig) { r.restart() },
		"made by hand":               func(r *rig) { r.made("a"); r.kept(0) },
		"made by hand, not running":  func(r *rig) { r.halt(); r.made("a"); r.run() },
		"an alias while it runs":     func(r *rig) { r.made("b"); r.alias("a", "b"); r.kept(0) },
		"an alias, and not running":  func(r *rig) { r.halt(); r.made("b"); r.alias("a", "b"); r.run() },
		"the positions begin anew":   func(r *rig) { r.reset() },
		"the source is made anew":    func(r *rig) { r.remade() },
		"a crash before its removal": func(r *rig) { r.made("a"); r.kept(0); r.putBack() },
	}
	for name, meanwhile := range between {
		t.Run(name, func(t *testing.T) {
			r := newBare(t, 2)
			r.run()
			r.add(routedSource)
			r.produce(placed(0, 5, untenant(1, "a")), placed(0, 1, untenant(2, "a")), placed(0, 9, untenant(2, "a")), placed(0, 5, untenant(3, "a")), placed(0, 0, untenant(4, "a")))
			r.kept(4)
			meanwhile(r)
			r.produce(
				placed(1, 4, tenant(1, "a")), placed(1, 8, tenant(2, "a")), placed(1, 6, tenant(3, "a")), placed(1, 1, tenant(4, "a")), placed(1, 1, tenant(5, "a")))
			r.holds("a", map[string]string{"3": `{}`, "4": `{}`, "5": `{}`})
			r.kept(0)
			r.eventually(func() string {
				if stale := r.countedAs("stale"); stale != 2 {
					return fmt.Sprintf("%v records were not written over their deletes, want 2", stale)
				}
				if keys := r.manager.Status()[0].Keys; keys.Crossed < 4 {
					return fmt.Sprintf("%d records had been deleted in another partition, want 4", keys.Crossed)
				}
				return ""
			})
			if l := r.letters(); len(l) > 0 {
				t.Errorf("dead letters %+v", l)
			}
		})
	}
}

const routedSource = `{"name":"src","topics":["t"],"route":"${field:tenant}","on_create":{"auto":true},"payload":{"exclude":["tenant"]}}`

func (r *rig) made(name string) {
	r.t.Helper()
	if err := r.db.CreateCollection(r.t.Context(), name, config(1)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) reset() {
	r.t.Helper()
	r.everywhere(4)
	if _, err := r.manager.ResetOffsets(r.t.Context(), src); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) remade() {
	r.t.Helper()
	r.everywhere(4)
	if err := r.manager.Delete(r.t.Context(), src); err != nil {
		r.t.Fatal(err)
	}
	r.add(routedSource)
}

// putBack keeps a delete that has been applied, as a crash leaves it.
func (r *rig) putBack() {
	r.t.Helper()
	r.halt()
	if err := r.db.PutDocument(r.t.Context(), "early/c/src/a/\x01\x00\x00\x00\x00\x00\x00\x00\x01", earlyAt(0, 5, time.Now())); err != nil {
		r.t.Fatal(err)
	}
	r.run()
	r.kept(0)
}

// earlyAt is the document of a delete at an offset of partition 0.
func earlyAt(offset, seconds int64, kept time.Time) []byte {
	return fmt.Appendf(nil, `{"topic":"t","partition":0,"offset":%d,"time":%d,"kept":%d}`, offset, (1_700_000_000+seconds)*1000, kept.UnixMilli())
}

// TestEarlyDeletesEnd with the time for which collections remember deletes, and with the
// collection where the source lives.
func TestEarlyDeletesEnd(t *testing.T) {
	r := newBare(t, 2)
	old := time.Now().Add(-server.DeletesRemembered - time.Hour)
	if err := r.db.PutDocument(t.Context(), "early/c/src/a/\x01\x00\x00\x00\x00\x00\x00\x00\x01", earlyAt(0, 5, old)); err != nil {
		t.Fatal(err)
	}
	r.run()
	r.add(routedSource)
	r.produce(placed(1, 4, tenant(1, "a")))
	r.holds("a", map[string]string{"1": `{}`})
	r.produce(placed(1, 5, untenant(1, "b")))
	r.kept(1)
	r.drop("c")
	if documents, err := r.db.Documents(t.Context(), ""); err != nil || len(documents) > 0 {
		t.Errorf("after the drop there are %s, %v", documents, err)
	}
}

// TestDamagedEarlyDelete stops nothing but its source, which says so.
func TestDamagedEarlyDelete(t *testing.T) {
	for name, document := range map[string][]byte{"early/c/src/a/\x01": []byte("{}"), "early/c/src/a/\x03x": []byte("nonsense")} {
		r := newBare(t, 1)
		if err := r.db.PutDocument(t.Context(), name, document); err != nil {
			t.Fatal(err)
		}
		r.run()
		r.add(routedSource)
		r.eventually(func() string {
			if s := r.manager.Status()[0]; !strings.Contains(s.Error, `a delete that source "src" has kept: `) {
				return "the fault is not told"
			}
			return ""
		})
	}
}

// TestTooManyEarlyDeletes are dead letters, which take effect once there is the collection.
// What has expired makes room.
func TestTooManyEarlyDeletes(t *testing.T) {
	r := newBare(t, 2)
	documents := map[string][]byte{}
	for i := range 9_999 {
		documents[fmt.Sprintf("early/c/src/other/\x03%d", i)] = earlyAt(0, 0, time.Now())
	}
	if err := r.db.PutDocuments(t.Context(), documents); err != nil {
		t.Fatal(err)
	}
	r.run()
	r.add(routedSource)
	r.produce(placed(0, 5, untenant(1, "a")), placed(0, 5, untenant(2, "a")), placed(0, 6, untenant(1, "a")))
	r.everywhere(2)
	r.kept(10_000)
	l := r.letters()
	if len(l) != 1 || l[0].Offset != 1 || l[0].Reason != "too_many_deletes" || !strings.Contains(l[0].Detail, "deletes of 10000 points") {
		t.Fatalf("dead letters %+v", l)
	}
	counted := func(kept, refused int64) {
		t.Helper()
		r.eventually(func() string {
			s, err := r.manager.SourceStatus(src)
			if err != nil || s.EarlyDeletes == nil || *s.EarlyDeletes != (sources.EarlyDeletes{Kept: kept, Refused: refused}) {
				return fmt.Sprintf("the status counts %+v, want %d and %d; %v", s.EarlyDeletes, kept, refused, err)
			}
			metric := fmt.Sprintf(`# HELP freshet_source_early_deletes Points of which deletes are kept, of a source with a route: they are in collections that do not exist yet. Those that are too many are dead letters, too_many_deletes.
# TYPE freshet_source_early_deletes gauge
freshet_source_early_deletes{collection="c",source="src"} %d
`, kept)
			if err := testutil.GatherAndCompare(r.metrics, strings.NewReader(metric), "freshet_source_early_deletes"); err != nil {
				return err.Error()
			}
			return ""
		})
	}
	counted(10_000, 1)
	if n := lettersCounted(t, r.metrics); n["too_many_deletes"] != 1 {
		t.Errorf("the metrics count %v", n)
	}
	r.turns(sources.Stopped)
	r.restart()
	counted(10_000, 0) // of what is kept a start knows without a connection
	r.turns(sources.Running)
	if report, err := r.manager.Redrive(t.Context(), src, sources.Redrive{}); err != nil || report.Failed != 1 {
		t.Errorf("without the collection: %+v, %v", report, err)
	}
	r.produce(placed(1, 4, tenant(1, "a")), placed(1, 4, tenant(2, "a")))
	r.holds("a", map[string]string{"2": `{}`})
	if report, err := r.manager.Redrive(t.Context(), src, sources.Redrive{}); err != nil || report.Applied != 1 {
		t.Errorf("with the collection: %+v, %v", report, err)
	}
	r.holds("a", map[string]string{})
	r.kept(9_999)
	counted(9_999, 0)
	r.restart()
	counted(9_999, 0)
}

// TestEarlyDeleteOfAFormerLog has the topic made anew after the delete: the offsets of the
// new log do not make its records older. Its time still counts.
func TestEarlyDeleteOfAFormerLog(t *testing.T) {
	for name, crosses := range map[string]func(r *rig){
		"by policy":  func(r *rig) { r.patch(`{"on_gap":"replay"}`) },
		"by request": func(r *rig) { r.patch(`{"on_gap":"fail"}`); r.reset() },
	} {
		t.Run(name, func(t *testing.T) {
			r := newBare(t, 2)
			r.run()
			r.add(routedSource)
			r.produce(placed(0, 5, tenant(9, "b")), placed(0, 5, untenant(1, "a")), placed(0, 5, untenant(2, "a")), placed(0, 5, untenant(3, "a")), placed(0, 5, untenant(3, "a")))
			r.kept(3)
			r.everywhere(4)
			r.turns(sources.Stopped)
			r.recreate(2)
			r.produce(placed(0, 6, tenant(1, "a")), placed(0, 4, tenant(2, "a")), placed(1, 4, tenant(3, "a")))
			crosses(r)
			r.turns(sources.Running)
			r.holds("a", map[string]string{"1": `{}`})
			r.kept(0)
		})
	}
}

// TestEarlyDeleteOfALogThatIsCut has the log cut behind a delete while the source runs: what is
// written to it then is ordered with the delete by its time, though its offset is larger.
func TestEarlyDeleteOfALogThatIsCut(t *testing.T) {
	r := newBare(t, 2)
	var deny atomic.Bool
	var topic atomic.Pointer[kmsg.FetchRequestTopic] // named by the first requests of a session only
	r.cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		fetch := req.(*kmsg.FetchRequest)
		if len(fetch.Topics) > 0 {
			topic.Store(&fetch.Topics[0])
		}
		if deny.CompareAndSwap(true, false) {
			return deniesOffset(fetch, *topic.Load()), nil, true
		}
		return nil, nil, false
	})
	r.run()
	r.add(`{"name":"src","topics":["t"],"route":"${field:tenant}","on_create":{"auto":true},"payload":{"exclude":["tenant"]},"on_gap":"skip"}`)
	r.produce(placed(0, 5, tenant(9, "b")), placed(0, 5, untenant(1, "a")))
	r.kept(1)
	r.everywhere(1)
	c, err := r.db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	beyond := server.Position{Stream: server.Stream{Source: "c/src", Topic: "t"}, Next: 7}
	if _, err := c.Apply(t.Context(), server.Batch{Positions: []server.Position{beyond}}); err != nil {
		t.Fatal(err)
	}
	deny.Store(true)
	r.eventually(func() string {
		if n := r.countedAs("skipped"); n != 5 {
			return fmt.Sprintf("%v records count as skipped", n)
		}
		return ""
	})
	r.produce(placed(0, 4, tenant(1, "a")), placed(0, 6, tenant(2, "a")))
	r.holds("a", map[string]string{"2": `{}`})
	r.kept(0)
}

func (r *rig) patch(change string) {
	r.t.Helper()
	if _, err := r.manager.Patch(r.t.Context(), src, json.RawMessage(change)); err != nil {
		r.t.Fatal(err)
	}
}

// TestEarlyDeletesModel has collections made in the middle of random logs, which begin with
// deletes, with crashes and restarts on the way.
func TestEarlyDeletesModel(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("model.seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 11))
	const partitions, tenants, ids, rounds = 3, 8, 12, 10
	r := newRouted(t, partitions, ingest.Source{Route: "${field:tenant}", Batch: ingest.Batch{Max: 1 + rng.IntN(20)}, Payload: decode.Payload{Include: []string{"n"}}})
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	fs := crashfs.New()
	r.fs, r.dir = fs, "data"
	r.open()
	var next [partitions]int64
	var clock [tenants][ids][partitions]int64
	newest := map[string]map[string]written{}
	upserted := map[string]bool{}
	n := 0
	for round := range rounds {
		var records []*kgo.Record
		for range 1 + rng.IntN(60) {
			n++
			tn, id, p := rng.IntN(tenants), rng.IntN(ids), rng.IntN(partitions)
			name, key := fmt.Sprintf("t%d", tn), fmt.Sprint(id)
			clock[tn][id][p] += rng.Int64N(4)
			w := written{time: clock[tn][id][p], partition: int32(p), offset: next[p], n: n}
			next[p]++
			w.deletes = round <= tn || rng.IntN(3) == 0 // the collections come one after the other
			rec := untenant(id, name)
			if !w.deletes {
				rec = value(fmt.Sprintf(`{"id":%d,"embedding":[1],"tenant":%q,"n":%d}`, id, name, n))
				upserted[name] = true
			}
			records = append(records, placed(w.partition, w.time, rec))
			if newest[name] == nil {
				newest[name] = map[string]written{}
			}
			if last, ok := newest[name][key]; !ok || last.before(w) {
				newest[name][key] = w
			}
		}
		r.run()
		r.produce(records...)
		if rng.IntN(2) == 0 {
			r.eventually(func() string { return r.behind(&next) })
		}
		if rng.IntN(2) == 0 { // what is not synced yet may be lost
			fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		}
		r.reopen(fs)
	}
	r.run()
	r.eventually(func() string { return r.behind(&next) })
	for name, points := range newest {
		if !upserted[name] {
			continue
		}
		want := map[string]string{}
		for id, w := range points {
			if !w.deletes {
				want[id] = fmt.Sprintf(`{"n":%d}`, w.n)
			}
		}
		r.holds(name, want)
	}
	documents, err := r.db.Documents(t.Context(), "early/")
	if err != nil {
		t.Fatal(err)
	}
	for name := range documents {
		if tenant := strings.Split(name, "/")[3]; upserted[tenant] {
			t.Errorf("the collection %s is there, and a delete is kept for it", tenant)
		}
	}
	if l := r.letters(); len(l) > 0 {
		t.Errorf("dead letters %+v", l)
	}
}

// behind says what of the logs the source has not applied.
func (r *rig) behind(next *[3]int64) string {
	list, err := r.manager.Offsets(src)
	at := map[int32]int64{}
	for _, o := range list {
		at[o.Partition.Partition] = o.Offset.Offset
	}
	for p, want := range next {
		if at[int32(p)] < want {
			return fmt.Sprintf("offsets %+v of %v, %v", list, next, err)
		}
	}
	return ""
}
