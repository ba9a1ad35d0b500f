package server

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"freshet/server/point"
	"freshet/storage"
)

// collectionExamination looks at the records of one collection. Of each kind of fault the
// first is kept, and their number.
type collectionExamination struct {
	*examination
	entry     catalogEntry
	operation uint64              // the last one
	streams   map[uint32]struct{} // numbers that versions may name
	positions int
	points    map[string]*examinedPoint // by encoded id
	faults    map[string]*faultCount
}

// examinedPoint says which records of a point have been seen.
type examinedPoint struct {
	expires                 int64
	vectors, node, expiring bool
}

// faultCount is how often there is a fault of one kind.
type faultCount struct {
	n     int
	first string
}

func newCollectionExamination(x *examination, e catalogEntry) *collectionExamination {
	return &collectionExamination{
		examination: x, entry: e, streams: map[uint32]struct{}{0: {}}, // REST
		points: map[string]*examinedPoint{}, faults: map[string]*faultCount{},
	}
}

// fault counts a fault of a kind.
func (c *collectionExamination) fault(kind, format string, args ...any) {
	f := c.faults[kind]
	if f == nil {
		f = &faultCount{first: fmt.Sprintf(format, args...)}
		c.faults[kind] = f
	}
	f.n++
}

// each visits the records of a key space with what follows the space in their keys.
func (c *collectionExamination) each(ctx context.Context, ks storage.Keyspace, visit func(suffix, value []byte)) error {
	return c.scan(ctx, storage.AppendKey(nil, ks, c.space(), nil), func(key, value []byte) error {
		visit(storage.Suffix(key), value)
		return nil
	})
}

func (c *collectionExamination) space() storage.Space {
	return storage.Space{Collection: c.entry.ID}
}

func (c *collectionExamination) all(ctx context.Context) error {
	errs := []error{
		c.each(ctx, storage.Meta, c.meta),
		c.each(ctx, storage.Position, c.position),
		c.each(ctx, storage.Point, c.point),
		c.each(ctx, storage.Vector, c.vectors),
		c.each(ctx, storage.Neighbours, c.node),
		c.each(ctx, storage.Expiry, c.expiry),
		c.each(ctx, storage.Tombstone, c.tombstone),
		c.each(ctx, storage.DeadLetter, c.letter),
	}
	err := errors.Join(errs...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil { // else it would be said of points whose records could not be read
		c.compare()
	}
	for _, kind := range slices.Sorted(maps.Keys(c.faults)) {
		f := c.faults[kind]
		c.report.Wrong(c.entry.Name, restore, "%s: %d, the first: %s", kind, f.n, f.first)
	}
	if err == nil && len(c.faults) == 0 {
		c.report.Fine(c.entry.Name, "%d points, positions of %d partitions: all goes together", len(c.points), c.positions)
	}
	return err
}

func (c *collectionExamination) meta(suffix, value []byte) {
	switch name := string(suffix); name {
	case metaOperation, metaMoves, metaPayload, metaTime:
		if len(value) != 8 {
			c.fault("damaged numbers", "%q has %d bytes instead of 8", name, len(value))
		} else if name == metaOperation {
			c.operation = binary.BigEndian.Uint64(value)
		}
	case graphsMeta:
		if !json.Valid(value) {
			c.fault("damaged descriptions of graphs", "it is no JSON")
		}
	}
}

func (c *collectionExamination) position(suffix, value []byte) {
	s, err := decodeStream(suffix)
	if err != nil {
		c.fault("damaged positions", "%v", err)
		return
	}
	p, err := decodePosition(value)
	if err != nil {
		c.fault("damaged positions", "that of %s", s)
		return
	}
	c.positions++
	for _, num := range append(p.former, p.number) {
		if _, taken := c.streams[num]; taken {
			c.fault("numbers that stand for two streams", "%d, also for %s", num, s)
		}
		c.streams[num] = struct{}{}
	}
}

func (c *collectionExamination) version(kind string, id []byte, v storedVersion) {
	if _, ok := c.streams[v.stream]; !ok {
		c.fault(kind+" of streams without a position", "%s is of the stream %d", idText(id), v.stream)
	}
}

func (c *collectionExamination) point(id, value []byte) {
	if _, err := point.FromKey(id); err != nil {
		c.fault("damaged ids", "%x: %v", id, err)
		return
	}
	p := &examinedPoint{}
	c.points[string(id)] = p
	record, err := decodeStored(value)
	if err == nil && len(record.payload) > 0 && !json.Valid(record.payload) {
		err = errors.New("its payload is no JSON")
	}
	if err != nil {
		c.fault("damaged points", "%s: %v", idText(id), err)
		return
	}
	c.version("points", id, record.version)
	if record.operation > c.operation {
		c.fault("points of operations that are still to come", "%s is of operation %d, the last one is %d", idText(id), record.operation, c.operation)
	}
	p.expires = record.expires
}

func (c *collectionExamination) vectors(id, value []byte) {
	p := c.points[string(id)]
	if p == nil {
		c.fault("vectors without a point", "%s", idText(id))
		return
	}
	p.vectors = true
	vectors, err := decodeVectors(value)
	for name, v := range vectors {
		err = errors.Join(err, c.vector(name, v))
	}
	if err != nil {
		c.fault("damaged vectors", "%s: %v", idText(id), err)
	}
}

// vector says what is wrong with a vector.
func (c *collectionExamination) vector(name string, v Vector) error {
	if slices.Contains(c.entry.Config.DroppedVectors, name) {
		return nil
	}
	params, dense := c.entry.Config.Vectors.Named[name]
	_, sparse := c.entry.Config.SparseVectors[name]
	dim, values := 0, []float32(nil)
	fits := false
	switch v := v.(type) {
	case Sparse:
		fits, values = sparse, v.Values
	case Multi:
		fits, values, dim = dense && params.Multivector != nil, v.Values, v.Dim
	case Dense:
		fits, values, dim = dense && params.Multivector == nil, v, len(v)
	}
	switch {
	case !dense && !sparse:
		return fmt.Errorf("the collection has no vector %q", name)
	case !fits || dense && dim != params.Size:
		return fmt.Errorf("the vector %q is a %s one of %d dimensions, which the collection's is not", name, v.form(), dim)
	default:
		return checkFinite(name, values, "")
	}
}

func (c *collectionExamination) node(suffix, value []byte) {
	record, err := decodeNode(value)
	if err == nil && len(suffix) != 4 {
		err = fmt.Errorf("its key has %d bytes", len(suffix))
	}
	if err != nil {
		c.fault("damaged neighbours", "slot %x: %v", suffix, err)
		return
	}
	slot, p := binary.BigEndian.Uint32(suffix), c.points[string(record.id)]
	switch {
	case p == nil:
		c.fault("neighbours without a point", "slot %d is that of %s", slot, idText(record.id))
		return
	case p.node:
		c.fault("points in two slots of the graphs", "%s, slot %d is the second", idText(record.id), slot)
	}
	p.node = true
	for name := range record.neighbours {
		params, ok := c.entry.Config.Vectors.Named[name]
		if (!ok || params.Multivector != nil) && !slices.Contains(c.entry.Config.DroppedVectors, name) {
			c.fault("neighbours in graphs that there are not", "slot %d names %q", slot, name)
		}
	}
}

func (c *collectionExamination) expiry(suffix, _ []byte) {
	at, id, err := decodeExpiry(suffix)
	if err != nil {
		c.fault("damaged expiries", "%v", err)
		return
	}
	if p := c.points[string(id)]; p == nil || p.expires != at {
		c.fault("expiries that no point has", "%s at %d", idText(id), at)
	} else {
		p.expiring = true
	}
}

func (c *collectionExamination) tombstone(id, value []byte) {
	t, err := decodeTombstone(value)
	if err != nil {
		c.fault("damaged tombstones", "%s: %v", idText(id), err)
		return
	}
	c.version("tombstones", id, t.version)
}

func (c *collectionExamination) letter(suffix, value []byte) {
	var letter DeadLetter
	if err := json.Unmarshal(value, &letter); err != nil || len(suffix) != 8 {
		c.fault("damaged dead letters", "%x: %v", suffix, err)
	}
}

// compare looks for points of which a record is missing.
func (c *collectionExamination) compare() {
	unlinked := 0
	for _, id := range slices.Sorted(maps.Keys(c.points)) {
		p := c.points[id]
		if !p.vectors {
			c.fault("points without a record of vectors", "%s", idText([]byte(id)))
		}
		if p.expires != 0 && !p.expiring {
			c.fault("points that would not expire", "%s", idText([]byte(id)))
		}
		if !p.node {
			unlinked++
		}
	}
	if unlinked > 0 {
		c.report.Warn(c.entry.Name, "nothing: the next start searches them anew, which takes as long as inserting did", "of %d points the neighbours are not stored", unlinked)
	}
}

// idText names a point for people.
func idText(key []byte) string {
	id, err := point.FromKey(key)
	if err != nil {
		return fmt.Sprintf("the point %x", key)
	}
	return fmt.Sprintf("the point %v", id)
}
