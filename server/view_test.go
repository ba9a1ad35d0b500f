package server

import (
	"context"
	"testing"

	"freshet/server/point"
)

// A collection of which nothing has to be repaired keeps no views that nobody reads.
func TestViewsThatAreReleasedAreForgotten(t *testing.T) {
	c := testCollection(t)
	apply(t, c, Batch{Ops: []Op{upsert(point.Number(1), Version{}, 1, 2, "")}})
	read, err := c.acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer read.release()
	for range 100 {
		apply(t, c, Batch{Ops: []Op{{Kind: SetPayload, Select: Select{IDs: []point.ID{point.Number(1)}}, Payload: map[string]any{"a": true}}}})
	}
	kept := 0
	if err := c.do(context.Background(), func() error {
		kept = len(c.readers)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if kept != 2 { // the one that is read here, and the current one
		t.Errorf("%d views are kept", kept)
	}
}
