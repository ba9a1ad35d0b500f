package filter

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"freshet/server/point"
)

// TestSlices checks that slices have no point in common and all points together.
func TestSlices(t *testing.T) {
	var slices []*Filter
	const total = 5
	for i := range total {
		slices = append(slices, parse(t, fmt.Sprintf(`{"must":{"slice":{"total":%d,"index":%d}}}`, total, i)))
	}
	var found [total]int
	const ids = 300
	for n := range uint64(ids) {
		for _, id := range []point.ID{point.Number(n), point.UUID([16]byte{15: byte(n), 14: byte(n >> 8)}), mustID(t, fmt.Sprint("key ", n))} {
			in := 0
			for i, f := range slices {
				ok, err := f.Match(subject{id: id})
				if err != nil {
					t.Fatal(err)
				}
				if ok {
					in++
					found[i]++
				}
			}
			if in != 1 {
				t.Errorf("%v is in %d slices", id, in)
			}
		}
	}
	for i, n := range found {
		if n < 3*ids/total/2 || n > 3*ids/total*2 {
			t.Errorf("slice %d has %d of %d points", i, n, 3*ids)
		}
	}
	for bad, want := range map[string]string{
		`{"total":0,"index":0}`:  "must[0].slice.total: value 0 invalid, must be 1 or larger",
		`{"total":2,"index":2}`:  "must[0].slice.index: index must be less than total",
		`{"total":2}`:            "missing field `index`",
		`{"index":2}`:            "missing field `total`",
		`{"total":-1,"index":0}`: "data did not match any variant of untagged enum Condition",
		`7`:                      "data did not match any variant of untagged enum Condition",
	} {
		err := json.Unmarshal([]byte(`{"must":[{"slice":`+bad+`}]}`), new(Filter))
		var invalid *ValidationError
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(want, "must[0]") != errors.As(err, &invalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func mustID(t *testing.T, s string) point.ID {
	t.Helper()
	id, err := point.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
