package server

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"freshet/storage"
)

// streamTable numbers the streams a collection has seen, so that a point's
// version costs a few bytes, and keeps how far each is applied. Numbers are
// stored with the positions and never change. The writer owns it; readers get
// the immutable positions of their view.
type streamTable struct {
	numbers map[Stream]uint32
	byNum   []origin            // index 0 is REST; only appended to
	former  map[Stream][]uint32 // numbers that stood for earlier logs, the oldest first
	applied map[Stream]Position // as loaded

	// unstored has the streams of which the next commit stores numbers and position. They
	// stay after one that fails: what a later one writes may be of these numbers.
	unstored map[Stream]bool
}

// origin is what a number stands for: one log of a stream.
type origin struct {
	stream Stream
	log    int // as in Version
}

// unknownNext is stored for a stream that has written but reported no position.
const unknownNext = -1

func newStreamTable() *streamTable {
	return &streamTable{
		numbers: map[Stream]uint32{{}: 0},
		byNum:   []origin{{}},
		former:  map[Stream][]uint32{},
		applied: map[Stream]Position{},

		unstored: map[Stream]bool{},
	}
}

// number returns the stream's number, giving it the next one if it is new.
func (t *streamTable) number(s Stream) uint32 {
	if num, ok := t.numbers[s]; ok {
		return num
	}
	num := uint32(len(t.byNum))
	t.numbers[s] = num
	t.byNum = append(t.byNum, origin{stream: s})
	t.unstored[s] = true
	return num
}

// past returns the number of the newest of the stream's earlier logs. A stream without one
// gets it.
func (t *streamTable) past(s Stream) uint32 {
	if former := t.former[s]; len(former) > 0 {
		return former[len(former)-1]
	}
	num := uint32(len(t.byNum))
	t.byNum = append(t.byNum, origin{stream: s, log: 1})
	t.former[s] = []uint32{num}
	t.unstored[s] = true
	return num
}

// renew gives a stream that has a number another one for its next log.
func (t *streamTable) renew(s Stream) {
	num, ok := t.numbers[s]
	if !ok {
		return
	}
	t.former[s] = append(t.former[s], num)
	// A copy: views hold the slice.
	t.byNum = slices.Clone(t.byNum)
	t.byNum[num].log = len(t.former[s])
	delete(t.numbers, s)
	t.number(s)
}

// full converts a stored version by what the numbers of streams stand for.
func full(origins []origin, v storedVersion) (Version, error) {
	if int(v.stream) >= len(origins) {
		return Version{}, fmt.Errorf("a record names stream %d of %d", v.stream, len(origins))
	}
	from := origins[v.stream]
	return Version{Stream: from.stream, Offset: v.offset, Time: v.time, log: from.log}, nil
}

func (t *streamTable) load(suffix, value []byte) error {
	s, err := decodeStream(suffix)
	if err != nil {
		return err
	}
	p, err := decodePosition(value)
	if err != nil {
		return fmt.Errorf("the position of %s is damaged", s)
	}
	put := func(num uint32, log int) {
		for uint32(len(t.byNum)) <= num {
			t.byNum = append(t.byNum, origin{})
		}
		t.byNum[num] = origin{s, log}
	}
	put(p.number, 0)
	for i, num := range p.former {
		put(num, i+1)
	}
	t.numbers[s] = p.number
	if len(p.former) > 0 {
		t.former[s] = p.former
	}
	if p.next != unknownNext {
		t.applied[s] = Position{Stream: s, Next: p.next, TopicID: p.topicID, Epoch: p.epoch}
	}
	return nil
}

// storedPosition is the value under storage.Position, as docs/storage.md has it.
type storedPosition struct {
	number  uint32 // of the stream, in versions
	next    int64
	topicID TopicID
	former  []uint32
	epoch   int32
}

// Bounds of what a stored position can hold.
const (
	maxStreams = 1 << 24
	maxLogs    = 1 << 16
)

func (p *storedPosition) append(dst []byte) []byte {
	dst = binary.AppendVarint(binary.AppendUvarint(dst, uint64(p.number)), p.next)
	dst = append(dst, p.topicID[:]...)
	dst = binary.AppendUvarint(dst, uint64(len(p.former)))
	for _, num := range p.former {
		dst = binary.AppendUvarint(dst, uint64(num))
	}
	return binary.AppendUvarint(dst, uint64(p.epoch))
}

// errBadPosition is for the caller to say whose position it is.
var errBadPosition = errors.New("a position is damaged")

func decodePosition(value []byte) (storedPosition, error) {
	r := reader{rest: value}
	num := func() uint32 {
		n := r.uvarint()
		r.bad = r.bad || n == 0 || n > maxStreams
		return uint32(n)
	}
	p := storedPosition{number: num(), next: r.varint()}
	if len(r.rest) > 0 && !r.bad { // without: of a version before topic ids
		copy(p.topicID[:], r.take(uint64(len(p.topicID))))
		n := r.uvarint()
		r.bad = r.bad || n > maxLogs
		for range n {
			if r.bad {
				break
			}
			p.former = append(p.former, num())
		}
	}
	if len(r.rest) > 0 && !r.bad { // without: of format 4 or before
		epoch := r.uvarint()
		r.bad = r.bad || epoch > math.MaxInt32
		p.epoch = int32(epoch)
	}
	if r.bad || len(r.rest) > 0 || p.next < unknownNext {
		return storedPosition{}, errBadPosition
	}
	return p, nil
}

// positions returns a copy sorted by topic, partition and source.
func sortedPositions(applied map[Stream]Position) []Position {
	list := make([]Position, 0, len(applied))
	for _, s := range slices.SortedFunc(maps.Keys(applied), func(a, b Stream) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Source, b.Source))
	}) {
		list = append(list, applied[s])
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

// putPosition stores the numbers of a stream, and its position if it has one.
func (c *Collection) putPosition(b *storage.Batch, s Stream, applied map[Stream]Position) error {
	value := storedPosition{number: c.streams.number(s), next: unknownNext, former: c.streams.former[s]}
	if p, ok := applied[s]; ok {
		value.next, value.topicID, value.epoch = p.Next, p.TopicID, p.Epoch
	}
	return b.Set(storage.AppendKey(nil, storage.Position, c.space, appendStream(nil, s)), value.append(nil))
}

// over completes a position by what is known of its stream.
func (p Position) over(applied map[Stream]Position) Position {
	if p.TopicID == (TopicID{}) {
		p.TopicID = applied[p.Stream].TopicID
	}
	p.NewLog = false
	return p
}

// OfFormerLog returns the version as one of a log that the stream had before its present
// one, see Position.NewLog.
func (v Version) OfFormerLog() Version {
	v.log = 1
	return v
}

// Before says whether the version is older than another one of the same point.
func (v Version) Before(w Version) bool { return v.compare(w) < 0 }

// compare orders two versions of one point: negative when v is older than w.
func (v Version) compare(w Version) int {
	if v.Stream == w.Stream && v.log == w.log {
		return cmp.Compare(v.Offset, w.Offset)
	}
	return cmp.Or(
		cmp.Compare(v.Time, w.Time),
		cmp.Compare(v.Stream.Source, w.Stream.Source),
		cmp.Compare(v.Stream.Topic, w.Stream.Topic),
		cmp.Compare(v.Stream.Partition, w.Stream.Partition),
		cmp.Compare(v.rank(), w.rank()),
		cmp.Compare(v.Offset, w.Offset),
	)
}

// rank orders the logs of one stream by age.
func (v Version) rank() int {
	if v.log == 0 {
		return math.MaxInt
	}
	return v.log
}
