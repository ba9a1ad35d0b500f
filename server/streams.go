package server

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"freshet/storage"
)

// streamTable numbers the streams a collection has seen, so that a point's
// version costs a few bytes, and keeps how far each is applied. Numbers are
// stored with the positions and never change. The writer owns it; readers get
// the immutable positions of their view.
type streamTable struct {
	numbers map[Stream]uint32
	byNum   []Stream // index 0 is REST
	next    map[Stream]int64
}

// unknownNext is stored for a stream that has written but reported no position.
const unknownNext = -1

func newStreamTable() *streamTable {
	return &streamTable{
		numbers: map[Stream]uint32{{}: 0},
		byNum:   []Stream{{}},
		next:    map[Stream]int64{},
	}
}

// number returns the stream's number, giving it the next one if it is new.
func (t *streamTable) number(s Stream) (num uint32, isNew bool) {
	if num, ok := t.numbers[s]; ok {
		return num, false
	}
	num = uint32(len(t.byNum))
	t.numbers[s] = num
	t.byNum = append(t.byNum, s)
	return num, true
}

// stored converts a version, and with full back.
func (t *streamTable) full(v storedVersion) (Version, error) {
	if int(v.stream) >= len(t.byNum) {
		return Version{}, fmt.Errorf("a record names stream %d of %d", v.stream, len(t.byNum))
	}
	return Version{Stream: t.byNum[v.stream], Offset: v.offset, Time: v.time}, nil
}

func (t *streamTable) load(suffix, value []byte) error {
	s, err := decodeStream(suffix)
	if err != nil {
		return err
	}
	r := reader{rest: value}
	num, next := r.uvarint(), r.varint()
	if r.bad || num == 0 || num > 1<<24 {
		return fmt.Errorf("the position of %s is damaged", s)
	}
	for uint64(len(t.byNum)) <= num {
		t.byNum = append(t.byNum, Stream{})
	}
	t.byNum[num] = s
	t.numbers[s] = uint32(num)
	if next != unknownNext {
		t.next[s] = next
	}
	return nil
}

// positions returns a copy sorted by topic, partition and source.
func sortedPositions(next map[Stream]int64) []Position {
	list := make([]Position, 0, len(next))
	for _, s := range slices.SortedFunc(maps.Keys(next), func(a, b Stream) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Source, b.Source))
	}) {
		list = append(list, Position{Stream: s, Next: next[s]})
	}
	return list
}

// String names the stream for people.
func (s Stream) String() string {
	return fmt.Sprintf("source %q, topic %q, partition %d", s.Source, s.Topic, s.Partition)
}

func appendStream(dst []byte, s Stream) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s.Source)))
	dst = append(dst, s.Source...)
	dst = binary.AppendUvarint(dst, uint64(len(s.Topic)))
	dst = append(dst, s.Topic...)
	return binary.BigEndian.AppendUint32(dst, uint32(s.Partition))
}

func decodeStream(key []byte) (Stream, error) {
	r := reader{rest: key}
	s := Stream{Source: string(r.take(r.uvarint())), Topic: string(r.take(r.uvarint()))}
	partition := r.take(4)
	if r.bad || len(r.rest) != 0 {
		return Stream{}, fmt.Errorf("a position key of %d bytes is damaged", len(key))
	}
	s.Partition = int32(binary.BigEndian.Uint32(partition))
	return s, nil
}

func (c *Collection) putPosition(b *storage.Batch, s Stream, num uint32, next int64) error {
	value := binary.AppendVarint(binary.AppendUvarint(nil, uint64(num)), next)
	return b.Set(storage.AppendKey(nil, storage.Position, c.space, appendStream(nil, s)), value)
}

// compare orders two versions of one point: negative when v is older than w.
func (v Version) compare(w Version) int {
	if v.Stream == w.Stream {
		return cmp.Compare(v.Offset, w.Offset)
	}
	return cmp.Or(
		cmp.Compare(v.Time, w.Time),
		cmp.Compare(v.Stream.Source, w.Stream.Source),
		cmp.Compare(v.Stream.Topic, w.Stream.Topic),
		cmp.Compare(v.Stream.Partition, w.Stream.Partition),
		cmp.Compare(v.Offset, w.Offset),
	)
}
