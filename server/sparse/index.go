package sparse

import (
	"math/bits"
	"slices"
	"sync/atomic"
)

// Index is the sparse vectors of one name. Its methods are for one writer, but for Has
// and Bytes, which anyone may call.
type Index struct {
	parts []part
	state atomic.Pointer[State]
}

// State is the index as of a moment. It must be read together with a view of the same
// moment, which says which slots are to be seen.
type State struct {
	parts []part
	docs  int // that are to be seen
}

// part is a segment and the numbers of its documents that are dead: views of earlier
// moments may still see them. Documents are added to dead, never removed, but when the
// segment is replaced.
type part struct {
	*segment
	dead []uint32
	size int // documents and entries
}

// Segments grow by merging fanOut of about the same size, up to largest. A merge of
// segments below that takes well below a tenth of a second.
const (
	fanOut  = 4
	largest = 1 << 22 // entries
)

// New returns an empty index.
func New() *Index {
	x := &Index{}
	x.state.Store(&State{})
	return x
}

// Add adds documents, each of a slot that has none. It keeps nothing of them but the
// slice, which it sorts.
func (x *Index) Add(docs []Doc) {
	parts := slices.Clone(x.parts)
	for len(docs) > 0 {
		n, entries := 0, 0
		for n < len(docs) && entries <= largest/2 {
			entries += len(docs[n].Indices) + 1
			n++
		}
		s := build(docs[:n])
		parts = append(parts, part{segment: s, size: entries})
		docs = docs[n:]
		parts = mergeLast(parts)
	}
	x.parts = parts
}

// mergeLast merges the last segments as long as there are enough that are not larger
// than the last one.
func mergeLast(parts []part) []part {
	for {
		last := parts[len(parts)-1].level()
		i := len(parts)
		for i > 0 && parts[i-1].level() <= last {
			i--
		}
		if len(parts)-i < fanOut || parts[len(parts)-1].size >= largest {
			return parts
		}
		parts = append(parts[:i], mergeParts(parts[i:]))
	}
}

// level says how large a segment is, in powers of fanOut.
func (p *part) level() int { return bits.Len(uint(p.size)) / 2 }

func mergeParts(parts []part) part {
	segments := make([]*segment, len(parts))
	for i := range parts {
		segments[i] = parts[i].segment
	}
	merged, numbers := merge(segments)
	p := part{segment: merged, size: merged.entries() + len(merged.slots)}
	for i := range parts {
		for _, doc := range parts[i].dead {
			if n := numbers[i][doc]; n != none {
				p.dead = append(p.dead, n)
			}
		}
	}
	return p
}

// Retire notes that the document of a slot is dead from the next state on, if there is one.
func (x *Index) Retire(slot uint32) {
	for i := range x.parts {
		if doc, ok := x.parts[i].find(slot); ok {
			parts := slices.Clone(x.parts)
			parts[i].dead = append(parts[i].dead, doc)
			x.parts = parts
			return
		}
	}
}

// Free takes out the documents of slots that no view sees any more, so that the slots
// can be given again.
func (x *Index) Free(slots []uint32) {
	for _, slot := range slots {
		for _, p := range x.parts {
			if doc, ok := p.find(slot); ok {
				p.setGone(doc)
			}
		}
	}
	var kept []part
	for _, p := range x.parts {
		left := p.left()
		switch {
		case left == 0:
		case 2*left < len(p.slots):
			kept = append(kept, mergeParts([]part{p}))
		default:
			kept = append(kept, p)
		}
	}
	x.parts = kept
}

// Publish makes the state of now the one for readers, and returns it.
func (x *Index) Publish() *State {
	s := &State{parts: x.parts}
	for i := range s.parts {
		s.docs += len(s.parts[i].slots) - len(s.parts[i].dead)
	}
	x.state.Store(s)
	return s
}

// Has says whether a slot that some view sees has a document.
func (x *Index) Has(slot uint32) bool {
	for _, p := range x.state.Load().parts {
		if _, ok := p.find(slot); ok {
			return true
		}
	}
	return false
}

// Bytes returns the memory that the lists take, about.
func (x *Index) Bytes() (n int64) {
	for _, p := range x.state.Load().parts {
		n += int64(8*p.size + (4+64)*len(p.dims)) // an entry, and a list with its dimension
	}
	return n
}

// Len counts the documents that are to be seen.
func (s *State) Len() int { return s.docs }
