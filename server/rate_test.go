package server

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"freshet/server/point"
	"freshet/storage"
)

func TestBucket(t *testing.T) {
	var b bucket
	limit := func(n uint64) *uint64 { return &n }
	for i, x := range []struct {
		at     time.Duration
		limit  *uint64
		tokens int
		retry  time.Duration
		text   string // of the error
	}{
		{0, nil, 1 << 40, 0, ""},
		{0, limit(10), 11, 0, "Write rate limit exceeded, request larger than rate limiter capacity"},
		{0, limit(10), 10, 0, ""},
		{0, limit(10), 10, time.Minute, "Write rate limit exceeded: Operation requires 10 tokens but only 0.0 were available. Retry after 60s"},
		{5 * time.Second, limit(10), 1, time.Second, "Operation requires 1 tokens but only 0.8 were available. Retry after 1s"},
		{6 * time.Second, limit(10), 1, 0, ""},
		{6 * time.Second, limit(10), 1, 6 * time.Second, "only 0.0"},
		{6 * time.Second, limit(20), 20, 0, ""}, // a new limit begins full
		{6 * time.Second, nil, 1, 0, ""},
		{6 * time.Second, limit(20), 20, 0, ""}, // so does one that is set again
		{10 * time.Minute, limit(20), 21, 0, "request larger"},
	} {
		err := b.take(time.Unix(1000, 0).Add(x.at), x.limit, x.tokens, "Write")
		if x.text == "" {
			if err != nil {
				t.Errorf("step %d: %v", i, err)
			}
			continue
		}
		var e *Error
		if !errors.As(err, &e) || e.Kind != RateLimited || e.RetryAfter != x.retry || !strings.Contains(e.Text, x.text) {
			t.Errorf("step %d: %#v", i, err)
		}
	}
}

// TestPayloadBytes checks that the length of the payloads is known after any write,
// and after a start, of a store that does not tell it, too.
func TestPayloadBytes(t *testing.T) {
	fs := vfs.NewMem()
	db := openDB(t, fs)
	c := newCollection(t, db, "c", vectorConfig(2, Euclid))
	check := func(want int64) {
		t.Helper()
		v, err := c.acquire()
		if err != nil {
			t.Fatal(err)
		}
		defer v.release()
		if v.payloadBytes != want {
			t.Errorf("%d bytes, want %d", v.payloadBytes, want)
		}
	}
	one, two := point.Number(1), point.Number(2)
	apply(t, c, Batch{Ops: []Op{upsert(one, Version{}, 1, 1, `{"a":1}`), upsert(two, Version{}, 1, 1, "")}})
	check(7)
	apply(t, c, Batch{Ops: []Op{upsert(one, Version{}, 1, 1, `{"a":123}`), upsert(one, Version{}, 1, 2, `{"a":12}`)}})
	check(8)
	apply(t, c, Batch{Ops: []Op{{Kind: SetPayload, Payload: map[string]any{"b": "x"}, Select: Select{IDs: []point.ID{one, two}}}}})
	check(8 + 8 + 9)
	apply(t, c, Batch{Ops: []Op{remove(Version{}, one), upsert(point.Number(3), Version{}, 1, 1, `{"c":true}`), remove(Version{}, point.Number(4))}})
	check(9 + 10)
	apply(t, c, Batch{Ops: []Op{{Kind: ClearPayload, Select: Select{IDs: []point.ID{two}}}}})
	check(10)
	closeDB(t, db)
	for _, forget := range []bool{false, true} {
		db = openDB(t, fs)
		var err error
		if c, err = db.Collection("c"); err != nil {
			t.Fatal(err)
		}
		check(10)
		if !forget {
			b := c.store.NewBatch()
			err := errors.Join(b.Delete(storage.AppendKey(nil, storage.Meta, c.space, []byte(metaPayload))), b.Commit(true), b.Wait(), b.Close())
			if err != nil {
				t.Fatal(err)
			}
		}
		closeDB(t, db)
	}
}
