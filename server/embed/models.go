package embed

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Models are the configured models. A nil one has none.
type Models struct {
	cfg     Config
	byName  map[string]*Model
	metrics *metrics
}

// New returns the models of cfg, which SetDefaults has completed. Nothing is asked of
// the endpoints yet.
func New(cfg Config) (*Models, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	all := &Models{cfg: cfg, byName: map[string]*Model{}, metrics: newMetrics()}
	for _, m := range cfg.Models {
		model, err := newModel(m, all.metrics)
		if err != nil {
			return nil, err
		}
		all.byName[m.Name] = model
	}
	return all, nil
}

// Model returns a model by its name, nil if there is none.
func (m *Models) Model(name string) *Model {
	if m == nil {
		return nil
	}
	return m.byName[name]
}

// All returns the models in the order of the configuration.
func (m *Models) All() []*Model {
	if m == nil {
		return nil
	}
	all := make([]*Model, len(m.cfg.Models))
	for i := range m.cfg.Models {
		all[i] = m.byName[m.cfg.Models[i].Name]
	}
	return all
}

// Names lists the models, for errors.
func (m *Models) Names() string {
	if m == nil {
		return (&Config{}).Names()
	}
	return m.cfg.Names()
}

// Register adds the metrics.
func (m *Models) Register(r prometheus.Registerer) error {
	for _, c := range m.metrics.collectors() {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// Close gives up idle connections. Requests in flight are ended by their contexts.
func (m *Models) Close() {
	if m == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(m.byName)) {
		m.byName[name].client.CloseIdleConnections()
	}
}
