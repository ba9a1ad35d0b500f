package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Reader reads a file.
type Reader struct {
	r     io.Reader
	rest  []byte // of the block's content
	block []byte
	count uint64 // blocks read
	ended bool   // the last block has been read
	key   []byte
	value []byte
}

// NewReader reads the beginning of a file. An error that does not come from r is
// ErrForeign.
func NewReader(r io.Reader) (*Reader, error) {
	var header [headerSize]byte
	if n, err := io.ReadFull(r, header[:]); err != nil && !cut(err) {
		return nil, err
	} else if n < headerSize || string(header[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: it does not begin as a snapshot of freshet does", ErrForeign)
	}
	if format := binary.BigEndian.Uint32(header[len(magic):]); format < 1 || format > Format {
		return nil, fmt.Errorf("%w: it is of format %d, this build reads up to %d", ErrForeign, format, Format)
	}
	return &Reader{r: r}, nil
}

func cut(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// Next returns the next entry, io.EOF behind the last one of a file that is whole.
func (a *Reader) Next() (Entry, error) {
	kind, err := a.ReadByte()
	if err != nil {
		return Entry{}, err // io.EOF at the end
	}
	e := Entry{Kind: Kind(kind)}
	switch e.Kind {
	case Collection:
		err = a.field(&a.value, MaxValue)
		e.Value = a.value
	case Record, Alias:
		if e.Kind == Record {
			e.Space, err = a.ReadByte()
		}
		if err == nil {
			err = a.field(&a.key, MaxKey)
		}
		if err == nil {
			err = a.field(&a.value, MaxValue)
		}
		e.Key, e.Value = a.key, a.value
	case CollectionEnd:
		e.Count, err = a.uvarint()
	default:
		err = damaged("an entry has the kind %d", kind)
	}
	if cut(err) {
		err = damaged("it ends within an entry")
	}
	return e, err
}

// ReadByte implements io.ByteReader, for binary.ReadUvarint.
func (a *Reader) ReadByte() (byte, error) {
	if err := a.fill(); err != nil {
		return 0, err
	}
	b := a.rest[0]
	a.rest = a.rest[1:]
	return b, nil
}

func (a *Reader) uvarint() (uint64, error) {
	n, err := binary.ReadUvarint(a)
	if err != nil && !cut(err) && !errors.Is(err, ErrDamaged) {
		return 0, damaged("a number is too large")
	}
	return n, err
}

// field reads a length and so many bytes. What it allocates follows what it has
// read, not the length.
func (a *Reader) field(dst *[]byte, limit uint64) error {
	n, err := a.uvarint()
	if err != nil {
		return err
	}
	if n > limit {
		return damaged("an entry has a field of %d bytes, %d are possible", n, limit)
	}
	*dst = (*dst)[:0]
	for left := int(n); left > 0; {
		if err := a.fill(); err != nil {
			return err
		}
		some := a.rest[:min(left, len(a.rest))]
		*dst = append(*dst, some...)
		a.rest = a.rest[len(some):]
		left -= len(some)
	}
	return nil
}

// fill reads the next block if nothing is left of this one; io.EOF if that was the
// last.
func (a *Reader) fill() error {
	if len(a.rest) > 0 {
		return nil
	}
	if a.ended {
		return io.EOF
	}
	var frame [frameSize]byte
	if err := a.full(frame[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(frame[:])
	if n > blockSize {
		return damaged("block %d has %d bytes, %d are possible", a.count, n, blockSize)
	}
	if uint32(cap(a.block)) < n {
		a.block = make([]byte, n)
	}
	a.rest = a.block[:n]
	if err := a.full(a.rest); err != nil {
		return err
	}
	if checksum(a.count, a.rest) != binary.BigEndian.Uint32(frame[4:]) {
		return damaged("the checksum of block %d is wrong", a.count)
	}
	a.count++
	if n > 0 {
		return nil
	}
	a.ended = true
	switch _, err := io.ReadFull(a.r, frame[:1]); {
	case err == nil:
		return damaged("there are bytes behind its end")
	case !cut(err):
		return err
	}
	return io.EOF
}

func (a *Reader) full(b []byte) error {
	if _, err := io.ReadFull(a.r, b); cut(err) {
		return damaged("it is cut off in block %d", a.count)
	} else if err != nil {
		return err
	}
	return nil
}
