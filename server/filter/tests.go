package filter

import (
	"math"
	"strings"
	"time"
)

// Test is a test of a field's values. The field passes if one of its values
// does; null never does. The types of Test are those of this package.
type Test interface {
	// Holds says whether a value passes, decoded as payload.Decode does.
	Holds(v any) bool
}

// RawTest looks at the values at a path before arrays are taken apart. The
// types are Empty, Null and Count.
type RawTest interface {
	holds(raws []any) bool
}

// OneOf holds for the values in Values: strings, booleans, int64, and uint64
// beyond.
type OneOf struct{ Values map[any]struct{} }

// Holds implements Test.
func (t OneOf) Holds(v any) bool {
	switch v.(type) {
	case string, bool, int64, uint64:
		_, ok := t.Values[v]
		return ok
	}
	return false
}

// NoneOf holds for a value that is there and not in Values.
type NoneOf struct{ Values map[any]struct{} }

// Holds implements Test.
func (t NoneOf) Holds(v any) bool { return v != nil && !OneOf(t).Holds(v) }

// OtherKey holds for strings and integers that are not in Values: keys by which points
// can be put into groups.
type OtherKey struct{ Values map[any]struct{} }

// Holds implements Test.
func (t OtherKey) Holds(v any) bool {
	switch v.(type) {
	case string, int64, uint64:
		return !OneOf(t).Holds(v)
	}
	return false
}

// Range is an interval of numbers; nil bounds are open.
type Range struct{ GT, GTE, LT, LTE *float64 }

// Above says whether x is beyond the lower bounds.
func (r Range) Above(x float64) bool {
	return (r.GT == nil || x > *r.GT) && (r.GTE == nil || x >= *r.GTE)
}

// Below says whether x is within the upper bounds.
func (r Range) Below(x float64) bool {
	return (r.LT == nil || x < *r.LT) && (r.LTE == nil || x <= *r.LTE)
}

// Contains says whether x is in the interval.
func (r Range) Contains(x float64) bool { return r.Above(x) && r.Below(x) }

// Holds implements Test.
func (r Range) Holds(v any) bool {
	x, ok := Number(v)
	return ok && r.Contains(x)
}

// Number returns a payload value as a range sees it.
func Number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// TimeRange is an interval of moments, in microseconds since 1970; nil bounds
// are open.
type TimeRange struct{ GT, GTE, LT, LTE *int64 }

// Above says whether a moment is beyond the lower bounds.
func (r TimeRange) Above(t int64) bool {
	return (r.GT == nil || t > *r.GT) && (r.GTE == nil || t >= *r.GTE)
}

// Below says whether a moment is within the upper bounds.
func (r TimeRange) Below(t int64) bool {
	return (r.LT == nil || t < *r.LT) && (r.LTE == nil || t <= *r.LTE)
}

// Holds implements Test.
func (r TimeRange) Holds(v any) bool {
	t, ok := Moment(v)
	return ok && r.Above(t) && r.Below(t)
}

// Moment returns the moment a payload value stands for, in microseconds since
// 1970.
func Moment(v any) (int64, bool) {
	s, ok := v.(string)
	if !ok {
		return 0, false
	}
	t, ok := parseTime(s)
	return t.UnixMicro(), ok
}

var timeLayouts = func() []string {
	const day = "2006-1-2"
	layouts := []string{time.RFC3339, day} // what nearly all are written in is tried first
	for _, clock := range []string{"T15:4:5", " 15:4:5", "T15:4", " 15:4"} {
		layouts = append(layouts, day+clock)
		for _, zone := range []string{"Z07:00", "-0700", "Z07"} {
			layouts = append(layouts, day+clock+zone, day+clock+" "+zone)
		}
	}
	return layouts
}()

// parseTime reads RFC 3339 and its usual relaxations: a space for the T or in front, lower
// case, numbers of one digit, no seconds, no time, a zone without colon, without minutes,
// behind a space or called UTC, no zone for UTC.
func parseTime(s string) (time.Time, bool) {
	s = strings.TrimLeft(s, " ")
	if len(s) < len("2006-1-2") || len(s) > 40 || s[4] != '-' {
		return time.Time{}, false
	}
	s = strings.TrimSuffix(strings.ToUpper(s), " UTC")
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// Empty holds if there is no value but null and empty arrays; with Not, if
// there is one.
type Empty struct{ Not bool }

func (t Empty) holds(raws []any) bool {
	for _, v := range raws {
		if Values(v) > 0 {
			return t.Not
		}
	}
	return !t.Not
}

// Null holds if a value is null or an array with a null; with Not, if none is.
type Null struct{ Not bool }

func (t Null) holds(raws []any) bool {
	for _, v := range raws {
		if HasNull(v) {
			return !t.Not
		}
	}
	return t.Not
}

// Count holds if a value consists of a number of values within Range.
type Count struct{ Range }

func (t Count) holds(raws []any) bool {
	for _, v := range raws {
		if t.Contains(float64(Values(v))) {
			return true
		}
	}
	return len(raws) == 0 && t.Contains(0)
}

// Values returns how many values a raw one consists of.
func Values(v any) int {
	list, ok := v.([]any)
	switch {
	case ok:
		return len(list)
	case v == nil:
		return 0
	default:
		return 1
	}
}

// HasNull says whether a raw value is null or has a null in it.
func HasNull(v any) bool {
	if list, ok := v.([]any); ok {
		for _, e := range list {
			if e == nil {
				return true
			}
		}
	}
	return v == nil
}

// Area is a Test of places on the globe.
type Area interface {
	Test
	// Contains says whether a place, in degrees, lies in the area.
	Contains(lon, lat float64) bool
	// Edges returns how many edges Contains looks at.
	Edges() int
	// Frames returns boxes that together hold the whole area.
	Frames() []Frame
}

// Frame is a box in degrees, its edges included.
type Frame struct{ West, South, East, North float64 }

// frameMargin, in degrees, is more than rounding can put a place beside a frame.
const frameMargin = 1e-6

// frames returns the parts on the globe of a box that may reach across the
// antimeridian.
func frames(west, south, east, north float64) []Frame {
	west, south, east, north = west-frameMargin, south-frameMargin, east+frameMargin, north+frameMargin
	if !(east-west < 360) { // and for what is no number
		return []Frame{{-180, south, 180, north}}
	}
	list := []Frame{{max(west, -180), south, min(east, 180), north}}
	if west < -180 {
		list = append(list, Frame{west + 360, south, 180, north})
	}
	if east > 180 {
		list = append(list, Frame{-180, south, east - 360, north})
	}
	return list
}

// circleFrames returns the frames of the places less than radius metres away.
func circleFrames(lon, lat, radius float64) []Frame {
	if !(radius > 0) {
		return nil
	}
	const rad = math.Pi / 180
	angle := radius / earthRadius
	reach := angle / rad
	if !(math.Abs(lat)+reach < 89.9) { // a pole may be inside
		return frames(-180, lat-reach, 180, lat+reach)
	}
	width := math.Asin(min(1, math.Sin(angle)/math.Cos(lat*rad))) / rad
	return frames(lon-width, lat-reach, lon+width, lat+reach)
}
