package ingest

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"freshet/ingest/decode"
	"freshet/server"
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
)

// Pauses between attempts after a fault.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
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
	// The consuming goroutine's own.
	control     *controller
	letterTopic bool // the dead-letter topic is known to exist

	mu         sync.Mutex
	paused     bool // changes only while the source does not run
	state      State
	fault      string // of the last failed attempt
	told       string // the fault that was logged last; "" once the source made progress
	toldAt     time.Time
	noRoom     string // why records were not read when that was last tried; "" if they were
	partitions map[partition]*partitionState
	ends       map[partition]int64     // where logs ended when earlier sessions saw them
	waiting    map[partition]time.Time // since when records waited then
	marks      map[partition]marks
	marking    *marking // under way; nil if none is
	connected  *session // that has a connection; nil if none has
	// targets are the collections that a source with a route feeds, its home among them.
	targets map[*server.Collection]reached
	limit   LimitStatus
	formats map[decode.Format]int64 // records applied by format
	letters LetterStatus
	keys    KeyStatus
	unkeyed map[string]*unkeyed // by topic, of which there are some without a key
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
	end   int64     // the log's end when it was last seen
	last  time.Time // timestamp of the newest applied record

	reached time.Time // when nothing was known to wait
	oldest  time.Time // timestamp of the first record of the batch under way

	topicID server.TopicID
	missing int64     // records that a gap is known to have swallowed
	faults  int       // positions out of range since records last came
	until   time.Time // while Retrying: of the next look
	// vanished says that the log is not there: a gap that ends when it is there again.
	vanished bool
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
	pause := firstPause
	for {
		began := time.Now()
		err := s.attend(ctx)
		if ctx.Err() != nil {
			return
		}
		if server.KindOf(err) == server.Full {
			s.setNoRoom(err.Error())
		} else {
			s.failed(err)
		}
		if time.Since(began) > lastPause {
			pause = firstPause
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, lastPause)
	}
}

// tellEvery is how often a fault that stays is logged again.
const tellEvery = 5 * time.Minute

// failed notes a fault. It is logged when it is news, and from time to time.
func (s *source) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state, s.fault = Retrying, err.Error()
	if s.fault != s.told || time.Since(s.toldAt) > tellEvery {
		s.told, s.toldAt = s.fault, time.Now()
		s.log.Warn("the source cannot consume for now, it keeps trying", "err", s.fault)
	}
}

// recovered notes that the brokers answer.
func (s *source) recovered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state, s.fault = Running, ""
	if s.paused {
		s.state = Paused
	}
	for _, p := range s.partitions {
		if p.state == Running && p.end > p.next && !s.paused {
			return // what fails may be what comes after the fetch: a batch will show
		}
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
	// held is what has been read before there is a collection to keep it.
	held    server.Batch
	advance time.Time // when collections that get nothing are next brought forward
	behind  bool      // some may be so
}

func (s *source) attend(ctx context.Context) error {
	client, err := kgo.NewClient(s.options()...)
	if err != nil {
		return err
	}
	defer client.Close()
	ses := &session{source: s, client: client, admin: kadm.NewClient(client), assign: make(chan struct{}, 1)}
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
		s.ends[p], s.waiting[p] = state.end, state.waitingSince()
	}
	s.partitions = map[partition]*partitionState{}
	s.mu.Unlock()
	if err := ses.findPartitions(ctx); err != nil {
		return err
	}
	s.recovered()
	defer s.open(ses)()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return ses.keep(ctx) })
	g.Go(func() error { return ses.keepMarks(ctx) })
	if !s.paused {
		g.Go(func() error { return ses.consume(ctx) })
	}
	return g.Wait()
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
		case <-tick.C:
			s.reportToGroup(ctx)
			if s.replaced() {
				return errReplaced
			}
		}
		switch err := s.findPartitions(ctx); {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			s.recovered()
		case server.KindOf(err) == server.Unavailable, errors.Is(err, errRecreated):
			return err // the collection, or the topic, is gone
		default:
			s.failed(err) // the client itself reconnects
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
	if c == nil {
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
	total := int32(s.cfg.Buffer.TotalBytes)
	return append(s.kafka.ClientOptions(),
		kgo.FetchMinBytes(1),
		kgo.FetchMaxPartitionBytes(int32(s.cfg.Buffer.PartitionBytes)),
		kgo.FetchMaxBytes(total),
		kgo.BrokerMaxReadBytes(total+32<<20), // a single larger batch still comes through
		kgo.KeepControlRecords(),             // they count in a position
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.WithHooks(arrivals{}),
		kgo.MetadataMinAge(s.refresh), // what is known of topics is not older than our look at them
		kgo.RequestRetries(2),
		kgo.RetryTimeout(adminTimeout),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(maxLetterBytes),
		kgo.UnknownTopicRetries(1), // the next session makes the dead-letter topic again
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
