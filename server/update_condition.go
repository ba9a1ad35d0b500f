package server

import (
	"maps"

	"freshet/server/filter"
	"freshet/server/payload"
	"freshet/server/point"
)

// UpdateMode says which points an upsert writes.
type UpdateMode uint8

// The modes.
const (
	InsertOrUpdate UpdateMode = iota
	InsertOnly                // points that exist stay as they are
	UpdateOnly                // points that do not exist are left out
)

// conditional says whether it depends on what is there which points the operation
// writes.
func (op *Op) conditional() bool { return op.Mode != InsertOrUpdate || op.Where != nil }

// settleCondition prepares a conditional operation: every point is judged by what
// was there before the operation, so points with the same id become one. The last stays,
// with the vectors of all where it is these that are updated.
func (tx *tx) settleCondition(op *Op) {
	places := make(map[point.ID]int, len(op.Points))
	points := make([]Point, 0, len(op.Points))
	for _, p := range op.Points {
		i, twice := places[p.ID]
		switch {
		case !twice:
			places[p.ID] = len(points)
			points = append(points, p)
		case op.Kind == UpdateVectors:
			vectors := maps.Clone(points[i].Vectors)
			maps.Copy(vectors, p.Vectors)
			points[i].Vectors = vectors
		default:
			points[i] = p
		}
	}
	op.Points = points
	set := tx.c.indexes
	set.mu.RLock()
	defer set.mu.RUnlock()
	if op.Where != nil && set.hasTexts() {
		op.Where = op.Where.Bind(set.analyzer)
	}
}

// allows says whether the operation writes the point, given what is there.
func (tx *tx) allows(op *Op, key []byte, p *pending) (bool, error) {
	switch {
	case !p.exists:
		return op.Mode != UpdateOnly, nil
	case op.Mode == InsertOnly:
		return false, nil
	case op.Where == nil:
		return true, nil
	default:
		return op.Where.Match(&pendingSubject{tx: tx, key: key, p: p})
	}
}

// pendingSubject shows a point to a filter as the transaction would leave it so far.
type pendingSubject struct {
	tx  *tx
	key []byte
	p   *pending
}

var _ filter.Subject = (*pendingSubject)(nil)

// ID implements filter.Subject.
func (s *pendingSubject) ID() (point.ID, error) { return point.FromKey(s.key) }

// Payload implements filter.Subject.
func (s *pendingSubject) Payload() (map[string]any, error) {
	if len(s.p.stored.payload) == 0 {
		return nil, nil
	}
	return payload.Decode(s.p.stored.payload)
}

// HasVector implements filter.Subject.
func (s *pendingSubject) HasVector(name string) bool {
	if s.p.loaded {
		_, ok := s.p.vectors[name]
		return ok
	}
	slot, ok := s.tx.c.ids.current(s.key)
	return ok && s.tx.c.set().hasVector(name, slot)
}
