package ingest_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"freshet/server"
	"freshet/server/sources"
)

// TestReplayGateOfLag keeps a gate closed while the new collection is too far behind its logs,
// has too few points, or its source does not run.
func TestReplayGateOfLag(t *testing.T) {
	const records = 40
	r := newReplayRig(t, records)
	made := sources.Key{Collection: "c2", Name: "src"}
	var silent atomic.Bool
	silent.Store(true)
	r.cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		time.Sleep(time.Millisecond) // a broker that has nothing waits, too
		return req.ResponseKind(), nil, silent.Load()
	})
	waitsFor := func(want ...string) {
		t.Helper()
		r.replayIs(func(s sources.ReplayStatus) bool {
			return s.State == sources.CatchingUp && len(s.WaitsFor) == len(want) && !slices.ContainsFunc(want, func(text string) bool {
				return !slices.ContainsFunc(s.WaitsFor, func(got string) bool { return strings.Contains(got, text) })
			})
		})
	}
	cancel := func() {
		t.Helper()
		if _, err := r.manager.CancelReplay(t.Context(), "c", "c2"); err != nil {
			t.Fatal(err)
		}
	}
	inState := func(state sources.State) {
		t.Helper()
		if err := r.manager.SetState(t.Context(), made, state); err != nil {
			t.Fatal(err)
		}
	}
	// Nothing was read yet: the 40 records may be of any age.
	const ageless = "records wait of which it is not known how old they are"
	for gate, want := range map[string][]string{
		`{"min_points_fraction":0,"max_lag_seconds":1000,"max_lag":39}`:  {ageless, "a lag of 40 records, at most 39"},
		`{"min_points_fraction":0,"max_lag_seconds":1000,"max_lag":40}`:  {ageless},
		`{"min_points_fraction":0.1,"max_lag_seconds":100,"max_lag":40}`: {ageless, "0 points of at least 4"},
	} {
		r.replay(fmt.Sprintf(`{"into":"c2","gate":%s}`, gate))
		waitsFor(want...)
		cancel()
	}

	// Where all was read, what waits came since.
	silent.Store(false)
	r.replay(`{"into":"c2","gate":{"min_points_fraction":0,"max_lag_seconds":1000,"max_lag":40}}`)
	r.settled("c2", records)
	inState(sources.Paused) // so that no fetch is under way
	silent.Store(true)
	inState(sources.Running)
	r.produceNumbered(records, 2*records)
	r.replayIs(func(s sources.ReplayStatus) bool { return s.State == sources.Ready && s.Lag == records })
	r.produceNumbered(2*records, 2*records+1)
	waitsFor("a lag of 41 records, at most 40")
	cancel()
	silent.Store(false)
	r.settled("c", 2*records+1)

	// Some time has passed since there was nothing more to read.
	r.replay(`{"into":"c2","gate":{"min_points_fraction":0,"max_lag_seconds":0,"max_lag":100}}`)
	r.settled("c2", 2*records+1)
	r.replayIs(func(s sources.ReplayStatus) bool { return s.State == sources.Ready })
	inState(sources.Paused)
	silent.Store(true)
	inState(sources.Running)
	r.produceNumbered(2*records+1, 2*records+2)
	waitsFor(" s, at most 0")
	cancel()

	// The old collection has seen more of a log than the new source knows of.
	silent.Store(false)
	r.settled("c", 2*records+2)
	c, err := r.db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	r.turns(sources.Stopped)
	ahead := server.Position{Stream: server.Stream{Source: "src", Topic: "t"}, Next: records + 8}
	if _, err := c.Apply(t.Context(), server.Batch{Positions: []server.Position{ahead}}); err != nil {
		t.Fatal(err)
	}
	r.replay(`{"into":"c2","gate":{"min_points_fraction":0,"max_lag_seconds":1000,"max_lag":6}}`)
	waitsFor("a lag of 7 records, at most 6")
	cancel()
	silent.Store(true)

	r.replay(`{"into":"c2","switch_alias":"docs","gate":{"min_points":1,"min_points_fraction":0,"max_lag_seconds":1000,"max_lag":100}}`)
	for state, want := range map[sources.State][]string{
		sources.Paused:  {"the source `src`, which is paused", "partition 0, which is in state paused", "partition 1, which is in state paused"},
		sources.Stopped: {"the source `src`, which is stopped", "partition 0, of which nothing is known yet", "partition 1, of which nothing is known yet"},
	} {
		inState(state)
		waitsFor(append(want, "0 points of at least 1")...)
	}
	silent.Store(false)
	inState(sources.Running)
	r.replayIs(isSwitched)
}
