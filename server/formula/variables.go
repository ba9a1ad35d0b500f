package formula

import (
	"fmt"

	"freshet/server/filter"
	"freshet/server/payload"
)

// defaults are values for what a point has not: scores by prefetch, payload values by
// path.
type defaults struct {
	scores map[int]float64
	values map[string]any
}

// score is the score that the point has in a prefetch.
type score int

func (e score) eval(c *context) (float64, error) {
	if s, ok := c.Score(int(e)); ok {
		return float64(s), nil
	}
	return c.defaults.scores[int(e)], nil
}

// variable is a number in the payload.
type variable struct{ path payload.Path }

func (e variable) eval(c *context) (float64, error) {
	v, err := c.value(e.path, "number")
	if err != nil {
		return 0, err
	}
	x, ok := filter.Number(v)
	if !ok {
		return 0, wrongValue(e.path, "number", "Value is not a number")
	}
	return x, nil
}

// moment is a moment in the payload, in seconds since 1970.
type moment struct{ path payload.Path }

func (e moment) eval(c *context) (float64, error) {
	v, err := c.value(e.path, "datetime")
	if err != nil {
		return 0, err
	}
	micros, ok := filter.Moment(v)
	if !ok {
		return 0, wrongValue(e.path, "datetime", "Value is not a datetime")
	}
	return seconds(micros), nil
}

func seconds(micros int64) float64 { return float64(micros) / 1e6 }

// distance is how far a place in the payload is from origin, in metres.
type distance struct {
	lon, lat float64
	to       payload.Path
}

func (e distance) eval(c *context) (float64, error) {
	v, err := c.value(e.to, "geo point")
	if err != nil {
		return 0, err
	}
	lon, lat, ok := filter.Spot(v)
	if !ok {
		return 0, wrongValue(e.to, "geo point", "Value is not a geo point")
	}
	return filter.Haversine(e.lon, e.lat, lon, lat), nil
}

// value returns the one value at a path, or the default of the path. Several values
// are a list, which is no value of any type.
func (c *context) value(path payload.Path, expected string) (any, error) {
	doc, err := c.Payload()
	if err != nil {
		return nil, err
	}
	var found []any
	path.Values(doc, func(v any) bool {
		if v != nil {
			found = append(found, v)
		}
		return len(found) < 2
	})
	switch len(found) {
	case 0:
		if v, ok := c.defaults.values[path.Key()]; ok {
			return v, nil
		}
		return nil, wrongValue(path, expected, "No value found in a payload nor defaults")
	case 1:
		return found[0], nil
	default:
		return found, nil
	}
}

func wrongValue(path payload.Path, expected, text string) error {
	return &ValueError{Text: fmt.Sprintf("Expected %s value for %s in the payload and/or in the formula defaults. Error: %s", expected, path, text)}
}
