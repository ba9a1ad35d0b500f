//go:build race

package hnsw

// under returns a size for tests: the race detector makes them ten times as slow,
// and finds no more in larger ones.
func under(n int) int { return n / 3 }

// alone is the same for tests in which nothing is concurrent but the workers of a
// batch, of which there are others: they are for what the detector does not see.
func alone(n int) int { return n / 8 }

// sequential is the same for tests in which nothing is concurrent at all.
func sequential(n int) int { return n / 20 }

const raced = true
