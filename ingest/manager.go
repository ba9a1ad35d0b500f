package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"freshet/ingest/decode"
	"freshet/server"
	"freshet/server/embed"
	"freshet/server/sources"
)

// Options configure a Manager; the zero value is usable.
type Options struct {
	Logger   *slog.Logger          // default: discard
	Registry prometheus.Registerer // default: none
	// Refresh is the time between looks for new partitions, which is also the
	// time between reports to the consumer group; default 5 s.
	Refresh time.Duration
	Models  *embed.Models // make vectors of texts; default: none
	// Observe is told the times of each record that has become visible, by the goroutine
	// that applies it, which waits for it; default: nobody.
	Observe func(Times)
	// NoGroup has positions reported to no consumer group: the brokers are only read from.
	NoGroup bool
}

// Manager owns the sources: those of the configuration file, and those that were
// added since, which it keeps in the database. It is safe for concurrent use.
type Manager struct {
	kafka   Kafka
	schemas *decode.Registry // nil: none
	db      *server.DB
	o       Options
	metrics *metrics

	// dropping is held by the one who drops a collection, and, to read, by those who add
	// a source: a source is added before, and goes with the collection, or after.
	dropping sync.RWMutex

	mu    sync.Mutex
	list  []*managed      // those of the file first, in its order
	run   context.Context // of Run; nil before
	ended bool            // no source is started any more
	// replays by the new collection's name; replaying is held by the one who begins,
	// ends or switches one.
	replays   map[string]*replay
	replaying chan struct{}
	wg        sync.WaitGroup // the goroutines of the sources
}

// managed is a source and what is wanted of it.
type managed struct {
	key    sources.Key
	origin sources.Origin
	// turn is held by the one who changes the source: all below, but for readers
	// of what mu guards.
	turn    chan struct{}
	removed bool
	halt    func() // ends the source's goroutine and waits for it; nil if there is none

	mu     sync.Mutex
	source *source
	given  []byte // the configuration as it was given by REST, JSON
	wanted sources.State
}

// New returns a manager of cfg's sources, which SetDefaults has completed and
// Validate approved, and of those kept in the database.
func New(cfg Config, db *server.DB, o Options) (*Manager, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Refresh == 0 {
		o.Refresh = 5 * time.Second
	}
	registry, err := decode.NewRegistry(cfg.SchemaRegistry)
	if err != nil {
		return nil, err
	}
	m := &Manager{
		kafka: cfg.Kafka, schemas: registry, db: db, o: o, metrics: newMetrics(),
		replays: map[string]*replay{}, replaying: make(chan struct{}, 1),
	}
	for _, sc := range cfg.Sources {
		s, err := m.newSource(sc)
		if err != nil {
			return nil, err
		}
		m.list = append(m.list, newManaged(sources.File, s))
	}
	if err := m.restore(context.Background()); err != nil {
		return nil, err
	}
	if err := m.restoreReplays(context.Background()); err != nil {
		return nil, err
	}
	if o.Registry != nil {
		if err := m.metrics.register(o.Registry, gauges{m}); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func newManaged(origin sources.Origin, s *source) *managed {
	return &managed{
		key: s.cfg.key(), origin: origin,
		turn: make(chan struct{}, 1), source: s, wanted: sources.Running,
	}
}

// newSource makes a source of a valid configuration.
func (m *Manager) newSource(sc Source) (*source, error) {
	settings := sc.settings()
	if settings.Registry = m.schemas; settings.NeedsRegistry() && m.schemas == nil {
		return nil, fmt.Errorf("the format %s needs schema_registry.url%s", sc.Format, orSchema(sc.Format))
	}
	mapping, err := decode.New(settings)
	if err != nil {
		return nil, err
	}
	texts, err := newEmbedder(&sc, m.o.Models)
	if err != nil {
		return nil, err
	}
	begin, err := parseStart(sc.Start)
	if err != nil {
		return nil, err
	}
	s := &source{
		cfg: sc, topics: sc.subscription(func(string, string, ...any) {}), kafka: m.kafka, mapping: mapping, embedder: texts, start: begin, db: m.db,
		log: m.o.Logger.With("source", sc.Name), metrics: m.metrics.of(&sc), refresh: m.o.Refresh, noGroup: m.o.NoGroup,
		control: newController(sc.Batch), state: Starting, formats: map[decode.Format]int64{},
		earlier: map[partition]earlier{}, begun: map[partition]server.Position{}, unkeyed: map[string]*unkeyed{},
	}
	if sc.Route != "" {
		early, err := m.db.Documents(context.Background(), earlyPrefix(sc.key()))
		if err != nil {
			return nil, err
		}
		s.earlyKept = int64(len(early))
	}
	s.metrics.observe = m.o.Observe
	s.publish()
	return s, nil
}

// Run consumes until ctx ends, and returns once every source has stopped.
// Nothing that fails along the way ends it.
func (m *Manager) Run(ctx context.Context) {
	m.mu.Lock()
	m.run = ctx
	list := slices.Clone(m.list)
	m.mu.Unlock()
	for _, g := range list {
		if g.take(ctx) == nil {
			m.start(g)
			g.give()
		}
	}
	m.switchReplays(ctx)
	m.mu.Lock()
	m.ended = true
	m.mu.Unlock()
	m.wg.Wait()
}

// take waits for the right to change the source.
func (g *managed) take(ctx context.Context) error {
	select {
	case g.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ended(ctx)
	}
}

func (g *managed) give() { <-g.turn }

func (g *managed) current() *source {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.source
}

// start has the source do what is wanted of it. The caller has the turn.
func (m *Manager) start(g *managed) {
	s := g.current()
	if g.removed || g.halt != nil {
		return
	}
	s.mu.Lock()
	s.progress, s.catchUp = progress{}, nil
	s.state, s.fault, s.stuck, s.paused = Starting, "", false, g.wanted == sources.Paused
	if g.wanted == sources.Stopped {
		s.state, s.partitions = Stopped, nil
	}
	s.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if g.wanted == sources.Stopped || m.run == nil || m.ended {
		return
	}
	ctx, cancel := context.WithCancel(m.run)
	done := make(chan struct{})
	m.wg.Go(func() {
		defer close(done)
		s.run(ctx)
	})
	g.halt = func() {
		cancel()
		<-done
		g.halt = nil
	}
}

// change does something to a source, which nobody else changes meanwhile.
func (m *Manager) change(ctx context.Context, key sources.Key, do func(g *managed) error) error {
	g, err := m.find(key)
	if err != nil {
		return err
	}
	if err := g.take(ctx); err != nil {
		return err
	}
	defer g.give()
	if g.removed {
		return noSource(key)
	}
	return do(g)
}

// atRest does something while a source rests, and then has the source do what is
// wanted of it. The caller has the turn. What can be refused is to be checked before.
func (m *Manager) atRest(g *managed, do func() error) error {
	if g.halt != nil {
		g.halt()
	}
	defer m.start(g)
	return do()
}

// Status describes all sources, those of the configuration first.
func (m *Manager) Status() []Status {
	m.mu.Lock()
	all := slices.Clone(m.list)
	m.mu.Unlock()
	list := make([]Status, len(all))
	for i, g := range all {
		list[i] = g.current().status()
	}
	return list
}

// find returns a source by the name of its collection or an alias of that.
func (m *Manager) find(key sources.Key) (*managed, error) {
	for _, g := range m.of(key.Collection) {
		if g.key.Name == key.Name {
			return g, nil
		}
	}
	return nil, noSource(key)
}

// of lists the sources of a collection.
func (m *Manager) of(collection string) []*managed {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []*managed
	name := m.resolve(collection)
	for _, g := range m.list {
		if m.resolve(g.key.Collection) == name {
			list = append(list, g)
		}
	}
	return list
}

// resolve returns the name of the collection that a name or an alias stands for.
func (m *Manager) resolve(collection string) string {
	if c, err := m.db.Collection(collection); err == nil {
		return c.Name()
	}
	return collection
}

func noSource(key sources.Key) error {
	return &server.Error{Kind: server.NotFound, Text: "Source `" + key.Name + "` of collection `" + key.Collection + "` doesn't exist!"}
}

// ended turns the end of a request into an error a client understands.
func ended(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &server.Error{Kind: server.Timeout, Text: "the deadline passed while the source was being changed by another request"}
	}
	return ctx.Err()
}
