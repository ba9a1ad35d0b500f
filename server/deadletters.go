package server

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"

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
	next  uint64 // sequence number of the next letter
	sizes []int  // bytes of the stored letters, the last has number next-1
	bytes int
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
		l.next = binary.BigEndian.Uint64(suffix) + 1
		l.sizes = append(l.sizes, len(value))
		l.bytes += len(value)
		return true, nil
	})
}

// put adds the letters to the batch and removes what is then too much. The
// counts are ahead of the store if the commit fails; they only bound it.
func (l *letterbox) put(c *Collection, b *storage.Batch, letters []DeadLetter) error {
	for i := range letters {
		if letter := &letters[i]; len(letter.Value) > maxLetterValue {
			letter.Value, letter.Truncated = letter.Value[:maxLetterValue], true
		}
		value, err := json.Marshal(&letters[i])
		if err != nil {
			return fmt.Errorf("encode dead letter: %w", err)
		}
		if err := b.Set(letterKey(c.space, l.next), value); err != nil {
			return err
		}
		l.next++
		l.sizes = append(l.sizes, len(value))
		l.bytes += len(value)
	}
	for len(l.sizes) > maxDeadLetters || l.bytes > maxDeadLetterBytes {
		if err := b.Delete(letterKey(c.space, l.next-uint64(len(l.sizes)))); err != nil {
			return err
		}
		l.bytes -= l.sizes[0]
		l.sizes = l.sizes[1:]
	}
	return nil
}

// DeadLetters returns up to limit of the stored dead letters, oldest first.
func (c *Collection) DeadLetters(ctx context.Context, limit int) ([]DeadLetter, error) {
	v, err := c.acquire()
	if err != nil {
		return nil, err
	}
	defer v.release()
	var letters []DeadLetter
	err = v.snapshot.Scan(storage.AppendKey(nil, storage.DeadLetter, c.space, nil), nil, func(_, value []byte) (bool, error) {
		if len(letters) >= limit {
			return false, nil
		}
		var l DeadLetter
		if err := json.Unmarshal(value, &l); err != nil {
			return false, fmt.Errorf("decode dead letter: %w", err)
		}
		letters = append(letters, l)
		return true, ctx.Err()
	})
	return letters, err
}
