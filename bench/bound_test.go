package main

import (
	"testing"

	"freshet/hnsw"
)

// What a search reads is read again, whatever it walks on.
func TestReplay(t *testing.T) {
	const n, dim = 2_000, 384
	for name, work := range map[string]hnsw.Work{
		"codes of 8 bits": {Lists: 20, Codes: 300, CodeBytes: 300 * dim, Vectors: 16},
		"codes of 4 bits": {Lists: 20, Codes: 300, CodeBytes: 300 * dim / 2, Vectors: 16},
		"vectors":         {Lists: 20, Vectors: 300},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := newReplay(n, dim, work, 1)
			if err != nil {
				t.Fatal(err)
			}
			before := r.random
			if r.run() <= 0 || r.random == before {
				t.Error("nothing was read")
			}
			kinds := 1
			if work.Codes > 0 {
				kinds = 2
			}
			if rows := r.rowTimes(); len(rows) != kinds {
				t.Errorf("%d kinds of row instead of %d", len(rows), kinds)
			}
			if err := r.close(); err != nil {
				t.Error(err)
			}
		})
	}
}
