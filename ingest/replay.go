package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"freshet/server"
	"freshet/server/sources"
)

// A replay is a new collection, sources that feed it from the same topics as those
// of the old one, and a document that remembers what is to come of it. The rest is
// what sources do anyway: they catch up, survive restarts and go on after the alias
// has been switched, so that there is no moment at which a record could be lost.

// replay is what is kept of a replay, JSON. It is never changed, only replaced.
type replay struct {
	Into        string       `json:"into"`
	Collection  string       `json:"collection"` // the old one: a name, not an alias
	SwitchAlias string       `json:"switch_alias,omitempty"`
	Sources     []string     `json:"sources"`
	Gate        sources.Gate `json:"gate"`
	Gap         int64        `json:"gap"`
	Started     time.Time    `json:"started"`
	Switched    *time.Time   `json:"switched,omitempty"`
}

const replayPrefix = "replay/"

func (r *replay) document() (name string, value []byte, err error) {
	value, err = json.Marshal(r)
	if err != nil {
		err = fmt.Errorf("keep the replay into %q: %w", r.Into, err)
	}
	return replayPrefix + r.Into, value, err
}

// maxReplayBytes bounds the JSON of a replay.
const maxReplayBytes = 1 << 20

// Replay begins to build a new collection from the logs of a collection's sources.
func (m *Manager) Replay(ctx context.Context, collection string, raw []byte) (sources.ReplayStatus, error) {
	var none sources.ReplayStatus
	want, err := parseReplay(raw)
	if err != nil {
		return none, err
	}
	old, err := m.db.Collection(collection)
	if err != nil {
		return none, err
	}
	if m.db.Exists(want.Into) {
		return none, &server.Error{Kind: server.Exists, Text: fmt.Sprintf("Collection `%s` already exists!", want.Into)}
	}
	cfg, err := overridden(old.Config(), want.Overrides.Collection)
	if err != nil {
		return none, err
	}
	for name, has := range map[string]server.Config{old.Name(): old.Config(), want.Into: cfg} {
		if err := gateFits(name, has, &want.Gate); err != nil {
			return none, err
		}
	}
	r := &replay{
		Into: want.Into, Collection: old.Name(), SwitchAlias: want.SwitchAlias, Gate: want.Gate,
		Started: time.Now().UTC().Truncate(time.Millisecond),
	}
	if err := m.takeReplays(ctx); err != nil {
		return none, err
	}
	defer m.giveReplays()
	if err := m.switchable(r); err != nil {
		return none, err
	}
	feeding, err := m.replaySources(old, &want)
	if err != nil {
		return none, err
	}
	positions, gap, err := beginnings(ctx, feeding, &want)
	if err != nil {
		return none, err
	}
	if r.Gap = gap; gap > 0 && !want.AllowGap {
		return none, &server.Error{Kind: server.Conflict, Text: fmt.Sprintf(
			"%d records are gone from the beginning of the logs, so that the new collection would not be complete: allow_gap builds it of what is there", gap)}
	}
	for _, g := range feeding {
		r.Sources = append(r.Sources, g.key.Name)
	}
	if err := m.beginReplay(ctx, r, feeding, cfg, positions); err != nil {
		return none, err
	}
	return m.replayStatus(ctx, r)
}

// beginReplay makes the collection, keeps the sources and the replay in one commit,
// and starts the sources. A failure leaves nothing behind.
func (m *Manager) beginReplay(ctx context.Context, r *replay, feeding []*managed, cfg server.Config, positions []server.Position) (err error) {
	m.dropping.RLock()
	defer m.dropping.RUnlock()
	for _, g := range feeding {
		g.turn <- struct{}{}
		defer g.give()
	}
	for i, g := range feeding {
		if err := m.place(g); err != nil {
			m.removeAll(feeding[:i])
			return err
		}
	}
	if err := m.db.CreateCollection(ctx, r.Into, cfg); err != nil {
		m.removeAll(feeding)
		return err
	}
	defer func() {
		if err != nil {
			m.removeAll(feeding)
			_, dropped := m.db.DropCollection(context.WithoutCancel(ctx), r.Into)
			err = errors.Join(err, dropped)
		}
	}()
	c, err := m.db.Collection(r.Into)
	if err != nil {
		return err
	}
	for _, g := range feeding {
		if err := g.current().embedder.fits(c); err != nil {
			return &server.Error{Kind: server.WrongInput, Text: fmt.Sprintf("source `%s`", g.key.Name), Err: err}
		}
	}
	if _, err := c.Apply(ctx, server.Batch{Positions: positions, Sync: true}); err != nil {
		return err
	}
	documents := map[string][]byte{}
	for _, g := range feeding {
		if documents[documentOf(g.key)], err = json.Marshal(kept{Config: g.given, State: g.wanted}); err != nil {
			return err
		}
	}
	name, value, err := r.document()
	if err != nil {
		return err
	}
	documents[name] = value
	if err := m.db.PutDocuments(ctx, documents); err != nil {
		return err
	}
	m.setReplay(r)
	for _, g := range feeding {
		m.start(g)
	}
	return nil
}

func (m *Manager) removeAll(list []*managed) {
	for _, g := range list {
		m.remove(g)
	}
}

// replaySources returns sources, not placed yet, that feed the new collection as those
// of the old one do.
func (m *Manager) replaySources(c *server.Collection, want *sources.Replay) ([]*managed, error) {
	positions, err := c.Positions()
	if err != nil {
		return nil, err
	}
	old := c.Name()
	all := m.feeding(old, positions)
	if len(all) == 0 {
		return nil, &server.Error{Kind: server.Conflict, Text: fmt.Sprintf("the collection `%s` has no sources: there is no log to build a new one from", old)}
	}
	names := map[string]bool{}
	var list []*managed
	for _, g := range all {
		names[g.key.Name] = true
		if g.current().cfg.Route != "" {
			return nil, &server.Error{Kind: server.Conflict, Text: fmt.Sprintf(
				"source `%s` of collection `%s` has a route, by which it feeds many collections: another source with another route builds them all anew, beside these", g.key.Name, g.key.Collection)}
		}
		if g.key.Collection != old {
			return nil, &server.Error{Kind: server.Conflict, Text: fmt.Sprintf(
				"source `%s` feeds the collection by its alias `%s`, and would feed another one once that is switched: have it name the collection `%s`", g.key.Name, g.key.Collection, old)}
		}
		made, err := m.replaySource(g, want)
		if err != nil {
			var wrong *server.Error
			if errors.As(err, &wrong) && wrong.Kind == server.Invalid {
				wrong.Path = strings.TrimSuffix("overrides.sources."+g.key.Name+"."+wrong.Path, ".")
			}
			return nil, err
		}
		list = append(list, made)
	}
	for _, name := range slices.Sorted(maps.Keys(want.Overrides.Sources)) {
		if !names[name] {
			return nil, invalid("overrides.sources", "the collection `%s` has no source %.200q", old, name)
		}
	}
	return list, nil
}

func (m *Manager) replaySource(g *managed, want *sources.Replay) (*managed, error) {
	g.mu.Lock()
	given, err := json.RawMessage(g.given), error(nil)
	if given == nil { // it is in the file
		given, err = describe(&g.source.cfg)
	}
	g.mu.Unlock()
	if err != nil {
		return nil, err
	}
	var own map[string]json.RawMessage
	if change := want.Overrides.Sources[g.key.Name]; change != nil {
		if err := json.Unmarshal(change, &own); err != nil || own == nil {
			return nil, invalid("", "the change is not a JSON object")
		}
		for _, name := range []string{"name", "collection", "start", "route"} {
			if _, ok := own[name]; ok {
				return nil, invalid(name, "cannot be changed by a replay")
			}
		}
		if given, err = patched(given, change); err != nil {
			return nil, err
		}
	}
	begin, err := json.Marshal(map[string]any{"name": g.key.Name, "collection": want.Into, "start": startOf(want.From)})
	if err != nil {
		return nil, err
	}
	if given, err = patched(given, begin); err != nil {
		return nil, err
	}
	sc, err := m.parseSource(sources.Key{Collection: want.Into, Name: g.key.Name}, given)
	if err != nil {
		return nil, err
	}
	s, err := m.newSource(sc)
	if err != nil {
		return nil, err
	}
	made := newManaged(sources.REST, s)
	made.given = given
	return made, nil
}

// overridden returns a collection's configuration with changes.
func overridden(cfg server.Config, change json.RawMessage) (server.Config, error) {
	const path = "overrides.collection"
	cfg.DroppedVectors = nil
	if change == nil {
		return cfg, nil
	}
	var asked map[string]json.RawMessage
	if err := json.Unmarshal(change, &asked); err != nil || asked == nil {
		return cfg, invalid(path, "is not a JSON object")
	}
	for _, name := range []string{"payload_schema", "dropped_vectors"} {
		if _, ok := asked[name]; ok {
			return cfg, invalid(path+"."+name, "is not a part of the configuration")
		}
	}
	if vectors, ok := asked["vectors"]; ok {
		var of server.VectorsConfig
		// From one unnamed vector to named ones, or back, there is nothing to merge.
		if of.UnmarshalJSON(vectors) == nil && len(of.Named) > 0 && of.Single != cfg.Vectors.Single {
			cfg.Vectors = server.VectorsConfig{}
		}
	}
	before, err := json.Marshal(cfg)
	if err != nil {
		return cfg, err
	}
	after, err := patched(before, change)
	if err != nil {
		return cfg, err
	}
	var merged server.Config
	d := json.NewDecoder(bytes.NewReader(after))
	d.DisallowUnknownFields()
	if err := d.Decode(&merged); err != nil {
		return cfg, invalid(path, "%v", err)
	}
	err = merged.Validate()
	var wrong *server.Error
	if errors.As(err, &wrong) && wrong.Kind == server.Invalid {
		err = invalid(path+"."+wrong.Path, "%s", wrong.Text)
	}
	return merged, err
}

// Replays describes the replays that a collection is the old or the new one of.
func (m *Manager) Replays(ctx context.Context, collection string) ([]sources.ReplayStatus, error) {
	if _, err := m.db.Collection(collection); err != nil {
		return nil, err
	}
	list := []sources.ReplayStatus{}
	for _, r := range m.replaysOf(collection) {
		status, err := m.replayStatus(ctx, r)
		if err != nil {
			return nil, err
		}
		list = append(list, status)
	}
	return list, nil
}

// ReplayStatus describes one replay.
func (m *Manager) ReplayStatus(ctx context.Context, collection, into string) (sources.ReplayStatus, error) {
	r, err := m.findReplay(collection, into)
	if err != nil {
		return sources.ReplayStatus{}, err
	}
	return m.replayStatus(ctx, r)
}

// CancelReplay forgets a replay. What it has built is dropped, unless an alias names
// it or it has been switched to; dropped says which.
func (m *Manager) CancelReplay(ctx context.Context, collection, into string) (dropped bool, err error) {
	if err := m.takeReplays(ctx); err != nil {
		return false, err
	}
	defer m.giveReplays()
	r, err := m.findReplay(collection, into)
	if err != nil {
		return false, err
	}
	used := slices.ContainsFunc(m.db.Aliases(), func(a server.Alias) bool { return a.Collection == into })
	if r.Switched == nil && !used {
		if dropped, err = m.DropCollection(ctx, into); err != nil { // with its sources
			return dropped, err
		}
	}
	if err := m.db.DeleteDocuments(ctx, replayPrefix+into); err != nil {
		return dropped, err
	}
	m.mu.Lock()
	delete(m.replays, into)
	m.mu.Unlock()
	return dropped, nil
}

func (m *Manager) setReplay(r *replay) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.replays[r.Into] = r
}

func (m *Manager) findReplay(collection, into string) (*replay, error) {
	for _, r := range m.replaysOf(collection) {
		if r.Into == into {
			return r, nil
		}
	}
	return nil, &server.Error{Kind: server.NotFound, Text: fmt.Sprintf("Replay of collection `%s` into `%s` doesn't exist!", collection, into)}
}

// replaysOf lists the replays of which a collection, or what an alias names, is the old
// or the new one, by the name of the new one.
func (m *Manager) replaysOf(collection string) []*replay {
	name := m.resolve(collection)
	return m.replaysThat(func(r *replay) bool { return r.Into == name || r.Collection == name })
}

func (m *Manager) replaysThat(are func(*replay) bool) []*replay {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []*replay
	for _, into := range slices.Sorted(maps.Keys(m.replays)) {
		if r := m.replays[into]; are(r) {
			list = append(list, r)
		}
	}
	return list
}

// takeReplays waits for the right to begin, to end or to switch a replay.
func (m *Manager) takeReplays(ctx context.Context) error {
	select {
	case m.replaying <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ended(ctx)
	}
}

func (m *Manager) giveReplays() { <-m.replaying }

// restoreReplays takes up the replays that are kept in the database.
func (m *Manager) restoreReplays(ctx context.Context) error {
	documents, err := m.db.Documents(ctx, replayPrefix)
	if err != nil {
		return err
	}
	for name, raw := range documents {
		r := &replay{}
		if err := json.Unmarshal(raw, r); err != nil || replayPrefix+r.Into != name {
			m.o.Logger.Error("a replay that is kept in the database cannot be read", "name", name, "err", err)
			continue
		}
		m.replays[r.Into] = r
	}
	return nil
}

// switchReplays switches the aliases of replays whose gates open.
func (m *Manager) switchReplays(ctx context.Context) {
	tick := time.NewTicker(m.o.Refresh)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, r := range m.replaysThat(func(r *replay) bool { return r.SwitchAlias != "" && r.Switched == nil }) {
			if err := m.trySwitch(ctx, r.Into); err != nil && ctx.Err() == nil {
				m.o.Logger.Warn("a replay does not come on, it is tried again", "into", r.Into, "err", err)
			}
		}
	}
}

// trySwitch switches the alias of a replay if its gate is open. After a crash between
// the switch and the note of it the alias names the new collection already.
func (m *Manager) trySwitch(ctx context.Context, into string) error {
	if err := m.takeReplays(ctx); err != nil {
		return err
	}
	defer m.giveReplays()
	m.mu.Lock()
	r := m.replays[into]
	m.mu.Unlock()
	if r == nil { // cancelled meanwhile
		return nil
	}
	if m.aliased(r.SwitchAlias) != into {
		status, err := m.replayStatus(ctx, r)
		if err != nil || status.State != sources.Ready {
			return err
		}
		err = m.db.UpdateAliases(ctx, []server.AliasAction{{
			Create: &server.Alias{Alias: r.SwitchAlias, Collection: into}, From: r.Collection,
		}})
		if err != nil {
			return err
		}
		m.o.Logger.Info("a replay has been switched to", "alias", r.SwitchAlias, "from", r.Collection, "to", into, "points", status.Points, "lag", status.Lag)
	}
	done, now := *r, time.Now().UTC().Truncate(time.Millisecond)
	done.Switched = &now
	name, value, err := done.document()
	if err != nil {
		return err
	}
	if err := m.db.PutDocument(ctx, name, value); err != nil {
		return err
	}
	m.setReplay(&done)
	return nil
}

// aliased returns the collection that an alias names, "" if there is no such alias.
func (m *Manager) aliased(alias string) string {
	for _, a := range m.db.Aliases() {
		if a.Alias == alias {
			return a.Collection
		}
	}
	return ""
}

// switchable tells whether a replay's alias can be switched.
func (m *Manager) switchable(r *replay) error {
	alias := r.SwitchAlias
	switch at := m.aliased(alias); {
	case alias == "", at == r.Collection:
		return nil
	case at != "":
		return &server.Error{Kind: server.Conflict, Text: fmt.Sprintf("the alias `%s` names the collection `%s`, not `%s`", alias, at, r.Collection)}
	case slices.Contains(m.db.Collections(), alias):
		return invalid("switch_alias", "%.200q is a collection, not an alias: only an alias can be switched", alias)
	default:
		return &server.Error{Kind: server.NotFound, Text: fmt.Sprintf("Alias %s does not exists!", alias)}
	}
}
