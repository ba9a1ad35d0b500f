package ingest_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"freshet/ingest"
	"freshet/server"
	"freshet/server/sources"
	"freshet/storage/crashfs"
)

// TestChangesOfSourcesAreDurable takes the power away behind each request that changes a
// source, with nothing left that was not synced: what is found then is what was answered.
func TestChangesOfSourcesAreDurable(t *testing.T) {
	ctx := t.Context()
	r := newBare(t, 1)
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	fs := crashfs.New()
	r.fs, r.dir = fs, "data"
	r.syncInterval = time.Hour // what nobody waits for must not hide what is missing
	r.open()
	r.create(1)
	r.run()
	r.add(`{"name":"src","topics":["t"],"errors.tolerance":"all"}`)
	r.produce(value(`{"id":1,"embedding":[1]}`), value(`{"key":2,"embedding":[1]}`), value(`{"id":3,"embedding":[1]}`))
	r.applied(0, 2)
	r.turns(sources.Stopped) // else positions move by themselves

	// told is what a server says of its sources.
	told := func(m *ingest.Manager, db *server.DB) string {
		t.Helper()
		all, listErr := m.All()
		offsets, offsetsErr := m.Offsets(src)
		replays, replaysErr := m.Replays(ctx, "c")
		var into []string
		for _, replay := range replays {
			into = append(into, replay.Into)
		}
		c, err := db.Collection("c")
		if err := errors.Join(listErr, offsetsErr, replaysErr, err); err != nil {
			t.Fatal(err)
		}
		letters, err := c.DeadLetters(ctx, 100)
		if err != nil {
			t.Fatal(err)
		}
		info, err := c.Info()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.MarshalIndent(map[string]any{
			"sources": all, "offsets": offsets, "replays": into, "letters": len(letters), "points": info.Points, "collections": db.Collections(),
		}, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	none := func(_ any, err error) error { return err }
	m := r.manager
	for i, step := range []struct {
		what string
		do   func() error
	}{
		{"create", func() error { return none(m.Create(ctx, "c", []byte(`{"name":"other","topics":["u"]}`))) }},
		{"pause", func() error { return m.SetState(ctx, sources.Key{Collection: "c", Name: "other"}, sources.Paused) }},
		{"stop", func() error { return m.SetState(ctx, sources.Key{Collection: "c", Name: "other"}, sources.Stopped) }},
		{"change", func() error { return none(m.Patch(ctx, src, []byte(`{"id":"value.key"}`))) }},
		{"replace", func() error {
			return none(m.Put(ctx, sources.Key{Collection: "c", Name: "other"}, []byte(`{"topics":["v"]}`)))
		}},
		{"redrive", func() error { return none(m.Redrive(ctx, src, sources.Redrive{})) }},
		{"move", func() error {
			return none(m.MoveOffsets(ctx, src, sources.Move{Offsets: []sources.Offset{at(0, 1)}}))
		}},
		{"skip", func() error {
			return none(m.SkipRecord(ctx, src, sources.Skip{Partition: ptr[int32](0), Offset: ptr[int64](1)}))
		}},
		{"reset", func() error { return none(m.ResetOffsets(ctx, src)) }},
		{"delete", func() error { return m.Delete(ctx, sources.Key{Collection: "c", Name: "other"}) }},
		{"replay", func() error { return none(m.Replay(ctx, "c", []byte(`{"into":"d"}`))) }},
		{"end of the replay", func() error { return none(m.CancelReplay(ctx, "c", "d")) }},
	} {
		before := told(m, r.db)
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		crashed := fs.CrashClone(vfs.CrashCloneCfg{})
		want := told(m, r.db)
		if before == want {
			t.Errorf("step %d, %s, changes nothing: %s", i, step.what, want)
		}
		db, err := server.Open(ctx, "data", server.Options{FS: crashed})
		if err != nil {
			t.Fatal(err)
		}
		found, err := ingest.New(r.cfg, db, ingest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, told(found, db)); d != "" {
			t.Errorf("%s was answered, and the power went (-answered +found):\n%s", step.what, d)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
