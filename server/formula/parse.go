package formula

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"freshet/server/filter"
	"freshet/server/object"
	"freshet/server/payload"
)

// Limits of one formula.
const (
	MaxDepth       = 64
	MaxExpressions = 8192
)

// errNoVariant reports what is none of the forms of an expression.
var errNoVariant = errors.New("data did not match any variant of untagged enum Expression")

// Parse reads a formula and its defaults, an object or nothing. Limits of a condition
// are reported as a *filter.ValidationError, those of a number as a *RangeError;
// everything else is a format error.
func Parse(raw, defaults json.RawMessage) (*Formula, error) {
	for _, part := range []json.RawMessage{raw, defaults} {
		if err := object.CheckUnique(part); err != nil {
			return nil, err
		}
	}
	p := parser{}
	root, err := p.expression(raw, 0)
	if err != nil {
		return nil, err
	}
	f := &Formula{root: root}
	if err := f.defaults.read(defaults); err != nil {
		return nil, err
	}
	return f, nil
}

// RangeError reports a number outside its limits.
type RangeError struct{ Text string }

func (e *RangeError) Error() string { return e.Text }

// parser reads one formula and counts its expressions.
type parser struct{ expressions int }

func (p *parser) expression(raw json.RawMessage, depth int) (expression, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("recursion limit exceeded: a formula may be nested %d deep", MaxDepth)
	}
	if p.expressions++; p.expressions > MaxExpressions {
		return nil, fmt.Errorf("a formula may have at most %d expressions", MaxExpressions)
	}
	if len(raw) == 0 {
		return nil, errNoVariant
	}
	switch first := raw[0]; {
	case first == '"':
		var name string
		if err := json.Unmarshal(raw, &name); err != nil {
			return nil, err
		}
		return parseVariable(name)
	case first == '-' || first >= '0' && first <= '9':
		x, err := parseNumber(raw)
		return constant(x), err
	case first == '{':
		return p.operation(raw, depth)
	default:
		return nil, errNoVariant
	}
}

// operation reads an object: the first of its members that names an operation says
// what it is, and one without is a condition.
func (p *parser) operation(raw json.RawMessage, depth int) (expression, error) {
	m, err := members(raw)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if f, ok := functions[name]; ok {
			f.of, err = p.expression(m[name], depth+1)
			return f, err
		}
		if _, ok := decays[name]; ok {
			return p.decay(name, m[name], depth)
		}
	}
	switch {
	case m["sum"] != nil:
		terms, err := p.list(m["sum"], depth)
		return sum(terms), err
	case m["mult"] != nil:
		factors, err := p.list(m["mult"], depth)
		return product(factors), err
	case m["div"] != nil:
		return p.quotient(m["div"], depth)
	case m["pow"] != nil:
		args, err := p.arguments(m["pow"], depth, "base", "exponent")
		if err != nil {
			return nil, err
		}
		return power{base: args[0], exponent: args[1]}, nil
	case m["geo_distance"] != nil:
		return parseDistance(m["geo_distance"])
	case m["datetime"] != nil:
		var text string
		if err := json.Unmarshal(m["datetime"], &text); err != nil {
			return nil, errNoVariant
		}
		micros, ok := filter.Moment(text)
		if !ok {
			return nil, fmt.Errorf("%.60q is not a datetime", text)
		}
		return constant(seconds(micros)), nil
	case m["datetime_key"] != nil:
		path, err := parsePath(m["datetime_key"])
		return moment{path}, err
	default:
		return parseCondition(raw)
	}
}

func (p *parser) list(raw json.RawMessage, depth int) ([]expression, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil || items == nil {
		return nil, errNoVariant
	}
	list := make([]expression, len(items))
	for i, item := range items {
		var err error
		if list[i], err = p.expression(item, depth+1); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// arguments reads the members of an object that must be there.
func (p *parser) arguments(raw json.RawMessage, depth int, names ...string) ([]expression, error) {
	m, err := members(raw)
	if err != nil {
		return nil, err
	}
	args := make([]expression, len(names))
	for i, name := range names {
		if m[name] == nil {
			return nil, fmt.Errorf("missing field `%s`", name)
		}
		if args[i], err = p.expression(m[name], depth+1); err != nil {
			return nil, err
		}
	}
	return args, nil
}

func (p *parser) quotient(raw json.RawMessage, depth int) (expression, error) {
	args, err := p.arguments(raw, depth, "left", "right")
	if err != nil {
		return nil, err
	}
	q := quotient{left: args[0], right: args[1]}
	m, err := members(raw)
	if err == nil && m["by_zero_default"] != nil {
		var x float64
		x, err = parseNumber(m["by_zero_default"])
		q.byZero = &x
	}
	return q, err
}

func (p *parser) decay(name string, raw json.RawMessage, depth int) (expression, error) {
	args, err := p.arguments(raw, depth, "x")
	if err != nil {
		return nil, err
	}
	m, err := members(raw)
	if err != nil {
		return nil, err
	}
	target := expression(constant(0))
	if raw := m["target"]; raw != nil {
		if target, err = p.expression(raw, depth+1); err != nil {
			return nil, err
		}
	}
	scale, midpoint := 1.0, 0.5
	if raw := m["scale"]; raw != nil {
		if scale, err = parseNumber(raw); err != nil {
			return nil, err
		}
	}
	if raw := m["midpoint"]; raw != nil {
		if midpoint, err = parseNumber(raw); err != nil {
			return nil, err
		}
	}
	if scale <= 0 {
		return nil, &RangeError{fmt.Sprintf("%s: the scale has to be larger than 0, got %s", name, format(scale))}
	}
	if midpoint <= 0 || midpoint >= 1 {
		return nil, &RangeError{fmt.Sprintf("%s: the midpoint has to be between 0 and 1 (exclusive), got %s", name, format(midpoint))}
	}
	kind := decays[name]
	rate := kind.rate(midpoint, scale)
	if !finite(rate) {
		return nil, &RangeError{fmt.Sprintf("%s: the scale %s is too small", name, format(scale))}
	}
	return decay{shape: kind.shape, rate: rate, x: args[0], target: target}, nil
}

func parseDistance(raw json.RawMessage) (expression, error) {
	var d struct {
		Origin *struct{ Lon, Lat *float64 }
		To     *json.RawMessage
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, errNoVariant
	}
	switch {
	case d.Origin == nil:
		return nil, errors.New("missing field `origin`")
	case d.Origin.Lon == nil:
		return nil, errors.New("missing field `lon`")
	case d.Origin.Lat == nil:
		return nil, errors.New("missing field `lat`")
	case d.To == nil:
		return nil, errors.New("missing field `to`")
	}
	lon, lat := *d.Origin.Lon, *d.Origin.Lat
	if lon < -180 || lon > 180 || lat < -90 || lat > 90 {
		return nil, fmt.Errorf("Wrong format of GeoPoint payload: expected `lat` = %v within [-90;90] and `lon` = %v within [-180;180]", lat, lon)
	}
	path, err := parsePath(*d.To)
	return distance{lon: lon, lat: lat, to: path}, err
}

// parseCondition reads a condition or a filter.
func parseCondition(raw json.RawMessage) (expression, error) {
	f := &filter.Filter{}
	if err := f.UnmarshalJSON(append(append([]byte(`{"must":[`), raw...), "]}"...)); err != nil {
		var invalid *filter.ValidationError
		if errors.As(err, &invalid) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", errNoVariant, err)
	}
	return condition{f}, nil
}

// parseVariable reads $score, $score[i] or the path of a payload value.
func parseVariable(name string) (expression, error) {
	if prefetch, ok, err := parseScore(name); err != nil || ok {
		return score(prefetch), err
	}
	path, err := payload.ParsePath(name)
	return variable{path}, err
}

// parseScore says whether a name is that of a score.
func parseScore(name string) (prefetch int, ok bool, err error) {
	rest, ok := strings.CutPrefix(name, "$score")
	if !ok {
		if strings.HasPrefix(name, "$") {
			err = fmt.Errorf("Invalid reserved variable: %.60s", name)
		}
		return 0, false, err
	}
	if rest == "" {
		return 0, true, nil
	}
	index, opened := strings.CutPrefix(rest, "[")
	index, closed := strings.CutSuffix(index, "]")
	n, err := strconv.ParseUint(index, 10, 31)
	if !opened || !closed || err != nil {
		return 0, false, fmt.Errorf("Invalid reserved variable: %.60s", name)
	}
	return int(n), true, nil
}

func parsePath(raw json.RawMessage) (payload.Path, error) {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return payload.Path{}, errNoVariant
	}
	return payload.ParsePath(text)
}

func parseNumber(raw json.RawMessage) (float64, error) {
	x, err := strconv.ParseFloat(string(raw), 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errors.New("number out of range")
	case err != nil || !finite(x):
		return 0, errNoVariant
	}
	return x, nil
}

// members returns the members of an object that are not null.
func members(raw json.RawMessage) (map[string]json.RawMessage, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil || m == nil {
		return nil, errNoVariant
	}
	maps.DeleteFunc(m, func(_ string, v json.RawMessage) bool { return string(v) == "null" })
	return m, nil
}

func (d *defaults) read(raw json.RawMessage) error {
	d.scores, d.values = map[int]float64{}, map[string]any{}
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	doc, err := payload.Decode(raw)
	if err != nil {
		return fmt.Errorf("defaults: %w", err)
	}
	for name, v := range doc {
		prefetch, ok, err := parseScore(name)
		if err != nil {
			return err
		}
		if ok {
			if x, isNumber := filter.Number(v); isNumber {
				d.scores[prefetch] = x
			}
			continue
		}
		path, err := payload.ParsePath(name)
		if err != nil {
			return err
		}
		d.values[path.Key()] = v
	}
	return nil
}
