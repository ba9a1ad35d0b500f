package ingest

import (
	"slices"
	"sync"
	"time"
)

// Stage is a part of a record's way from its producer to the searches that
// find it.
type Stage string

// The stages, in order, and their sum. A record's own timestamp has
// milliseconds, which bounds how exact Transit and Total are.
const (
	Transit Stage = "transit" // timestamp to arrival from the broker
	Queue   Stage = "queue"   // arrival to the start of applying it, less what is below
	Decode  Stage = "decode"  // of its batch
	Embed   Stage = "embed"   // of its batch: the texts' vectors, 0 without
	Commit  Stage = "commit"  // to the storage commit
	Index   Stage = "index"   // to visibility
	Total   Stage = "total"   // timestamp to visibility
)

// AllStages lists the stages in order.
var AllStages = []Stage{Transit, Queue, Decode, Embed, Commit, Index, Total}

// Times are those of a record by AllStages.
type Times [7]time.Duration

// keptSamples is how many of the newest records the percentiles are of.
const keptSamples = 8192

// stages keeps the newest samples of each stage.
type stages struct {
	mu      sync.Mutex
	samples []Times // a ring
	next    int
}

func (s *stages) add(x Times) {
	if len(s.samples) < keptSamples {
		s.samples = append(s.samples, x)
		return
	}
	s.samples[s.next] = x
	s.next = (s.next + 1) % keptSamples
}

// StageStatus sums up the newest records' time in one stage.
type StageStatus struct {
	Stage    Stage
	P50, P99 time.Duration
}

func (s *stages) status() []StageStatus {
	s.mu.Lock()
	samples := append([]Times(nil), s.samples...)
	s.mu.Unlock()
	list := make([]StageStatus, len(AllStages))
	column := make([]time.Duration, len(samples))
	for i, stage := range AllStages {
		for j := range samples {
			column[j] = samples[j][i]
		}
		slices.Sort(column)
		list[i] = StageStatus{Stage: stage, P50: rank(column, 0.5), P99: rank(column, 0.99)}
	}
	return list
}
