package storage

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Snapshot is the store as it was at one moment. It is safe for concurrent use
// and must be closed.
type Snapshot struct {
	s *pebble.Snapshot
	e *engine
}

// Snapshot returns the present state.
func (s *Store) Snapshot() *Snapshot {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.engine.Load()
	e.users.Add(1)
	return &Snapshot{s: e.db.NewSnapshot(), e: e}
}

// Close releases the snapshot.
func (s *Snapshot) Close() error {
	defer s.e.users.Add(-1)
	return s.s.Close()
}

// Get appends the value of key to dst. A missing key is ErrNotFound.
func (s *Snapshot) Get(dst, key []byte) ([]byte, error) { return get(s.s, dst, key) }

// Get appends the newest value of key to dst. A missing key is ErrNotFound.
func (s *Store) Get(dst, key []byte) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return get(s.engine.Load().db, dst, key)
}

func get(r pebble.Reader, dst, key []byte) ([]byte, error) {
	value, closer, err := r.Get(key)
	if err != nil {
		return dst, err
	}
	dst = append(dst, value...)
	return dst, closer.Close()
}

// Scan calls visit for every key with the prefix at or after from (a whole
// key, or nil for the first), in order, until visit returns false or an error.
// The slices are valid only during the call.
func (s *Snapshot) Scan(prefix, from []byte, visit func(key, value []byte) (bool, error)) error {
	lower, upper := bounds(prefix)
	if from != nil {
		lower = from
	}
	it, err := s.s.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return fmt.Errorf("scan: %w", err)
	}
	err = each(it, visit)
	if closeErr := it.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("scan: %w", closeErr)
	}
	return err
}

func each(it *pebble.Iterator, visit func(key, value []byte) (bool, error)) error {
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("scan: %w", err)
		}
		more, err := visit(it.Key(), value)
		if err != nil {
			return err
		}
		if !more {
			return nil
		}
	}
	return it.Error()
}
