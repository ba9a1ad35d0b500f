package server

import (
	"slices"

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
// was there before the operation, so of points with the same id only the last stays.
func (tx *tx) settleCondition(op *Op) {
	seen := make(map[point.ID]bool, len(op.Points))
	last := slices.Clone(op.Points[:0])
	for _, p := range slices.Backward(op.Points) {
		if !seen[p.ID] {
			seen[p.ID] = true
			last = append(last, p)
		}
	}
	slices.Reverse(last)
	op.Points = last
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
