package server

import (
	"encoding/json"
	"errors"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"

	"freshet/server/memory"
	"freshet/server/payload"
	"freshet/server/point"
)

// TestFullMemory checks that what takes memory is refused while there is none, and nothing
// else is.
func TestFullMemory(t *testing.T) {
	limit := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(limit) })
	g := memory.NewGuard(1<<30, slog.New(slog.DiscardHandler))
	db, err := Open(t.Context(), t.TempDir(), Options{Memory: g})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx := t.Context()
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	put := func(id uint64) error {
		_, err := c.Apply(ctx, Batch{Ops: []Op{upsert(point.Number(id), Version{}, 1, 2, "")}, Sync: true})
		return err
	}
	for id := range uint64(3) {
		if err := put(id); err != nil {
			t.Fatal(err)
		}
	}
	g.Look(memory.Use{Live: 1 << 30}, nil)
	for what, err := range map[string]error{
		"an upsert":        put(9),
		"a new collection": db.CreateCollection(ctx, "d", vectorConfig(2, Euclid)),
		"a recovery":       db.Recover(ctx, "e", strings.NewReader(""), ""),
		"an index":         db.CreateIndex(ctx, "c", "n", json.RawMessage(`"integer"`)),
		"anything":         db.Writable(),
	} {
		var e *Error
		if !errors.As(err, &e) || e.Kind != MemoryFull || e.RetryAfter == 0 {
			t.Errorf("%s without memory: %v", what, err)
		}
	}
	room := db.Room()
	select {
	case <-room:
		t.Error("there is room")
	default:
	}
	for _, kind := range []OpKind{DeleteVectors, DeletePayload, ClearPayload, Delete} {
		op := Op{Kind: kind, Select: Select{IDs: []point.ID{point.Number(0)}}}
		if kind == DeletePayload {
			op.Keys = []payload.Path{}
		}
		if kind == DeleteVectors {
			op.Names = []string{""}
		}
		if _, err := c.Apply(ctx, Batch{Ops: []Op{op}}); err != nil {
			t.Errorf("a delete, of kind %d, without memory: %v", kind, err)
		}
	}
	if n, err := c.Count(ctx, nil); n != 2 || err != nil {
		t.Errorf("there are %d points, %v", n, err)
	}
	g.Look(memory.Use{}, nil)
	<-room
	if err := put(9); err != nil {
		t.Errorf("with memory again: %v", err)
	}
}

// TestRoomOfReads checks that every kind of read asks for room for what it returns.
func TestRoomOfReads(t *testing.T) {
	c := testCollection(t)
	ctx := t.Context()
	var ids []point.ID
	for id := range uint64(50) {
		ids = append(ids, point.Number(id))
		if _, err := c.Apply(ctx, Batch{Ops: []Op{upsert(point.Number(id), Version{}, 1, 2, `{"x":1}`)}}); err != nil {
			t.Fatal(err)
		}
	}
	errNoRoom := errors.New("no room")
	const each = pointRoom + 2*numberRoom + 2*len(`{"x":1}`)
	everything, vectors := payload.All(), VectorSelector{All: true}
	for name, read := range map[string]func(take func(int) error) error{
		"retrieve": func(take func(int) error) error {
			_, err := c.Retrieve(WithRoom(ctx, take), ids, everything, vectors)
			return err
		},
		"scroll": func(take func(int) error) error {
			_, err := c.Scroll(WithRoom(ctx, take), ScrollRequest{Limit: 50, WithPayload: everything, WithVector: vectors})
			return err
		},
		"search": func(take func(int) error) error {
			_, err := c.Search(WithRoom(ctx, take), SearchRequest{Vector: Dense{1, 2}, Limit: 50, WithPayload: everything, WithVector: vectors})
			return err
		},
		"list": func(take func(int) error) error {
			_, err := c.Search(WithRoom(ctx, take), SearchRequest{List: true, Limit: 50, WithPayload: everything, WithVector: vectors})
			return err
		},
	} {
		total := 0
		if err := read(func(n int) error {
			total += n
			return nil
		}); err != nil || total != 50*each {
			t.Errorf("%s: %d bytes of room, want %d: %v", name, total, 50*each, err)
		}
		if err := read(func(int) error { return errNoRoom }); !errors.Is(err, errNoRoom) {
			t.Errorf("%s without room: %v", name, err)
		}
	}
	// What prefetches find is in memory at the same time, however little is returned.
	found := SearchRequest{Vector: Dense{1, 2}, Limit: 50}
	var total atomic.Int64
	_, err := c.Search(WithRoom(ctx, func(n int) error {
		total.Add(int64(n))
		return nil
	}), SearchRequest{Query: Fusion{}, Prefetch: []SearchRequest{found, found, found}, Limit: 1})
	if want := int64(3*50*hitRoom + pointRoom); err != nil || total.Load() != want {
		t.Errorf("prefetches: %d bytes of room, want %d: %v", total.Load(), want, err)
	}
}
