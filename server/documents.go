package server

import (
	"context"
	"errors"

	"freshet/storage"
)

// Documents are what those that use the database keep in it beside collections, by
// names of their choice. The database does not look into them.

// PutDocument keeps a document in place of the one there was.
func (db *DB) PutDocument(ctx context.Context, name string, value []byte) error {
	return db.PutDocuments(ctx, map[string][]byte{name: value})
}

// PutDocuments keeps several documents, all or none.
func (db *DB) PutDocuments(_ context.Context, documents map[string][]byte) error {
	if len(documents) == 0 {
		return nil
	}
	db.change.Lock()
	defer db.change.Unlock()
	return db.commit(func(b *storage.Batch) error {
		for name, value := range documents {
			if err := b.Set(storage.GlobalKey(storage.Document, name), value); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteDocuments removes documents, all or none. Some may have been removed already.
func (db *DB) DeleteDocuments(_ context.Context, names ...string) error {
	if len(names) == 0 {
		return nil
	}
	db.change.Lock()
	defer db.change.Unlock()
	return db.commit(func(b *storage.Batch) error {
		for _, name := range names {
			if err := b.Delete(storage.GlobalKey(storage.Document, name)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Documents returns the documents whose names begin with the prefix.
func (db *DB) Documents(ctx context.Context, prefix string) (documents map[string][]byte, err error) {
	db.change.Lock()
	defer db.change.Unlock()
	if db.closed {
		return nil, errDBClosed
	}
	snapshot := db.store.Snapshot()
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	documents = map[string][]byte{}
	err = snapshot.Scan(storage.GlobalKey(storage.Document, prefix), nil, func(key, value []byte) (bool, error) {
		documents[string(key[1:])] = append([]byte(nil), value...)
		return true, ctx.Err()
	})
	return documents, err
}
