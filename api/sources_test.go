package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"freshet/server"
	"freshet/server/sources"
)

// fakeSources has one source, s of the collection c, and remembers what it was last
// asked to do.
type fakeSources struct {
	db   *server.DB
	last string
	// What CatchUp was asked for, and answers; the answer of AsOf, false for zero.
	caughtUp time.Time
	late     error
	asOf     time.Time
}

func (f *fakeSources) CatchUp(ctx context.Context, _ string, since time.Time) error {
	f.caughtUp = since
	if _, bounded := ctx.Deadline(); !bounded {
		return errors.New("the wait has no end")
	}
	return f.late
}

func (f *fakeSources) AsOf(string, []server.Position) (time.Time, bool) {
	return f.asOf, !f.asOf.IsZero()
}

func (f *fakeSources) do(key sources.Key, format string, args ...any) error {
	f.last = fmt.Sprintf(format, args...)
	if key != (sources.Key{Collection: "c", Name: "s"}) {
		return &server.Error{Kind: server.NotFound, Text: "Source `" + key.Name + "` of collection `" + key.Collection + "` doesn't exist!"}
	}
	return nil
}

var someSource = sources.Info{Name: "s", Collection: "c", Origin: sources.REST, State: sources.Running, Config: json.RawMessage(`{"topics":["t"]}`)}

func (f *fakeSources) All() ([]sources.Info, error) {
	return []sources.Info{someSource}, f.do(sources.Key{Collection: "c", Name: "s"}, "list all")
}

func (f *fakeSources) List(collection string) ([]sources.Info, error) {
	return []sources.Info{someSource}, f.do(sources.Key{Collection: collection, Name: "s"}, "list")
}

func (f *fakeSources) Get(key sources.Key) (sources.Info, error) { return someSource, f.do(key, "get") }

func (f *fakeSources) Create(_ context.Context, collection string, description []byte) (sources.Info, error) {
	return someSource, f.do(sources.Key{Collection: collection, Name: "s"}, "create %s", description)
}

func (f *fakeSources) Put(_ context.Context, key sources.Key, description []byte) (sources.Info, error) {
	return someSource, f.do(key, "put %s", description)
}

func (f *fakeSources) Patch(_ context.Context, key sources.Key, change []byte) (sources.Info, error) {
	return someSource, f.do(key, "patch %s", change)
}

func (f *fakeSources) Delete(_ context.Context, key sources.Key) error { return f.do(key, "delete") }

func (f *fakeSources) DropCollection(ctx context.Context, name string) (bool, error) {
	f.last = "drop " + name
	return f.db.DropCollection(ctx, name)
}

func (f *fakeSources) SetState(_ context.Context, key sources.Key, wanted sources.State) error {
	return f.do(key, "%s", wanted)
}

func (f *fakeSources) SourceStatus(key sources.Key) (sources.Status, error) {
	return sources.Status{
		Name: "s", Collection: "c", State: "running", Collections: []string{"mine", "other"}, Formats: map[string]int64{"json": 3}, Batch: sources.Batch{Limit: 100, Why: "start"}, Buffer: sources.Buffer{Bytes: 9, Limit: 10}, CatchUp: &sources.CatchUp{Applied: 5, Left: 7, PerSecond: 2.5}, Stages: []sources.Stage{{Stage: "total"}},
		Partitions: []sources.Partition{{Topic: "t", State: "running", Position: 1, End: 3, Lag: 2}},
	}, f.do(key, "status")
}

var someOffsets = []sources.Offset{{Partition: sources.TopicPartition{Topic: "t"}, Offset: &sources.KafkaOffset{Offset: 5}}}

func (f *fakeSources) Offsets(key sources.Key) ([]sources.Offset, error) {
	return someOffsets, f.do(key, "offsets")
}

func (f *fakeSources) MoveOffsets(_ context.Context, key sources.Key, move sources.Move) ([]sources.Offset, error) {
	if move.Timestamp != nil {
		return someOffsets, f.do(key, "move to time %d", *move.Timestamp)
	}
	return someOffsets, f.do(key, "move %v to %v", move.Offsets[0].Partition, move.Offsets[0].Offset)
}

func (f *fakeSources) ResetOffsets(_ context.Context, key sources.Key) ([]sources.Offset, error) {
	return someOffsets, f.do(key, "reset")
}

func (f *fakeSources) SkipRecord(_ context.Context, key sources.Key, skip sources.Skip) ([]sources.Offset, error) {
	return someOffsets, f.do(key, "skip %d of %d", *skip.Offset, *skip.Partition)
}

func (f *fakeSources) WaitFor(ctx context.Context, key sources.Key, offsets []sources.Offset) error {
	deadline, ok := ctx.Deadline()
	return f.do(key, "wait for %d, %v, %d min", len(offsets), ok, int(time.Until(deadline).Round(time.Minute).Minutes()))
}

func (f *fakeSources) DeadLetters(_ context.Context, key sources.Key, limit int, filter sources.LetterFilter) ([]sources.Letter, error) {
	return []sources.Letter{{Topic: "t", Reason: "no_id", Detail: "none", Key: sources.Bytes("k"), Value: sources.Bytes{0xff}}, {}}, f.do(key, "dlq %d %s", limit, filter.Reason)
}

func (f *fakeSources) Redrive(_ context.Context, key sources.Key, what sources.Redrive) (sources.Redriven, error) {
	return sources.Redriven{Errors: []sources.Failure{{Topic: "t", Reason: "no_id"}}}, f.do(key, "redrive %s %v", what.Filter.Reason, what.DryRun)
}

func (f *fakeSources) Validate(_ context.Context, collection string, description []byte, limit int) (sources.Validation, error) {
	return sources.Validation{
		Problems: []sources.Problem{{Field: "id", Text: "none"}}, Records: 3, Formats: map[string]int64{"json": 3}, Keys: map[string]int64{"none": 3},
		Logs: []sources.Log{{Topic: "t", End: 3}}, Points: []sources.Sample{{Topic: "t", Operation: "upsert", IDs: []string{"1"}}}, Errors: []sources.Failure{{Topic: "t"}},
	}, f.do(sources.Key{Collection: collection, Name: "s"}, "validate %s %d", description, limit)
}

var zero, half, none = 0.0, 0.5, int64(0)

var someReplay = sources.ReplayStatus{
	Into: "d", Collection: "c", SwitchAlias: "a", State: sources.CatchingUp, WaitsFor: []string{"a lag of 3"}, Sources: []string{"s"},
	Overlap: &half, Gate: sources.Gate{MaxLag: &none, MaxLagSeconds: &zero, MinPointsFraction: &half, Overlap: &sources.OverlapGate{AtLeast: 1, Queries: 1, Limit: 1}},
}

func (f *fakeSources) Replay(_ context.Context, collection string, request []byte) (sources.ReplayStatus, error) {
	return someReplay, f.do(sources.Key{Collection: collection, Name: "s"}, "replay %s", request)
}

func (f *fakeSources) Replays(_ context.Context, collection string) ([]sources.ReplayStatus, error) {
	return []sources.ReplayStatus{someReplay}, f.do(sources.Key{Collection: collection, Name: "s"}, "replays")
}

func (f *fakeSources) ReplayStatus(_ context.Context, collection, into string) (sources.ReplayStatus, error) {
	return someReplay, f.do(sources.Key{Collection: collection, Name: "s"}, "replay into %s", into)
}

func (f *fakeSources) CancelReplay(_ context.Context, collection, into string) (bool, error) {
	return true, f.do(sources.Key{Collection: collection, Name: "s"}, "cancel %s", into)
}

func TestSourceRoutes(t *testing.T) {
	s := start(t)
	fake := &fakeSources{db: s.db}
	s.serve(fake)
	if w := s.do("GET", "/sources", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"name":"s"`) {
		t.Errorf("all sources: %d %s", w.Code, w.Body)
	}
	const one = "/collections/c/sources/s"
	for _, test := range []struct{ method, path, body, did string }{
		{"GET", "/collections/c/sources", "", "list"},
		{"POST", "/collections/c/sources", `{"name":"s","topics":["t"]}`, `create {"name":"s","topics":["t"]}`},
		{"POST", "/collections/c/sources:validate?limit=7", `{"topics":["t"]}`, `validate {"topics":["t"]} 7`},
		{"POST", "/collections/c/replay", `{"into":"d"}`, `replay {"into":"d"}`},
		{"GET", "/collections/c/replay", "", "replays"},
		{"GET", "/collections/c/replay/d%20e", "", "replay into d e"},
		{"DELETE", "/collections/c/replay/d", "", "cancel d"},
		{"GET", one, "", "get"},
		{"PUT", one, `{"topics":["t"]}`, `put {"topics":["t"]}`},
		{"PATCH", one, `{"id":null}`, `patch {"id":null}`},
		{"DELETE", one, "", "delete"},
		{"GET", one + "/status", "", "status"},
		{"PUT", one + "/pause", "", "paused"},
		{"PUT", one + "/resume", "", "running"},
		{"PUT", one + "/stop", "", "stopped"},
		{"GET", one + "/offsets", "", "offsets"},
		{"PATCH", one + "/offsets", `{"timestamp":7}`, "move to time 7"},
		{"PATCH", one + "/offsets", `{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":1},"offset":null}]}`, "move {t 1} to <nil>"},
		{"DELETE", one + "/offsets", "", "reset"},
		{"POST", one + "/skip", `{"partition":1,"offset":2}`, "skip 2 of 1"},
		{"GET", one + "/dlq", "", "dlq 20 "},
		{"GET", one + "/dlq?limit=3&reason=no_id", "", "dlq 3 no_id"},
		{"POST", one + "/dlq/redrive", `{"filter":{"reason":"no_id"},"dry_run":true}`, "redrive no_id true"},
		{"POST", one + "/wait", `{}`, "wait for 0, true, 1 min"},
		{"POST", one + "/wait", `{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":1},"offset":{"kafka_offset":3}}],"timeout":1800}`, "wait for 1, true, 30 min"},
	} {
		if w := s.do(test.method, test.path, test.body); w.Code != http.StatusOK || fake.last != test.did {
			t.Errorf("%s %s: %d %s, it did %q", test.method, test.path, w.Code, w.Body, fake.last)
		}
		other := strings.Replace(test.path, "/c/", "/d/", 1)
		if w := s.do(test.method, other, test.body); w.Code != http.StatusNotFound {
			t.Errorf("%s %s: %d %s", test.method, other, w.Code, w.Body)
		}
	}
	s.expect("DELETE", "/collections/d", "", "false")
	if fake.last != "drop d" {
		t.Errorf("the sources do not know that the collection is dropped: they did %q", fake.last)
	}
}

func TestBadSourceRequests(t *testing.T) {
	s := start(t)
	for _, test := range []struct{ path, body, text string }{
		{"wait", `{"timeout":0}`, "timeout: value 0 invalid"},
		{"wait", `{"timeout":1e9}`, "timeout: value 1e+09 invalid"},
		{"wait", `{"timeout":"x"}`, "expected a number"},
		{"wait", `{"offsets":{}}`, "expected a sequence"},
		{"skip", `{"partition":"x"}`, "expected an integer"},
		{"skip", ``, "EOF"},
	} {
		if w := s.do("POST", "/collections/c/sources/s/"+test.path, test.body); w.Code/100 != 4 || !strings.Contains(w.Body.String(), test.text) {
			t.Errorf("%s %s: %d %s", test.path, test.body, w.Code, w.Body)
		}
	}
}

// TestSourcesAreListedForThoseWhoMaySee asks with tokens for one collection.
func TestSourcesAreListedForThoseWhoMaySee(t *testing.T) {
	s := startWithKeys(t)
	for collection, want := range map[string]int{"c": 1, "other": 0} {
		r := httptest.NewRequest(http.MethodGet, "/sources", nil)
		r.Header.Set("api-key", token(t, "full", `{"access":[{"collection":"`+collection+`","access":"r"}]}`))
		w := s.send(r)
		if n := strings.Count(w.Body.String(), `"name":"s"`); w.Code != http.StatusOK || n != want {
			t.Errorf("one who may see %s: %d %s", collection, w.Code, w.Body)
		}
	}
}
