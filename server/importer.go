package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"hash"
	"math"

	"freshet/server/point"
	"freshet/storage"
)

// importBatch is how much of a snapshot is committed at a time, in bytes.
const importBatch = 4 << 20

// importer checks the records of a collection in a snapshot and stores them in a
// space that is empty. What a record claims must not make the load that follows
// allocate more than the records themselves do, nor later operations fail.
type importer struct {
	store  *storage.Store
	room   func() error // says that there is none for more; the disk or memory may become full on the way
	space  storage.Space
	config Config
	batch  *storage.Batch

	last      []byte // key space and key of the last record
	points    uint64
	vectors   uint64
	pointIDs  hash.Hash // of all keys of points, and of vectors: they have to be the same
	vectorIDs hash.Hash
	payload   uint64 // bytes
	operation uint64 // newest of a point
	lastKnown uint64 // number of the last operation, as it is stored
	newest    int64  // version of a write by REST, which is an operation
	moves     uint64 // of the operations
	maxStream uint32 // of a point or a tombstone
	streams   map[uint32]struct{}
	maxNumber uint32 // of a position
	key       []byte
}

func newImporter(store *storage.Store, room func() error, id uint32, cfg Config) *importer {
	return &importer{
		store: store, room: room, space: storage.Space{Collection: id}, config: cfg, batch: store.NewBatch(),
		pointIDs: sha256.New(), vectorIDs: sha256.New(), streams: map[uint32]struct{}{},
	}
}

// Bounds of the values that have no large parts, in bytes.
const (
	maxMetaValue = 1 << 20
	maxNodeValue = 4 << 20
)

// maxOperation leaves room for the operations to come.
const maxOperation = math.MaxInt64 / 2

func (im *importer) record(ks storage.Keyspace, key, value []byte) error {
	im.key = append(append(im.key[:0], byte(ks)), key...)
	if bytes.Compare(im.key, im.last) <= 0 {
		return damaged("a record of the key space %#x is not in order", byte(ks))
	}
	im.last = append(im.last[:0], im.key...)
	keep, err := im.check(ks, key, value)
	if err != nil || !keep {
		return err
	}
	im.key = storage.AppendKey(im.key[:0], ks, im.space, key)
	if err := im.batch.Set(im.key, value); err != nil {
		return err
	}
	if im.batch.Len() < importBatch {
		return nil
	}
	return im.flush()
}

func (im *importer) flush() error {
	if err := im.room(); err != nil {
		return err
	}
	if err := im.batch.Commit(false); err != nil {
		return err
	}
	if err := im.batch.Close(); err != nil {
		return err
	}
	im.batch = im.store.NewBatch()
	return nil
}

// check tells what is wrong with a record, and whether it is to be stored.
func (im *importer) check(ks storage.Keyspace, key, value []byte) (keep bool, err error) {
	switch ks {
	case storage.Point:
		return true, im.point(key, value)
	case storage.Vector:
		return true, im.vector(key, value)
	case storage.Tombstone:
		t, err := decodeTombstone(value)
		im.version(t.version)
		if _, idErr := point.FromKey(key); err != nil || idErr != nil {
			return false, damaged("a tombstone cannot be read")
		}
		return true, nil
	case storage.Position:
		return true, im.position(key, value)
	case storage.DeadLetter:
		if len(key) != 8 || json.Unmarshal(value, new(DeadLetter)) != nil {
			return false, damaged("a dead letter cannot be read")
		}
		return true, nil
	case storage.Meta:
		return im.meta(string(key), value)
	case storage.Neighbours:
		return im.node(key, value)
	default:
		return false, damaged("the key space %#x is not known", byte(ks))
	}
}

// payloads of points are objects.
func (im *importer) point(key, value []byte) error {
	s, err := decodeStored(value)
	if err != nil {
		return damaged("a point cannot be read")
	}
	if _, err := point.FromKey(key); err != nil {
		return damaged("the id of a point cannot be read")
	}
	if len(s.payload) > 0 && (s.payload[0] != '{' || !json.Valid(s.payload)) {
		return damaged("the payload of a point is not a JSON object")
	}
	if s.expires != 0 {
		if err := im.batch.Set(expiryKey(im.space, s.expires, key), nil); err != nil {
			return err
		}
	}
	im.points++
	im.pointIDs.Write(framed(key))
	im.payload += uint64(len(s.payload))
	im.operation = max(im.operation, s.operation)
	im.version(s.version)
	return nil
}

func (im *importer) version(v storedVersion) {
	im.maxStream = max(im.maxStream, v.stream)
	if v.stream == 0 {
		im.newest = max(im.newest, v.offset)
	}
}

// framed makes a sequence of keys unambiguous.
func framed(key []byte) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(key))), key...)
}

// vector leaves it to the load to compare vectors with the configuration.
func (im *importer) vector(key, value []byte) error {
	err := eachVector(value, func(v rawVector) error {
		for raw := v.floats; len(raw) >= 4; raw = raw[4:] {
			const exponent = 0xff << 23 // all ones: infinite, or not a number
			if binary.LittleEndian.Uint32(raw)&exponent == exponent {
				return damaged("a vector has a number that is not finite")
			}
		}
		return nil
	})
	if err != nil {
		return damaged("the vectors of a point cannot be read: %v", err)
	}
	im.vectors++
	im.vectorIDs.Write(framed(key))
	return nil
}

// position admits numbers of streams that are not larger than there are streams.
func (im *importer) position(key, value []byte) error {
	_, err := decodeStream(key)
	p, valueErr := decodePosition(value)
	if err != nil || valueErr != nil {
		return damaged("a position cannot be read")
	}
	for _, number := range append(p.former, p.number) {
		if _, twice := im.streams[number]; twice {
			return damaged("two positions have the number %d", number)
		}
		im.streams[number] = struct{}{}
		im.maxNumber = max(im.maxNumber, number)
	}
	return nil
}

func (im *importer) meta(field string, value []byte) (keep bool, err error) {
	switch field {
	case metaOperation:
		if len(value) != 8 {
			return false, damaged("the number of the last operation cannot be read")
		}
		im.lastKnown = binary.BigEndian.Uint64(value)
	case metaMoves:
		if len(value) != 8 {
			return false, damaged("the number of moves cannot be read")
		}
		im.moves = binary.BigEndian.Uint64(value)
	case metaTime:
		if len(value) != 8 {
			return false, damaged("the time of the last write cannot be read")
		}
	case metaPayload:
		return false, nil // it is counted
	}
	if len(value) > maxMetaValue {
		return false, damaged("the field %.40q has %d bytes", field, len(value))
	}
	return true, nil
}

// node leaves out slots that are far beyond the number of points: memory follows the
// largest. Their neighbours are searched anew.
func (im *importer) node(key, value []byte) (keep bool, err error) {
	if len(key) != 4 || len(value) > maxNodeValue {
		return false, damaged("a record of neighbours cannot be read")
	}
	n, err := decodeNode(value)
	if err == nil {
		_, err = point.FromKey(n.id)
	}
	if err != nil {
		return false, damaged("a record of neighbours cannot be read")
	}
	slot := uint64(binary.BigEndian.Uint32(key))
	return slot < 1<<16+64*im.points, nil
}

// finish checks what can be told only in the end, and commits the rest.
func (im *importer) finish() error {
	switch {
	case im.points != im.vectors || !bytes.Equal(im.pointIDs.Sum(nil), im.vectorIDs.Sum(nil)):
		return damaged("points and vectors do not belong together (%d and %d)", im.points, im.vectors)
	case uint64(im.maxNumber) > uint64(len(im.streams)), im.maxStream > im.maxNumber:
		return damaged("a stream that records name has no position")
	case im.operation > im.lastKnown:
		return damaged("a point is of the operation %d, the last one is %d", im.operation, im.lastKnown)
	case im.lastKnown > maxOperation:
		return damaged("the number of the last operation is %d", im.lastKnown)
	case im.newest > int64(im.lastKnown): // later writes would count as older ones
		return damaged("a write is of the operation %d, the last one is %d", im.newest, im.lastKnown)
	case im.moves > im.lastKnown:
		return damaged("the last operation is %d, of which %d were moves", im.lastKnown, im.moves)
	}
	value := binary.BigEndian.AppendUint64(nil, im.payload)
	if err := im.batch.Set(storage.AppendKey(nil, storage.Meta, im.space, []byte(metaPayload)), value); err != nil {
		return err
	}
	return im.flush()
}
