package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/semaphore"

	"freshet/server/filter"
	"freshet/server/payload"
	"freshet/server/point"
)

// TestCores checks that work is begun in order, that all requests together have
// no more helpers than there are cores to spare, and which error is returned.
func TestCores(t *testing.T) {
	const spare, requests, n = 3, 4, 200
	c := &cores{semaphore.NewWeighted(spare)}
	var running, most atomic.Int64
	var group sync.WaitGroup
	for range requests {
		group.Go(func() {
			var done [n]atomic.Int64
			err := c.each(n, func(i int) error {
				now := running.Add(1)
				for before := most.Load(); now > before && !most.CompareAndSwap(before, now); before = most.Load() {
				}
				runtime.Gosched()
				done[i].Add(1)
				running.Add(-1)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			for i := range done {
				if done[i].Load() != 1 {
					t.Errorf("%d was done %d times", i, done[i].Load())
				}
			}
		})
	}
	group.Wait()
	if most.Load() > requests+spare {
		t.Errorf("%d ran at a time", most.Load())
	}
	if !c.spare.TryAcquire(spare) {
		t.Error("a core was not given back")
	}
	c.spare.Release(spare)

	// 5 and all after it fail; whichever is noticed first, 5 is returned.
	for range 50 {
		var begun atomic.Int64
		err := c.each(n, func(i int) error {
			begun.Add(1)
			if i < 5 {
				return nil
			}
			return fmt.Errorf("%d", i)
		})
		if err == nil || err.Error() != "5" {
			t.Fatal(err)
		}
		if begun.Load() > 5+1+spare {
			t.Fatalf("%d were begun", begun.Load())
		}
	}
	if err := c.each(0, func(int) error { return errors.New("called") }); err != nil {
		t.Error(err)
	}
}

func TestSearchBatch(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	defer closeDB(t, db)
	db.cores = &cores{semaphore.NewWeighted(3)}
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	var ops []Op
	for i := range 300 {
		ops = append(ops, upsert(point.Number(uint64(i)), Version{}, float32(i), 0, fmt.Sprintf(`{"even":%v}`, i%2 == 0)))
	}
	apply(t, c, Batch{Ops: ops})
	var requests []SearchRequest
	even := mustFilter(t, `{"must":{"key":"even","match":{"value":true}}}`)
	for i := range 60 {
		r := SearchRequest{Vector: Dense{float32(5 * i), 0}, Limit: 3, WithPayload: payload.All()}
		switch i % 4 {
		case 1:
			r.Filter = even
		case 2:
			r.Vector, r.ID = nil, point.Number(uint64(i))
		case 3:
			r = SearchRequest{List: true, Limit: 2, Offset: i, Filter: even}
		}
		requests = append(requests, r)
	}
	var want [][]ScoredPoint
	for _, r := range requests {
		found, err := c.Search(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, found)
	}
	got, err := c.SearchBatch(context.Background(), requests)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, sameIDs); d != "" {
		t.Fatal(d)
	}
	requests[40] = SearchRequest{Vector: Dense{1}, Limit: 1}
	requests[50] = SearchRequest{ID: point.Number(1000), Limit: 1}
	var item *ItemError
	if _, err := c.SearchBatch(context.Background(), requests); !errors.As(err, &item) || item.Index != 40 || KindOf(err) != WrongInput {
		t.Errorf("%v of %+v", err, item)
	}
	if found, err := c.SearchBatch(context.Background(), nil); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
}

// The searches of a batch see the same state, whatever is written meanwhile.
func TestSearchBatchIsOfOneMoment(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	defer closeDB(t, db)
	db.cores = &cores{semaphore.NewWeighted(2)}
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	apply(t, c, Batch{Ops: []Op{upsert(point.Number(1), Version{}, 0, 0, `{}`)}})
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for rev := 1; ; rev++ {
			select {
			case <-stop:
				return
			default:
				apply(t, c, Batch{Ops: []Op{upsert(point.Number(1), Version{}, float32(rev), 0, `{}`)}})
			}
		}
	})
	requests := make([]SearchRequest, 20)
	for i := range requests {
		requests[i] = SearchRequest{Vector: Dense{0, 0}, Limit: 1}
	}
	for range 50 {
		found, err := c.SearchBatch(context.Background(), requests)
		if err != nil {
			t.Fatal(err)
		}
		for _, points := range found {
			if len(points) != 1 || points[0].Score != found[0][0].Score {
				t.Fatalf("%v beside %v", points, found[0])
			}
		}
	}
	close(stop)
	writer.Wait()
}

// A deadline ends every kind of search, and all of a batch.
func TestDeadlineEndsSearches(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	defer closeDB(t, db)
	c := newCollection(t, db, "c", configOf(t, `{"vectors":{"a":{"size":20,"distance":"Dot","on_disk":true},"b":{"size":20,"distance":"Dot"}}}`))
	var ops []Op
	vector := make(Dense, 20)
	for i := range 600 {
		v := make(Dense, 20)
		v[0], v[1] = float32(i), 1
		ops = append(ops, Op{Kind: Upsert, Points: []Point{{ID: point.Number(uint64(i)), Vectors: Vectors{"a": v, "b": slices.Clone(v)}, Payload: json.RawMessage(`{"a":1}`)}}})
	}
	apply(t, c, Batch{Ops: ops})
	late, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel()
	f := mustFilter(t, `{"must":{"key":"a","match":{"value":1}}}`)
	for name, r := range map[string]SearchRequest{
		"search":         {Vector: vector, Using: "b", Limit: 10, WithPayload: payload.All()},
		"search on disk": {Vector: vector, Using: "a", Limit: 10},
		"exact":          {Vector: vector, Using: "b", Limit: 10, Exact: true},
		"exact on disk":  {Vector: vector, Using: "a", Limit: 10, Exact: true},
		"filter":         {Vector: vector, Using: "b", Limit: 10, Filter: f},
		"filter on disk": {Vector: vector, Using: "a", Limit: 10, Filter: f},
		"list":           {List: true, Limit: 1000},
	} {
		if _, err := c.Search(late, r); KindOf(err) != Timeout {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := c.SearchBatch(late, []SearchRequest{r, r, r}); KindOf(err) != Timeout {
			t.Errorf("%s, several: %v", name, err)
		}
		if _, err := c.Search(context.Background(), r); err != nil {
			t.Errorf("%s without a deadline: %v", name, err)
		}
	}
}

// Searches with the same filter share its evaluation where that reads less than
// they would read themselves, and else do not get into each other's way.
func TestSharedSelections(t *testing.T) {
	c := testCollection(t)
	var ops []Op
	for i := range 3 * 2 * walkDistances * defaultEf {
		ops = append(ops, upsert(point.Number(uint64(i)), Version{}, float32(i), 0, fmt.Sprintf(`{"third":%d}`, i%3)))
	}
	apply(t, c, Batch{Ops: ops})
	f := mustFilter(t, `{"must":{"key":"third","match":{"value":1}}}`)
	for searches, shares := range map[int]bool{2: false, 3: true} {
		v, shared, err := c.chooseFor(map[*filter.Filter]int{f: searches}, nil)
		if err != nil {
			t.Fatal(err)
		}
		taken := make([]*selection, searches)
		var group sync.WaitGroup
		for i := range taken {
			group.Go(func() {
				sel, err := shared[f].take(context.Background())
				if err == nil {
					err = sel.resolve(context.Background())
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n := int(sel.sure.GetCardinality()); n != len(ops)/3 {
					t.Errorf("%d points pass", n)
				}
				taken[i] = sel
			})
		}
		group.Wait()
		if same := taken[0] == taken[1]; same != shares {
			t.Errorf("%d searches share a selection: %v", searches, same)
		}
		v.release()
	}
}
