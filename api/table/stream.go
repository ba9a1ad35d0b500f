package table

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// messages cuts a stream that is in memory into messages, which are parts of it.
type messages struct {
	check checker
	rest  []byte
	msg   *ipc.Message
}

func (m *messages) Retain()  {}
func (m *messages) Release() {}

// Message returns the next message, io.EOF at the end.
func (m *messages) Message() (msg *ipc.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			msg, err = nil, wrong("the metadata of a message is damaged")
		}
	}()
	length, err := m.uint32()
	if err == nil && length == 0xFFFFFFFF { // as all write it since Arrow 0.15
		length, err = m.uint32()
	}
	switch {
	case err != nil:
		return nil, err
	case length == 0 && len(m.rest) > 0:
		return nil, wrong("%d bytes follow the end of the stream", len(m.rest))
	case length == 0:
		return nil, io.EOF
	case length > maxMetadata:
		return nil, wrong("the metadata of a message may have %d bytes, not %d", maxMetadata, length)
	}
	metadata, err := m.next(int64(length))
	if err != nil {
		return nil, err
	}
	n, err := m.check.message(metadata)
	var known *Error
	switch {
	case errors.As(err, &known):
		return nil, err
	case err != nil:
		return nil, wrong("%w", err)
	}
	body, err := m.next(n)
	if err != nil {
		return nil, err
	}
	m.msg = ipc.NewMessage(memory.NewBufferBytes(metadata), memory.NewBufferBytes(body))
	return m.msg, nil
}

func (m *messages) uint32() (uint32, error) {
	raw, err := m.next(4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(raw), nil
}

func (m *messages) next(n int64) ([]byte, error) {
	if n < 0 || n > int64(len(m.rest)) {
		return nil, wrong("the stream ends too early; was its writer closed?")
	}
	part := m.rest[:n:n]
	m.rest = m.rest[n:]
	return part, nil
}

// allocator gives arrow-go memory as long as there is room.
type allocator struct {
	room Room
	err  error
}

func (a *allocator) Allocate(n int) []byte {
	if n < 0 {
		panic("a negative length")
	}
	if a.err == nil {
		a.err = a.room(n)
	}
	if a.err != nil {
		panic(a.err)
	}
	return memory.DefaultAllocator.Allocate(n)
}

func (a *allocator) Reallocate(n int, b []byte) []byte {
	if n <= cap(b) {
		return b[:n]
	}
	grown := a.Allocate(n)
	copy(grown, b)
	return grown
}

func (a *allocator) Free([]byte) {}

// batches calls use with the schema's columns and then with each batch of a stream and
// the number of rows before it. arrow-go and the arrays of damaged streams panic.
func batches(stream []byte, room Room, columns func(*arrow.Schema) error, use func(batch arrow.RecordBatch, before int) error) (err error) {
	memory := &allocator{room: room}
	defer func() {
		if p := recover(); p != nil {
			err = wrong("the stream is damaged: %.200s", fmt.Sprint(p))
		}
		if memory.err != nil {
			err = memory.err
		}
	}()
	r, err := ipc.NewReaderFromMessageReader(&messages{rest: stream}, ipc.WithAllocator(memory))
	if err != nil {
		return inStream(err)
	}
	defer r.Release()
	if err := columns(r.Schema()); err != nil {
		return err
	}
	rows := 0
	for r.Next() {
		batch := r.RecordBatch()
		if err := use(batch, rows); err != nil {
			return err
		}
		rows += int(batch.NumRows())
	}
	if err := r.Err(); err != nil {
		return inStream(err)
	}
	return nil
}

// inStream returns an error of a stream without what arrow-go puts around it.
func inStream(err error) error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	return wrong("%w", err)
}
