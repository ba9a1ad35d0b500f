package ingest

import (
	"testing"

	"freshet/server"
	"freshet/server/point"
)

// TestHeldIsBounded: of letters the newest are held, of deletes none once there are too many.
func TestHeldIsBounded(t *testing.T) {
	letters := func(n, size int) (list []server.DeadLetter) {
		for i := range n {
			list = append(list, server.DeadLetter{Offset: int64(i), Value: make([]byte, size)})
		}
		return list
	}
	for name, x := range map[string]struct {
		letters []server.DeadLetter
		want    int
	}{
		"all":         {letters(maxHeldLetters, 1), maxHeldLetters},
		"by number":   {letters(maxHeldLetters+7, 1), maxHeldLetters},
		"by size":     {letters(20, maxHeldBytes/4), 4},
		"a large one": {letters(2, 2*maxHeldBytes), 1},
	} {
		var h held
		for _, l := range x.letters {
			h.hold(server.Batch{DeadLetters: []server.DeadLetter{l}})
		}
		if n := len(h.DeadLetters); n != x.want || h.DeadLetters[n-1].Offset != int64(len(x.letters)-1) {
			t.Errorf("%s: %d letters are held, want %d", name, n, x.want)
		}
	}
	var h held
	remove := func(n int) {
		h.hold(server.Batch{Ops: []server.Op{{Kind: server.Delete, Select: server.Select{IDs: make([]point.ID, n)}}}})
	}
	remove(maxHeldDeletes - 1)
	remove(1)
	if h.over || len(h.Ops) != 2 {
		t.Errorf("over is %v, %d operations are held", h.over, len(h.Ops))
	}
	remove(1)
	remove(1)
	if !h.over || len(h.Ops) != 0 {
		t.Errorf("over is %v, %d operations are held", h.over, len(h.Ops))
	}
}
