package server

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// stored is the value under storage.Point: who wrote the point last, and its
// payload. The bytes are described in docs/storage.md.
type stored struct {
	operation uint64
	version   storedVersion
	timestamp int64           // as Version.Timestamp
	expires   int64           // as Point.Expires
	payload   json.RawMessage // an object, or empty for none
}

// storedVersion is a Version with its stream as a number of the collection's
// stream table (0 for REST).
type storedVersion struct {
	stream uint32
	time   int64
	offset int64
}

const recordFormat = 1

// markedFormat is that of point records with more: behind the version is a byte that
// says what follows it.
const (
	markedFormat  = 2
	hasTimestamp  = 1 << 0
	hasExpiry     = 1 << 1
	allPointMarks = hasTimestamp | hasExpiry
)

func appendVersion(dst []byte, v storedVersion) []byte {
	dst = binary.AppendUvarint(dst, uint64(v.stream))
	dst = binary.AppendVarint(dst, v.time)
	return binary.AppendVarint(dst, v.offset)
}

func (s *stored) append(dst []byte) []byte {
	var marks byte
	if s.timestamp != 0 {
		marks |= hasTimestamp
	}
	if s.expires != 0 {
		marks |= hasExpiry
	}
	format := byte(recordFormat)
	if marks != 0 {
		format = markedFormat
	}
	dst = append(dst, format)
	dst = binary.AppendUvarint(dst, s.operation)
	dst = appendVersion(dst, s.version)
	if marks != 0 {
		dst = append(dst, marks)
	}
	if s.timestamp != 0 {
		dst = binary.AppendVarint(dst, s.timestamp)
	}
	if s.expires != 0 {
		dst = binary.AppendVarint(dst, s.expires)
	}
	return append(dst, s.payload...)
}

// decodeStored reads a value of storage.Point. The payload aliases value.
func decodeStored(value []byte) (stored, error) {
	r := reader{rest: value}
	format := r.byte()
	s := stored{operation: r.uvarint(), version: r.version()}
	if format == markedFormat {
		marks := r.byte()
		r.bad = r.bad || marks == 0 || marks&^allPointMarks != 0
		if marks&hasTimestamp != 0 {
			s.timestamp = r.varint()
			r.bad = r.bad || s.timestamp == 0
		}
		if marks&hasExpiry != 0 {
			s.expires = r.varint()
			r.bad = r.bad || s.expires <= 0
		}
	}
	if r.bad || format != recordFormat && format != markedFormat {
		return stored{}, fmt.Errorf("a point record is damaged (format byte %d, %d bytes)", format, len(value))
	}
	s.payload = json.RawMessage(r.rest)
	return s, nil
}

// reader takes a record apart; bad is set, and stays set, once bytes are missing.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) byte() byte {
	b := r.take(1)
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

func (r *reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) version() storedVersion {
	return storedVersion{stream: uint32(r.uvarint()), time: r.varint(), offset: r.varint()}
}
