package ingest

import (
	"math/rand/v2"
	"testing"
	"time"

	"freshet/server"
)

// TestMarks compares marks with all the ends of a log there have been: what they say a
// position has is never more than it has, and nearly as much.
func TestMarks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var list marks
		var p server.Position
		var ends []int64 // by second
		at := func(i int) time.Time { return time.Unix(int64(i), 0) }
		for i := range 300 {
			end := int64(0)
			if i > 0 {
				end = ends[i-1] + rng.Int64N(3)
			}
			ends = append(ends, end)
			list = list.add(mark{at: at(i), end: end}, p)
			if rng.IntN(4) == 0 {
				p.Next += rng.Int64N(end - p.Next + 1)
			}
			if len(list) > maxMarks+1 {
				t.Fatalf("%d marks", len(list))
			}
			newest := -1
			for j, end := range ends {
				if end <= p.Next {
					newest = j
				}
			}
			k := list.newest(p)
			if k < 0 && newest >= 0 || k >= 0 && list[k].at.After(at(newest)) {
				t.Fatalf("position %d of %d: mark %d of %v, the state is that of second %d", p.Next, end, k, list, newest)
			}
			if p.Next == end && !list[k].at.Equal(at(i)) {
				t.Fatalf("caught up at second %d, the marks say %v", i, list[k].at)
			}
			if x, ok := list.since(at(i)); !ok || x.end != end {
				t.Fatalf("the last mark is %v, the log ends at %d", x, end)
			}
		}
	}
}

// TestMarksOfAnotherLog checks that marks never compare positions of different logs.
func TestMarksOfAnotherLog(t *testing.T) {
	a, b := server.TopicID{1}, server.TopicID{2}
	old := server.Position{Next: 10, TopicID: a}
	list := marks(nil).add(mark{time.Unix(1, 0), 5, a}, old)
	if list.newest(old) != 0 {
		t.Errorf("%v is not reached", list)
	}
	list = list.add(mark{time.Unix(2, 0), 6, b}, old)
	if len(list) != 1 || list.newest(old) >= 0 {
		t.Errorf("%v is reached by a position in the log before", list)
	}
	list = list.add(mark{time.Unix(3, 0), 2, b}, server.Position{})
	if len(list) != 1 || list[0].end != 2 {
		t.Errorf("%v of a log that was cut", list)
	}
}

// TestAsOfIsThatOfTheSlowestPartition: what is visible is as old as the partition that is
// furthest behind, and of unknown age while one of them is.
func TestAsOfIsThatOfTheSlowestPartition(t *testing.T) {
	at := func(second int64) time.Time { return time.Unix(second, 0) }
	s := &source{cfg: Source{Name: "s"}, marks: map[partition]marks{}}
	applied := map[server.Stream]server.Position{}
	for number, newest := range []int64{7, 3, 5} {
		p := partition{"t", int32(number)}
		s.marks[p] = marks{{at: at(newest), end: 10}, {at: at(9), end: 20}}
		applied[s.stream(p)] = server.Position{Next: 10}
	}
	for range 8 { // a map has no order
		if asOf, known := s.asOf(nil, applied); !known || !asOf.Equal(at(3)) {
			t.Errorf("as of %v, %v", asOf, known)
		}
	}
	applied[s.stream(partition{"t", 2})] = server.Position{Next: 9}
	for range 8 {
		if asOf, known := s.asOf(nil, applied); known {
			t.Errorf("one partition has not come to any mark: as of %v", asOf)
		}
	}
}
