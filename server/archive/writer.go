package archive

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

// Writer writes a file. After an error it is of no use.
type Writer struct {
	w     io.Writer
	block []byte // content of the block that is being filled, behind its frame
	count uint64 // blocks written
	err   error
}

// NewWriter begins a file.
func NewWriter(w io.Writer) *Writer {
	a := &Writer{w: w, block: make([]byte, frameSize, frameSize+blockSize)}
	_, a.err = w.Write(binary.BigEndian.AppendUint32([]byte(magic), Format))
	return a
}

// Write adds an entry.
func (a *Writer) Write(e Entry) error {
	if len(e.Key) > MaxKey || len(e.Value) > MaxValue {
		return fmt.Errorf("a record with a key of %d and a value of %d bytes is too large for a snapshot (%d and %d)", len(e.Key), len(e.Value), MaxKey, MaxValue)
	}
	head := append(make([]byte, 0, 32), byte(e.Kind))
	switch e.Kind {
	case Collection:
		a.add(binary.AppendUvarint(head, uint64(len(e.Value))))
		a.add(e.Value)
	case Record:
		head = append(head, e.Space)
		fallthrough
	case Alias:
		a.add(binary.AppendUvarint(head, uint64(len(e.Key))))
		a.add(e.Key)
		a.add(binary.AppendUvarint(head[:0], uint64(len(e.Value))))
		a.add(e.Value)
	case CollectionEnd:
		a.add(binary.AppendUvarint(head, e.Count))
	default:
		return fmt.Errorf("an entry of kind %d", e.Kind)
	}
	return a.err
}

// Close ends the file, not what is written to.
func (a *Writer) Close() error {
	if len(a.block) > frameSize {
		a.flush()
	}
	a.flush() // an empty block is the last
	return a.err
}

func (a *Writer) add(b []byte) {
	for len(b) > 0 && a.err == nil {
		n := min(len(b), cap(a.block)-len(a.block))
		a.block = append(a.block, b[:n]...)
		b = b[n:]
		if len(a.block) == cap(a.block) {
			a.flush()
		}
	}
}

func (a *Writer) flush() {
	if a.err != nil {
		return
	}
	content := a.block[frameSize:]
	binary.BigEndian.PutUint32(a.block, uint32(len(content)))
	binary.BigEndian.PutUint32(a.block[4:], checksum(a.count, content))
	_, a.err = a.w.Write(a.block)
	a.block = a.block[:frameSize]
	a.count++
}

// checksum is that of a block. Its number is part of it, so that blocks cannot
// change places.
func checksum(number uint64, content []byte) uint32 {
	sum := crc32.Update(0, castagnoli, binary.BigEndian.AppendUint64(nil, number))
	return crc32.Update(sum, castagnoli, content)
}
