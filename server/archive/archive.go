// Package archive reads and writes the files of snapshots: a stream of entries in
// blocks with checksums, described byte by byte in docs/storage.md. It knows
// nothing of what keys and values mean.
//
// A reader trusts no byte: what it allocates is bounded by what it has read, and a
// file that was cut, changed or added to is told by its blocks.
package archive

import (
	"errors"
	"fmt"
	"hash/crc32"
)

// Format is the version of the files that are written; older ones are read.
const Format = 1

const (
	magic      = "FRESHET\x1a"
	headerSize = len(magic) + 4
	frameSize  = 8 // of a block: length and checksum
	blockSize  = 1 << 20
)

// Bounds of an entry, in bytes.
const (
	MaxKey   = 64 << 10
	MaxValue = 256 << 20
)

// Kind says what an entry is.
type Kind byte

// The kinds of entries.
const (
	Collection    Kind = 1 // Value describes it; its records follow
	Record        Kind = 2 // Space, Key, Value
	CollectionEnd Kind = 3 // Count: records of the collection
	Alias         Kind = 4 // Key is the alias, Value what it stands for
)

// Entry is one entry of a file. Its slices are valid until the next one is read.
type Entry struct {
	Kind       Kind
	Space      byte
	Key, Value []byte
	Count      uint64
}

// ErrDamaged means that a file is not what was once written.
var ErrDamaged = errors.New("the snapshot is damaged")

// ErrForeign means that a file is not a snapshot, or one of a newer version.
var ErrForeign = errors.New("not a snapshot that can be read")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
