package filter

import (
	"encoding/json"
	"fmt"
	"strconv"

	"freshet/server/object"
)

// field reads a condition on a field: any number of operators, of which one
// must hold.
func (p *parser) field(m map[string]json.RawMessage, path string) (condition, error) {
	key, err := parsePath(m["key"])
	if err != nil {
		return nil, err
	}
	c := &field{path: key}
	for _, op := range []struct {
		name string
		read func(*field, []byte) error
	}{
		{"match", p.match},
		{"range", readRange},
		{"geo_bounding_box", readBox},
		{"geo_radius", readCircle},
		{"geo_polygon", readPolygon},
		{"values_count", readCount},
		{"is_empty", readFlag(Empty{}, Empty{Not: true})},
		{"is_null", readFlag(Null{}, Null{Not: true})},
	} {
		if raw := m[op.name]; !isNullJSON(raw) {
			if err := op.read(c, raw); err != nil {
				return nil, err
			}
		}
	}
	if len(c.tests)+len(c.raws) == 0 {
		p.reject(join(path, "__all__"), "Validation error: At least one field condition must be specified [{}]")
	}
	return c, nil
}

func readFlag(yes, no RawTest) func(*field, []byte) error {
	return func(c *field, raw []byte) error {
		want, err := strconv.ParseBool(string(raw))
		if err != nil {
			return fmt.Errorf("invalid type: expected a boolean")
		}
		if want {
			c.raws = append(c.raws, yes)
		} else {
			c.raws = append(c.raws, no)
		}
		return nil
	}
}

func (p *parser) match(c *field, raw []byte) error {
	m, err := object.Split(raw)
	if err != nil {
		return noVariant("MatchInterface")
	}
	var test Test
	switch {
	case m["value"] != nil:
		v, ok := scalar(m["value"])
		if !ok {
			return noVariant("MatchInterface")
		}
		test = OneOf{map[any]struct{}{v: {}}}
	case m["any"] != nil, m["except"] != nil:
		name := "any"
		if m["any"] == nil {
			name = "except"
		}
		set, err := p.scalars(m[name])
		if err != nil {
			return err
		}
		if test = (OneOf{set}); name == "except" {
			test = NoneOf{set}
		}
	default:
		if test, err = textMatch(m); err != nil {
			return err
		}
	}
	c.tests = append(c.tests, test)
	return nil
}

// textMatch reads the operators on text.
func textMatch(m map[string]json.RawMessage) (Test, error) {
	for _, op := range []struct {
		name string
		op   TextOp
	}{{"text", AllWords}, {"phrase", Phrase}, {"text_any", AnyWord}, {"prefix", Prefix}} {
		if raw := m[op.name]; raw != nil {
			var want *string
			if err := json.Unmarshal(raw, &want); err != nil || want == nil {
				return nil, noVariant("MatchInterface")
			}
			return Text{Op: op.op, Query: *want}, nil
		}
	}
	return nil, noVariant("MatchInterface")
}

// scalar reads a string, an integer or a boolean.
func scalar(raw []byte) (any, bool) {
	switch string(raw) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	if raw[0] == '"' {
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err == nil
	}
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return n, true
	}
	n, err := strconv.ParseUint(string(raw), 10, 64)
	return n, err == nil
}

// scalars reads a list of strings or a list of integers.
func (p *parser) scalars(raw []byte) (map[any]struct{}, error) {
	o := object.NewReader(raw)
	if o.Kind() != '[' {
		return nil, noVariant("MatchInterface")
	}
	set := map[any]struct{}{}
	texts, numbers := false, false
	err := o.Elements(func(int) error {
		item, err := o.Value()
		if err != nil {
			return err
		}
		v, ok := scalar(item)
		switch v.(type) {
		case string:
			texts = true
		case bool:
			ok = false
		default:
			numbers = true
		}
		if !ok || texts && numbers {
			return noVariant("MatchInterface")
		}
		if _, twice := set[v]; twice {
			return nil
		}
		set[v] = struct{}{}
		return p.value()
	})
	return set, err
}

// readRange reads an interval of numbers or, if a bound is a string, of moments.
func readRange(c *field, raw []byte) error {
	var bounds struct{ Gt, Gte, Lt, Lte *json.RawMessage }
	if err := json.Unmarshal(raw, &bounds); err != nil || raw[0] != '{' {
		return noVariant("RangeInterface")
	}
	var n Range
	var t TimeRange
	numbers, times := 0, 0
	for _, b := range []struct {
		raw    *json.RawMessage
		number **float64
		moment **int64
	}{{bounds.Gt, &n.GT, &t.GT}, {bounds.Gte, &n.GTE, &t.GTE}, {bounds.Lt, &n.LT, &t.LT}, {bounds.Lte, &n.LTE, &t.LTE}} {
		if b.raw == nil {
			continue
		}
		var text string
		if json.Unmarshal(*b.raw, &text) == nil {
			moment, ok := Moment(text)
			if !ok {
				return noVariant("RangeInterface")
			}
			*b.moment = &moment
			times++
		} else if err := json.Unmarshal(*b.raw, b.number); err == nil {
			numbers++
		} else {
			return noVariant("RangeInterface")
		}
	}
	switch {
	case times > 0 && numbers > 0:
		return noVariant("RangeInterface")
	case times > 0:
		c.tests = append(c.tests, t)
	default:
		c.tests = append(c.tests, n)
	}
	return nil
}

func readCount(c *field, raw []byte) error {
	var r struct{ Gt, Gte, Lt, Lte *uint32 }
	if err := json.Unmarshal(raw, &r); err != nil || raw[0] != '{' {
		return fmt.Errorf("invalid type: values_count takes unsigned integers")
	}
	wide := func(n *uint32) *float64 {
		if n == nil {
			return nil
		}
		f := float64(*n)
		return &f
	}
	if r.Gt == nil && r.Gte == nil && r.Lt == nil && r.Lte == nil {
		return fmt.Errorf("values_count needs one of `lt`, `gt`, `gte`, `lte`")
	}
	c.raws = append(c.raws, Count{Range{GT: wide(r.Gt), GTE: wide(r.Gte), LT: wide(r.Lt), LTE: wide(r.Lte)}})
	return nil
}

func readBox(c *field, raw []byte) error {
	var b box
	if err := json.Unmarshal(raw, &b); err != nil {
		return err
	}
	for _, corner := range []location{b.TopLeft, b.BottomRight} {
		if err := corner.check(); err != nil {
			return err
		}
	}
	c.tests = append(c.tests, b)
	return nil
}

func readCircle(c *field, raw []byte) error {
	var circle circle
	if err := json.Unmarshal(raw, &circle); err != nil {
		return err
	}
	if circle.Radius == nil {
		return missing("radius")
	}
	if err := circle.Center.check(); err != nil {
		return err
	}
	c.tests = append(c.tests, circle)
	return nil
}

func readPolygon(c *field, raw []byte) error {
	var p polygon
	if err := json.Unmarshal(raw, &p); err != nil {
		return err
	}
	if err := p.check(); err != nil {
		return err
	}
	c.tests = append(c.tests, p)
	return nil
}
