package filter

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"freshet/server/payload"
	"freshet/server/point"
)

type subject struct {
	id  point.ID
	doc map[string]any
}

func (s subject) ID() (point.ID, error)            { return s.id, nil }
func (s subject) Payload() (map[string]any, error) { return s.doc, nil }
func (s subject) HasVector(name string) bool       { return name == "image" }

func parse(t *testing.T, s string) *Filter {
	t.Helper()
	var f Filter
	if err := json.Unmarshal([]byte(s), &f); err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return &f
}

// one point, conditions in pairs of those that hold and those that do not.
func TestConditions(t *testing.T) {
	doc, err := payload.Decode([]byte(`{
		"i": 7, "neg": -3, "f": 7.5, "whole": 7.0, "s": "London town", "b": true, "n": null, "empty": [], "nulls": [null],
		"tags": ["x", "y"], "mixed": [1, "1", null], "ts": "2024-05-01T10:00:00+02:00", "day": "2024-05-01", "big": 18446744073709551615,
		"loc": {"lon": 2.35, "lat": 48.85}, "fiji": {"lon": 179.9, "lat": -17},
		"arr": [{"k": 1, "v": "a"}, {"k": 2, "v": "b"}], "my key": {"a.b": 1}}`))
	if err != nil {
		t.Fatal(err)
	}
	s := subject{id: point.Number(5), doc: doc}
	for _, c := range []struct{ holds, fails string }{
		{`{"key":"i","match":{"value":7}}`, `{"key":"i","match":{"value":"7"}}`},
		{`{"key":"neg","match":{"value":-3}}`, `{"key":"whole","match":{"value":7}}`},
		{`{"key":"big","match":{"value":18446744073709551615}}`, `{"key":"big","match":{"value":18446744073709551614}}`},
		{`{"key":"b","match":{"value":true}}`, `{"key":"b","match":{"value":false}}`},
		{`{"key":"tags","match":{"any":["q","y"]}}`, `{"key":"tags","match":{"any":[]}}`},
		{`{"key":"mixed","match":{"any":[1]}}`, `{"key":"i","match":{"any":[8]}}`},
		{`{"key":"tags","match":{"except":["x"]}}`, `{"key":"tags","match":{"except":["x","y"]}}`},
		{`{"key":"s","match":{"except":[]}}`, `{"key":"missing","match":{"except":["x"]}}`},
		{`{"key":"mixed","match":{"except":[1]}}`, `{"key":"nulls","match":{"except":[1]}}`},
		{`{"key":"s","match":{"text":"don t"}}`, `{"key":"s","match":{"text":"london"}}`},
		{`{"key":"s","match":{"text_any":"no town"}}`, `{"key":"s","match":{"text_any":"no way"}}`},
		{`{"key":"s","match":{"phrase":"London"}}`, `{"key":"s","match":{"phrase":"town London"}}`},
		{`{"key":"s","match":{"prefix":"Lon"}}`, `{"key":"s","match":{"prefix":"ondon"}}`},
		{`{"key":"f","range":{"gt":7,"lt":8}}`, `{"key":"f","range":{"gt":7.5}}`},
		{`{"key":"i","range":{}}`, `{"key":"s","range":{}}`},
		{`{"key":"i","range":{"gte":7,"lte":7,"gt":null}}`, `{"key":"b","range":{"gte":0}}`},
		{`{"key":"ts","range":{"gte":"2024-05-01T08:00:00Z","lte":"2024-05-01 08:00"}}`, `{"key":"ts","range":{"gt":"2024-05-01T10:00:00+0200"}}`},
		{`{"key":"day","range":{"lt":"2024-05-01T00:00:01"}}`, `{"key":"i","range":{"gt":"1970-01-01"}}`},
		{`{"key":"loc","geo_radius":{"center":{"lon":2.35,"lat":48.9},"radius":6000}}`, `{"key":"loc","geo_radius":{"center":{"lon":2.35,"lat":48.9},"radius":5000}}`},
		{`{"key":"loc","geo_bounding_box":{"top_left":{"lon":2,"lat":49},"bottom_right":{"lon":3,"lat":48}}}`, `{"key":"loc","geo_bounding_box":{"top_left":{"lon":2,"lat":48.85},"bottom_right":{"lon":3,"lat":48}}}`},
		{`{"key":"fiji","geo_bounding_box":{"top_left":{"lon":170,"lat":0},"bottom_right":{"lon":-170,"lat":-30}}}`, `{"key":"loc","geo_bounding_box":{"top_left":{"lon":170,"lat":60},"bottom_right":{"lon":-170,"lat":-30}}}`},
		{
			`{"key":"loc","geo_polygon":{"exterior":{"points":[{"lon":0,"lat":40},{"lon":5,"lat":40},{"lon":5,"lat":60},{"lon":0,"lat":60},{"lon":0,"lat":40}]}}}`,
			`{"key":"loc","geo_polygon":{"exterior":{"points":[{"lon":0,"lat":40},{"lon":5,"lat":40},{"lon":5,"lat":60},{"lon":0,"lat":60},{"lon":0,"lat":40}]},"interiors":[{"points":[{"lon":2,"lat":48},{"lon":3,"lat":48},{"lon":3,"lat":49},{"lon":2,"lat":49},{"lon":2,"lat":48}]}]}}`,
		},
		{`{"key":"tags","values_count":{"gte":2}}`, `{"key":"tags","values_count":{"gt":2}}`},
		{`{"key":"missing","values_count":{"lt":1}}`, `{"key":"i","values_count":{"lt":1}}`},
		{`{"is_empty":{"key":"empty"}}`, `{"is_empty":{"key":"nulls"}}`},
		{`{"is_empty":{"key":"missing"}}`, `{"key":"missing","is_empty":false}`},
		{`{"is_empty":{"key":"n"}}`, `{"key":"s","is_empty":true}`},
		{`{"is_null":{"key":"n"}}`, `{"is_null":{"key":"missing"}}`},
		{`{"key":"nulls","is_null":true}`, `{"key":"empty","is_null":true}`},
		{`{"key":"missing","is_null":false}`, `{"key":"n","is_null":false}`},
		{`{"has_id":[4,5]}`, `{"has_id":["5"]}`},
		{`{"has_vector":"image"}`, `{"has_vector":"nope"}`},
		{`{"key":"arr[].k","match":{"value":2}}`, `{"key":"arr.k","match":{"value":2}}`},
		{`{"key":"arr[0].k","match":{"value":1}}`, `{"key":"arr[0].k","match":{"value":2}}`},
		{`{"key":"\"my key\".\"a.b\"","match":{"value":1}}`, `{"key":"\"my key\".a","match":{"value":1}}`},
		{
			`{"nested":{"key":"arr","filter":{"must":[{"key":"k","match":{"value":2}},{"key":"v","match":{"value":"b"}}]}}}`,
			`{"nested":{"key":"arr[]","filter":{"must":[{"key":"k","match":{"value":1}},{"key":"v","match":{"value":"b"}}]}}}`,
		},
		{`{"nested":{"key":"loc","filter":{"must":{"key":"lon","range":{"gt":2}}}}}`, `{"nested":{"key":"i","filter":{}}}`},
		{`{"key":"i","match":{"value":1},"range":{"gt":1}}`, `{"key":"i","match":{"value":1},"range":{"gt":9}}`},
		{`{"must":{"key":"i","match":{"value":7}}}`, `{"must_not":{"key":"i","match":{"value":7}}}`},
		{`{"should":[{"has_id":[1]},{"has_id":[5]}]}`, `{"should":[{"has_id":[1]},{"has_id":[2]}]}`},
		{`{"should":[]}`, `{"should":{"has_id":[]}}`},
		{
			`{"min_should":{"conditions":[{"has_id":[5]},{"has_id":[5]},{"has_id":[1]}],"min_count":2}}`,
			`{"min_should":{"conditions":[{"has_id":[5]},{"has_id":[2]},{"has_id":[1]}],"min_count":2}}`,
		},
	} {
		for want, text := range map[bool]string{true: c.holds, false: c.fails} {
			got, err := parse(t, `{"must":[`+text+`]}`).Match(s)
			if err != nil || got != want {
				t.Errorf("%s: %v (%v), want %v", text, got, err, want)
			}
		}
	}
}

// All forms of one moment that Qdrant reads, among them those of PostgreSQL and pandas.
func TestMoments(t *testing.T) {
	for _, s := range []string{
		"2024-05-01T08:00:00Z", "2024-05-01t08:00:00z", "2024-05-01T10:00:00+02:00", "2024-05-01T10:00:00.000000+0200",
		"2024-05-01 10:00:00+02", "2024-05-01 02:00:00 -06", "2024-05-01 10:00:00 +0200", "2024-05-01 10:00:00 +02:00",
		"2024-05-01 08:00:00 UTC", "2024-05-01 08:00:00 utc", "2024-05-01T08:00:00", "2024-05-01 08:00:00.000000999", "2024-05-01 08:00",
		"2024-5-1 8:0:0", "2024-5-01T8:00Z", " 2024-05-01 08:00",
	} {
		if got, ok := Moment(s); !ok || got != 1714550400_000000 {
			t.Errorf("%s is %d, %t", s, got, ok)
		}
	}
	for _, s := range []string{"20240501", "2024-05", "2024-05-01T", "2024-05-01 08:00:00 CET", "2024-05-01 08:00:00 +2", "2024-13-01", "2024-05-01 08:00 ", "May 1 2024", "        ", ""} {
		if got, ok := Moment(s); ok {
			t.Errorf("%s is %d", s, got)
		}
	}
}

// The edge of a polygon is no part of it, nor is that of a hole.
func TestEdgesOfPolygons(t *testing.T) {
	square := func(low, high float64) string {
		return fmt.Sprintf(`{"points":[{"lon":%[1]v,"lat":%[1]v},{"lon":%[2]v,"lat":%[1]v},{"lon":%[2]v,"lat":%[2]v},{"lon":%[1]v,"lat":%[2]v},{"lon":%[1]v,"lat":%[1]v}]}`, low, high)
	}
	f := parse(t, `{"must":{"key":"at","geo_polygon":{"exterior":`+square(0, 8)+`,"interiors":[`+square(2, 4)+`]}}}`)
	for want, places := range map[bool][][2]float64{
		true: {{1, 1}, {2, 5}, {4, 5}, {5, 2}, {5, 4}},
		false: {
			{0, 5},
			{8, 5},
			{5, 0},
			{5, 8},
			{0, 0},
			{8, 0},
			{8, 8},
			{0, 8},
			{9, 8},
			{-1, 0},
			{2, 3},
			{4, 3},
			{3, 2},
			{3, 4},
			{2, 2},
			{4, 4},
			{3, 3},
		},
	} {
		for _, at := range places {
			s := subject{doc: map[string]any{"at": map[string]any{"lon": at[0], "lat": at[1]}}}
			if got, err := f.Match(s); err != nil || got != want {
				t.Errorf("%v: %v, %v", at, got, err)
			}
		}
	}
}

func TestFormatErrors(t *testing.T) {
	for in, want := range map[string]string{
		`{"foo":[]}`: "unknown field `foo`, expected one of `should`, `min_should`, `must`, `must_not`",
		`{"must":[{"key":"a[","match":{"value":1}}]}`:               "Invalid json path: 'a['",
		`{"must":[{"key":"a","match":{"value":1.5}}]}`:              "data did not match any variant of untagged enum MatchInterface",
		`{"must":[{"key":"a","match":{"any":[1,"a"]}}]}`:            "data did not match any variant of untagged enum MatchInterface",
		`{"must":[{"key":"a","match":{}}]}`:                         "data did not match any variant of untagged enum MatchInterface",
		`{"must":[{"key":"a","range":{"gt":"yesterday"}}]}`:         "data did not match any variant of untagged enum RangeInterface",
		`{"must":[{"key":"a","range":{"gt":1,"lt":"2024-01-01"}}]}`: "data did not match any variant of untagged enum RangeInterface",
		`{"must":[1]}`:                      "data did not match any variant of untagged enum Condition",
		`{"must":[{"has_id":[-1]}]}`:        "value -1 is not a valid point ID",
		`{"must":[{"nested":{"key":"a"}}]}`: "missing field `filter`",
		`{"min_should":{"conditions":[]}}`:  "missing field `min_count`",
		`[]`:                                "expected a map",
		`{"must":[{"key":"l","geo_radius":{"center":{"lon":0,"lat":91},"radius":1}}]}`:     "expected `lat` = 91 within [-90;90]",
		`{"must":[{"key":"l","geo_radius":{"center":{"lon":0},"radius":1}}]}`:              "missing field `lat`",
		`{"must":[{"key":"l","geo_polygon":{"exterior":{"points":[{"lon":0,"lat":0}]}}}]}`: "at least 4",
		`{"must":[{"key":"l","geo_bounding_box":{"top_left":{"lon":0,"lat":0}}}]}`:         "missing field `lon`",
		strings.Repeat(`{"must":`, MaxDepth+2) + `{}` + strings.Repeat(`}`, MaxDepth+2):    "nested 64 deep",
		`{"must":[` + strings.Repeat(`{},`, MaxConditions) + `{}]}`:                        "at most 8192 conditions",
	} {
		var f Filter
		err := json.Unmarshal([]byte(in), &f)
		var invalid *ValidationError
		if err == nil || errors.As(err, &invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %s", in, err, want)
		}
	}
}

func TestValidationErrors(t *testing.T) {
	for in, want := range map[string]string{
		`{"must":[{},{"key":"a"}]}`:                                    "must[1].__all__: Validation error: At least one field condition must be specified [{}]",
		`{"should":{"must_not":{"key":"a","foo":1}}}`:                  "should[0].must_not[0].__all__: Validation error: At least one field condition must be specified [{}]",
		`{"min_should":{"conditions":[{"has_id":[1]}],"min_count":0}}`: "min_should.min_count: min_count must be greater than 0",
	} {
		var f Filter
		err := json.Unmarshal([]byte(in), &f)
		var invalid *ValidationError
		if !errors.As(err, &invalid) || invalid.Error() != want {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
}

func TestEmpty(t *testing.T) {
	for text, want := range map[string]bool{`{"must":[],"should":null}`: true, `{}`: true, `{"must":{}}`: false, `{"must_not":{"has_id":[]}}`: false} {
		if got := parse(t, text).Empty(); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{
		`{"must":[{"key":"a","match":{"value":1}}]}`, `{"should":{"key":"a[].b","range":{"gt":"2024-01-01"}}}`,
		`{"must_not":[{"nested":{"key":"a","filter":{"must":[{"is_null":{"key":"b"}}]}}}]}`,
		`{"min_should":{"conditions":[{"has_id":[1]}],"min_count":1}}`, `{"must":{"key":"a","values_count":{"lt":3}}}`,
		`{"must":[{"key":"l","geo_radius":{"center":{"lon":0,"lat":1},"radius":1}}]}`,
	} {
		f.Add(s, `{"a":[1,{"b":null}],"l":{"lon":0,"lat":1}}`)
	}
	f.Fuzz(func(t *testing.T, text, document string) {
		var parsed Filter
		if json.Unmarshal([]byte(text), &parsed) != nil {
			return
		}
		doc, err := payload.Decode([]byte(document))
		if err != nil {
			return
		}
		if _, err := parsed.Match(subject{id: point.Number(1), doc: doc}); err != nil {
			t.Fatal(fmt.Errorf("%s on %s: %w", text, document, err))
		}
	})
}
