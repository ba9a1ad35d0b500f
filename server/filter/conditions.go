package filter

import (
	"freshet/server/payload"
	"freshet/server/point"
)

// field tests the values at a path; several tests of one field are alternatives.
type field struct {
	path  payload.Path
	tests []Test
	raws  []RawTest
}

func (c *field) match(at *place) (bool, error) {
	doc, err := at.payload()
	if err != nil {
		return false, err
	}
	found := false
	if len(c.tests) > 0 {
		c.path.Values(doc, func(v any) bool {
			for _, test := range c.tests {
				if test.Holds(v) {
					found = true
					return false
				}
			}
			return true
		})
	}
	if found || len(c.raws) == 0 {
		return found, nil
	}
	var raws []any
	c.path.Raw(doc, func(v any) bool {
		raws = append(raws, v)
		return true
	})
	for _, test := range c.raws {
		if test.holds(raws) {
			return true, nil
		}
	}
	return false, nil
}

type hasID struct {
	list []point.ID
	set  map[point.ID]struct{}
}

func (c *hasID) match(at *place) (bool, error) {
	id, err := at.subject.ID()
	if err != nil {
		return false, err
	}
	_, ok := c.set[id]
	return ok, nil
}

type hasVector string

func (c hasVector) match(at *place) (bool, error) { return at.subject.HasVector(string(c)), nil }

// nested holds if one element at the path passes the filter by itself.
type nested struct {
	path   payload.Path
	filter *Filter
}

func (c *nested) match(at *place) (bool, error) {
	doc, err := at.payload()
	if err != nil {
		return false, err
	}
	var ok bool
	c.path.Values(doc, func(v any) bool {
		if _, isObject := v.(map[string]any); !isObject {
			return true
		}
		ok, err = c.filter.match(&place{subject: at.subject, doc: v, loaded: true})
		return err == nil && !ok
	})
	return ok, err
}
