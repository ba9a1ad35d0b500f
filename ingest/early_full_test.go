package ingest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"freshet/server"
	"freshet/server/point"
)

// TestExpiredEarlyDeletesMakeRoom once there are as many as are kept. One of those that were
// dropped is kept anew, with the same batch.
func TestExpiredEarlyDeletesMakeRoom(t *testing.T) {
	s := &session{source: &source{cfg: Source{Name: "src", Collection: "c", Route: "${topic}"}}}
	s.early.of = map[string]map[point.ID]earlyDelete{}
	old := time.Now().Add(-server.DeletesRemembered - time.Hour).UnixMilli()
	for i := range maxEarlyDeletes {
		e := earlyDelete{Topic: "t", Kept: old}
		if i%2 == 0 {
			e.Kept = time.Now().UnixMilli()
		}
		s.early.put("a", point.Number(uint64(i)), e)
	}
	d := newDecoded()
	op := &server.Op{Kind: server.Delete, Version: server.Version{Stream: s.stream(partition{"t", 0}), Offset: 9}}
	op.Select.IDs = []point.ID{point.Number(maxEarlyDeletes), point.Number(1)}
	if err := s.keepEarly("a", op, d); err != nil {
		t.Fatal(err)
	}
	want := []string{s.earlyDocument("a", point.Number(1)), s.earlyDocument("a", point.Number(maxEarlyDeletes))}
	if got := slices.Sorted(maps.Keys(d.early)); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q are kept, want %q", got, want)
	}
	if n := maxEarlyDeletes/2 + 2; s.early.count != n || len(s.early.of["a"]) != n || len(d.late) != maxEarlyDeletes/2-1 || d.late[want[0]] {
		t.Errorf("%d of %d are left, and %d go", s.early.count, n, len(d.late))
	}
}
