package server

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"

	"freshet/hnsw"
	"freshet/server/payload"
	"freshet/server/sparse"
	"freshet/storage"
)

// tx gathers the changes of a group of requests for one commit. Only the
// writer uses it. A point changed several times is written once, in its last
// state; the versions in between are never visible.
type tx struct {
	c        *Collection
	sync     bool
	points   map[string]*pending // by encoded id
	order    []string            // keys of points in the order of their first change
	moves    []Position
	letters  []DeadLetter
	redriven []uint64  // numbers of dead letters
	box      letterbox // with both, once the batch is filled
	forget   [][]byte  // keys of storage.Expiry that no point has
	failed   error     // a commit failed: nothing more is tried

	commitTime, indexTime time.Duration
}

// pending is a point as the transaction would leave it.
type pending struct {
	exists, existed bool
	stored          stored
	was             []byte // payload that is stored
	expiry          int64  // that is stored
	versioned       bool   // stored.version is that of a write or a delete
	tombstone       bool   // the delete's version is, or was, in the store
	vectors         Vectors
	loaded          bool // vectors holds what is stored
	moved           bool // vectors differ from what is stored
	changed         bool
}

func (c *Collection) begin() *tx {
	return &tx{c: c, points: map[string]*pending{}}
}

func (tx *tx) position(p Position) {
	if p.NewLog {
		tx.c.streams.renew(p.Stream)
	}
	tx.moves = append(tx.moves, p)
}

// lookup returns the transaction's state of a point, read from the store on
// first use.
func (tx *tx) lookup(key []byte) (*pending, error) {
	if p, ok := tx.points[string(key)]; ok {
		return p, nil
	}
	p := &pending{}
	c := tx.c
	var err error
	if _, ok := c.ids.current(key); ok {
		p.exists, p.existed, p.versioned = true, true, true
		value, getErr := c.store.Get(nil, storage.AppendKey(nil, storage.Point, c.space, key))
		if getErr != nil {
			return nil, getErr
		}
		p.stored, err = decodeStored(value)
		p.was, p.expiry = p.stored.payload, p.stored.expires
	} else if c.tombstones { // without any, a look for each new point would take as long as the rest
		err = tx.loadTombstone(p, key)
	}
	if err != nil {
		return nil, err
	}
	tx.points[string(key)] = p
	return p, nil
}

func (tx *tx) loadTombstone(p *pending, key []byte) error {
	value, err := tx.c.store.Get(nil, storage.AppendKey(nil, storage.Tombstone, tx.c.space, key))
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	t, err := decodeTombstone(value)
	if err != nil {
		return err
	}
	p.stored.version, p.versioned, p.tombstone = t.version, true, true
	return nil
}

// change applies an operation to one point. given is the point of an upsert or
// a vector update, nil for the others.
func (tx *tx) change(op *Op, key []byte, given *Point, version Version, applied *Applied) error {
	kind := op.Kind
	if kind == Upsert && given.Expires != 0 && given.Expires <= tx.c.now().UnixMilli() {
		kind = Delete // older records must not bring back what it replaces
	}
	p, err := tx.lookup(key)
	if err != nil {
		return err
	}
	if p.versioned {
		current, err := full(tx.c.streams.byNum, p.stored.version)
		if err != nil {
			return err
		}
		if from, s := current.Stream, version.Stream; from.Partition != s.Partition && from.Source == s.Source && from.Topic == s.Topic {
			applied.Crossed++
		}
		if version.compare(current) < 0 {
			applied.Stale++
			return nil
		}
	}
	if !p.exists && op.Kind != Upsert && op.Kind != Delete {
		id, err := idOf(key, given)
		if err != nil {
			return err
		}
		return noPoint(id)
	}
	if op.conditional() {
		if ok, err := tx.allows(op, key, p); err != nil || !ok {
			return err
		}
	}
	if kind == Delete && !p.exists && !tx.leavesTombstone(version) {
		return nil
	}
	if err := tx.mutate(kind, op, key, p, given); err != nil {
		return err
	}
	p.stored.operation = tx.c.operation
	p.stored.version = storedVersion{stream: tx.origin(&version), time: version.Time, offset: version.Offset}
	p.stored.timestamp = version.Timestamp
	p.versioned = true
	if !p.changed {
		p.changed = true
		tx.order = append(tx.order, string(key))
	}
	if kind == Delete {
		applied.Deleted++
	} else {
		applied.Upserted++
	}
	if len(tx.order) >= maxGroupPoints {
		return tx.flush()
	}
	return nil
}

// leavesTombstone says whether the delete of an unknown point must be
// remembered: only where an older record can still arrive.
func (tx *tx) leavesTombstone(v Version) bool {
	return v.Stream != (Stream{}) || len(tx.c.streams.byNum) > 1
}

func (tx *tx) mutate(kind OpKind, op *Op, key []byte, p *pending, given *Point) error {
	switch kind {
	case Upsert:
		p.exists, p.stored.payload, p.stored.expires = true, given.Payload, given.Expires
		tx.c.settle(given.Vectors)
		p.setVectors(given.Vectors)
	case Delete:
		p.remove()
	case UpdateVectors, DeleteVectors:
		return tx.mutateVectors(op, key, p, given)
	case ClearPayload:
		p.stored.payload = nil
	default:
		return mutatePayload(op, p)
	}
	return nil
}

func (p *pending) remove() {
	p.exists, p.stored.payload, p.stored.expires = false, nil, 0
	p.setVectors(nil)
}

func (p *pending) setVectors(v Vectors) { p.vectors, p.loaded, p.moved = v, true, true }

// loadVectors reads the vectors that are stored, unless p has others already.
func (tx *tx) loadVectors(key []byte, p *pending) error {
	if p.loaded {
		return nil
	}
	value, err := tx.c.store.Get(nil, storage.AppendKey(nil, storage.Vector, tx.c.space, key))
	if err != nil {
		return err
	}
	p.vectors, err = decodeVectors(value)
	// One that was dropped can still be stored.
	maps.DeleteFunc(p.vectors, func(name string, _ Vector) bool { return !tx.c.set().hasName(name) })
	p.loaded = err == nil
	return err
}

func (tx *tx) mutateVectors(op *Op, key []byte, p *pending, given *Point) error {
	if err := tx.loadVectors(key, p); err != nil {
		return err
	}
	// A copy: the map may still belong to an operation of the caller.
	vectors := maps.Clone(p.vectors)
	if vectors == nil {
		vectors = Vectors{}
	}
	for _, name := range op.Names {
		delete(vectors, name)
	}
	if given != nil {
		tx.c.settle(given.Vectors)
		maps.Copy(vectors, given.Vectors)
	}
	p.setVectors(vectors)
	return nil
}

func mutatePayload(op *Op, p *pending) error {
	doc := map[string]any{}
	if len(p.stored.payload) > 0 && op.Kind != OverwritePayload {
		var err error
		if doc, err = payload.Decode(p.stored.payload); err != nil {
			return err
		}
	}
	switch {
	case op.Kind == DeletePayload:
		for _, path := range op.Keys {
			payload.Delete(doc, path)
		}
	case op.Kind == OverwritePayload:
		doc = op.Payload // with its nulls, which a merge would take as deletions
	case op.Path != nil:
		if err := payload.SetAt(doc, *op.Path, op.Payload); err != nil {
			return errorf(BadRequest, "%v", err)
		}
	default:
		payload.Set(doc, op.Payload)
	}
	raw, err := payload.Encode(doc)
	if err != nil {
		return err
	}
	p.stored.payload = raw
	return nil
}

// relocate gives a point another slot. It stays the same version.
func (tx *tx) relocate(key []byte) error {
	p, err := tx.lookup(key)
	if err != nil || !p.exists {
		return err
	}
	if err := tx.loadVectors(key, p); err != nil {
		return err
	}
	tx.c.operation++ // the slot's new owner must be younger than what names its old one
	tx.c.moves++
	p.moved, p.changed = true, true
	tx.order = append(tx.order, string(key))
	return nil
}

// origin returns the number of the log that a version is from.
func (tx *tx) origin(v *Version) uint32 {
	present := tx.c.streams.number(v.Stream)
	if v.log == 0 {
		return present
	}
	return tx.c.streams.past(v.Stream)
}

// reached returns how far each stream is applied with the transaction.
func (tx *tx) reached() map[Stream]Position {
	if len(tx.moves) == 0 {
		return tx.c.applied
	}
	applied := maps.Clone(tx.c.applied)
	for _, m := range tx.moves {
		applied[m.Stream] = m.over(applied)
	}
	return applied
}

// flush commits what the transaction holds and makes it visible. On an error
// nothing of it is visible.
func (tx *tx) flush() error {
	if tx.failed != nil {
		return tx.failed
	}
	if len(tx.order) == 0 && len(tx.moves) == 0 && len(tx.letters)+len(tx.redriven)+len(tx.forget) == 0 {
		return nil
	}
	if err := tx.commit(); err != nil {
		tx.failed = err
		return err
	}
	clear(tx.points)
	tx.order, tx.moves, tx.letters, tx.redriven, tx.forget = tx.order[:0], nil, nil, nil, nil
	return nil
}

func (tx *tx) commit() error {
	c := tx.c
	started := time.Now()
	staged, err := tx.stage()
	if err != nil {
		c.slots.Release(staged.taken())
		return err
	}
	change, err := tx.indexed(staged)
	if err != nil {
		c.slots.Release(staged.taken())
		return err
	}
	searched := time.Now()
	b := c.store.NewBatch()
	err = errors.Join(tx.fill(b), tx.putNodes(b, staged))
	if err == nil {
		err = b.Commit(tx.sync)
	}
	if err != nil {
		c.slots.Release(staged.taken())
		return errors.Join(err, b.Close())
	}
	committed := time.Now()
	// The log is synced while the graph is linked; nobody sees either before
	// both are done.
	for _, s := range staged.links {
		s.Link()
	}
	for name, docs := range staged.docs {
		c.set().sparse[name].Add(docs)
	}
	for _, m := range staged.multis {
		c.set().multi[m.name].Put(m.slot, c.params(m.name).compared(m.rows))
	}
	linked := time.Now()
	if err := errors.Join(b.Wait(), b.Close()); err != nil {
		return err
	}
	synced := time.Now()
	if !tx.sync {
		c.dirty.Store(true)
	}
	c.indexes.update(change, func() {
		tx.settle(staged)
		c.publish()
	})
	tx.commitTime += committed.Sub(searched) + synced.Sub(linked)
	tx.indexTime += searched.Sub(started) + linked.Sub(committed) + time.Since(synced)
	return nil
}

// stagedSlots are the slots a commit gives to new versions, in tx.order (noSlot
// where the vectors did not change), and their places in the graphs.
type stagedSlots struct {
	slots []uint32
	links map[string]*hnsw.Staged // by vector name
	docs  map[string][]sparse.Doc // sparse vectors by name

	multis []stagedMulti
}

// stagedMulti is a multivector of a commit.
type stagedMulti struct {
	name string
	slot uint32
	rows []float32
}

// taken returns the slots that were given.
func (s stagedSlots) taken() []uint32 {
	return slices.DeleteFunc(slices.Clone(s.slots), func(slot uint32) bool { return slot == noSlot })
}

// stage finds the places of the new vectors in the graphs, without linking them.
func (tx *tx) stage() (stagedSlots, error) {
	c := tx.c
	s := stagedSlots{slots: slices.Repeat([]uint32{noSlot}, len(tx.order)), links: map[string]*hnsw.Staged{}, docs: map[string][]sparse.Doc{}}
	items := map[string][]hnsw.Item{}
	for i, key := range tx.order {
		p := tx.points[key]
		if !p.exists || !p.moved {
			continue
		}
		slot, err := c.slots.Alloc()
		if err != nil {
			return s, err
		}
		s.slots[i] = slot
		for name, vector := range p.vectors {
			if v, ok := vector.(Sparse); ok {
				s.docs[name] = append(s.docs[name], sparse.Doc{Slot: slot, Indices: v.Indices, Values: v.Values})
				continue
			}
			if v, ok := vector.(Multi); ok {
				s.multis = append(s.multis, stagedMulti{name, slot, v.Values})
				continue
			}
			dense, _ := vector.(Dense)
			items[name] = append(items[name], hnsw.Item{Slot: slot, Vector: c.params(name).compared(dense)})
		}
	}
	for name, list := range items {
		staged, err := c.set().graphs[name].Stage(context.Background(), list, c.workers)
		if err != nil {
			return s, err
		}
		s.links[name] = staged
	}
	return s, nil
}

// fill writes the changes to the storage batch.
func (tx *tx) fill(b *storage.Batch) error {
	c := tx.c
	var key, value []byte
	put := func(ks storage.Keyspace, id string) error {
		key = storage.AppendKey(key[:0], ks, c.space, []byte(id))
		return b.Set(key, value)
	}
	drop := func(ks storage.Keyspace, id string) error {
		key = storage.AppendKey(key[:0], ks, c.space, []byte(id))
		return b.Delete(key)
	}
	for _, id := range tx.order {
		p := tx.points[id]
		var errs [3]error
		if p.exists {
			value = p.stored.append(value[:0])
			errs[0] = put(storage.Point, id)
			if p.moved {
				value = appendVectors(value[:0], p.vectors)
				errs[1] = put(storage.Vector, id)
			}
			if p.tombstone {
				errs[2] = drop(storage.Tombstone, id)
			}
		} else {
			value = appendTombstone(value[:0], tombstone{version: p.stored.version, deleted: c.now().UnixMilli()})
			errs[0] = put(storage.Tombstone, id)
			c.tombstones = true
			if p.existed {
				errs[1], errs[2] = drop(storage.Point, id), drop(storage.Vector, id)
			}
		}
		if err := errors.Join(append(errs[:], tx.fillExpiry(b, id, p))...); err != nil {
			return err
		}
	}
	for _, key := range tx.forget {
		if err := b.Delete(key); err != nil {
			return err
		}
	}
	for _, m := range tx.moves {
		c.streams.unstored[m.Stream] = true
	}
	reached := tx.reached()
	for s := range c.streams.unstored {
		if err := c.putPosition(b, s, reached); err != nil {
			return err
		}
	}
	var err error
	if tx.box, err = c.letters.changed(c, b, tx.redriven, tx.letters); err != nil {
		return err
	}
	value = binary.BigEndian.AppendUint64(value[:0], c.operation)
	err = errors.Join(b.Set(storage.AppendKey(nil, storage.Meta, c.space, []byte(metaOperation)), value), c.putTime(b))
	if err != nil {
		return err
	}
	if c.moves > 0 {
		value = binary.BigEndian.AppendUint64(value[:0], c.moves)
		if err := b.Set(storage.AppendKey(nil, storage.Meta, c.space, []byte(metaMoves)), value); err != nil {
			return err
		}
	}
	value = binary.BigEndian.AppendUint64(value[:0], uint64(c.payloads+tx.payloadGrowth()))
	return b.Set(storage.AppendKey(nil, storage.Meta, c.space, []byte(metaPayload)), value)
}

// payloadGrowth returns by how many bytes the transaction makes the payloads longer.
func (tx *tx) payloadGrowth() int64 {
	n := 0
	for _, id := range tx.order {
		p := tx.points[id]
		n -= len(p.was)
		if p.exists {
			n += len(p.stored.payload)
		}
	}
	return int64(n)
}

// settle brings the writer's own tables in line with a commit.
func (tx *tx) settle(staged stagedSlots) {
	c := tx.c
	c.payloads += tx.payloadGrowth()
	for i, id := range tx.order {
		p := tx.points[id]
		if p.stored.expires != 0 {
			c.expireAt(time.UnixMilli(p.stored.expires))
		}
		old, hadSlot := c.ids.current([]byte(id))
		switch {
		case hadSlot && (p.moved || !p.exists):
			c.slots.Retire(old)
			c.deaths++
			c.ids.retire(old)
			for name, has := range c.set().all() {
				if has(old) {
					c.vectorCounts[name]--
				}
			}
			for _, x := range c.set().sparse {
				x.Retire(old)
			}
		case hadSlot:
			c.ids.rewrite(old)
		}
		if slot := staged.slots[i]; slot != noSlot {
			c.births++
			c.ids.put([]byte(id), slot, p.stored.operation)
			for name := range p.vectors {
				c.vectorCounts[name]++
			}
		}
		switch {
		case p.exists && !p.existed:
			c.points++
		case !p.exists && p.existed:
			c.points--
		}
	}
	c.applied, c.letters = tx.reached(), tx.box
	clear(c.streams.unstored)
}
