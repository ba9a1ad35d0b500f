package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"freshet/ingest"
	"freshet/server"
	"freshet/server/sources"
)

var src = sources.Key{Collection: "c", Name: "src"}

// newBare returns a rig without sources.
func newBare(t *testing.T, partitions int32) *rig {
	t.Helper()
	r := newRig(t, partitions, ingest.Source{})
	r.cfg.Sources = nil
	return r
}

// restart stops the sources and the database and starts both again.
func (r *rig) restart() {
	r.t.Helper()
	r.halt()
	if err := r.db.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.open()
	r.run()
}

func (r *rig) add(description string) {
	r.t.Helper()
	if _, err := r.manager.Create(r.t.Context(), "c", []byte(description)); err != nil {
		r.t.Fatal(err)
	}
}

// turns makes a source do something else and waits until it does.
func (r *rig) turns(wanted sources.State) {
	r.t.Helper()
	if err := r.manager.SetState(r.t.Context(), src, wanted); err != nil {
		r.t.Fatal(err)
	}
	r.inState(string(wanted))
}

func (r *rig) inState(want string) {
	r.t.Helper()
	r.eventually(func() string {
		if s, err := r.manager.SourceStatus(src); err != nil || s.State != want {
			return fmt.Sprintf("want %s: %+v, %v", want, s, err)
		}
		return ""
	})
}

// TestSourceIsManaged adds, pauses, changes and removes a source, with restarts in
// between.
func TestSourceIsManaged(t *testing.T) {
	r := newBare(t, 1)
	r.run()
	r.add(`{"name":"src","topics":["t"],"on_create":{"auto":true},"payload":{"exclude":["x"]}}`)
	r.produce(value(`{"id":1,"embedding":[1],"n":1,"x":1}`))
	r.applied(0, 0)
	r.restart()
	r.produce(value(`{"id":2,"embedding":[1],"n":2}`))
	r.applied(0, 1)
	r.expect(map[string]string{"1": `{"n":1}`, "2": `{"n":2}`})

	for _, state := range []sources.State{sources.Paused, sources.Stopped} {
		r.turns(state)
		r.restart()
		r.inState(string(state))
		r.produce(value(`{"id":3,"embedding":[1]}`))
		if state == sources.Paused { // it sees the record and leaves it there
			r.eventually(func() string {
				s, err := r.manager.SourceStatus(src)
				if err != nil || len(s.Partitions) != 1 || s.Partitions[0].State != "paused" || s.Partitions[0].Lag != 1 {
					return fmt.Sprintf("%+v, %v", s, err)
				}
				return ""
			})
		}
		if n := len(r.points()); n != 2 {
			t.Errorf("%s: %d points", state, n)
		}
	}
	if _, err := r.manager.Patch(t.Context(), src, []byte(`{"payload":{"exclude":null,"include":["x"]}}`)); err != nil {
		t.Fatal(err)
	}
	r.inState("stopped")
	r.turns(sources.Running)
	r.applied(0, 3)
	r.produce(value(`{"id":4,"embedding":[1],"x":4,"y":1}`))
	r.applied(0, 4)
	r.expect(map[string]string{"1": `{"n":1}`, "2": `{"n":2}`, "3": `{}`, "4": `{"x":4}`})

	if _, err := r.manager.Put(t.Context(), src, []byte(`{"topics":["t"]}`)); err != nil {
		t.Fatal(err)
	}
	r.restart()
	r.produce(value(`{"id":5,"embedding":[1],"y":5}`))
	r.applied(0, 5)
	if got := r.points()["5"]; got != `{"y":5}` {
		t.Errorf("the replaced source makes %s", got)
	}
	if err := r.manager.Delete(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	if err := r.manager.Delete(t.Context(), src); server.KindOf(err) != server.NotFound {
		t.Errorf("deleted twice: %v", err)
	}
	r.restart()
	if list, err := r.manager.List("c"); err != nil || len(list) != 0 {
		t.Errorf("after the removal: %+v, %v", list, err)
	}
}

func TestSourceOfTheFile(t *testing.T) {
	r := newRig(t, 1, ingest.Source{OnCreate: ingest.OnCreate{Auto: true}})
	r.run()
	info, err := r.manager.Get(src)
	if err != nil || info.Origin != sources.File || info.State != sources.Running {
		t.Fatalf("%+v, %v", info, err)
	}
	var config map[string]any
	if err := json.Unmarshal(info.Config, &config); err != nil || config["errors.tolerance"] != "all" {
		t.Errorf("%s, %v", info.Config, err)
	}
	_, put := r.manager.Put(t.Context(), src, []byte(`{"topics":["t"]}`))
	_, patch := r.manager.Patch(t.Context(), src, []byte(`{"topics":["t"]}`))
	for verb, err := range map[string]error{"put": put, "patch": patch, "delete": r.manager.Delete(t.Context(), src)} {
		if server.KindOf(err) != server.Conflict || !strings.Contains(err.Error(), "configuration file") {
			t.Errorf("%s: %v", verb, err)
		}
	}
	r.turns(sources.Paused)
	r.restart()
	r.inState("paused")
	r.turns(sources.Running)
	r.restart()
	r.produce(value(`{"id":1,"embedding":[1]}`))
	r.applied(0, 0)
}

func TestBadSources(t *testing.T) {
	r := newBare(t, 1)
	r.create(1)
	r.run()
	r.add(`{"name":"src","topics":["t"]}`)
	for _, test := range []struct {
		body, path, text string
		kind             server.Kind
	}{
		{`{"name":"src","topics":["t"]}`, "", "already exists", server.Exists},
		{`{"name":"b","topics":["t"],"formatt":"json"}`, "formatt", "no such setting; did you mean format?", server.Invalid},
		{`{"name":"b","topics":["t"],"batch":{"maxx":1}}`, "batch.maxx", "no such setting; did you mean max?", server.Invalid},
		{`{"name":"b","topics":["t"],"batch":{"max":"a"}}`, "batch.max", "it is a string, not an integer", server.Invalid},
		{`{"name":"b","topics":"t"}`, "topics", "it is a string, not an array", server.Invalid},
		{`{"name":"b","topics":["t"],"buffer":{"partition_bytes":"1Mi"}}`, "buffer.partition_bytes", "is not a size", server.Invalid},
		{`{"name":"b","topics":["t"],"format":"xml"}`, "format", `"xml" is not one of`, server.Invalid},
		{`{"name":"b","topics":["t"],"errors.tolerance":"some"}`, "errors.tolerance", "not one of", server.Invalid},
		{`{"name":"b","topics":[]}`, "topics", "at least one", server.Invalid},
		{`{"name":"b","topics":["t"],"start":"now"}`, "start", "is not earliest", server.Invalid},
		{`{"name":"b","topics":["t"],"collection":"d"}`, "collection", "not the collection in the path", server.Invalid},
		{`{"name":"a/b","topics":["t"]}`, "name", "slash", server.Invalid},
		{`{"topics":["t"]}`, "name", "needs 1 to 200", server.Invalid},
		{`{"name":"b","name":"b","topics":["t"]}`, "", "already defined", server.Invalid},
		{`{"name":"b"`, "", "not JSON", server.Invalid},
		{`name: b`, "", "not JSON", server.Invalid},
		{`[]`, "", "it is an array, not an object", server.Invalid},
		{`{"name":"b","topics":["t"],"batch":{"max":"100"}}`, "batch.max", "it is a string, not an integer", server.Invalid},
		{`{"name":"b","topics":["t"],"batch":{"max":1.5}}`, "batch.max", "it is the number 1.5, not an integer", server.Invalid},
		{`{"name":"b","topics":[1]}`, "topics[0]", "it is an integer, not a string", server.Invalid},
		{`{"name":"` + strings.Repeat("x", 300<<10) + `"}`, "", "at most 262144 bytes", server.Invalid},
	} {
		_, err := r.manager.Create(t.Context(), "c", []byte(test.body))
		var e *server.Error
		if !errors.As(err, &e) || e.Kind != test.kind || e.Path != test.path || !strings.Contains(e.Text, test.text) {
			t.Errorf("%.80s: %+v", test.body, err)
		}
	}
	_, err := r.manager.Create(t.Context(), "d", []byte(`{"name":"b","topics":["t"]}`))
	if server.KindOf(err) != server.NotFound || !strings.Contains(err.Error(), "on_create.auto") {
		t.Errorf("without the collection: %v", err)
	}
	if all, err := r.manager.All(); err != nil || len(all) != 1 || all[0].Collection != "c" {
		t.Errorf("all sources: %v %v", all, err)
	}
	if list, err := r.manager.List("c"); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestSourceIsChangedWhileItConsumes pauses, replaces, removes and adds a source
// from several sides while records come. Every record counts, and once.
func TestSourceIsChangedWhileItConsumes(t *testing.T) {
	r := newBare(t, 2)
	r.create(1)
	r.run()
	const description = `{"name":"src","topics":["t"],"batch":{"max":7}}`
	ctx := t.Context()
	changing, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, change := range []func() error{
		func() error { return r.manager.SetState(ctx, src, sources.Paused) },
		func() error { return r.manager.SetState(ctx, src, sources.Running) },
		func() error { return r.manager.Delete(ctx, src) },
		func() error { _, err := r.manager.Put(ctx, src, []byte(description)); return err },
		func() error { _, err := r.manager.SourceStatus(src); return err },
		func() error { _, err := r.manager.List("c"); return err },
	} {
		wg.Go(func() {
			for changing.Err() == nil {
				if err := change(); err != nil && server.KindOf(err) != server.NotFound && server.KindOf(err) != server.Exists {
					t.Error(err)
				}
				time.Sleep(3 * time.Millisecond)
			}
		})
	}
	const records = 200
	want := map[string]string{}
	for i := range records {
		rec := value(fmt.Sprintf(`{"id":%d,"embedding":[1]}`, i))
		rec.Partition = int32(i % 2)
		r.produce(rec)
		want[fmt.Sprint(i)] = `{}`
	}
	stop()
	wg.Wait()
	if _, err := r.manager.Put(ctx, src, []byte(description)); err != nil {
		t.Fatal(err)
	}
	r.turns(sources.Running)
	r.applied(0, records/2-1)
	r.applied(1, records/2-1)
	r.expect(want)
	c, err := r.db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := c.Info(); err != nil || info.Operation != records {
		t.Errorf("%d operations of %d records, %v", info.Operation, records, err)
	}
}
