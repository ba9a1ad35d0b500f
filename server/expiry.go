package server

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"freshet/storage"
)

// Points that expire are in storage.Expiry by time, in the same commit as the point
// itself. The writer deletes them when their time has come, as a delete with the version
// of the write that gave it: what reads see is always one state of all, and nothing older
// brings a point back.
const (
	// expireStep bounds the points of one commit; writes that wait go between.
	expireStep = 512
	// expireEvery is the time between two looks, so that points that expire one after
	// the other share a commit. A point is seen so long after its time, at most, but for
	// a backlog.
	expireEvery = 200 * time.Millisecond
	// expireLongest is the longest time between two looks while there are points that
	// expire: timers do not know of a clock that is set, or of a machine that slept.
	expireLongest = time.Minute

	never = time.Duration(math.MaxInt64)
)

// expiryKey is the key of a point that expires, in Unix milliseconds.
func expiryKey(space storage.Space, at int64, id []byte) []byte {
	key := binary.BigEndian.AppendUint64(storage.AppendKey(nil, storage.Expiry, space, nil), uint64(at))
	return append(key, id...)
}

// decodeExpiry takes apart what follows the space in a key.
func decodeExpiry(suffix []byte) (at int64, id []byte, err error) {
	if len(suffix) < 8 {
		return 0, nil, errors.New("a key of an expiry is damaged")
	}
	return int64(binary.BigEndian.Uint64(suffix)), suffix[8:], nil
}

// fillExpiry writes what changes about the expiry of a point.
func (tx *tx) fillExpiry(b *storage.Batch, id string, p *pending) error {
	space, now := tx.c.space, p.stored.expires // 0 of a point that is deleted
	var errs [2]error
	if p.expiry != 0 && p.expiry != now {
		errs[0] = b.Delete(expiryKey(space, p.expiry, []byte(id)))
	}
	if now != 0 && p.expiry != now {
		errs[1] = b.Set(expiryKey(space, now, []byte(id)), nil)
	}
	return errors.Join(errs[:]...)
}

// expireAt has the writer look for points that expire at a time, if not before.
func (c *Collection) expireAt(at time.Time) {
	if c.expiryDue.IsZero() || at.Before(c.expiryDue) {
		c.expiryDue = at
		c.expiry.Reset(untilLook(at, c.now()))
	}
}

// untilLook is the time until a look for points that expire at a time.
func untilLook(at, now time.Time) time.Duration {
	return min(max(at.Sub(now), expireEvery), expireLongest)
}

// scheduleExpiry has the writer look when the first point expires.
func (c *Collection) scheduleExpiry() error {
	c.expiryDue = time.Time{}
	return c.eachExpiry(func(at int64, _, _ []byte) bool {
		c.expireAt(time.UnixMilli(at))
		return false
	})
}

// eachExpiry calls visit with the points that expire, the first first, until it returns
// false. It sees what is committed.
func (c *Collection) eachExpiry(visit func(at int64, id, key []byte) bool) error {
	v, err := c.acquire()
	if err != nil {
		return err
	}
	defer v.release()
	prefix := storage.AppendKey(nil, storage.Expiry, c.space, nil)
	return v.snapshot.Scan(prefix, nil, func(key, _ []byte) (bool, error) {
		at, id, err := decodeExpiry(storage.Suffix(key))
		return err == nil && visit(at, id, key), err
	})
}

// expire deletes points whose time has come, a step of them, and arranges for the next.
func (c *Collection) expire() {
	if c.store.Writable() != nil {
		c.expiry.Reset(withoutRoom)
		return
	}
	full, err := c.expireSome()
	if err != nil {
		c.log.Error("points that have expired could not be deleted", "err", err)
		c.expiryDue = time.Time{}
		c.expireAt(c.now().Add(time.Second))
		return
	}
	if err := c.scheduleExpiry(); err != nil {
		c.log.Error("the next point to expire is not known", "err", err)
	}
	if full {
		c.expiry.Reset(betweenSlice)
	}
}

// expireSome deletes points whose time has come, and says whether there may be more.
func (c *Collection) expireSome() (full bool, err error) {
	now := c.now().UnixMilli()
	tx := c.begin()
	var failed error
	err = c.eachExpiry(func(at int64, id, key []byte) bool {
		if full = len(tx.order)+len(tx.forget) >= expireStep; full || at > now {
			return false
		}
		p, err := tx.lookup(id)
		switch {
		case err != nil:
			failed = err
		case !p.exists || p.expiry != at: // does not happen, and must not stay if it did
			tx.forget = append(tx.forget, append([]byte(nil), key...))
		default:
			p.remove()
			p.changed = true
			tx.order = append(tx.order, string(id))
		}
		return failed == nil
	})
	if err = errors.Join(err, failed); err != nil {
		return false, err
	}
	if len(tx.order) > 0 {
		c.operation++
	}
	return full, tx.flush()
}
