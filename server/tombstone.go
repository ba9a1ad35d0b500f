package server

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"freshet/storage"
)

// tombstone remembers the version of a delete, so that an older record that
// arrives later does not bring the point back.
type tombstone struct {
	version storedVersion
	deleted int64 // Unix milliseconds
}

// tombstoneHorizon is how long a delete is remembered: well beyond the delay
// between partitions of one topic, and beyond Kafka's own default of a day for
// tombstones in compacted topics.
const tombstoneHorizon = 7 * 24 * time.Hour

func appendTombstone(dst []byte, t tombstone) []byte {
	dst = append(dst, recordFormat)
	dst = appendVersion(dst, t.version)
	return binary.AppendVarint(dst, t.deleted)
}

func decodeTombstone(value []byte) (tombstone, error) {
	r := reader{rest: value}
	format := r.byte()
	t := tombstone{version: r.version(), deleted: r.varint()}
	if r.bad || format != recordFormat || len(r.rest) != 0 {
		return tombstone{}, fmt.Errorf("a tombstone is damaged (format byte %d, %d bytes)", format, len(value))
	}
	return t, nil
}

// dropOldTombstones removes those beyond the horizon, and sees whether others are left.
// It is called before the collection is served.
func (c *Collection) dropOldTombstones(ctx context.Context, snapshot *storage.Snapshot, now time.Time) error {
	limit := now.Add(-tombstoneHorizon).UnixMilli()
	b := c.store.NewBatch()
	err := snapshot.Scan(storage.AppendKey(nil, storage.Tombstone, c.space, nil), nil, func(key, value []byte) (bool, error) {
		t, err := decodeTombstone(value)
		if err != nil {
			return false, err
		}
		if t.deleted < limit {
			if err := b.Delete(key); err != nil {
				return false, err
			}
		} else {
			c.tombstones = true
		}
		return true, ctx.Err()
	})
	if err == nil {
		err = b.Commit(false)
	}
	if closeErr := b.Close(); err == nil {
		err = closeErr
	}
	return err
}
