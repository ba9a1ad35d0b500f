package index

import (
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// terms maps values to the slots that have them.
type terms[K comparable] struct {
	postings map[K]posting
	keyBytes func(K) int64 // what a key refers to
	size     int64         // bytes of keys and postings
}

// mapSlack is how many more places a map has than it uses, on average.
const mapSlack = 1.5

func newTerms[K comparable](keyBytes func(K) int64) *terms[K] {
	return &terms[K]{postings: map[K]posting{}, keyBytes: keyBytes}
}

func (t *terms[K]) add(keys []K, slot uint32) {
	for _, key := range keys {
		t.insert(key, slot)
	}
}

func (t *terms[K]) remove(keys []K, slot uint32) {
	for _, key := range keys {
		t.delete(key, slot)
	}
}

func (t *terms[K]) insert(key K, slot uint32) {
	p, ok := t.postings[key]
	switch {
	case !ok:
		p.only = slot
		t.size += t.keyBytes(key)
		t.postings[own(key)] = p
	case p.more != nil: // the same set after as before
		t.size += p.add(slot)
	default:
		t.size += p.add(slot)
		t.postings[key] = p
	}
}

// own returns a key that keeps no larger text in memory.
func own[K comparable](key K) K {
	if s, ok := any(key).(string); ok {
		return any(strings.Clone(s)).(K)
	}
	return key
}

func (t *terms[K]) delete(key K, slot uint32) {
	p, ok := t.postings[key]
	if !ok {
		return
	}
	grown, empty := p.remove(slot)
	if empty {
		t.size -= t.keyBytes(key) + p.bytes()
		delete(t.postings, key)
		return
	}
	t.size += grown
}

// one returns the slots with a value.
func (t *terms[K]) one(key K) *roaring.Bitmap {
	p, ok := t.postings[key]
	if !ok {
		return none
	}
	return p.bitmap()
}

// any returns the slots with one of the values.
func (t *terms[K]) any(keys []K) *roaring.Bitmap {
	if len(keys) == 1 {
		return t.one(keys[0])
	}
	var few []uint32
	var many []*roaring.Bitmap
	for _, key := range keys {
		if p, ok := t.postings[key]; ok {
			few, many = p.collect(few, many)
		}
	}
	if len(few) > 0 {
		many = append(many, roaring.BitmapOf(few...))
	}
	switch len(many) {
	case 0:
		return none
	case 1:
		return many[0]
	default:
		return roaring.FastOr(many...)
	}
}

// all returns the slots with all of the values, of which there is at least one.
func (t *terms[K]) all(keys []K) *roaring.Bitmap {
	found := t.one(keys[0])
	for _, key := range keys[1:] {
		if found.IsEmpty() {
			return found
		}
		found = roaring.And(found, t.one(key))
	}
	return found
}

func (t *terms[K]) bytes() int64 {
	var key K
	entry := int64(sizeOf(key) + sizeOf(posting{}))
	return t.size + int64(mapSlack*float64(entry)*float64(len(t.postings)))
}

var none = roaring.New()
