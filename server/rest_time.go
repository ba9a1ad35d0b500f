package server

import (
	"encoding/binary"
	"time"

	"freshet/storage"
)

// metaTime is the field of storage.Meta that holds the newest time given to a REST write
// (Unix milliseconds). Folders of earlier builds have none.
const metaTime = "time"

// maxClockBack is by how much a clock that has been set back is not believed at a start.
// When it goes back by more it was wrong before, and the times that it gave are worse.
const maxClockBack = time.Hour

// restTime returns the time of the next REST write, which is compared with those of
// records. It never goes back: a later write would not count against a record that an
// earlier one has seen. The writer calls it.
func (c *Collection) restTime() int64 {
	c.lastTime = max(c.now().UnixMilli(), c.lastTime)
	return c.lastTime
}

// putTime stores the newest time with a commit.
func (c *Collection) putTime(b *storage.Batch) error {
	if c.lastTime <= 0 {
		return nil
	}
	return b.Set(storage.AppendKey(nil, storage.Meta, c.space, []byte(metaTime)), binary.BigEndian.AppendUint64(nil, uint64(c.lastTime)))
}

// loadTime goes on from the newest time that was given.
func (c *Collection) loadTime(snapshot *storage.Snapshot) error {
	n, _, err := c.metaNumber(snapshot, metaTime)
	if err != nil {
		return err
	}
	newest := time.UnixMilli(int64(n))
	if newest.After(c.now().Add(maxClockBack)) {
		c.log.Warn("the clock is far behind the last writes by REST: the next ones go by it", "last_write", newest.UTC().Format(time.RFC3339))
		return nil
	}
	c.lastTime = int64(n)
	return nil
}
