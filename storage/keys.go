package storage

import (
	"encoding/binary"
	"slices"
)

// Keyspace is the first byte of every key.
type Keyspace byte

// The key spaces of format 5. A number is never used again for something else.
const (
	spaceFormat Keyspace = 0x00 // the format's number

	Catalog Keyspace = 0x01 // collection name → configuration
	Alias   Keyspace = 0x02 // alias → collection name
	Orphan  Keyspace = 0x03 // collection number → nothing; its keys are to be removed

	Document Keyspace = 0x04 // name → what a user of the database keeps in it

	Point      Keyspace = 0x10 // Space, point id → version and payload
	Vector     Keyspace = 0x11 // Space, point id → vectors
	Tombstone  Keyspace = 0x12 // Space, point id → version of the delete
	Position   Keyspace = 0x13 // Space, stream → Kafka position
	DeadLetter Keyspace = 0x14 // Space, sequence number → record that made no point
	Meta       Keyspace = 0x15 // Space, field name → value
	Neighbours Keyspace = 0x16 // Space, slot → point id and its neighbours in the graphs
	Expiry     Keyspace = 0x17 // Space, time, point id → nothing; follows from Point
)

// perSpace lists the key spaces whose keys begin with a Space.
var perSpace = [...]Keyspace{Point, Vector, Tombstone, Position, DeadLetter, Meta, Neighbours, Expiry}

// PerSpace returns the key spaces whose keys begin with a Space, ascending.
func PerSpace() []Keyspace { return slices.Clone(perSpace[:]) }

// Space is one shard of one collection. All its keys share a prefix, so a
// range delete drops it and an iterator sees nothing else.
type Space struct {
	Collection uint32
	Shard      uint16
}

// spaceLen is the length of a keyspace byte and an encoded Space.
const spaceLen = 1 + 4 + 2

// AppendKey appends the key of suffix in a key space of sp.
func AppendKey(dst []byte, ks Keyspace, sp Space, suffix []byte) []byte {
	dst = append(dst, byte(ks))
	dst = binary.BigEndian.AppendUint32(dst, sp.Collection)
	dst = binary.BigEndian.AppendUint16(dst, sp.Shard)
	return append(dst, suffix...)
}

// Suffix returns what follows the Space in a key made by AppendKey.
func Suffix(key []byte) []byte { return key[spaceLen:] }

// GlobalKey returns a key of Catalog, Alias or Document.
func GlobalKey(ks Keyspace, name string) []byte {
	return append([]byte{byte(ks)}, name...)
}

// bounds returns the half-open range of keys with the prefix.
func bounds(prefix []byte) (lower, upper []byte) {
	upper = append([]byte(nil), prefix...)
	for i := len(upper) - 1; i >= 0; i-- {
		upper[i]++
		if upper[i] != 0 {
			return prefix, upper[:i+1]
		}
	}
	return prefix, nil
}
