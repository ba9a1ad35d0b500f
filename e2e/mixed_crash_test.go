//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestCrash kills the server amid all that it does at once: records and tombstones from
// Kafka, upserts, deletes and changes of payloads and vectors by REST, filtered searches,
// snapshots; also while it starts. After each start:
//
//   - what REST acknowledged is there, and nothing else but what was on its way;
//   - every record before a source's position has taken effect.
//
// In the end every record took effect once, graph and filters find what is there, and a
// snapshot that is listed can be recovered. ROUNDS says how often it is killed,
// SEED with which random numbers.
func TestCrash(t *testing.T) {
	t.Parallel()
	kills, seed := fromEnvironment(t, "ROUNDS", 100), fromEnvironment(t, "SEED", rand.Uint64())
	t.Logf("SEED=%d", seed)
	brokers := startKafka(t)
	createTopic(t, brokers, "records", 4)
	f := startFreshet(t, fmt.Sprintf(`
kafka: {bootstrap.servers: %q}
sources: [{name: records, topics: [records], format: upsert-kafka, on_create: {auto: true, distance: Euclid}}]
`, brokers))
	topic := newCrashTopic(t, brokers, seed)
	clients := newCrashClients(t, f, 4, seed)
	rng := rand.New(rand.NewPCG(seed, 99))
	starts := 0
	for n := range kills {
		load, stop := context.WithCancel(context.Background())
		var work sync.WaitGroup
		work.Go(func() { topic.produce(load, 10) })
		for _, c := range clients {
			work.Go(func() { c.write(load, t) })
		}
		work.Go(func() { crashSearches(load, t, f) })
		work.Go(func() { crashSnapshots(load, t, f) })
		time.Sleep(time.Duration(50+rng.IntN(300)) * time.Millisecond)
		f.kill()
		stop()
		work.Wait()
		for rng.IntN(4) == 0 {
			f.startAndKill(time.Duration(rng.IntN(150)) * time.Millisecond)
			starts++
		}
		f.start()
		found := crashPoints(t, f, "rest")
		for _, c := range clients {
			c.verify(t, found)
		}
		topic.verify(t, f)
		if t.Failed() {
			t.Fatalf("after kill %d", n+1)
		}
	}
	written := 0
	for _, c := range clients {
		written += c.acknowledged
	}
	t.Logf("%d kills, %d of them during a start: %d changes acknowledged, %d records", kills+starts, starts, written, topic.n)
	if written < kills || topic.n < kills {
		t.Errorf("hardly anything was going on")
	}

	near := slices.Sorted(maps.Values(topic.verifyAll(t, f, brokers)))
	before := crashRecall(t, f, near)
	f.kill()
	f.start()
	after := crashRecall(t, f, near)
	t.Logf("recall %.4f, after another kill %.4f", before, after)
	if after < before-0.002 {
		t.Errorf("recall was %.4f and is %.4f after a crash", before, after)
	}
	recoverSnapshots(t, f)
	f.kill()
	examineFolder(t, f)
}

// crashDim is the dimension of vectors, the first component of which is a number that says
// which write they are from.
const crashDim = 8

// fromEnvironment returns the number that a variable has, or else the usual one.
func fromEnvironment[T int | uint64](t *testing.T, name string, usual T) T {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return T(n)
}

// startAndKill starts the server and kills it that much later, ready or not.
func (f *freshet) startAndKill(after time.Duration) {
	f.t.Helper()
	f.launch()
	time.Sleep(after)
	f.kill()
}

// crashPoint is what the writes of one client make of a point: the numbers of the writes
// that its vector and its payload are from. The zero value is no point.
type crashPoint struct{ vector, payload int }

func crashVector(n int) []float32 {
	rng := rand.New(rand.NewPCG(uint64(n), crashDim))
	v := make([]float32, crashDim)
	for i := range v {
		v[i] = float32(rng.IntN(20_000))
	}
	v[0] = float32(n)
	return v
}

// crashClient writes points that nobody else writes. It does not try again.
type crashClient struct {
	f            *freshet
	first        int // id
	rng          *rand.Rand
	n            int                  // writes
	points       map[int][]crashPoint // what may be: two where an answer is missing
	acknowledged int
	mayBeFull    bool // the disk: what is refused for that changes nothing
	refused      int
}

// newCrashClients makes the collection that the clients write to, and so many of them.
func newCrashClients(t *testing.T, f *freshet, n int, seed uint64) []*crashClient {
	t.Helper()
	for _, x := range []struct {
		path string
		body map[string]any
	}{
		{"/collections/rest", map[string]any{"vectors": map[string]any{"size": crashDim, "distance": "Euclid"}}},
		{"/collections/rest/index", map[string]any{"field_name": "n", "field_schema": "integer"}},
	} {
		if err := f.call("PUT", x.path, nil, x.body, nil); err != nil {
			t.Fatal(err)
		}
	}
	clients := make([]*crashClient, n)
	for i := range clients {
		clients[i] = &crashClient{f: f, first: 1000 * i, rng: rand.New(rand.NewPCG(seed, uint64(i))), points: map[int][]crashPoint{}}
	}
	return clients
}

func (c *crashClient) write(ctx context.Context, t *testing.T) {
	for ctx.Err() == nil {
		c.n++
		id := c.first + c.rng.IntN(500)
		old := crashPoint{}
		if states := c.points[id]; len(states) > 0 {
			old = states[0]
		}
		var method, path string
		var body map[string]any
		next := old
		switch kind := c.rng.IntN(8); {
		case kind == 0:
			method, path, body = "POST", "/points/delete", map[string]any{"points": []int{id}}
			next = crashPoint{}
		case kind == 1 && old != crashPoint{}:
			method, path, body = "POST", "/points/payload", map[string]any{"points": []int{id}, "payload": map[string]int{"n": c.n}}
			next.payload = c.n
		case kind == 2 && old != crashPoint{}:
			method, path, body = "PUT", "/points/vectors", map[string]any{"points": []any{map[string]any{"id": id, "vector": crashVector(c.n)}}}
			next.vector = c.n
		default:
			method, path, body = "PUT", "/points", map[string]any{"points": []any{map[string]any{
				"id": id, "vector": crashVector(c.n), "payload": map[string]int{"n": c.n},
			}}}
			next = crashPoint{c.n, c.n}
		}
		switch err := c.f.call(method, "/collections/rest"+path+"?wait=true", nil, body, nil); {
		case err == nil:
			c.points[id] = []crashPoint{next}
			c.acknowledged++
		case isAway(err):
			c.points[id] = []crashPoint{old, next}
			return
		case c.mayBeFull && strings.Contains(err.Error(), ": 507 "):
			c.refused++
			time.Sleep(10 * time.Millisecond)
		default:
			t.Error(err)
			return
		}
	}
}

// verify compares what there is with what may be, which then is what there is.
func (c *crashClient) verify(t *testing.T, found map[int]crashPoint) {
	t.Helper()
	for id, states := range c.points {
		if !slices.Contains(states, found[id]) {
			t.Errorf("point %d is %v, want one of %v", id, found[id], states)
		}
		c.points[id] = []crashPoint{found[id]}
	}
	for id := range found {
		if c.points[id] == nil && id >= c.first && id < c.first+500 {
			t.Errorf("point %d was never written", id)
		}
	}
}

// isAway tells whether an error is what a client may see of a server that is killed.
func isAway(err error) bool {
	var cut net.Error
	return errors.As(err, &cut) || errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), ": 503 ")
}

// crashPoints returns all points of the collection that REST writes.
func crashPoints(t *testing.T, f *freshet, collection string) map[int]crashPoint {
	t.Helper()
	var page struct {
		Points []struct {
			ID      int
			Vector  []float32
			Payload struct{ N int }
		}
	}
	if err := f.call("POST", "/collections/"+collection+"/points/scroll", nil, map[string]any{"limit": 10_000, "with_vector": true}, &page); err != nil {
		t.Fatal(err)
	}
	found := map[int]crashPoint{}
	for _, p := range page.Points {
		found[p.ID] = crashPoint{int(p.Vector[0]), p.Payload.N}
		if !slices.Equal(p.Vector, crashVector(int(p.Vector[0]))) {
			t.Errorf("point %d has the vector %v, which nobody wrote", p.ID, p.Vector)
		}
	}
	return found
}

// crashSearches searches with a filter, and looks at what is found.
func crashSearches(ctx context.Context, t *testing.T, f *freshet) {
	for n := 1; ctx.Err() == nil; n++ {
		var found struct {
			Points []struct {
				ID      int
				Score   float64
				Payload struct{ N int }
			}
		}
		body := map[string]any{
			"query": crashVector(n), "limit": 10, "with_payload": true,
			"filter": map[string]any{"must": []any{map[string]any{"key": "n", "range": map[string]any{"gte": n}}}},
		}
		switch err := f.call("POST", "/collections/rest/points/query", nil, body, &found); {
		case err == nil:
		case isAway(err):
			return
		default:
			t.Error(err)
			return
		}
		for i, p := range found.Points {
			if p.Payload.N < n || i > 0 && p.Score < found.Points[i-1].Score {
				t.Errorf("found %v for n of %d or more", found.Points, n)
				return
			}
		}
	}
}

// crashSnapshots makes snapshots and removes all but the newest.
func crashSnapshots(ctx context.Context, t *testing.T, f *freshet) {
	const path = "/collections/rest/snapshots"
	for ctx.Err() == nil {
		var made struct{ Name string }
		err := f.call("POST", path, nil, nil, &made)
		for _, name := range snapshotNames(f) {
			if err == nil && name != made.Name {
				err = f.call("DELETE", path+"/"+name, nil, nil, nil)
			}
		}
		if err != nil {
			if !isAway(err) {
				t.Error(err)
			}
			return
		}
	}
}

func snapshotNames(f *freshet) []string {
	var list []struct{ Name string }
	if err := f.call("GET", "/collections/rest/snapshots", nil, nil, &list); err != nil {
		return nil // the server is away, which the next request says
	}
	var names []string
	for _, s := range list {
		names = append(names, s.Name)
	}
	return names
}

// recoverSnapshots fetches each snapshot that is listed, and makes a collection of it.
func recoverSnapshots(t *testing.T, f *freshet) {
	t.Helper()
	names := snapshotNames(f)
	if len(names) == 0 {
		t.Error("there is no snapshot")
	}
	for i, name := range names {
		file, collection := filepath.Join(t.TempDir(), name), fmt.Sprintf("recovered%d", i)
		for _, args := range [][]string{
			{"download", name, file, "--collection", "rest"}, {"upload", file, "--collection", collection},
		} {
			cmd := exec.Command(binary, append(append([]string{"snapshot"}, args...), "--url", f.url)...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
			}
		}
		if len(crashPoints(t, f, collection)) == 0 {
			t.Errorf("%s has no points", name)
		}
	}
}

// crashRecall returns the recall@10 of searches by the graph, near the vectors of these
// writes.
func crashRecall(t *testing.T, f *freshet, writes []int) float64 {
	t.Helper()
	const queries = 1000
	hits := 0
	for i := range queries {
		query := crashVector(-i) // like none that is there
		query[0] = float32(writes[i*len(writes)/queries])
		ids := map[bool][]string{}
		for _, exact := range []bool{false, true} {
			var found struct{ Points []struct{ ID string } }
			body := map[string]any{"query": query, "limit": 10, "params": map[string]any{"exact": exact, "hnsw_ef": 64}}
			if err := f.call("POST", "/collections/records/points/query", nil, body, &found); err != nil {
				t.Fatal(err)
			}
			for _, p := range found.Points {
				ids[exact] = append(ids[exact], p.ID)
			}
		}
		for _, id := range ids[true] {
			if slices.Contains(ids[false], id) {
				hits++
			}
		}
	}
	return float64(hits) / (10 * queries)
}
