package api_test

import (
	"testing"

	"freshet/server"
)

// TestLongOffsetsAreLeftOut consumes so many partitions that clients would refuse the
// header that lists them.
func TestLongOffsetsAreLeftOut(t *testing.T) {
	s := start(t)
	c := s.collection()
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

// TestOffsetsOfSeveralSources: where several sources consume a partition, the one that is ahead
// counts, and a partition of which nothing is applied is left out.
func TestOffsetsOfSeveralSources(t *testing.T) {
	s := start(t)
	c := s.collection()
	var positions []server.Position
	for p, next := range [][3]int64{{10, 4, 6}, {4, 10, 6}, {4, 6, 10}, {0, 0, 0}, {0, 1, 0}} {
		for i, source := range []string{"a", "b", "c"} {
			positions = append(positions, server.Position{Stream: server.Stream{Source: source, Topic: "t", Partition: int32(p)}, Next: next[i]})
		}
	}
	if _, err := c.Apply(t.Context(), server.Batch{Positions: positions}); err != nil {
		t.Fatal(err)
	}
	header := s.do("POST", "/collections/c/points/count", `{}`).Header().Get("X-Freshet-Offsets")
	if want := "t:0:9,t:1:9,t:2:9,t:4:0"; header != want {
		t.Errorf("offsets %s, want %s", header, want)
	}
}
