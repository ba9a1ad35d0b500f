package ingest

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"freshet/ingest/decode"
	"freshet/server"
)

// Options configure a Manager; the zero value is usable.
type Options struct {
	Logger   *slog.Logger          // default: discard
	Registry prometheus.Registerer // default: none
	// Refresh is the time between looks for new partitions, which is also the
	// time between reports to the consumer group; default 5 s.
	Refresh time.Duration
}

// Manager runs the configured sources.
type Manager struct{ sources []*source }

// New returns a manager of cfg's sources, which SetDefaults has completed and
// Validate approved.
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
	all := newMetrics()
	m := &Manager{}
	for _, sc := range cfg.Sources {
		mapping, err := decode.New(sc.settings())
		if err != nil {
			return nil, err
		}
		begin, err := parseStart(sc.Start)
		if err != nil {
			return nil, err
		}
		s := &source{
			cfg: sc, kafka: cfg.Kafka, mapping: mapping, start: begin, db: db,
			log: o.Logger.With("source", sc.Name), metrics: all.of(&sc), refresh: o.Refresh,
			control: newController(sc.Batch), state: Starting,
		}
		s.publishLimit()
		m.sources = append(m.sources, s)
	}
	if o.Registry != nil {
		if err := all.register(o.Registry, gauges{m}); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Run consumes until ctx ends, and returns once every source has stopped.
// Nothing that fails along the way ends it.
func (m *Manager) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, s := range m.sources {
		wg.Go(func() { s.run(ctx) })
	}
	wg.Wait()
}

// Status describes all sources, in the order of the configuration.
func (m *Manager) Status() []Status {
	list := make([]Status, len(m.sources))
	for i, s := range m.sources {
		list[i] = s.status()
	}
	return list
}
