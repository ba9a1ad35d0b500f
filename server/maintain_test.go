package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/server/payload"
	"freshet/server/point"
	"freshet/storage"
)

// Points are replaced, deleted and made again for long: slots are used again, and
// what is read is always what was written, in views of any age.
func TestSlotsAreUsedAgain(t *testing.T) {
	c := testCollection(t)
	rng := rand.New(rand.NewPCG(1, 9))
	const points = 400
	model := map[uint64]float32{} // id → the vector's first component
	check := func() {
		t.Helper()
		hits, err := c.Search(context.Background(), SearchRequest{Vector: Dense{0, 0}, Limit: 2 * points, WithPayload: payload.All()})
		if err != nil || len(hits) != len(model) {
			t.Fatalf("%d hits for %d points, %v", len(hits), len(model), err)
		}
		for _, h := range hits {
			id, _ := h.ID.AsNumber()
			if want := fmt.Sprintf(`{"x":%v}`, h.Score); model[id] != h.Score || string(h.Payload) != want {
				t.Fatalf("point %d has score %v and payload %s, want %v", id, h.Score, h.Payload, model[id])
			}
		}
	}
	for round := range 80 {
		var ops []Op
		for range 40 {
			id := rng.Uint64N(points)
			if rng.IntN(4) == 0 {
				ops = append(ops, remove(Version{}, point.Number(id)))
				delete(model, id)
				continue
			}
			x := float32(1 + rng.IntN(1000))
			ops = append(ops, upsert(point.Number(id), Version{}, x, 0, fmt.Sprintf(`{"x":%v}`, x)))
			model[id] = x
		}
		// An old reader now and then keeps what it sees from being used again.
		var old *view
		if round%20 == 0 {
			var err error
			if old, err = c.acquire(); err != nil {
				t.Fatal(err)
			}
		}
		apply(t, c, Batch{Ops: ops})
		check()
		if old != nil {
			old.release()
		}
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(betweenSlice) {
		v, err := c.acquire()
		if err != nil {
			t.Fatal(err)
		}
		v.release()
		if c.slots.Dead() < repairLeast {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d slots stay dead", c.slots.Dead())
		}
	}
	check()
	if n := c.slots.Len(); n > 2*points {
		t.Errorf("%d slots after 3,200 writes to %d points", n, points)
	}
	for id := range uint64(points) {
		records, err := c.Retrieve(context.Background(), []point.ID{point.Number(id)}, payload.All(), VectorSelector{})
		if _, ok := model[id]; err != nil || (len(records) == 1) != ok {
			t.Fatalf("point %d: %v, %v", id, records, err)
		}
	}
}

// After most points are deleted, the rest is moved together and the memory of the
// others given back; nothing that is read changes, nor does a restart.
func TestMemoryComesBack(t *testing.T) {
	fs := vfs.NewMem()
	db := openDB(t, fs)
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	rng := rand.New(rand.NewPCG(3, 3))
	const points = 2 * compactLeast
	var batch Batch
	for id := range uint64(points) {
		batch.Ops = append(batch.Ops, upsert(point.Number(id), Version{}, rng.Float32(), rng.Float32(), `{"a":1}`))
	}
	apply(t, c, batch)
	before := c.set().graphs[""].Memory()
	var gone []point.ID
	for id := range uint64(points) {
		if id%16 != 5 {
			gone = append(gone, point.Number(id))
		}
	}
	apply(t, c, Batch{Ops: []Op{remove(Version{}, gone...)}})
	want := contents(t, c)
	for deadline := time.Now().Add(time.Minute); c.slots.Len() > points/8; time.Sleep(betweenSlice) {
		if time.Now().After(deadline) {
			t.Fatalf("%d slots for %d points", c.slots.Len(), len(want))
		}
	}
	expect(t, c, want...)
	if after := c.set().graphs[""].Memory(); after.Vectors > before.Vectors/8 || after.Total() > before.Total()/4 {
		t.Errorf("%+v before the deletes, %+v after", before, after)
	}
	moved, err := c.Info()
	if err != nil {
		t.Fatal(err)
	}
	closeDB(t, db)
	db = openDB(t, fs)
	expect(t, openedCollection(t, db), want...)
	// What moved counts as no operation, before and after the restart.
	asked := uint64(len(batch.Ops)) + 1
	again, err := openedCollection(t, db).Info()
	if err != nil || moved.Moves == 0 || moved.Operation-moved.Moves != asked || again.Moves < moved.Moves || again.Operation-again.Moves != asked {
		t.Errorf("%d operations were asked for, %d are counted with %d moves, then %d with %d, %v",
			asked, moved.Operation, moved.Moves, again.Operation, again.Moves, err)
	}
	closeDB(t, db)
}

// The table forgets the bytes of ids that are gone.
func TestIDsAreForgotten(t *testing.T) {
	table := newIDTable()
	key := func(i int) []byte { return fmt.Appendf(nil, "\x03a rather long identifier, number %08d", i) }
	const n = 40_000
	for i := range n {
		table.put(key(i), uint32(i), 1)
	}
	before := len(table.chunks)
	var gone []uint32
	for i := range n {
		if i%4 != 0 {
			table.retire(uint32(i))
			gone = append(gone, uint32(i))
		}
	}
	table.forget(gone)
	if len(table.chunks) > before/2 {
		t.Errorf("%d of %d chunks are kept for a quarter of the ids", len(table.chunks), before)
	}
	for i := range n {
		slot, ok := table.current(key(i))
		if ok != (i%4 == 0) || ok && (slot != uint32(i) || string(table.key(slot)) != string(key(i))) {
			t.Fatalf("id %d: slot %d, %v", i, slot, ok)
		}
	}
}

// TestCompactionRests cannot read a point that is to be moved: it is not tried again at once,
// and goes on when it can.
func TestCompactionRests(t *testing.T) {
	c := testCollection(t)
	id := point.Number(1).AppendKey(nil)
	apply(t, c, Batch{Ops: []Op{upsert(point.Number(0), Version{}, 1, 1, ""), upsert(point.Number(1), Version{}, 1, 1, "")}})
	key := storage.AppendKey(nil, storage.Point, c.space, id)
	compact := func(stored []byte) (pause time.Duration) {
		err := c.do(t.Context(), func() error {
			b := c.store.NewBatch()
			if err := errors.Join(b.Set(key, stored), b.Commit(false), b.Wait(), b.Close()); err != nil {
				return err
			}
			c.publish()
			c.compactAt, c.compactTo = c.slots.Len(), 1
			c.maintain()
			pause = c.pause()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return pause
	}
	whole := []byte(storedRecords(t, c)[fmt.Sprintf("%x %x", byte(storage.Point), id)])
	if got := compact([]byte("damaged")); got != afterFault {
		t.Errorf("after a fault it is tried again after %s", got)
	}
	if got := compact(whole); got != betweenSlice {
		t.Errorf("without a fault it goes on after %s", got)
	}
}
