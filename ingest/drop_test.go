package ingest_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"freshet/ingest"
	"freshet/server"
	"freshet/server/sources"
)

func (r *rig) drop(name string) {
	r.t.Helper()
	if existed, err := r.manager.DropCollection(r.t.Context(), name); err != nil || !existed {
		r.t.Fatalf("drop %s: %v, %v", name, existed, err)
	}
}

func (r *rig) names(collection string) string {
	r.t.Helper()
	list, err := r.manager.List(collection)
	if err != nil {
		return err.Error()
	}
	names := []string{}
	for _, info := range list {
		names = append(names, info.Name)
	}
	return fmt.Sprint(names)
}

// TestSourcesGoWithTheirCollection drops a collection that would be made anew at once if
// its source stayed.
func TestSourcesGoWithTheirCollection(t *testing.T) {
	r := newBare(t, 1)
	r.run()
	r.produce(value(`{"id":1,"embedding":[1]}`))
	r.add(`{"name":"src","topics":["t"],"on_create":{"auto":true}}`)
	r.applied(0, 0)
	r.add(`{"name":"other","topics":["t"],"on_create":{"auto":true}}`)
	r.turns(sources.Paused) // one that does not run goes, too
	if err := r.db.PutDocument(t.Context(), "begun/c/src", []byte(`[]`)); err != nil {
		t.Fatal(err)
	}
	r.drop("c")
	if documents, err := r.db.Documents(t.Context(), ""); err != nil || len(documents) > 0 {
		t.Errorf("after the drop there are %s, %v", documents, err)
	}
	for range 2 {
		if got := r.names("c"); !strings.Contains(got, "`c` doesn't exist") {
			t.Errorf("after the drop: %s", got)
		}
		if n := len(r.manager.Status()); n != 0 || r.db.Exists("c") {
			t.Errorf("%d sources, collection: %v", n, r.db.Exists("c"))
		}
		r.restart()
	}
	if existed, err := r.manager.DropCollection(t.Context(), "c"); existed || err != nil {
		t.Errorf("dropped twice: %v, %v", existed, err)
	}
	r.add(`{"name":"src","topics":["t"],"on_create":{"auto":true}}`) // begins anew
	r.applied(0, 0)
	r.expect(map[string]string{"1": `{}`})
}

// TestDropBesideAReader drops a collection that is being read: sources and other collections
// come and go meanwhile.
func TestDropBesideAReader(t *testing.T) {
	r := newBare(t, 1)
	r.create(1)
	r.run()
	c, err := r.db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Apply(t.Context(), server.Batch{DeadLetters: []server.DeadLetter{{}}}); err != nil {
		t.Fatal(err)
	}
	reads, goOn := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 2)
	go func() {
		ended <- c.ScanDeadLetters(t.Context(), func(*server.DeadLetter) (bool, error) {
			close(reads)
			<-goOn
			return true, nil
		})
	}()
	<-reads
	go func() {
		_, err := r.manager.DropCollection(t.Context(), "c")
		ended <- err
	}()
	<-c.Closing()
	r.create(1)
	r.add(`{"name":"src","topics":["t"]}`)
	r.drop("c")
	select {
	case err := <-ended:
		t.Errorf("it did not wait for the reader: %v", err)
	default:
	}
	close(goOn)
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// TestSourcesOfAnAlias go with the collection for which it stands at that time.
func TestSourcesOfAnAlias(t *testing.T) {
	r := newBare(t, 1)
	r.create(1)
	r.run()
	config := server.Config{Vectors: server.VectorsConfig{Single: true, Named: map[string]server.VectorParams{"": {Size: 1, Distance: server.Dot}}}}
	if err := r.db.CreateCollection(t.Context(), "d", config); err != nil {
		t.Fatal(err)
	}
	alias := func(target string) {
		t.Helper()
		if err := r.db.UpdateAliases(t.Context(), []server.AliasAction{{Create: &server.Alias{Alias: "a", Collection: target}}}); err != nil {
			t.Fatal(err)
		}
	}
	alias("c")
	r.add(`{"name":"src","topics":["t"]}`)
	if _, err := r.manager.Create(t.Context(), "a", []byte(`{"name":"follows","topics":["t"]}`)); err != nil {
		t.Fatal(err)
	}
	if existed, err := r.manager.DropCollection(t.Context(), "a"); existed || err != nil || r.names("c") != "[src follows]" {
		t.Errorf("an alias was dropped: %v, %v, %s", existed, err, r.names("c"))
	}
	alias("d")
	r.drop("c")
	if got := r.names("a"); got != "[follows]" {
		t.Errorf("the alias stands for another collection, its sources are %s", got)
	}
	r.drop("d")
	if n := len(r.manager.Status()); n != 0 {
		t.Errorf("%d sources are left", n)
	}
}

// TestSourceOfTheFileOutlivesItsCollection and makes it anew, from the start.
func TestSourceOfTheFileOutlivesItsCollection(t *testing.T) {
	r := newRig(t, 1, ingest.Source{OnCreate: ingest.OnCreate{Auto: true}})
	r.run()
	r.produce(value(`{"id":1,"embedding":[1]}`))
	r.applied(0, 0)
	r.turns(sources.Paused)
	r.drop("c")
	r.restart()
	r.inState("paused")
	r.turns(sources.Running)
	r.applied(0, 0)
	r.expect(map[string]string{"1": `{}`})
}

// TestSourceGoesOnWhenAChangeIsRefused counts the connections that a source opens.
func TestSourceGoesOnWhenAChangeIsRefused(t *testing.T) {
	r := newBare(t, 1)
	r.create(1)
	var connections, looks atomic.Int64
	for key, n := range map[kmsg.Key]*atomic.Int64{kmsg.ApiVersions: &connections, kmsg.ListOffsets: &looks} {
		r.cluster.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
			n.Add(1)
			r.cluster.KeepControl()
			return nil, nil, false
		})
	}
	r.run()
	r.produce(value(`{"id":1,"embedding":[1]}`))
	r.add(`{"name":"src","topics":["t"]}`)
	r.applied(0, 0)
	settle := func() int64 {
		t.Helper()
		from := looks.Load()
		r.eventually(func() string {
			if n := looks.Load() - from; n < 6 {
				return fmt.Sprintf("%d looks at the log", n)
			}
			return ""
		})
		return connections.Load()
	}
	before := settle()
	for _, wrong := range []string{`{"topics":[]}`, `{"batch":{"max":"1"}}`, `{"topics":["t"],"no":1}`, `[]`, `{"embed":{"":{"model":"no","text":"value.x"}}}`} {
		if _, err := r.manager.Put(t.Context(), src, []byte(wrong)); err == nil {
			t.Errorf("%s was taken", wrong)
		}
		if _, err := r.manager.Patch(t.Context(), src, []byte(wrong)); err == nil {
			t.Errorf("%s was taken", wrong)
		}
	}
	if after := settle(); after != before {
		t.Errorf("%d connections, %d before: the source was halted", after, before)
	}
	if _, err := r.manager.Patch(t.Context(), src, []byte(`{"batch":{"max":3}}`)); err != nil {
		t.Fatal(err)
	}
	if after := settle(); after == before {
		t.Error("a change opened no connection: the test sees nothing")
	}
}
