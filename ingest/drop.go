package ingest

import (
	"context"
	"maps"
	"slices"

	"freshet/server/sources"
)

// DropCollection removes a collection together with the sources that requests have
// added to it, by its name or an alias of it: both are gone or neither is, whatever
// happens in between. The sources of the configuration file stay. They wait until
// there is a collection again, or make it anew if they may. It waits for reads in progress,
// until ctx ends.
func (m *Manager) DropCollection(ctx context.Context, name string) (existed bool, err error) {
	freed, err := m.beginDrop(ctx, name)
	if freed == nil {
		return false, err
	}
	select {
	case <-freed:
	case <-ctx.Done():
	}
	return true, nil
}

// beginDrop is DropCollection that does not wait for reads, see server.DB.
func (m *Manager) beginDrop(ctx context.Context, name string) (freed <-chan struct{}, err error) {
	m.dropping.Lock()
	defer m.dropping.Unlock()
	if m.resolve(name) != name {
		return m.db.BeginDrop(name) // an alias is no collection
	}
	var own []*managed
	var documents []string
	for _, g := range m.of(name) {
		if g.origin != sources.REST {
			continue
		}
		if err := g.take(ctx); err != nil {
			return nil, err
		}
		defer g.give()
		if !g.removed {
			own = append(own, g)
			early, err := m.db.Documents(ctx, earlyPrefix(g.key))
			if err != nil {
				return nil, err
			}
			documents = append(documents, documentsOf(g.key)...)
			documents = slices.AppendSeq(documents, maps.Keys(early))
		}
	}
	for _, g := range own {
		if g.halt != nil {
			g.halt()
		}
		defer m.start(g) // unless it has been removed
	}
	freed, err = m.db.BeginDrop(name, documents...)
	if freed != nil {
		for _, g := range own {
			m.remove(g)
		}
	}
	return freed, err
}
