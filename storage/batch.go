package storage

import (
	"bytes"
	"cmp"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Batch collects changes that become visible and durable together. It is used
// by one goroutine.
type Batch struct {
	b      *pebble.Batch
	s      *Store
	e      *engine // of b
	synced bool
}

// NewBatch returns an empty batch. It must be closed.
func (s *Store) NewBatch() *Batch {
	e := s.engine.Load()
	return &Batch{b: e.db.NewBatch(), s: s, e: e}
}

// Set stores value under key. Both are copied.
func (b *Batch) Set(key, value []byte) error {
	if err := b.b.Set(key, value, nil); err != nil {
		return fmt.Errorf("batch set: %w", err)
	}
	return nil
}

// Delete removes key if it exists.
func (b *Batch) Delete(key []byte) error {
	if err := b.b.Delete(key, nil); err != nil {
		return fmt.Errorf("batch delete: %w", err)
	}
	return nil
}

// DeleteSpace removes everything of a collection's shard.
func (b *Batch) DeleteSpace(sp Space) error {
	for _, ks := range perSpace {
		lower, upper := bounds(AppendKey(nil, ks, sp, nil))
		if err := b.b.DeleteRange(lower, upper, nil); err != nil {
			return fmt.Errorf("batch delete range: %w", err)
		}
	}
	return nil
}

// Len is the size of the batch in bytes.
func (b *Batch) Len() int { return b.b.Len() }

// Commit makes the batch visible to new snapshots. With sync the log's sync is
// started: Wait must be called before anything is acknowledged, and other work
// may be done in between.
//
// While the store is read-only nothing can be synced; other batches are kept and become
// visible when it can be written.
func (b *Batch) Commit(sync bool) error {
	if b.e.readOnly {
		return b.postpone(sync)
	}
	var err error
	if sync {
		b.synced = true
		err = b.e.db.ApplyNoSyncWait(b.b, pebble.Sync)
	} else {
		err = b.e.db.Apply(b.b, pebble.NoSync)
	}
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// postpone keeps what a start on a full disk would have stored beside what was written
// before: nothing that anybody is told is durable.
func (b *Batch) postpone(sync bool) error {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	if sync || b.s.engine.Load() != b.e {
		return fmt.Errorf("commit: %w", cmp.Or(b.s.Writable(), ErrFull))
	}
	b.s.deferred = append(b.s.deferred, bytes.Clone(b.b.Repr()))
	return nil
}

// Wait returns once a batch committed with sync is on stable storage. A log that cannot be
// synced has lost what nobody can tell, so that there is no way on: see Options.Fatal.
func (b *Batch) Wait() error {
	if !b.synced {
		return nil
	}
	if err := b.b.SyncWait(); err != nil {
		b.s.log.Fatalf("the log could not be synced: %v", err)
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// Close releases the batch; after a synced Commit only once Wait has returned.
func (b *Batch) Close() error { return b.b.Close() }
