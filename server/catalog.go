package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"freshet/storage"
)

var errDBClosed = &Error{Kind: Unavailable, Text: "the database is closed"}

// MaxNameBytes bounds the name of a collection.
const MaxNameBytes = 255

// barred are the characters that no name may have.
const barred = "<>:\"/\\|?*\x00\x1f"

// CheckName tells whether a collection may have the name.
func CheckName(name string) error { return checkName(name, "collection_name") }

// checkName tells whether a collection or an alias may have the name; member says which
// of them it is of.
func checkName(name, member string) error {
	what := strings.ReplaceAll(member, "_", " ")
	if n := len(name); n < 1 || n > MaxNameBytes {
		return invalid(member, "value %.40q invalid, must be from 1 to %d bytes, not %d", name, MaxNameBytes, n)
	}
	if !utf8.ValidString(name) {
		return invalid(member, "%s is not UTF-8", what)
	}
	if name == "." || name == ".." {
		// Clients leave these out of a URL's path, so nobody could ask for it.
		return invalid(member, "%s cannot be %q", what, name)
	}
	if i := strings.IndexAny(name, barred); i >= 0 {
		return invalid(member, "%s cannot contain %q char", what, name[i:i+1])
	}
	return nil
}

// CreateCollection makes an empty collection. The error is of Kind Exists if there is one of
// the name, of Kind Invalid if the name or a member of cfg is outside its limits.
func (db *DB) CreateCollection(ctx context.Context, name string, cfg Config) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	db.change.Lock()
	defer db.change.Unlock()
	if err := cmp.Or(db.free(name), inMemory(db.memory)); err != nil {
		return err
	}
	entry := catalogEntry{Name: name, ID: db.lastID + 1, Config: cfg}
	if err := db.putEntry(entry); err != nil {
		return err
	}
	db.lastID = entry.ID
	c, err := openCollection(ctx, db, entry, nil)
	if err != nil {
		return errors.Join(err, db.removing(func(b *storage.Batch) error {
			return errors.Join(b.Delete(storage.GlobalKey(storage.Catalog, name)), b.DeleteSpace(storage.Space{Collection: entry.ID}))
		}))
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	db.collections[name] = c
	return nil
}

// free returns an error unless the name can be given to a new collection.
func (db *DB) free(name string) error {
	if db.closed {
		return errDBClosed
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	if _, ok := db.collections[name]; ok {
		return errorf(Exists, "Collection `%s` already exists!", name)
	}
	if _, ok := db.aliases[name]; ok {
		return errorf(BadRequest, "Can't create collection with name %s. Alias with the same name already exists", name)
	}
	return nil
}

// DropCollection removes a collection, its points and its aliases, and the documents
// named, if there is such a collection. It waits for reads in progress, until ctx ends.
func (db *DB) DropCollection(ctx context.Context, name string, documents ...string) (existed bool, err error) {
	freed, err := db.BeginDrop(name, documents...)
	if freed == nil {
		return false, err
	}
	await(ctx, freed)
	return true, nil
}

// BeginDrop is DropCollection that does not wait: what it returns is closed once reads have
// ended and what the collection took is free, and nil if there is no such collection.
func (db *DB) BeginDrop(name string, documents ...string) (freed <-chan struct{}, err error) {
	done, err := db.jobs.begin()
	if err != nil {
		return nil, err
	}
	c, err := db.unlist(name, documents)
	if c == nil || err != nil {
		done()
		return nil, err
	}
	return db.retire(c, done), nil
}

// unlist takes a collection out of the catalog, nil if there is none of the name. Its data
// are an orphan then. It is not closed yet, so reads and writes that have found it before
// may go on.
func (db *DB) unlist(name string, documents []string) (*Collection, error) {
	db.change.Lock()
	defer db.change.Unlock()
	if db.readOnly() {
		return nil, asFull(db.store.Writable())
	}
	isOf := func(_, target string) bool { return target == name }
	db.mu.RLock()
	c := db.collections[name]
	aliases := maps.Clone(db.aliases)
	db.mu.RUnlock()
	if c == nil {
		return nil, nil
	}
	err := db.commitInReserve(func(b *storage.Batch) error {
		errs := []error{b.Delete(storage.GlobalKey(storage.Catalog, name)), b.Set(orphanKey(c.space.Collection), nil)}
		for alias, target := range aliases {
			if isOf(alias, target) {
				errs = append(errs, b.Delete(storage.GlobalKey(storage.Alias, alias)))
			}
		}
		for _, document := range documents {
			errs = append(errs, b.Delete(storage.GlobalKey(storage.Document, document)))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return nil, err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	delete(db.collections, name)
	maps.DeleteFunc(db.aliases, isOf)
	return c, nil
}

// retire closes a collection that has become an orphan, once the last read of it has ended,
// and removes its data. Then it closes what it has returned, and calls done. What fails is
// left to the next Open.
func (db *DB) retire(c *Collection, done func()) (freed <-chan struct{}) {
	ended := make(chan struct{})
	go func() {
		defer done()
		defer close(ended)
		if err := errors.Join(c.close(), db.removeSpace(c.space.Collection)); err != nil {
			c.log.Error("a collection is gone, but not all of what it took", "err", err)
		}
	}()
	return ended
}

// await returns once ended is closed, or ctx ends.
func await(ctx context.Context, ended <-chan struct{}) {
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// removing commits what removes a space, the room of which then comes back.
func (db *DB) removing(change func(*storage.Batch) error) error {
	if err := db.commitInReserve(change); err != nil {
		return err
	}
	select {
	case db.removed <- struct{}{}:
	default: // there is one
	}
	return nil
}

func (db *DB) putEntry(e catalogEntry) error {
	value, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode the catalog entry of %q: %w", e.Name, err)
	}
	return db.commit(func(b *storage.Batch) error {
		return b.Set(storage.GlobalKey(storage.Catalog, e.Name), value)
	})
}

// commit makes a change of the catalog durable.
func (db *DB) commit(change func(*storage.Batch) error) error {
	if err := asFull(db.store.Writable()); err != nil {
		return err
	}
	return db.commitInReserve(change)
}

// commitInReserve is commit for what makes room, and for what ends what was begun.
func (db *DB) commitInReserve(change func(*storage.Batch) error) error {
	if db.closed {
		return errDBClosed
	}
	b := db.store.NewBatch()
	err := change(b)
	if err == nil {
		err = b.Commit(true)
	}
	if err == nil {
		err = b.Wait()
	}
	return asFull(errors.Join(err, b.Close()))
}

// UpdateConfig changes a collection's configuration by change, which gets a
// copy. Parameters of the graph take effect when the collection is next loaded.
func (db *DB) UpdateConfig(_ context.Context, name string, change func(*Config) error) error {
	db.change.Lock()
	defer db.change.Unlock()
	c, err := db.Collection(name)
	if err != nil {
		return err
	}
	return db.updateConfig(c, change)
}

// updateConfigOf is UpdateConfig of a collection that was found before. Its name may be
// another's by now.
func (db *DB) updateConfigOf(c *Collection, change func(*Config) error) error {
	db.change.Lock()
	defer db.change.Unlock()
	if err := db.has(c); err != nil {
		return err
	}
	return db.updateConfig(c, change)
}

// has returns an error unless the collection is the one of its name.
func (db *DB) has(c *Collection) error {
	if current, err := db.Collection(c.name); err != nil || current != c {
		return noCollection(c.name)
	}
	return nil
}

func (db *DB) updateConfig(c *Collection, change func(*Config) error) error {
	cfg := c.Config().clone()
	if err := change(&cfg); err != nil {
		return err
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	if err := db.putEntry(catalogEntry{Name: c.name, ID: c.space.Collection, Config: cfg}); err != nil {
		return err
	}
	c.config.Store(&cfg)
	return nil
}

// Alias is a second name of a collection.
type Alias struct{ Alias, Collection string }

// AliasAction is one change of the aliases; exactly one of Create, Delete and Rename
// is set.
type AliasAction struct {
	Create *Alias
	From   string // with Create: the collection that the alias has to name now; "" for any
	Delete string
	Rename *AliasRename
}

// AliasRename gives an alias another name.
type AliasRename struct{ Old, New string }

// UpdateAliases applies the actions in order; either all take effect, at once,
// or none.
func (db *DB) UpdateAliases(_ context.Context, actions []AliasAction) error {
	db.change.Lock()
	defer db.change.Unlock()
	db.mu.RLock()
	next := maps.Clone(db.aliases)
	before := db.aliases
	db.mu.RUnlock()
	for _, a := range actions {
		if err := db.alias(next, a); err != nil {
			return err
		}
	}
	err := db.commit(func(b *storage.Batch) error {
		for alias := range before {
			if err := b.Delete(storage.GlobalKey(storage.Alias, alias)); err != nil {
				return err
			}
		}
		for alias, target := range next {
			if err := b.Set(storage.GlobalKey(storage.Alias, alias), []byte(target)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	db.aliases = next
	return nil
}

func (db *DB) alias(next map[string]string, a AliasAction) error {
	create := func(alias, target string) error {
		if err := checkName(alias, "alias_name"); err != nil {
			return err
		}
		db.mu.RLock()
		defer db.mu.RUnlock()
		if _, taken := db.collections[alias]; taken {
			return errorf(Exists, "Collection `%s` already exists!", alias)
		}
		if _, ok := db.collections[target]; !ok {
			return noCollection(target)
		}
		next[alias] = target
		return nil
	}
	switch {
	case a.Create != nil && a.From != "" && next[a.Create.Alias] != a.From:
		return errorf(Conflict, "the alias `%s` does not name the collection `%s`", a.Create.Alias, a.From)
	case a.Create != nil:
		return create(a.Create.Alias, a.Create.Collection)
	case a.Rename != nil:
		target, ok := next[a.Rename.Old]
		if !ok {
			return errorf(NotFound, "Alias %s does not exists!", a.Rename.Old)
		}
		delete(next, a.Rename.Old)
		return create(a.Rename.New, target)
	default:
		delete(next, a.Delete)
		return nil
	}
}

// Aliases returns all aliases, sorted.
func (db *DB) Aliases() []Alias {
	db.mu.RLock()
	defer db.mu.RUnlock()
	list := make([]Alias, 0, len(db.aliases))
	for _, alias := range slices.Sorted(maps.Keys(db.aliases)) {
		list = append(list, Alias{Alias: alias, Collection: db.aliases[alias]})
	}
	return list
}
