package api_test

import (
	"testing"

	"freshet/server"
)

// TestLongOffsetsAreLeftOut consumes so many partitions that clients would refuse the
// header that lists them.
func TestLongOffsetsAreLeftOut(t *testing.T) {
	s := start(t)
	s.expect("PUT", "/collections/c", `{"vectors":{"size":1,"distance":"Dot"}}`, `true`)
	c, err := s.db.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		partitions int
		shown      bool
	}{{1, true}, {1000, true}, {3000, false}} {
		var positions []server.Position
		for i := range test.partitions {
			positions = append(positions, server.Position{Stream: server.Stream{Source: "s", Topic: "topic", Partition: int32(i)}, Next: 10})
		}
		if _, err := c.Apply(t.Context(), server.Batch{Positions: positions}); err != nil {
			t.Fatal(err)
		}
		header := s.do("POST", "/collections/c/points/count", `{}`).Header().Get("X-Freshet-Offsets")
		if (header != "") != test.shown || len(header) > 16<<10 {
			t.Errorf("%d partitions: a header of %d bytes: %.60s", test.partitions, len(header), header)
		}
	}
}
