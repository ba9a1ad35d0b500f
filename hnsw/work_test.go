package hnsw

import "testing"

// With ef at the number of nodes a search measures every node, and adds that to
// what the work was before.
func TestWork(t *testing.T) {
	const n = 300
	for _, dim := range []int{8, 64} { // without codes, with codes
		w := newWorld(t, Config{Dim: dim, Metric: Cosine})
		w.insert(clustered(3, n, dim), 50, 1)
		var once, twice Work
		q := w.query(clustered(3, 1, dim)[0], 10, n)
		q.Work = &once
		w.search(q)
		q.Work = &twice
		w.search(q)
		w.search(q)
		if twice != (Work{2 * once.Lists, 2 * once.Codes, 2 * once.CodeBytes, 2 * once.Vectors}) {
			t.Errorf("dim %d: one search %+v, two searches %+v", dim, once, twice)
		}
		walked := once.Vectors
		if c := w.g.codes.Load(); c != nil {
			walked = once.Codes
			row := once.CodeBytes / once.Codes
			if row != c.bytes.rows.stride && row != c.halves.rows.stride {
				t.Errorf("dim %d: %d bytes a row of codes", dim, row)
			}
			if once.Vectors < 10 || once.Vectors > n {
				t.Errorf("dim %d: %d of %d scored on vectors", dim, once.Vectors, n)
			}
		}
		if walked < n-1 || walked > 2*n || once.Lists < n || once.Lists > 2*n {
			t.Errorf("dim %d: %+v in a graph of %d nodes", dim, once, n)
		}
	}
}
