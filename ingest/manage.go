package ingest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"freshet/server"
	"freshet/server/sources"
)

// List describes the sources of a collection.
func (m *Manager) List(collection string) ([]sources.Info, error) {
	all := m.of(collection)
	if len(all) == 0 {
		if _, err := m.db.Collection(collection); err != nil {
			return nil, err
		}
	}
	return infos(all)
}

// All describes the sources of all collections, also of those that are still to be made.
func (m *Manager) All() ([]sources.Info, error) {
	m.mu.Lock()
	all := slices.Clone(m.list)
	m.mu.Unlock()
	slices.SortFunc(all, func(a, b *managed) int {
		return cmp.Or(cmp.Compare(a.key.Collection, b.key.Collection), cmp.Compare(a.key.Name, b.key.Name))
	})
	return infos(all)
}

func infos(all []*managed) ([]sources.Info, error) {
	list := make([]sources.Info, 0, len(all))
	for _, g := range all {
		info, err := g.info()
		if err != nil {
			return nil, err
		}
		list = append(list, info)
	}
	return list, nil
}

// Get describes a source.
func (m *Manager) Get(key sources.Key) (sources.Info, error) {
	g, err := m.find(key)
	if err != nil {
		return sources.Info{}, err
	}
	return g.info()
}

func (g *managed) info() (sources.Info, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	config, err := describe(&g.source.cfg)
	return sources.Info{Name: g.key.Name, Collection: g.key.Collection, Origin: g.origin, State: g.wanted, Config: config}, err
}

// Create adds a source as JSON describes it, keeps it and starts it.
func (m *Manager) Create(ctx context.Context, collection string, raw []byte) (sources.Info, error) {
	if err := server.CheckName(collection); err != nil {
		return sources.Info{}, err
	}
	sc, err := m.parseSource(sources.Key{Collection: collection}, raw)
	if err != nil {
		return sources.Info{}, err
	}
	m.dropping.RLock()
	defer m.dropping.RUnlock()
	if !sc.OnCreate.Auto && !m.db.Exists(collection) {
		return sources.Info{}, &server.Error{Kind: server.NotFound, Text: fmt.Sprintf(
			"Collection `%s` doesn't exist! on_create.auto lets the source make it", collection)}
	}
	return m.add(ctx, sc, raw, sources.Running)
}

// add adds a source. Its place is taken before it is kept.
func (m *Manager) add(ctx context.Context, sc Source, raw []byte, wanted sources.State) (sources.Info, error) {
	s, err := m.newSource(sc)
	if err != nil {
		return sources.Info{}, err
	}
	g := newManaged(sources.REST, s)
	g.wanted, g.given = wanted, raw
	g.turn <- struct{}{}
	defer g.give()
	if err := m.place(g); err != nil {
		return sources.Info{}, err
	}
	if err := m.save(ctx, g, raw, wanted); err != nil {
		m.remove(g)
		return sources.Info{}, err
	}
	m.start(g)
	return g.info()
}

// place puts a source into the list unless its name is taken.
func (m *Manager) place(g *managed) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := m.resolve(g.key.Collection)
	for _, other := range m.list {
		if other.key.Name == g.key.Name && m.resolve(other.key.Collection) == name {
			return &server.Error{Kind: server.Exists, Text: fmt.Sprintf("Source `%s` of collection `%s` already exists!", g.key.Name, g.key.Collection)}
		}
	}
	m.list = append(m.list, g)
	return nil
}

// remove takes a source that does not run off the list. The caller has its turn.
func (m *Manager) remove(g *managed) {
	m.mu.Lock()
	m.list = slices.DeleteFunc(m.list, func(other *managed) bool { return other == g })
	m.mu.Unlock()
	g.removed = true
	m.metrics.forget(&g.current().cfg)
}

// Put replaces a source, or adds it.
func (m *Manager) Put(ctx context.Context, key sources.Key, raw []byte) (sources.Info, error) {
	g, err := m.find(key)
	if err != nil {
		named, err := withName(raw, key.Name)
		if err != nil {
			return sources.Info{}, err
		}
		return m.Create(ctx, key.Collection, named)
	}
	return m.replace(ctx, g.key, func(*managed) ([]byte, error) { return withName(raw, key.Name) })
}

// Patch changes some of a source's settings.
func (m *Manager) Patch(ctx context.Context, key sources.Key, change []byte) (sources.Info, error) {
	g, err := m.find(key)
	if err != nil {
		return sources.Info{}, err
	}
	return m.replace(ctx, g.key, func(g *managed) ([]byte, error) { return patched(g.given, change) })
}

// replace gives a source the description that next returns.
func (m *Manager) replace(ctx context.Context, key sources.Key, next func(*managed) ([]byte, error)) (info sources.Info, err error) {
	err = m.change(ctx, key, func(g *managed) error {
		if err := g.changeable(); err != nil {
			return err
		}
		raw, err := next(g)
		if err != nil {
			return err
		}
		sc, err := m.parseSource(g.key, raw)
		if err != nil {
			return err
		}
		s, err := m.newSource(sc)
		if err != nil {
			return err
		}
		return m.atRest(g, func() error {
			if err := m.save(ctx, g, raw, g.wanted); err != nil {
				return err
			}
			g.mu.Lock()
			g.source, g.given = s, raw
			g.mu.Unlock()
			info, err = g.info()
			return err
		})
	})
	return info, err
}

// changeable says whether requests may change the source.
func (g *managed) changeable() error {
	if g.origin == sources.File {
		return &server.Error{Kind: server.Conflict, Text: fmt.Sprintf(
			"source `%s` of collection `%s` is in the configuration file: it can be paused and stopped here, but only be changed there", g.key.Name, g.key.Collection)}
	}
	return nil
}

// Delete ends a source and forgets it. What it has brought stays, and so do its
// positions, from which a source of the same name goes on, and its early deletes.
func (m *Manager) Delete(ctx context.Context, key sources.Key) error {
	return m.change(ctx, key, func(g *managed) error {
		if err := g.changeable(); err != nil {
			return err
		}
		return m.atRest(g, func() error {
			if err := m.db.DeleteDocuments(ctx, documentsOf(g.key)...); err != nil {
				return err
			}
			m.remove(g)
			return nil
		})
	})
}

// SetState pauses, stops or resumes a source, now and after the next start.
func (m *Manager) SetState(ctx context.Context, key sources.Key, wanted sources.State) error {
	return m.change(ctx, key, func(g *managed) error {
		return m.atRest(g, func() error {
			if err := m.save(ctx, g, g.given, wanted); err != nil {
				return err
			}
			g.mu.Lock()
			defer g.mu.Unlock()
			g.wanted = wanted
			return nil
		})
	})
}

// SourceStatus describes what a source is doing.
func (m *Manager) SourceStatus(key sources.Key) (sources.Status, error) {
	g, err := m.find(key)
	if err != nil {
		return sources.Status{}, err
	}
	return g.current().status().view(), nil
}

// view is the status in the words of the API.
func (s Status) view() sources.Status {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	v := sources.Status{
		Name: s.Name, Collection: s.Collection, State: string(s.State), Error: s.Error,
		ErrorSince: s.ErrorSince.UTC(), Collections: s.Collections, Keys: sources.Keys(s.Keys),
		Batch:  sources.Batch{Limit: s.Limit.Records, P99Ms: ms(s.Limit.P99), AgeP99Ms: ms(s.ageP99()), Why: s.Limit.Why, OverBudget: s.Limit.OverBudget},
		Buffer: sources.Buffer(s.Buffer),
		Stages: make([]sources.Stage, 0, len(s.Stages)), Partitions: make([]sources.Partition, 0, len(s.Partitions)),
		Formats: map[string]int64{}, DeadLetters: sources.LetterCounts{Total: s.Letters.Total, Kept: s.Letters.Kept},
	}
	if e := s.Early; e != nil {
		v.EarlyDeletes = &sources.EarlyDeletes{Kept: e.Kept, Refused: e.Refused}
	}
	if c := s.CatchUp; c != nil {
		v.CatchUp = &sources.CatchUp{Since: c.Began.UTC(), Applied: c.Applied, Left: c.Left, PerSecond: c.Rate}
		if c.TimeLeft >= 0 {
			left := c.TimeLeft.Seconds()
			v.CatchUp.SecondsLeft = &left
		}
	}
	for format, n := range s.Formats {
		v.Formats[string(format)] = n
	}
	for _, stage := range s.Stages {
		v.Stages = append(v.Stages, sources.Stage{Stage: string(stage.Stage), P50Ms: ms(stage.P50), P99Ms: ms(stage.P99)})
	}
	for _, p := range s.Partitions {
		v.Partitions = append(v.Partitions, sources.Partition{
			Topic: p.Topic, Partition: p.Partition, State: string(p.State), Error: p.Error,
			Position: p.Next, End: p.End, Lag: p.Lag, LagSeconds: p.lagSeconds(),
		})
	}
	return v
}

// kept is a source in the store, JSON. One of the configuration file has no Config.
type kept struct {
	Config json.RawMessage `json:"config,omitempty"`
	State  sources.State   `json:"state"`
}

const documentPrefix = "source/"

// documentOf names the document of a source: neither name has a slash.
func documentOf(key sources.Key) string { return documentPrefix + key.Collection + "/" + key.Name }

// save keeps the configuration of a source and what is wanted of it.
func (m *Manager) save(ctx context.Context, g *managed, given []byte, wanted sources.State) error {
	if g.origin == sources.File && wanted == sources.Running {
		return m.db.DeleteDocuments(ctx, documentOf(g.key))
	}
	raw, err := json.Marshal(kept{Config: given, State: wanted})
	if err != nil {
		return fmt.Errorf("keep source %q: %w", g.key.Name, err)
	}
	return m.db.PutDocument(ctx, documentOf(g.key), raw)
}

// restore takes up what is kept in the database. A source that this build cannot
// run is left there.
func (m *Manager) restore(ctx context.Context) error {
	documents, err := m.db.Documents(ctx, documentPrefix)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(documents))
	for name := range documents {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		collection, source, _ := strings.Cut(strings.TrimPrefix(name, documentPrefix), "/")
		key := sources.Key{Collection: collection, Name: source}
		if err := m.restoreOne(key, documents[name]); err != nil {
			m.o.Logger.Error("a source that is kept in the database cannot run", "collection", key.Collection, "source", key.Name, "err", err)
		}
	}
	return nil
}

func (m *Manager) restoreOne(key sources.Key, raw []byte) error {
	var k kept
	if err := json.Unmarshal(raw, &k); err != nil {
		return err
	}
	for _, g := range m.list {
		if g.key != key {
			continue
		}
		g.wanted = k.State
		if k.Config != nil {
			return errors.New("one of the configuration file has its name")
		}
		return nil
	}
	if k.Config == nil {
		return nil // it is not in the configuration file any more
	}
	sc, err := m.parseSource(key, k.Config)
	if err != nil {
		return err
	}
	s, err := m.newSource(sc)
	if err != nil {
		return err
	}
	g := newManaged(sources.REST, s)
	g.wanted, g.given = k.State, k.Config
	m.list = append(m.list, g)
	return nil
}

// withName adds the name to a description that leaves it to the path.
func withName(raw []byte, name string) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return nil, invalid("", "the description of the source is not a JSON object")
	}
	if _, ok := members["name"]; !ok {
		quoted, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		members["name"] = quoted
	}
	return json.Marshal(members)
}
