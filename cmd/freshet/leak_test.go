package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"freshet/server"
	"freshet/server/memory"
)

// leakTime is the variable that says how long TestLeaks goes on, a duration; without it,
// for some rounds.
const leakTime = "FRESHET_LEAK_TIME"

// What may come beside what was there after the first rounds: the store's write buffers of
// 32 MB with their logs, its cache of 64 MB, tables that wait to be compacted. Minutes of
// rounds write many times as much, and goroutines, files and collections show after a few.
const (
	spareGoroutines = 10
	spareFiles      = 40
	spareHeap       = 96 << 20
	spareResident   = 320 << 20
	spareDisk       = 128 << 20
	leakRounds      = 12
	warmRounds      = 4
)

// processUsage is what a process has of its machine.
type processUsage struct {
	goroutines, files    int
	heap, resident, disk int64
}

// TestLeaks makes collections, gives them points by REST and from topics, searches, takes
// snapshots, and drops them, round after round: what the process has then is what it had
// after the first rounds, and nothing keeps a dropped collection.
func TestLeaks(t *testing.T) {
	began, long := time.Now(), time.Duration(0)
	if given := os.Getenv(leakTime); given != "" {
		var err error
		if long, err = time.ParseDuration(given); err != nil {
			t.Fatalf("%s: %v", leakTime, err)
		}
	}
	l := newLeakLoad(t)
	var warm processUsage
	rounds := 0
	for ; rounds < leakRounds || time.Since(began) < long; rounds++ {
		if rounds == warmRounds || rounds > warmRounds && time.Since(began) < long/10 {
			warm = l.usage()
		}
		l.round(rounds)
	}
	l.forgotten()
	now := l.usage()
	for i := 0; now.exceeds(warm) != "" && i < 100; i++ { // what is closed ends soon
		time.Sleep(50 * time.Millisecond)
		now = l.usage()
	}
	t.Logf("%d rounds in %s: %+v, after the first ones %+v", rounds, time.Since(began).Round(time.Second), now, warm)
	if what := now.exceeds(warm); what != "" {
		t.Errorf("more %s than after the first rounds: %+v, %+v before", what, now, warm)
	}
	l.stop()
	l.nothingLeft()
}

// nothingLeft checks that the folder has no record and no snapshot of what was dropped.
func (l *leakLoad) nothingLeft() {
	err := server.Examine(context.Background(), l.data, server.ExamineOptions{Report: func(f server.Finding) {
		if f.Level != server.Fine {
			l.t.Errorf("after all was dropped: %+v", f)
		}
	}})
	if err != nil {
		l.t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(l.data, "snapshots", "*", "*")); err != nil || len(left) > 0 {
		l.t.Errorf("snapshots are left: %q, %v", left, err)
	}
}

// exceeds names what there is more of than before.
func (u processUsage) exceeds(before processUsage) string {
	switch {
	case u.goroutines > before.goroutines+spareGoroutines:
		return "goroutines"
	case u.files > before.files+spareFiles:
		return "open files"
	case u.heap > before.heap+spareHeap:
		return "heap"
	case u.resident > before.resident+spareResident:
		return "resident memory"
	case u.disk > before.disk+spareDisk:
		return "disk"
	default:
		return ""
	}
}

// leakLoad is a server with its broker, and what was dropped in it.
type leakLoad struct {
	t       *testing.T
	node    *node
	data    string
	stop    func()
	at      *remote
	client  *kgo.Client
	dropped []weak.Pointer[server.Collection]
}

func newLeakLoad(t *testing.T) *leakLoad {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	c := defaultConfig()
	c.Data, c.HTTP.Listen = t.TempDir(), "127.0.0.1:0"
	c.Storage.SnapshotsDir = "" // in the data folder
	c.Storage.HighWatermark = 100
	c.Kafka.BootstrapServers = strings.Join(cluster.ListenAddrs(), ",")
	c.setDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	n, err := openNode(ctx, &c, slog.New(slog.DiscardHandler))
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		if err := n.run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop := sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(stop)
	l := &leakLoad{t: t, node: n, data: c.Data, stop: stop, at: &remote{url: "http://" + n.front.address}}
	if l.client, err = kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.client.Close)
	return l
}

// ask sends a request that has to succeed.
func (l *leakLoad) ask(method, path string, body any) json.RawMessage {
	raw, err := json.Marshal(body)
	if err != nil {
		l.t.Error(err)
		return nil
	}
	req, err := l.at.request(context.Background(), method, path, nil, strings.NewReader(string(raw)))
	if err != nil {
		l.t.Error(err)
		return nil
	}
	result, err := l.at.result(req)
	if err != nil {
		l.t.Errorf("%s %s: %v", method, path, err)
	}
	return result
}

type object = map[string]any

const leakDim = 64

func leakVector(rng *rand.Rand) []float32 {
	v := make([]float32, leakDim)
	for i := range v {
		v[i] = rng.Float32()
	}
	return v
}

// round is the life of two collections, one for REST and one for a source.
func (l *leakLoad) round(n int) {
	path, fed := fmt.Sprintf("/collections/c%d", n), fmt.Sprintf("/collections/f%d", n)
	for _, p := range []string{path, fed} {
		l.ask(http.MethodPut, p, object{
			"vectors":        object{"": object{"size": leakDim, "distance": "Cosine"}, "disk": object{"size": leakDim, "distance": "Dot", "on_disk": true}},
			"sparse_vectors": object{"s": object{}},
		})
		l.ask(http.MethodPut, p+"/index?wait=true", object{"field_name": "n", "field_schema": "integer"})
	}
	l.ask(http.MethodPost, "/collections/aliases", object{"actions": []any{object{"create_alias": object{"alias_name": "a", "collection_name": path[len("/collections/"):]}}}})
	var load sync.WaitGroup
	load.Go(func() { l.write(path, uint64(n)) })
	load.Go(func() { l.search("/collections/a", uint64(n)) })
	load.Go(func() { l.consume(fed, n) })
	load.Wait()
	var taken snapshotInfo
	if err := json.Unmarshal(l.ask(http.MethodPost, path+"/snapshots", nil), &taken); err != nil {
		l.t.Error(err)
	}
	l.note(path)
	l.ask(http.MethodPut, path+"/snapshots/recover", object{"location": "file://" + filepath.Join(l.data, "snapshots", filepath.Base(path), taken.Name)})
	l.ask(http.MethodDelete, path+"/snapshots/"+taken.Name, nil)
	for _, p := range []string{path, fed} {
		l.note(p)
		l.ask(http.MethodDelete, p, nil)
	}
	if l.t.Failed() {
		l.t.FailNow()
	}
}

// write upserts and deletes points.
func (l *leakLoad) write(path string, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 4 {
		var points []any
		for range 60 {
			id := rng.IntN(200)
			points = append(points, object{"id": id, "payload": object{"n": id % 7}, "vector": object{
				"": leakVector(rng), "disk": leakVector(rng), "s": object{"indices": []int{id, id + 1}, "values": []float32{1, 2}},
			}})
		}
		l.ask(http.MethodPut, path+"/points", object{"points": points})
		l.ask(http.MethodPost, path+"/points/delete?wait=true", object{"filter": object{"must": []any{object{"key": "n", "match": object{"value": rng.IntN(7)}}}}})
	}
}

// search asks in each way.
func (l *leakLoad) search(path string, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 2))
	for range 10 {
		vector := leakVector(rng)
		l.ask(http.MethodPost, path+"/points/query", object{"query": vector, "limit": 5, "with_payload": true})
		l.ask(http.MethodPost, path+"/points/query", object{"query": vector, "using": "disk", "filter": object{"must": []any{object{"key": "n", "range": object{"gt": 2}}}}})
		l.ask(http.MethodPost, path+"/points/scroll", object{"limit": 50, "with_vector": true})
	}
}

// consume has a source read some records, good ones and bad ones, and removes it.
func (l *leakLoad) consume(path string, n int) {
	rng := rand.New(rand.NewPCG(uint64(n), 3))
	l.ask(http.MethodPost, path+"/sources", object{"name": "s", "topics": []string{"t"}, "start": "latest"})
	l.ask(http.MethodPost, path+"/sources/s/wait", object{"timeout": 30})
	var records []*kgo.Record
	for i := range 100 {
		raw, err := json.Marshal(object{"id": i, "embedding": leakVector(rng)})
		if err != nil {
			l.t.Error(err)
		}
		if i%50 == 7 {
			raw = []byte("nonsense")
		}
		records = append(records, &kgo.Record{Topic: "t", Key: fmt.Append(nil, i), Value: raw})
	}
	if err := l.client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		l.t.Error(err)
	}
	l.ask(http.MethodPost, path+"/sources/s/wait", object{"timeout": 30})
	l.forgetRecords()
	if n%2 == 0 { // else it goes with the collection
		l.ask(http.MethodDelete, path+"/sources/s", nil)
	}
}

// forgetRecords has the broker, which is in this process, forget what was consumed.
func (l *leakLoad) forgetRecords() {
	admin := kadm.NewClient(l.client)
	ends, err := admin.ListEndOffsets(context.Background(), "t")
	if err == nil {
		_, err = admin.DeleteRecords(context.Background(), ends.Offsets())
	}
	if err != nil {
		l.t.Error(err)
	}
}

// note remembers a collection that is about to go, without keeping it.
func (l *leakLoad) note(path string) {
	c, err := l.node.db.Collection(filepath.Base(path))
	if err != nil {
		l.t.Error(err)
		return
	}
	l.dropped = append(l.dropped, weak.Make(c))
}

// forgotten checks that nothing keeps a collection that was dropped or replaced.
func (l *leakLoad) forgotten() {
	kept := 0
	for range 100 { // what is under way ends soon
		runtime.GC()
		kept = 0
		for _, c := range l.dropped {
			if c.Value() != nil {
				kept++
			}
		}
		if kept == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	l.t.Errorf("%d of %d dropped collections are still in memory", kept, len(l.dropped))
}

func (l *leakLoad) usage() (u processUsage) {
	l.t.Helper()
	http.DefaultClient.CloseIdleConnections()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	u.goroutines, u.heap = runtime.NumGoroutine(), int64(stats.HeapAlloc)
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		l.t.Fatal(err)
	}
	u.files = len(files)
	if u.resident, err = memory.Resident(); err != nil {
		l.t.Fatal(err)
	}
	err = filepath.WalkDir(l.data, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			var info fs.FileInfo
			if info, err = e.Info(); err == nil {
				u.disk += info.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
			err = nil
		}
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return u
}
