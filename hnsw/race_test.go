//go:build race

package hnsw

// under returns a size for tests: the race detector makes them ten times as slow,
// and finds no more in larger ones.
func under(n int) int { return n / 3 }

const raced = true
