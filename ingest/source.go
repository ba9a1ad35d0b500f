package ingest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"freshet/ingest/decode"
	"freshet/server"
	"freshet/server/point"
)

// State says what a source or a partition is doing.
type State string

// The states. A source that retries, and a partition with a gap, go on by
// themselves once the cause is gone.
const (
	Starting State = "starting"
	Running  State = "running"
	Retrying State = "retrying" // after a fault, named by Error
	Gap      State = "gap"      // the log does not have the record at our position
	Failed   State = "failed"   // a bad record, with errors.tolerance none
	Paused   State = "paused"   // by request: no records are read
	Stopped  State = "stopped"  // by request: there is no connection
	// DiskFull means that no records are read until there is room on the disk.
	DiskFull State = "disk_full"
	// MemoryFull means that no records are read until there is memory for them.
	MemoryFull State = "memory_full"
)

// source consumes one configured source until its context ends.
type source struct {
	cfg     Source
	topics  subscription
	kafka   Kafka
	mapping *decode.Mapping
	// embedder makes the vectors of texts; nil for none.
	embedder *embedder
	start    start
	db       *server.DB
	log      *slog.Logger
	metrics  *sourceMetrics
	refresh  time.Duration
	noGroup  bool // no consumer group is told of positions
	// dialer makes the connections to the brokers; nil for the network as it is configured.
	dialer func(ctx context.Context, network, address string) (net.Conn, error)
	// The consuming goroutine's own.
	control     *controller
	progress    progress
	letterTopic bool // the dead-letter topic is known to exist
	// Whoever looks for partitions owns it.
	begunKept []byte // the document of begun as it is, nil if that is not known

	mu         sync.Mutex
	paused     bool // changes only while the source does not run
	state      State
	fault      string    // of the last failed attempt
	faultSince time.Time // when the first of those failed that failed in a row
	told       string    // the fault that was logged last; "" once the source made progress
	toldAt     time.Time
	noRoom     string // why records were not read when that was last tried; "" if they were
	stuck      bool   // that was to consume records which wait still
	partitions map[partition]*partitionState
	earlier    map[partition]earlier         // what earlier sessions have seen
	begun      map[partition]server.Position // where partitions began, until that is stored
	marks      map[partition]marks
	marking    *marking // under way; nil if none is
	connected  *session // that has a connection; nil if none has
	// targets are the collections that a source with a route feeds, its home among them.
	targets map[*server.Collection]reached
	limit   LimitStatus
	catchUp *CatchUp // nil while there is nothing to catch up with
	// heldBack is how many partitions are not fetched because enough is buffered.
	heldBack int
	formats  map[decode.Format]int64 // records applied by format
	letters  LetterStatus
	// earlyKept and earlyRefused are the members of EarlyStatus.
	earlyKept, earlyRefused int64
	keys                    KeyStatus
	unkeyed                 map[string]*unkeyed // by topic, of which there are some without a key
}

// partition names one partition of one topic.
type partition struct {
	topic  string
	number int32
}

// partitionState is what is known of a partition that has been assigned.
type partitionState struct {
	state State
	err   string
	next  int64     // first offset that is not applied
	epoch int32     // of the record before it, as in server.Position
	end   int64     // where the log that next is in ended when it was last seen
	last  time.Time // timestamp of the newest applied record

	reached time.Time // when nothing was known to wait
	oldest  time.Time // timestamp of the first record of the batch under way, or of those that wait

	topicID server.TopicID
	faults  int       // positions out of range since records last came
	until   time.Time // while Retrying: of the next look
	// While Gap: how many records it is known to have swallowed, and how many of them were
	// not applied; where the log that there is goes on behind it, and where that ends.
	missing, unread int64
	behind, present int64
	// vanished says that there is no log: a gap that ends when it is there again.
	vanished bool
}

// waiting returns how many records are not applied, and where the log ends.
func (p *partitionState) waiting() (records, end int64) {
	if p.state == Gap && !p.vanished {
		return p.unread + max(p.present-p.behind, 0), p.present
	}
	return max(p.end-p.next, 0), p.end
}

// earlier is what sessions that have ended knew of a partition.
type earlier struct {
	next, end int64
	waiting   time.Time // since when records waited behind next
}

// waitingSince returns the timestamp of the oldest record that is not applied, or a time
// before which it was not written.
func (p *partitionState) waitingSince() time.Time {
	if !p.oldest.IsZero() {
		return p.oldest
	}
	if p.reached.After(p.last) {
		return p.reached
	}
	return p.last
}

// lookedAt takes note of where the log ends.
func (p *partitionState) lookedAt(end int64) {
	if p.end = max(p.end, end); p.end <= p.next {
		p.reached = time.Now()
	}
}

func (s *source) stream(p partition) server.Stream {
	return server.Stream{Source: s.cfg.streamName(), Topic: p.topic, Partition: p.number}
}

// run consumes, and begins anew from the stored positions after every fault.
func (s *source) run(ctx context.Context) {
	for tries := 1; ; tries++ {
		began := time.Now()
		err := s.attend(ctx)
		if ctx.Err() != nil {
			return
		}
		if lacksRoom(err) {
			s.setNoRoom(err.Error())
		} else {
			s.failed(err)
		}
		if time.Since(began) > lastPause {
			tries = 1
		}
		select {
		case <-time.After(pauseAfter(tries, lastAfter(err))):
		case <-ctx.Done():
			return
		}
	}
}

// tellEvery is how often a fault that stays is logged again.
const tellEvery = 5 * time.Minute

// failed notes a fault. It is logged when it is news, and from time to time.
func (s *source) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault == "" {
		s.faultSince = time.Now()
	}
	s.state, s.fault = Retrying, err.Error()
	if s.fault != s.told || time.Since(s.toldAt) > tellEvery {
		s.told, s.toldAt = s.fault, time.Now()
		s.log.Warn("the source cannot consume for now, it keeps trying", "err", s.fault)
	}
}

// recovered notes that the brokers answer. Where records wait that could not be consumed,
// that says nothing.
func (s *session) recovered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.waitingRecords()
	if s.stuck && waiting > 0 {
		s.state = Retrying
		return
	}
	s.stuck = false
	s.state, s.fault = Running, ""
	if s.paused {
		s.state = Paused
	}
	if waiting > 0 && !s.paused {
		return // what fails may be what comes after the fetch: a batch will show
	}
	s.tellProgress()
}

// tellProgress logs the end of a fault that was logged. The caller has mu.
func (s *source) tellProgress() {
	if s.told != "" {
		s.told = ""
		s.log.Info("the source consumes again")
	}
}

// session is one attempt to consume: from the stored positions to the first
// fault.
type session struct {
	*source
	client     *kgo.Client
	admin      *kadm.Client
	collection *server.Collection // nil until the source has made it; guarded by mu
	assign     chan struct{}      // asks for a look at the partitions
	seenBefore bool               // partitions found from now on are new ones
	// stopped are the partitions of which nothing more is read: those with a bad record.
	stopped map[partition]bool
	// unapplied is how many bytes of records have left the client and are not applied.
	unapplied atomic.Int64
	// held is what has been read before there is a collection to keep it.
	held    held
	advance time.Time // when collections that get nothing are next brought forward
	behind  bool      // some may be so
	early   earlyDeletes
	// consumed tells the topics of which partitions without a position are new ones; nil
	// where it starts with the logs.
	consumed       func(topic string) bool
	subscribedKept []byte // the document as it is, nil if there is none
}

func (s *source) attend(ctx context.Context) error {
	client, err := kgo.NewClient(s.options()...)
	if err != nil {
		return err
	}
	defer client.Close()
	defer func() { giveUp(client, s.assigned()) }()
	ses := &session{source: s, client: client, admin: kadm.NewClient(client), assign: make(chan struct{}, 1), stopped: map[partition]bool{}}
	ses.early.of = map[string]map[point.ID]earlyDelete{}
	ses.admin.SetTimeoutMillis(int32(adminTimeout.Milliseconds()))
	switch c, err := s.db.Collection(s.cfg.Collection); {
	case err == nil:
		ses.collection = c
		if s.cfg.Route != "" {
			break // of each record's collection that is seen with the record
		}
		if err := s.embedder.fits(c); err != nil {
			return err
		}
	case server.KindOf(err) != server.NotFound || !s.cfg.OnCreate.Auto:
		return err
	case s.cfg.Route != "":
		if ses.collection, err = ses.makeHome(ctx); err != nil {
			return err
		}
	}
	if s.cfg.Route != "" {
		if err := ses.findTargets(); err != nil {
			return err
		}
		ses.behind = true
	}
	s.mu.Lock()
	for p, state := range s.partitions {
		s.earlier[p] = earlier{state.next, state.end, state.waitingSince()}
	}
	s.partitions = map[partition]*partitionState{}
	s.mu.Unlock()
	if err := ses.findPartitions(ctx); err != nil {
		if isAway(err) {
			err = &awayError{err}
		}
		return err
	}
	if s.cfg.Route != "" {
		if err := ses.recallEarly(ctx); err != nil {
			return err
		}
	}
	ses.recovered()
	defer s.open(ses)()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return ses.keep(ctx) })
	g.Go(func() error { return ses.keepMarks(ctx) })
	g.Go(func() error { return ses.keepAges(ctx) })
	if !s.paused {
		g.Go(func() error { return ses.consume(ctx) })
	}
	return g.Wait()
}

// giveUp ends the consumption by a client that is to be closed. Its own look at the topics
// could otherwise come in the middle of Close, and have it begin with what it has not fetched
// yet (franz-go 1.22.3: guardSessionChange makes a session whether the client closes or not).
// What it fetched then would stay in memory, with a goroutine.
func giveUp(client *kgo.Client, partitions map[string][]int32) {
	client.RemoveConsumePartitions(partitions)
}

// assigned returns the partitions that a client may consume.
func (s *source) assigned() map[string][]int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := map[string][]int32{}
	for p := range s.partitions {
		list[p.topic] = append(list[p.topic], p.number)
	}
	return list
}

// adminTimeout bounds a request about topics and offsets.
const adminTimeout = 10 * time.Second

// errReplaced ends a session so that the next one begins at the positions of the
// collection there is now, which may be older ones: those of a snapshot.
var errReplaced = errors.New("the collection was dropped, replaced or made meanwhile")

// keep looks for new partitions and reports positions to the consumer group
// from time to time.
func (s *session) keep(ctx context.Context) error {
	tick := time.NewTicker(s.refresh)
	defer tick.Stop()
	var again <-chan time.Time // after a fault, sooner than the tick
	failures := 0
	for {
		var gone <-chan struct{}
		if c := s.current(); c != nil {
			gone = c.Closing()
		} else if s.db.Exists(s.cfg.Collection) {
			return errReplaced
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-gone:
			return errReplaced
		case <-s.assign:
		case <-again:
		case <-tick.C:
			s.reportToGroup(ctx)
			if s.replaced() || s.early.overdue(s.db) {
				return errReplaced
			}
		}
		switch err := s.findPartitions(ctx); {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			again, failures = nil, 0
			s.recovered()
		case server.KindOf(err) == server.Unavailable, errors.Is(err, errRecreated), errors.Is(err, errCut):
			return err // the collection, or the topic, is gone
		default:
			s.failed(err) // the client itself reconnects
			failures++
			if again = nil; isAway(err) {
				again = time.After(pauseAfter(failures, lastAway))
			}
		}
	}
}

// current returns the collection, nil if there is none yet.
func (s *session) current() *server.Collection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.collection
}

// reportToGroup tells the consumer group how far the data on stable storage
// has come. Nothing is ever read from it: it serves tools that show lag.
func (s *session) reportToGroup(ctx context.Context) {
	c := s.current()
	if c == nil || s.noGroup {
		return
	}
	offsets := kadm.Offsets{}
	s.mu.Lock()
	for p, state := range s.partitions {
		offsets.AddOffset(p.topic, p.number, state.next, -1)
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	err := c.Sync(ctx)
	if err == nil {
		err = s.admin.CommitAllOffsets(ctx, GroupOf(&s.cfg), offsets)
	}
	if err != nil && ctx.Err() == nil {
		s.log.Debug("positions not reported to the consumer group", "err", err)
	}
}

// GroupOf names the consumer group to which a source reports its positions.
func GroupOf(s *Source) string { return "freshet-" + s.Collection + "-" + s.Name }

// options returns the settings of the client. It has no group, and starts
// nowhere by itself.
func (s *source) options() []kgo.Opt {
	total, partition := s.cfg.Buffer.fetch(1)
	client := s.kafka.ClientOptions()
	if s.dialer != nil {
		client = append(client, kgo.Dialer(s.dialer))
	}
	return append(client,
		kgo.FetchMinBytes(1),
		kgo.FetchMaxPartitionBytes(partition),
		kgo.FetchMaxBytes(total),
		kgo.BrokerMaxReadBytes(int32(s.cfg.Buffer.TotalBytes)+32<<20), // a single larger batch still comes through
		kgo.KeepControlRecords(),                                      // they count in a position
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.WithHooks(arrivals{}),
		kgo.MetadataMinAge(min(s.refresh, lastAway)), // what is known of topics is not older than our look at them
		kgo.RetryBackoffFn(func(tries int) time.Duration { return pauseAfter(tries, lastAway) }),
		kgo.RequestRetries(3),
		kgo.RetryTimeout(adminTimeout),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(maxLetterBytes),
		kgo.UnknownTopicRetries(1), // the next session makes the dead-letter topic again
		// A source that is to end does not wait for a broker that may never answer. A letter
		// that was under way is written twice then, as after a crash.
		kgo.AllowIdempotentProduceCancellation(),
	)
}

// arrivals notes when each record came from the broker.
type arrivals struct{}

// arrival carries that time in a record's context.
type arrival struct {
	context.Context
	at time.Time
}

// OnFetchRecordBuffered is the hook.
func (arrivals) OnFetchRecordBuffered(r *kgo.Record) {
	r.Context = &arrival{context.Background(), time.Now()}
}

func arrivedAt(r *kgo.Record) time.Time {
	if a, ok := r.Context.(*arrival); ok {
		return a.at
	}
	return time.Now()
}

var errNoTopic = errors.New("none of the topics exists")
