package server

import (
	"encoding/binary"
	"errors"
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

// DeletesRemembered is how long a delete is remembered: well beyond the delay
// between partitions of one topic, and beyond Kafka's own default of a day for
// tombstones in compacted topics.
const DeletesRemembered = 7 * 24 * time.Hour

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

// Tombstones are looked through in steps, beside writes, from the start on and again
// tombstonesEvery after the last one was looked at.
const (
	tombstoneStep   = 4096
	tombstonesEvery = time.Hour
)

// tidy looks at some tombstones and arranges for the next.
func (c *Collection) tidy() {
	if c.store.Writable() != nil {
		c.tidying.Reset(withoutRoom)
		return
	}
	more, err := c.dropOldTombstones()
	if err != nil {
		c.log.Error("old tombstones could not be removed", "err", err)
	}
	if more {
		c.tidying.Reset(betweenSlice)
		return
	}
	c.tidying.Reset(tombstonesEvery)
}

// findTombstones sees whether there are any.
func (c *Collection) findTombstones(snapshot *storage.Snapshot) error {
	return snapshot.Scan(storage.AppendKey(nil, storage.Tombstone, c.space, nil), nil, func([]byte, []byte) (bool, error) {
		c.tombstones = true
		return false, nil
	})
}

// dropOldTombstones looks at some tombstones, removes those beyond the horizon, and says
// whether there are more to look at. The writer calls it.
func (c *Collection) dropOldTombstones() (more bool, err error) {
	limit := c.now().Add(-DeletesRemembered).UnixMilli()
	v, err := c.acquire()
	if err != nil {
		return false, err
	}
	defer v.release()
	b := c.store.NewBatch()
	seen, dropped := 0, 0
	var next []byte
	err = v.snapshot.Scan(storage.AppendKey(nil, storage.Tombstone, c.space, nil), c.tombstone, func(key, value []byte) (bool, error) {
		if seen++; seen > tombstoneStep {
			next = append([]byte(nil), key...)
			return false, nil
		}
		t, err := decodeTombstone(value)
		if err != nil || t.deleted >= limit {
			return err == nil, err
		}
		dropped++
		return true, b.Delete(key)
	})
	none := c.tombstone == nil && next == nil && seen == dropped
	c.tombstone = next
	if err == nil && dropped > 0 {
		if err = b.Commit(false); err == nil {
			c.dirty.Store(true)
			c.publish() // so that the next look does not see them any more
		}
	}
	if err == nil && none {
		c.tombstones = false
	}
	return next != nil, errors.Join(err, b.Close())
}
