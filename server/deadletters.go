package server

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"freshet/storage"
)

// Bounds of a collection's local dead-letter store; the oldest go first.
const (
	maxDeadLetters     = 10_000
	maxDeadLetterBytes = 64 << 20
	// maxLetterValue bounds the value that a letter keeps, so that a letter alone
	// never exceeds the store.
	maxLetterValue = 16 << 20
)

// letterbox keeps count of the stored dead letters, oldest first, so that the
// store stays within its bounds. It belongs to the writer.
type letterbox struct {
	next  uint64         // sequence number of the next letter
	kept  []storedLetter // by number
	bytes int
}

// storedLetter is what is known of a letter without reading it.
type storedLetter struct {
	number uint64
	size   int
}

func letterKey(sp storage.Space, seq uint64) []byte {
	return storage.AppendKey(nil, storage.DeadLetter, sp, binary.BigEndian.AppendUint64(nil, seq))
}

func (l *letterbox) load(c *Collection, snapshot *storage.Snapshot) error {
	return snapshot.Scan(storage.AppendKey(nil, storage.DeadLetter, c.space, nil), nil, func(key, value []byte) (bool, error) {
		suffix := storage.Suffix(key)
		if len(suffix) != 8 {
			return false, fmt.Errorf("the key of a dead letter has %d bytes", len(suffix))
		}
		l.add(binary.BigEndian.Uint64(suffix), len(value))
		return true, nil
	})
}

// changed has the batch remove letters, of which some may be gone already, and add others,
// and then remove what is too much. It returns what is kept if the commit succeeds.
func (l letterbox) changed(c *Collection, b *storage.Batch, gone []uint64, letters []DeadLetter) (letterbox, error) {
	if len(gone) > 0 {
		l.kept = slices.Clone(l.kept)
	}
	return l, errors.Join(l.remove(c, b, gone), l.put(c, b, letters))
}

func (l *letterbox) put(c *Collection, b *storage.Batch, letters []DeadLetter) error {
	for i := range letters {
		if letter := &letters[i]; len(letter.Value) > maxLetterValue {
			letter.Value, letter.Truncated = letter.Value[:maxLetterValue], true
		}
		letters[i].Time = TimeInJSON(letters[i].Time)
		value, err := json.Marshal(&letters[i])
		if err != nil {
			return fmt.Errorf("encode dead letter: %w", err)
		}
		if err := b.Set(letterKey(c.space, l.next), value); err != nil {
			return err
		}
		l.add(l.next, len(value))
	}
	for len(l.kept) > maxDeadLetters || l.bytes > maxDeadLetterBytes {
		if err := b.Delete(letterKey(c.space, l.kept[0].number)); err != nil {
			return err
		}
		l.bytes -= l.kept[0].size
		l.kept = l.kept[1:]
	}
	return nil
}

// The first and the last day of which JSON can tell a time in any zone.
var (
	firstDay = time.Date(0, time.January, 2, 0, 0, 0, 0, time.UTC)
	lastDay  = time.Date(9999, time.December, 30, 0, 0, 0, 0, time.UTC)
)

// TimeInJSON returns the nearest time that JSON can tell. Records may have any: a producer
// that counts microseconds where milliseconds are meant is far beyond the year 9999.
func TimeInJSON(t time.Time) time.Time {
	switch {
	case t.Before(firstDay):
		return firstDay
	case t.After(lastDay):
		return lastDay
	default:
		return t
	}
}

func (l *letterbox) add(number uint64, size int) {
	l.next = number + 1
	l.kept = append(l.kept, storedLetter{number, size})
	l.bytes += size
}

func (l *letterbox) remove(c *Collection, b *storage.Batch, numbers []uint64) error {
	gone := make(map[uint64]bool, len(numbers))
	for _, n := range numbers {
		gone[n] = true
	}
	var errs []error
	l.kept = slices.DeleteFunc(l.kept, func(s storedLetter) bool {
		if !gone[s.number] {
			return false
		}
		errs = append(errs, b.Delete(letterKey(c.space, s.number)))
		l.bytes -= s.size
		return true
	})
	return errors.Join(errs...)
}

// DeadLetters returns up to limit of the stored dead letters, oldest first.
func (c *Collection) DeadLetters(ctx context.Context, limit int) ([]DeadLetter, error) {
	var letters []DeadLetter
	if limit <= 0 {
		return nil, nil
	}
	err := c.ScanDeadLetters(ctx, func(l *DeadLetter) (bool, error) {
		letters = append(letters, *l)
		return len(letters) < limit, nil
	})
	return letters, err
}

// ScanDeadLetters visits the stored dead letters as of now, oldest first, until visit
// returns false.
func (c *Collection) ScanDeadLetters(ctx context.Context, visit func(*DeadLetter) (bool, error)) error {
	v, err := c.acquire()
	if err != nil {
		return err
	}
	defer v.release()
	return v.snapshot.Scan(storage.AppendKey(nil, storage.DeadLetter, c.space, nil), nil, func(key, value []byte) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		var l DeadLetter
		if err := json.Unmarshal(value, &l); err != nil {
			return false, fmt.Errorf("decode dead letter: %w", err)
		}
		l.Number = binary.BigEndian.Uint64(storage.Suffix(key))
		return visit(&l)
	})
}
