package filter

import (
	"encoding/binary"
	"encoding/json"

	"github.com/dchest/siphash"

	"freshet/server/point"
)

// slice passes the points of one of total parts of equal size that a collection is
// cut into by the hash of ids.
type slice struct{ total, index uint64 }

func (c slice) match(at *place) (bool, error) {
	id, err := at.subject.ID()
	return err == nil && hashOf(id)%c.total == c.index, err
}

// hashOf is SipHash-2-4 under a key of zeros: of a number's 8 bytes, the lowest
// first, of a UUID's 16, or of a string's.
func hashOf(id point.ID) uint64 {
	if n, ok := id.AsNumber(); ok {
		return siphash.Hash(0, 0, binary.LittleEndian.AppendUint64(nil, n))
	}
	if u, ok := id.AsUUID(); ok {
		return siphash.Hash(0, 0, u[:])
	}
	return siphash.Hash(0, 0, []byte(id.String()))
}

func (p *parser) slice(raw []byte, path string) (condition, error) {
	var s struct{ Total, Index *uint64 }
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, noVariant("Condition")
	}
	switch {
	case s.Total == nil:
		return nil, missing("total")
	case s.Index == nil:
		return nil, missing("index")
	case *s.Total == 0:
		p.reject(join(path, "total"), "value 0 invalid, must be 1 or larger")
		return slice{total: 1}, nil
	case *s.Index >= *s.Total:
		p.reject(join(path, "index"), "index must be less than total")
	}
	return slice{*s.Total, *s.Index}, nil
}
