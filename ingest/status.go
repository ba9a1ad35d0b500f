package ingest

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"freshet/ingest/decode"
)

// Status describes one source at one moment.
type Status struct {
	Name, Collection string
	State            State
	Error            string    // of the last failed attempt, while State is Retrying; why there is no room, while it is DiskFull or MemoryFull
	ErrorSince       time.Time // of the first of the attempts that failed in a row; zero if Error is none of an attempt
	Limit            LimitStatus
	Buffer           BufferStatus
	CatchUp          *CatchUp // nil while there is nothing to catch up with
	Keys             KeyStatus
	// Collections are those that a source with a route feeds beside its own.
	Collections []string
	Stages      []StageStatus
	Partitions  []PartitionStatus // by topic and number
	// Formats counts the records applied since the start by the format in which
	// they were read: what auto has found.
	Formats map[decode.Format]int64
	Letters LetterStatus
	Early   *EarlyStatus // nil without a route
}

// EarlyStatus counts points that were deleted in collections that do not exist yet.
type EarlyStatus struct {
	Kept    int64 // whose deletes are kept
	Refused int64 // deletes since the start that became dead letters, as enough are kept
}

// LetterStatus counts the dead letters since the start.
type LetterStatus struct {
	Total int64
	Kept  int64 // by the collection: all without a topic for them, else those too large for it
}

// LimitStatus describes the batch controller.
type LimitStatus struct {
	Records    int           // limit of a batch
	P99        time.Duration // of the last window's batches
	Why        string        // why the limit last moved
	OverBudget bool          // the target is missed, and smaller batches would not help
	Moves      map[move]int  // of the limit, by why
}

// BufferStatus tells what is fetched and not applied.
type BufferStatus struct {
	Bytes, Limit int64
	Held         int // partitions that are not fetched because that is enough
}

// ageP99 returns the 99th percentile of the newest records' ages when they became
// visible.
func (s *Status) ageP99() time.Duration {
	for _, stage := range s.Stages {
		if stage.Stage == Total {
			return stage.P99
		}
	}
	return 0
}

// PartitionStatus describes one partition.
type PartitionStatus struct {
	Topic     string
	Partition int32
	State     State
	Error     string
	Next, End int64 // first offset that is not applied; the log's end
	Lag       int64 // records between them; while State is Gap, those behind it and those lost unread
	Missing   int64 // records that are known to be gone, while State is Gap
	// LagTime is the age of the oldest record that is not applied, 0 if there is none, and
	// UnknownAge if that is not known. While the record is still at the broker, it is an upper
	// bound. Of a log that is not there nothing is known after a start.
	LagTime time.Duration
}

// UnknownAge is the age of a record of which it is not known.
const UnknownAge time.Duration = -1

// lagSeconds is LagTime for those who know no unknown age: that counts as none.
func (p *PartitionStatus) lagSeconds() float64 { return max(p.LagTime, 0).Seconds() }

// publish shows what the consuming goroutine knows.
func (s *source) publish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.control
	s.limit = LimitStatus{Records: c.limit, P99: c.p99, Why: c.why, OverBudget: c.over, Moves: maps.Clone(c.count)}
	s.catchUp = s.progress.status()
}

func (s *source) status() Status {
	home, _ := s.db.Collection(s.cfg.Collection) // nil if there is none
	status := Status{Name: s.cfg.Name, Collection: s.cfg.Collection, Stages: s.metrics.stages.status()}
	s.mu.Lock()
	defer s.mu.Unlock()
	status.State, status.Error, status.Limit = s.state, s.fault, s.limit
	status.Buffer = BufferStatus{Limit: int64(s.cfg.Buffer.TotalBytes), Held: s.heldBack}
	if s.connected != nil {
		status.Buffer.Bytes = s.connected.buffered()
	}
	if s.fault != "" {
		status.ErrorSince = s.faultSince
	}
	full := s.db.Writable()
	waits := full != nil && !s.paused && s.state != Stopped
	if waits {
		status.State, status.Error, status.ErrorSince = noRoom(full), full.Error(), time.Time{}
	}
	status.Formats, status.Letters = maps.Clone(s.formats), s.letters
	status.Keys = s.keys
	if s.cfg.Route != "" {
		status.Early = &EarlyStatus{s.earlyKept, s.earlyRefused}
	}
	for c := range s.targets {
		if c != home {
			status.Collections = append(status.Collections, c.Name())
		}
	}
	slices.Sort(status.Collections)
	for p, state := range s.partitions {
		lag, end := state.waiting()
		ps := PartitionStatus{
			Topic: p.topic, Partition: p.number, State: state.state, Error: state.err,
			Next: state.next, End: end, Lag: lag, Missing: state.missing,
		}
		switch {
		case ps.State != Running:
		case s.paused:
			ps.State = Paused
		case waits:
			ps.State = status.State
		}
		switch since := state.waitingSince(); {
		case ps.Lag == 0:
		case since.IsZero():
			ps.LagTime = UnknownAge
		default:
			ps.LagTime = max(time.Since(since), 0)
		}
		if state.state == Running && ps.Lag > 0 {
			status.CatchUp = s.catchUp // what waits in partitions that are left alone is not caught up with
		}
		status.Partitions = append(status.Partitions, ps)
	}
	slices.SortFunc(status.Partitions, func(a, b PartitionStatus) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return status
}
