package formula

import (
	"encoding/json"
	"slices"
	"testing"

	"freshet/server/filter"
)

func TestDemands(t *testing.T) {
	const numbers = filter.Integers | filter.IntegerRanges | filter.FloatRanges
	f, err := Parse(json.RawMessage(`{"sum":["$score","a",{"mult":[{"neg":"b"},{"div":{"left":"c","right":{"pow":{"base":"d","exponent":2}}}}]},
		{"geo_distance":{"origin":{"lon":0,"lat":0},"to":"place"}},{"key":"k","match":{"value":"x"}},
		{"exp_decay":{"x":{"datetime_key":"at"},"target":{"datetime":"2024-01-01"}}},{"abs":"$score[1]"}]}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []filter.Demand{
		{Key: `"a"`, Path: "a", Uses: numbers},
		{Key: `"b"`, Path: "b", Uses: numbers},
		{Key: `"c"`, Path: "c", Uses: numbers},
		{Key: `"d"`, Path: "d", Uses: numbers},
		{Key: `"place"`, Path: "place", Uses: filter.Places},
		{Key: `"k"`, Path: "k", Uses: filter.Keywords},
		{Key: `"at"`, Path: "at", Uses: filter.Moments},
	}
	for n := range len(want) + 1 {
		var got []filter.Demand
		f.Demands(func(d filter.Demand) bool {
			got = append(got, d)
			return len(got) < n
		})
		if !slices.Equal(got, want[:max(n, 1)]) {
			t.Errorf("the first %d: %v", n, got)
		}
	}
}
