package filter

import (
	"strings"
	"time"

	"freshet/server/payload"
	"freshet/server/point"
)

// field tests the values at a path; several tests of one field are alternatives.
type field struct {
	path  payload.Path
	tests []valueTest
	raws  []rawTest
}

// valueTest holds for a field if it holds for one of its values.
type valueTest func(v any) bool

// rawTest looks at the values at a path before arrays are taken apart.
type rawTest func(raws []any) bool

func (c *field) match(at *place) (bool, error) {
	doc, err := at.payload()
	if err != nil {
		return false, err
	}
	found := false
	if len(c.tests) > 0 {
		c.path.Values(doc, func(v any) bool {
			for _, test := range c.tests {
				if test(v) {
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
		if test(raws) {
			return true, nil
		}
	}
	return false, nil
}

func isEmpty(raws []any) bool {
	for _, v := range raws {
		if list, ok := v.([]any); v != nil && (!ok || len(list) > 0) {
			return false
		}
	}
	return true
}

func isNull(raws []any) bool {
	for _, v := range raws {
		if v == nil {
			return true
		}
		if list, ok := v.([]any); ok {
			for _, e := range list {
				if e == nil {
					return true
				}
			}
		}
	}
	return false
}

func not(test rawTest) rawTest {
	return func(raws []any) bool { return !test(raws) }
}

// countIn returns a test of the number of values at the path.
func countIn(r numberRange) rawTest {
	return func(raws []any) bool {
		if len(raws) == 0 {
			return r.holds(0)
		}
		for _, v := range raws {
			n := 1
			if list, ok := v.([]any); ok {
				n = len(list)
			} else if v == nil {
				n = 0
			}
			if r.holds(float64(n)) {
				return true
			}
		}
		return false
	}
}

// oneOf holds for the values in set (strings, booleans, int64, uint64).
func oneOf(set map[any]struct{}) valueTest {
	return func(v any) bool {
		switch v.(type) {
		case string, bool, int64, uint64:
			_, ok := set[v]
			return ok
		}
		return false
	}
}

// noneOf holds for a value that is there and not in the set.
func noneOf(set map[any]struct{}) valueTest {
	in := oneOf(set)
	return func(v any) bool { return v != nil && !in(v) }
}

func textTest(test func(s string) bool) valueTest {
	return func(v any) bool {
		s, ok := v.(string)
		return ok && test(s)
	}
}

func anyWord(words []string) valueTest {
	return textTest(func(s string) bool {
		for _, w := range words {
			if strings.Contains(s, w) {
				return true
			}
		}
		return false
	})
}

// numberRange is an interval of numbers; nil bounds are open.
type numberRange struct{ gt, gte, lt, lte *float64 }

func (r numberRange) holds(x float64) bool {
	return (r.gt == nil || x > *r.gt) && (r.gte == nil || x >= *r.gte) &&
		(r.lt == nil || x < *r.lt) && (r.lte == nil || x <= *r.lte)
}

func (r numberRange) test(v any) bool {
	switch v := v.(type) {
	case int64:
		return r.holds(float64(v))
	case uint64:
		return r.holds(float64(v))
	case float64:
		return r.holds(v)
	}
	return false
}

// timeRange is an interval of moments; nil bounds are open.
type timeRange struct{ gt, gte, lt, lte *time.Time }

func (r timeRange) test(v any) bool {
	s, ok := v.(string)
	if !ok {
		return false
	}
	t, ok := parseTime(s)
	return ok && (r.gt == nil || t.After(*r.gt)) && (r.gte == nil || !t.Before(*r.gte)) &&
		(r.lt == nil || t.Before(*r.lt)) && (r.lte == nil || !t.After(*r.lte))
}

var timeLayouts = func() []string {
	var layouts []string
	for _, clock := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04"} {
		for _, zone := range []string{"Z07:00", "-0700", ""} {
			layouts = append(layouts, clock+zone)
		}
	}
	return append(layouts, time.DateOnly)
}()

// parseTime reads RFC 3339 and its usual relaxations: a space for the T, no
// seconds, no time, a zone without colon, no zone for UTC.
func parseTime(s string) (time.Time, bool) {
	if len(s) < len(time.DateOnly) || len(s) > 40 || s[4] != '-' {
		return time.Time{}, false
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
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
	c.path.Elements(doc, func(v any) bool {
		if _, isObject := v.(map[string]any); !isObject {
			return true
		}
		ok, err = c.filter.match(&place{subject: at.subject, doc: v, loaded: true})
		return err == nil && !ok
	})
	return ok, err
}
