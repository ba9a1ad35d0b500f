package server

import (
	"freshet/server/payload"
	"freshet/server/point"
)

// subject shows a stored point to a filter; the payload is loaded and decoded
// only if the filter looks at it.
type subject struct {
	c       *Collection
	key     []byte // encoded id
	slot    uint32
	load    func() ([]byte, error) // the payload, empty for none
	doc     map[string]any
	decoded bool
}

// ID returns the point's id.
func (s *subject) ID() (point.ID, error) { return point.FromKey(s.key) }

// Payload returns the decoded payload.
func (s *subject) Payload() (map[string]any, error) {
	if s.decoded {
		return s.doc, nil
	}
	raw, err := s.load()
	if err == nil && len(raw) > 0 {
		s.doc, err = payload.Decode(raw)
	}
	s.decoded = err == nil
	return s.doc, err
}

// HasVector says whether the point has the named vector.
func (s *subject) HasVector(name string) bool {
	return s.slot != noSlot && s.c.set().hasVector(name, s.slot)
}
