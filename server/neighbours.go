package server

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"freshet/storage"
)

// nodeRecord is a value under storage.Neighbours, whose key ends with the slot: the
// id of the point there, and the neighbours that were chosen for it in each graph,
// by level. It is written with the point, so that a start puts the graphs together
// without searching them.
type nodeRecord struct {
	id         []byte
	born       uint64 // operation that wrote the vectors
	stored     uint64 // operation as of which the neighbours are
	neighbours map[string][][]uint32
}

const nodeFormat = 1

// append encodes the record. Neighbours are sorted, and each is written as its
// difference to the one before.
func (n *nodeRecord) append(dst []byte) []byte {
	dst = append(dst, nodeFormat)
	dst = binary.AppendUvarint(dst, n.stored)
	dst = binary.AppendUvarint(dst, n.stored-n.born)
	dst = binary.AppendUvarint(dst, uint64(len(n.id)))
	dst = append(dst, n.id...)
	dst = binary.AppendUvarint(dst, uint64(len(n.neighbours)))
	for _, name := range slices.Sorted(maps.Keys(n.neighbours)) {
		dst = binary.AppendUvarint(dst, uint64(len(name)))
		dst = append(dst, name...)
		levels := n.neighbours[name]
		dst = binary.AppendUvarint(dst, uint64(len(levels)))
		for _, slots := range levels {
			dst = binary.AppendUvarint(dst, uint64(len(slots)))
			before := uint32(0)
			for _, slot := range slices.Sorted(slices.Values(slots)) {
				dst = binary.AppendUvarint(dst, uint64(slot-before))
				before = slot
			}
		}
	}
	return dst
}

// decodeNode reads a value of storage.Neighbours into memory of its own.
func decodeNode(value []byte) (nodeRecord, error) {
	r := reader{rest: value}
	format := r.byte()
	n := nodeRecord{stored: r.uvarint(), neighbours: map[string][][]uint32{}}
	n.born = n.stored - r.uvarint()
	n.id = slices.Clone(r.take(r.uvarint()))
	for range r.count() {
		name := string(r.take(r.uvarint()))
		levels := make([][]uint32, r.count())
		for i := range levels {
			levels[i] = make([]uint32, r.count())
			before := uint64(0)
			for j := range levels[i] {
				before += r.uvarint()
				levels[i][j] = uint32(min(before, math.MaxUint32))
			}
		}
		n.neighbours[name] = levels
	}
	if r.bad || len(r.rest) > 0 || format != nodeFormat {
		return nodeRecord{}, fmt.Errorf("a record of neighbours is damaged (format byte %d, %d bytes)", format, len(value))
	}
	return n, nil
}

// count is a uvarint that counts what takes at least a byte each.
func (r *reader) count() uint64 {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.bad = true
		return 0
	}
	return n
}

func (c *Collection) nodeKey(dst []byte, slot uint32) []byte {
	return binary.BigEndian.AppendUint32(storage.AppendKey(dst, storage.Neighbours, c.space, nil), slot)
}

// putNodes writes the neighbours chosen for the slots of a commit.
func (tx *tx) putNodes(b *storage.Batch, staged stagedSlots) error {
	c := tx.c
	records := make(map[uint32]*nodeRecord, len(tx.order))
	for i, id := range tx.order {
		if old, ok := c.ids.current([]byte(id)); ok && (staged.slots[i] != noSlot || !tx.points[id].exists) {
			if err := b.Delete(c.nodeKey(nil, old)); err != nil {
				return err
			}
		}
		if slot := staged.slots[i]; slot != noSlot {
			records[slot] = &nodeRecord{
				id: []byte(id), born: c.operation, stored: c.operation, neighbours: map[string][][]uint32{},
			}
		}
	}
	for name, links := range staged.links {
		for slot, neighbours := range links.All() {
			records[slot].neighbours[name] = neighbours
		}
	}
	var key, value []byte
	for slot, record := range records {
		key, value = c.nodeKey(key[:0], slot), record.append(value[:0])
		if err := b.Set(key, value); err != nil {
			return err
		}
	}
	return nil
}

// storeNodes writes the neighbours of slots as they are now. The versions of the
// points stay, and so does what was promised to be durable.
func (c *Collection) storeNodes(slots []uint32, born func(slot uint32) (uint64, error)) error {
	if len(slots) == 0 {
		return nil
	}
	b := c.store.NewBatch()
	var err error
	for _, slot := range slots {
		if err = c.storeNode(b, slot, born); err != nil {
			break
		}
	}
	if err == nil {
		err = b.Commit(false)
	}
	return errors.Join(err, b.Close())
}

func (c *Collection) storeNode(b *storage.Batch, slot uint32, born func(slot uint32) (uint64, error)) error {
	record := nodeRecord{id: c.ids.key(slot), stored: c.operation, neighbours: map[string][][]uint32{}}
	var err error
	if record.born, err = born(slot); err != nil {
		return err
	}
	for name, g := range c.set().graphs {
		if neighbours := g.Neighbours(slot); neighbours != nil {
			record.neighbours[name] = neighbours
		}
	}
	return b.Set(c.nodeKey(nil, slot), record.append(nil))
}

// storedBirth returns the operation that wrote the vectors of a slot whose
// neighbours are stored.
func (c *Collection) storedBirth(slot uint32) (uint64, error) {
	value, err := c.store.Get(nil, c.nodeKey(nil, slot))
	if err != nil {
		return 0, err
	}
	record, err := decodeNode(value)
	return record.born, err
}

// graphsMeta is the field of storage.Meta that says for which graphs neighbours are
// stored.
const graphsMeta = "graphs"

// shape is what stored neighbours depend on.
type shape struct {
	Dim         int
	Metric      string
	M           int
	EfConstruct int
}

func (set *vectorSet) shapes() ([]byte, error) {
	shapes := map[string]shape{}
	for name, g := range set.graphs {
		cfg := g.Config()
		shapes[name] = shape{cfg.Dim, cfg.Metric.String(), cfg.M, cfg.EfConstruct}
	}
	return json.Marshal(shapes)
}
